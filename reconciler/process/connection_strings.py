"""What libpq takes for a connection string: key=value pairs or a postgresql:// URL, of one host or of several.

libpq itself is asked; what it complains with is never shown, for it quotes the text, password and all.
"""

import psycopg
from psycopg.conninfo import conninfo_to_dict

FORM = "a libpq connection string or a postgresql:// URL"


def problem_with(text: str) -> str | None:
    """Say what is wrong with a connection string, without a word of it; None if nothing is."""
    try:
        parts = conninfo_to_dict(text)
    except psycopg.Error:
        return FORM
    if "\0" in text or not all(_is_port(port) for port in str(parts.get("port", "")).split(",")):
        return FORM
    # The end of a password with a bare @ or / in it would be taken for a host or a database, and be shown as that.
    if "://" in text and "@" in f"{parts.get('host', '')}{parts.get('dbname', '')}":
        return f"{FORM}, its password percent-encoded"
    return None


def _is_port(text: str) -> bool:
    return not text.strip() or (text.strip().isascii() and text.strip().isdigit() and 0 < int(text) < 65536)
