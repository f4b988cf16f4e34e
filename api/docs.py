"""The documentation page: the OpenAPI document in readable form, one file, nothing loaded from elsewhere."""

import hashlib
from base64 import b64encode
from functools import cache
from importlib.resources import files


@cache
def page() -> str:
    """Return the page."""
    return files(__package__).joinpath("docs.html").read_text()


def _policy() -> str:
    text = files(__package__).joinpath("docs.html").read_text()
    hashes = {
        tag: b64encode(hashlib.sha256(text.split(f"<{tag}>")[1].split(f"</{tag}>")[0].encode()).digest()).decode()
        for tag in ("script", "style")
    }
    return (
        f"default-src 'none'; connect-src 'self'; script-src 'sha256-{hashes['script']}'; "
        f"style-src 'sha256-{hashes['style']}'; frame-ancestors 'none'; base-uri 'none'"
    )


POLICY = _policy()
