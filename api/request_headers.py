"""What the API reads from a request beside its path and body."""

from hashlib import sha256
from typing import Any

from reconciler.process.bodies import FORWARDED

Environ = dict[str, Any]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""What this host calls itself."""


def digest(environ: Environ) -> str:
    """Return what a repeated request is recognised by: the call and its body."""
    line = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}\n{environ.get('HTTP_PREFER', '')}\n".encode()
    return sha256(line + environ.get("reconciler.body", b"")).hexdigest()


def hashed(text: str) -> str:
    """Return a text as it is kept here: it may be of any length, and an e-mail address."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_async(environ: Environ) -> bool:
    """Whether the caller prefers to be answered before HubSpot has the change."""
    prefer = environ.get("HTTP_PREFER", "")
    return "respond-async" in [part.strip().lower() for part in prefer.split(",")]


def tags(environ: Environ, name: str) -> set[str]:
    """Return the entity tags in a header, weak ones as the strong ones they were.

    A proxy that compresses makes our tags weak ones. They are a hash of the values, not of the bytes of an answer: what
    the caller has read is the same, and so `If-Match` takes them too, which RFC 9110 leaves to strong ones.
    """
    found = (part.strip() for part in environ.get(name, "").split(","))
    return {tag.removeprefix("W/") if tag.startswith('W/"') else tag for tag in found if tag}


def challenge(more: str) -> dict[str, str]:
    """Return the header that asks for a token."""
    return {"WWW-Authenticate": f"Bearer{more}"}


def is_local(environ: Environ) -> bool:
    """Whether the request comes from this host itself and not through a proxy on it."""
    return environ.get("REMOTE_ADDR") in ("127.0.0.1", "::1") and not environ.keys() & FORWARDED


def is_foreign(environ: Environ) -> bool:
    """Whether a request from this host comes from a web page that is not ours, or one may hide behind its name.

    A page's own name may be bound anew to 127.0.0.1 while it is open: such a call is of the same origin for the
    browser, and only Host shows it.
    """
    hosts = _own_hosts(environ["SERVER_PORT"])
    if environ.get("HTTP_HOST", "").lower() not in hosts:
        return True
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
        return True
    origin = environ.get("HTTP_ORIGIN")
    return origin is not None and origin.lower() not in {f"http://{host}" for host in hosts}


def _own_hosts(port: str) -> set[str]:
    named = {f"{name}:{port}" for name in LOOPBACK}
    return named | set(LOOPBACK) if port == "80" else named
