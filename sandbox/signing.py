"""The signatures that HubSpot puts on a webhook.

v1  hex SHA-256 of secret + body
v3  base64 HMAC-SHA-256, keyed by the secret, of method + URI + body + timestamp
"""

import base64
import hashlib
import hmac

# HubSpot decodes these in the URI before it signs, and nothing else.
_DECODED = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'",
    "%28": "(", "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip


def sign_v1(secret: str, body: bytes) -> str:
    """Return the old signature of CRM webhooks."""
    return hashlib.sha256(secret.encode() + body).hexdigest()


def sign_v3(secret: str, method: str, uri: str, body: bytes, timestamp: int) -> str:
    """Return the current signature; the timestamp is in milliseconds."""
    for code, character in _DECODED.items():
        uri = uri.replace(code, character).replace(code.lower(), character)
    source = method.encode() + uri.encode() + body + str(timestamp).encode()
    return base64.b64encode(hmac.new(secret.encode(), source, hashlib.sha256).digest()).decode()


def headers(secret: str, uri: str, body: bytes, timestamp: int) -> dict[str, str]:
    """Return the signature headers of a webhook request."""
    return {
        "X-HubSpot-Signature": sign_v1(secret, body),
        "X-HubSpot-Signature-Version": "v1",
        "X-HubSpot-Signature-v3": sign_v3(secret, "POST", uri, body, timestamp),
        "X-HubSpot-Request-Timestamp": str(timestamp),
    }
