"""The three readers of what was sent: each target makes one input by its seed, gives it to the product, and holds the
answer to an oracle of its own."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import deliveries
import json_values
from forms import FORMS
from mutations import Mutator
from wrong import Wrong

from api.bodies import InvalidBody, parse
from api.strict_json import BadJson, loads
from simulation.mapped import FIELDS
from webhook.events import NotEvents, quarantined, read


class Json:
    """The reader of JSON: takes strict JSON and nothing else, and reads it as the standard library does."""

    name = "json"

    def __init__(self, random: Random) -> None:
        self._random, self._mutator = random, Mutator(random)
        self.loads = loads

    def once(self) -> str:
        """Try one text."""
        data = self._text()
        try:
            expected, is_strict = json_values.strict(data), True
        except json_values.NotStrict:
            expected, is_strict = None, False
        try:
            found = self.loads(data)
        except BadJson as error:
            if is_strict:
                raise Wrong(f"refused strict JSON: {data!r}") from error
            return "refused"
        if not is_strict or repr(found) != repr(expected):
            raise Wrong(f"took {data!r} for {found!r}")
        return "accepted"

    def _text(self) -> bytes:
        random = self._random
        whole = json_values.text(json_values.value(random))
        way: Callable[[], bytes] = random.choice(
            [
                lambda: whole,
                lambda: self._mutator.changed(whole),
                lambda: self._mutator.changed(whole, most=8),
                lambda: json_values.nested(random),
                lambda: self._mutator.changed(json_values.nested(random)),
                lambda: whole.decode().encode(random.choice(["utf-16", "utf-8-sig", "utf-7"])),
                lambda: whole + random.choice([b"", b" ", b"\n", b"x", b"\x00", whole]),
                self._mutator.noise,
            ]
        )
        return way()


class Body:
    """The reader of bodies: whatever JSON it gets, values in order or a refusal that names fields of the call."""

    name = "body"

    def __init__(self, random: Random) -> None:
        self._random, self._mutator = random, Mutator(random)
        self.models, self.parse = [FORMS.new_customer, FORMS.customer_change, FORMS.batch_item], parse

    def once(self) -> str:
        """Try one body as one of the models."""
        model = self._random.choice(self.models)
        body = self._body()
        try:
            values = self.parse(model, body).model_dump(include=set(FIELDS), exclude_unset=True)
        except InvalidBody as error:
            if not error.code or any(len(each["field"]) > 64 or len(each["problem"]) > 200 for each in error.details):
                raise Wrong(f"refused {body!r} with {error.details!r}") from error
            return error.code
        # An item of a batch names whoever there is, under whatever address.
        is_new = model.__name__ != "BatchItem"
        if any(_is_out_of_order(field, value, is_new=is_new) for field, value in values.items()):
            raise Wrong(f"took {body!r} as {values!r}")
        return "accepted"

    def _body(self) -> Any:
        random = self._random
        good = {"email": "kai@hubspot.com", "firstname": "Kai", "lastname": "Krueger", "phone": "(555) 555-5555"}
        if random.random() < 0.5:
            good["op"] = random.choice(["create", "update", "upsert", "delete", "read", "drop"])
        for _ in range(random.randint(0, 3)):
            name = random.choice([*FIELDS, *FIELDS, "new_email", "op", "contactid", self._text("x")])
            good[name] = random.choice([json_values.value(random), self._text("kai@hubspot.com"), self._text("Kai")])
        return good if random.random() < 0.95 else json_values.value(random)

    def _text(self, text: str) -> str:
        return self._mutator.changed(text.encode()).decode("utf-8", random_handler(self._random))


def random_handler(random: Random) -> str:
    """Return how bytes that are no text become text: as replacements, or as lone surrogates."""
    return random.choice(["replace", "surrogateescape"])


def _is_out_of_order(field: str, value: str | None, *, is_new: bool) -> bool:
    if value is None:
        return field == "email"
    is_unstorable = "\x00" in value or any("\ud800" <= each <= "\udfff" for each in value)
    is_odd = value != value.strip().lower() or (is_new and value.count("@") != 1)
    return is_unstorable or (field == "email" and is_odd)


class Events:
    """The reader of deliveries: contact ids of eight bytes, or a body that is no list of events."""

    name = "events"

    def __init__(self, random: Random) -> None:
        self._random, self._mutator = random, Mutator(random)
        self.read = read

    def once(self) -> str:
        """Try one body."""
        body = self._body()
        try:
            delivery = self.read(body, portal_id=deliveries.PORTAL, app_id=deliveries.APP)
        except NotEvents as error:
            kept = quarantined(body, str(error))
            if len(kept.reason) > 20 or json_values.is_json(body) and isinstance(json_loads(body), list):
                raise Wrong(f"set a list of events aside: {body!r}") from error
            return "quarantined"
        if any(type(each) is not int or not 0 < each < 2**63 for each in delivery.contacts | delivery.private):
            raise Wrong(f"{body!r} is about {delivery.contacts!r}")
        if not delivery.private <= delivery.contacts or (101 in delivery.contacts) < (
            b"intact" in body and self._is_intact(body)
        ):
            raise Wrong(f"lost somebody: {body!r}")
        return "read"

    def _body(self) -> bytes:
        random = self._random
        if random.random() < 0.002:
            return random.choice([b"[", b'[{"a":']) * 50_000
        kinds = [
            "contact.creation",
            "contact.privacyDeletion",
            "contact.merge",
            "object.deletion",
            "deal.creation",
            "",
            None,
            7,
        ]
        events: list[Any] = []
        for _ in range(random.randint(1, 4)):
            more = {
                random.choice(["portalId", "appId", "mergedObjectIds", "primaryObjectId", "x"]): json_values.value(
                    random
                )
            }
            events.append(
                deliveries.event(random.choice([101, "101", json_values.value(random)]), random.choice(kinds), **more)
            )
        events.append(json_values.value(random))
        events.insert(0, {**deliveries.event(101), "note": "intact"})
        text = json_values.text(events)
        return random.choice([text, self._mutator.changed(text), json_values.text(events[-1]), self._mutator.noise()])

    def _is_intact(self, body: bytes) -> bool:
        return body.startswith(json_values.text([{**deliveries.event(101), "note": "intact"}])[:-1])


def json_loads(body: bytes) -> Any:
    return json.loads(body.decode("utf-8"))
