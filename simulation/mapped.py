"""The fields of the simulated table: those of the mapping that ships."""

from functools import partial

from reconciler.core.kinds import canonical
from reconciler.mapping.reading import fields_of, load

MAPPED = fields_of(load(None))
FIELDS = MAPPED.names
NORMALISE = {name: partial(canonical, field.kind) for name, field in MAPPED.by_name.items()}

normalised = MAPPED.canonical
