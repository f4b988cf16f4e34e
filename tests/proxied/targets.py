"""What is fuzzed, and how much of it."""

from forgeries import Signature, Token
from readers import Body, Events, Json

Target = Signature | Token | Json | Body | Events

TARGETS: list[type[Target]] = [Signature, Token, Json, Body, Events]
SHARES = {"signature": 1.0, "token": 0.2, "json": 0.2, "body": 0.2, "events": 0.2}
"""Of a million inputs, so many for each."""
