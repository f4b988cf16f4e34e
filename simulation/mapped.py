"""The mapped fields of a run: those of the mapping that ships, or others drawn by lot."""

from functools import partial
from random import Random

from reconciler.core.fields import STAGE, Field, Fields, Policy
from reconciler.core.kinds import Direction, Kind, WhenEmpty, canonical
from reconciler.core.values import Value
from reconciler.mapping.reading import fields_of, load
from sandbox.definitions import Seed

MAPPED = fields_of(load(None))
FIELDS = MAPPED.names
NORMALISE = {name: partial(canonical, field.kind) for name, field in MAPPED.by_name.items()}

normalised = MAPPED.canonical

PLANS = ("free", "pro", "team")
TAGS = tuple("abcdefghij")

TYPED = {
    Field("seats", Kind.NUMBER): Seed(name="seats", type="number"),
    Field("paying", Kind.BOOLEAN): Seed(name="paying", type="bool"),
    Field("born", Kind.DATE): Seed(name="born", type="date"),
    Field("seen", Kind.DATETIME): Seed(name="seen", type="datetime"),
    Field("plan", Kind.ENUM): Seed(name="plan", type="enumeration", options=PLANS),
    Field("tags", Kind.SET): Seed(name="tags", type="enumeration", field_type="checkbox", options=TAGS),
}
"""Fields of the other kinds, and their properties in HubSpot."""

DIRECTIONS = (Direction.BOTH, Direction.BOTH, Direction.TO_HUBSPOT, Direction.TO_POSTGRES)


def drawn(random: Random, *, wild: bool) -> Fields:
    """Draw the fields, with their policies. `wild`: some conflicts wait for a person."""
    usual = [Policy.NEWEST] * 3 + [Policy.HUBSPOT, Policy.POSTGRES, *([Policy.MANUAL] if wild else [])]
    fields = MAPPED if random.random() < 0.4 else _bent(random)
    return fields.with_policies({name: random.choice(usual) for name in fields.names})


def _bent(random: Random) -> Fields:
    """Draw kinds beside text, and which changes go over."""
    typed = [field for field in TYPED if random.random() < 0.4]
    others = [field for field in MAPPED.by_name.values() if field.kind is not Kind.EMAIL]
    return Fields.of(MAPPED["email"], *(_one_way(random, field) for field in (*others, *typed)))


def _one_way(random: Random, field: Field) -> Field:
    is_keeping = field.name != STAGE and random.random() < 0.3
    return Field(
        name=field.name,
        kind=field.kind,
        direction=random.choice(DIRECTIONS),
        when_empty=WhenEmpty.KEEP if is_keeping else WhenEmpty.CLEAR,
    )


def value_of(fields: Fields, name: str, raw: Value) -> Value:
    """Return the canonical value of one field's raw text."""
    return canonical(fields[name].kind, raw)


def stays(fields: Fields, name: str, value: Value, *, here: bool) -> bool:
    """Whether an edit to this value stays on its side: made in Postgres (`here`), or in HubSpot."""
    goes_over = name in (fields.to_hubspot if here else fields.to_postgres)
    return not goes_over or (value is None and fields[name].when_empty is WhenEmpty.KEEP)
