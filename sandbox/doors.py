"""Which callers need no credentials, and where events may go: this machine, and no web page from elsewhere.

A page's own name may be bound anew to 127.0.0.1 while it is open; such a call shows in its Host alone.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def is_foreign(headers: Mapping[str, str], port: int) -> bool:
    """Whether a request (headers by lower-case name) is, or may be, another page's than the sandbox's own."""
    hosts = {f"{name}:{port}" for name in LOOPBACK} | (set(LOOPBACK) if port == 80 else set())
    if headers.get("host", "").lower() not in hosts:
        return True
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")
    return origin is not None and origin.lower() not in {f"http://{host}" for host in hosts}


def loopback_url(url: str) -> str:
    """Return the URL; raise ValueError unless it leads to this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_here = host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
    if parts.scheme not in ("http", "https") or not is_here or parts.port == 0:
        raise ValueError("an http or https URL on a loopback address")
    return url


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
