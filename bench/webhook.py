"""Deliveries of a hundred events: signed, checked, marked, committed."""

import http.client
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import orjson

from bench.load import pgbench, wrk
from bench.report import Line, percentile
from bench.rig import Rig, until
from bench.system import linked, started
from reconciler.adapters.postgres.queries import statements
from sandbox.signing import headers

BODIES = 100
PEOPLE = 20_000
SECONDS = 20
SECRET = "sandbox-client-secret"


def webhook(make: Callable[[], Rig]) -> Iterator[Line]:
    """Two processes at full load beside pgbench with the same statement; then 1,000 events/s while draining."""
    rig = make()
    sandbox = rig.sandbox()
    rig.parts(sandbox)
    # One call in ten seconds: what is marked stays marked, as in pgbench.
    started(rig, sandbox, reconciler=False, hubspot_rate_per_10s=1, webhook_processes=2)
    url = sandbox.control("GET", "settings")["webhook_url"]
    until(lambda: rig.sql("select 1 from sync.setting where name = 'portal'"))
    random = Random(1)
    ids = [random.sample(range(1, 10**6), 100) for _ in range(BODIES)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = pgbench(rig.dsn, [_statement(each) for each in ids], folder, clients=8)
        ours = wrk(url, _lua([_events(each) for each in ids], url), folder, connections=8)
    beside = f"{ours * 100:,.0f} of {alone * 100:,.0f} events/s"
    yield Line(what="webhook: share of pgbench", value=ours / alone * 100, unit="%", at_least=60, beside=beside)
    yield from _while_draining(make())


def _while_draining(rig: Rig) -> Iterator[Line]:
    sandbox = rig.sandbox()
    linked(rig, sandbox, PEOPLE)
    started(rig, sandbox, hubspot_rate_per_10s=190)
    url = sandbox.control("GET", "settings")["webhook_url"]
    ids = [row["contactid"] for row in rig.sql("select contactid from customer")]
    into, random, taken = urlsplit(url), Random(2), []
    connection = http.client.HTTPConnection(str(into.hostname), into.port, timeout=10)
    began = time.monotonic()
    for n in range(SECONDS * 10):
        time.sleep(max(0.0, began + n / 10 - time.monotonic()))
        body = _events(random.sample(ids, 100))
        sent = time.monotonic()
        connection.request("POST", "/", body, headers(SECRET, url, body, int(time.time() * 1000)))
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 204
        taken.append(time.monotonic() - sent)
    beside = f"median {percentile(taken, 50) * 1000:.1f} ms"
    what = "webhook: 1,000 events/s while draining, 99 %"
    yield Line(what=what, value=percentile(taken, 99) * 1000, unit="ms", at_most=50, beside=beside)


def _events(ids: list[int]) -> bytes:
    one = {"portalId": 147000000, "appId": 4169410, "subscriptionType": "contact.propertyChange", "attemptNumber": 0}
    more = {"occurredAt": 1787843156000, "propertyName": "company", "propertyValue": "c", "changeSource": "CRM_UI"}
    return orjson.dumps([{**one, **more, "eventId": n, "objectId": each} for n, each in enumerate(ids)])


def _lua(bodies: list[bytes], url: str) -> str:
    stamp = int(time.time() * 1000)
    requests = ",\n".join(
        "wrk.format('POST', '/', {"
        + ", ".join(f"['{name}'] = '{value}'" for name, value in headers(SECRET, url, body, stamp).items())
        + f"}}, '{body.decode()}')"
        for body in bodies
    )
    return f"""
local requests
init = function() requests = {{ {requests} }} end
local n = 0
request = function() n = n % #requests + 1; return requests[n] end
"""


def _statement(ids: list[int]) -> str:
    subjects = "array[" + ",".join(f"'c:{each}'" for each in ids) + "]"
    values = {"counts": "'{\"propertyChange\": 100}'", "private": "'{}'", "subjects": subjects}
    text = statements()["receive"]
    for name, value in values.items():
        text = text.replace(f"%({name})s", value)
    return " ".join(text.split()) + ";\n"
