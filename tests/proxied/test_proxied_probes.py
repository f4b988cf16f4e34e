"""Behind the shipped proxy: what load balancers and monitors send is answered as it is without it."""

import pytest
from deployed import Behind
from raw_http import talk

FORMS = {
    "HTTP/1.0 without a host": b"%s %s HTTP/1.0\r\n\r\n",
    "HTTP/1.0 with a host": b"%s %s HTTP/1.0\r\nHost: x\r\n\r\n",
    "HTTP/1.0, absolute": b"%s http://10.0.0.7%s HTTP/1.0\r\n\r\n",
    "HTTP/1.1, absolute": b"%s http://10.0.0.7%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "HTTP/1.1, by an address": b"%s %s HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nConnection: close\r\n\r\n",
}
PROBES = [("api", b"/livez"), ("api", b"/readyz"), ("webhook", b"/healthz"), ("webhook", b"/livez")]


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("port", "path"), PROBES)
def test_a_probe_is_answered_however_it_asks(behind: Behind, port: str, path: bytes, form: str, method: bytes) -> None:
    said = talk(getattr(behind.proxy, port), FORMS[form] % (method, path))
    assert said.statuses == [200]
    assert (b'"status":"ok"' in said.data) == (method == b"GET")
