"""What the API reads from a request beside its path and body."""

from hashlib import sha256
from typing import Any

from reconciler.bodies import FORWARDED

Environ = dict[str, Any]


def digest(environ: Environ) -> str:
    """Return what a repeated request is recognised by: the call and its body."""
    line = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}\n{environ.get('HTTP_PREFER', '')}\n".encode()
    return sha256(line + environ.get("reconciler.body", b"")).hexdigest()


def is_async(environ: Environ) -> bool:
    """Whether the caller prefers to be answered before HubSpot has the change."""
    prefer = environ.get("HTTP_PREFER", "")
    return "respond-async" in [part.strip().lower() for part in prefer.split(",")]


def tags(environ: Environ, name: str) -> set[str]:
    """Return the entity tags in a header."""
    return {part.strip() for part in environ.get(name, "").split(",") if part.strip()}


def challenge(more: str) -> dict[str, str]:
    """Return the header that asks for a token."""
    return {"WWW-Authenticate": f"Bearer{more}"}


def is_local(environ: Environ) -> bool:
    """Whether the request comes from this host itself and not through a proxy on it."""
    return environ.get("REMOTE_ADDR") in ("127.0.0.1", "::1") and not environ.keys() & FORWARDED
