"""Whatever strangers send: no forgery is accepted, nothing good refused, and no exception but the declared refusals.

FUZZ_INPUTS says how many (a million: a million signatures, 200,000 of everything else); fuzz.py runs the same.
"""

import os
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import fuzz
import pytest
from forgeries import KEY, Signature, Token
from readers import Body, Events, Json
from targets import SHARES, TARGETS, Target
from wrong import Wrong

import api.auth
import api.bodies
import api.strict_json
import webhook.events
import webhook.signature
from reconciler.mapping.reading import load

INPUTS = int(os.environ.get("FUZZ_INPUTS", "50000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
ENOUGH = 100_000
"""Inputs within which a planted fault must be found."""


@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", TARGETS, ids=lambda kind: kind.name)
def test_every_answer_is_right(kind: type[Target]) -> None:
    inputs = int(INPUTS * SHARES[kind.name])
    answers = fuzz.tried(kind, inputs, SEED)
    print(f"{kind.name}: {inputs} inputs, 0 wrong, {dict(answers)}")
    assert answers.total() == inputs
    assert len(answers) > 1


def copied(module: ModuleType, old: str = "", new: str = "") -> Any:
    """Return a copy of a module with one piece of its text replaced; its refusals are those of the original."""
    text = Path(module.__file__ or "").read_text()
    assert old in text
    copy = ModuleType(module.__name__)
    exec(compile(text.replace(old, new), f"{module.__name__} with a fault", "exec"), copy.__dict__)
    for name, found in vars(module).items():
        if isinstance(found, type) and issubclass(found, Exception):
            setattr(copy, name, found)
    return copy


def target_on(module: ModuleType, old: str = "", new: str = "") -> Target:
    """Return the target of a module, working on a copy of it."""
    random, copy = Random(SEED), copied(module, old, new)
    match module.__name__:
        case "webhook.signature":
            signature = Signature(random)
            signature.verifier = copy.Verifier(signature.url, signature.secrets)
            return signature
        case "api.auth":
            token = Token(random)
            token.tokens = copy.Tokens(KEY)
            return token
        case "api.strict_json":
            json = Json(random)
            json.loads = copy.loads
            return json
        case "api.bodies":
            body = Body(random)
            forms = copy.forms_of(load(None))
            body.models, body.parse = [forms.new_customer, forms.customer_change, forms.batch_item], copy.parse
            return body
        case _:
            events = Events(random)
            events.read = copy.read
            return events


MODULES = [webhook.signature, api.auth, api.strict_json, api.bodies, webhook.events]

PLANTED = [
    (webhook.signature, "digest(sent, sign(secret, message))", "digest(sent[:8], sign(secret, message)[:8])"),
    (webhook.signature, "abs(now_ms - int(timestamp))", "now_ms - int(timestamp)"),
    (webhook.signature, "abs(now_ms - int(timestamp))", "int(timestamp) - now_ms"),
    (webhook.signature, "> WINDOW:", ">= WINDOW:"),
    (webhook.signature, "[0-9]{13}", r"\d{13}"),
    (webhook.signature, "_TIMESTAMP.fullmatch", "_TIMESTAMP.match"),
    (webhook.signature, "sent = signature.encode", "sent = signature.strip().encode"),
    (webhook.signature, 'signature.encode("latin-1", "replace")', 'signature.encode("ascii")'),
    (webhook.signature, "for secret in self._secrets]", "for secret in self._secrets[:1]]"),
    (webhook.signature, "body + timestamp", "body.strip() + timestamp"),
    (api.auth, " < good.expires", ""),
    (api.auth, "if expires - issued > LIFETIME:", "if False:"),
    (api.auth, "max(issued, begins)", "begins"),
    (api.auth, "max(issued, begins)", "issued"),
    (api.auth, "or isinstance(value, bool)", ""),
    (api.auth, "not isinstance(value, int) or", "not isinstance(value, int | float) or"),
    (api.auth, 'claims.get("sub"), claims.get("role")', 'claims.get("sub"), str(claims.get("role")).lower()'),
    (api.auth, 'or head.keys() - {"alg", "typ"}', ""),
    (api.auth, '"strict_aud": True', '"strict_aud": False'),
    (api.auth, '"verify_exp": False,', '"verify_exp": False, "verify_signature": False,'),
    (api.auth, "audience=AUDIENCE,", 'audience=[AUDIENCE, "admin"],'),
    (api.auth, "(jwt.PyJWTError, ValueError, TypeError)", "jwt.InvalidSignatureError"),
    (api.strict_json, "parse_constant=_refuse_constant,", ""),
    (api.strict_json, "parse_float=_finite,", ""),
    (api.strict_json, "if len(found) != len(pairs):", "if False:"),
    (api.strict_json, "DEEPEST = 32", "DEEPEST = 33"),
    (api.strict_json, "> LARGEST_INTEGER:", "> LARGEST_INTEGER + 1:"),
    (api.strict_json, 'data.decode("utf-8")', 'data.decode("utf-8-sig")'),
    (api.strict_json, '_STRING.sub("", text)', "text"),
    (api.bodies, r"[\x00\ud800", r"[\x01\ud800"),
    (api.bodies, "return address\n\n\ndef _of_a_row", "return text\n\n\ndef _of_a_row"),
    (webhook.events, "0 < value <= LARGEST_ID", "0 < value"),
    (webhook.events, "not isinstance(value, bool) and ", ""),
    (webhook.events, "(ValueError, RecursionError)", "json.JSONDecodeError"),
    (webhook.events, "if not isinstance(event, dict):", "if event is None:"),
    (webhook.events, "if not isinstance(events, list):", "if events is None:"),
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_an_unchanged_copy_has_no_fault(module: ModuleType) -> None:
    assert fuzz.run(target_on(module), 2000, SEED).total() == 2000


@pytest.mark.parametrize(("module", "old", "new"), PLANTED, ids=range(len(PLANTED)))
def test_a_planted_fault_is_found(module: ModuleType, old: str, new: str) -> None:
    with pytest.raises(Wrong):
        fuzz.run(target_on(module, old, new), ENOUGH, SEED)
