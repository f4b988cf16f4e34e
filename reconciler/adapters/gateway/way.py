"""The way to HubSpot: through which proxy, and whose certificates are believed at its end."""

import ssl
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # older than its stubs


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """`proxy` is a URL, maybe with a password; without a `bundle` the system's authorities are believed."""

    proxy: str | None = field(default=None, repr=False)
    bundle: Path | None = None


DIRECT = Way()


def way_to(url: str, *, proxy: str | None, exempt: str, bundle: Path | None) -> Way:
    """Return the way to a URL: HTTPS_PROXY is for https alone, NO_PROXY (`exempt`) has names, suffixes or `*`."""
    parts = urlsplit(url)
    is_direct = parts.scheme != "https" or proxy_bypass_environment(parts.netloc, {"no": exempt})
    return Way(proxy=None if is_direct else proxy, bundle=bundle)


def proxy_url(text: str) -> str:
    """Return a proxy's URL, which may leave out `http://`; raise ValueError for what is none."""
    url = text if "://" in text else f"http://{text}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("the http or https URL of a proxy")
    return url


def trust(bundle: Path | None) -> ssl.SSLContext:
    """Return what believes the authorities of a file or folder alone; raise OSError if there are none."""
    if bundle is None:
        return _trust_in_the_system()
    if bundle.is_dir():
        return ssl.create_default_context(capath=bundle)
    context = ssl.create_default_context(cafile=bundle)
    if not context.get_ca_certs():
        raise ssl.SSLError("no certificate of an authority")
    return context


@cache
def _trust_in_the_system() -> ssl.SSLContext:
    """The system's authorities are many: they are read once."""
    return ssl.create_default_context()
