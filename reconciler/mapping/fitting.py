"""Which kind of value a column holds, and which one a HubSpot property takes."""

from reconciler.core.kinds import Direction, Kind
from reconciler.mapping.catalogue import INTEGERS, MOMENTS, NUMBERS, TEXTS, Column
from reconciler.mapping.file import MappedField
from reconciler.mapping.properties import Property


def kind_of_column(column: Column) -> Kind | None:
    """Return the kind that is nearest to the column's type, if any is."""
    if column.is_array:
        return Kind.SET if column.base in TEXTS or column.labels else None
    near = {Kind.TEXT: TEXTS, Kind.NUMBER: NUMBERS, Kind.BOOLEAN: {"bool"}, Kind.DATE: {"date"}, Kind.DATETIME: MOMENTS}
    return next((kind for kind, bases in near.items() if column.base in bases), Kind.ENUM if column.labels else None)


def kind_of_property(known: Property) -> Kind:
    """Return the kind that is nearest to the property's type."""
    if known.is_flag:
        return Kind.BOOLEAN
    if known.is_choice:
        return Kind.SET if known.is_multiple else Kind.ENUM
    near = {"number": Kind.NUMBER, "date": Kind.DATE, "datetime": Kind.DATETIME}
    return Kind.EMAIL if known.name == "email" else near.get(known.type, Kind.TEXT)


def holds(column: Column, field: MappedField) -> bool:
    """Whether the column holds what the field says, in the directions that it goes."""
    is_shown = field.direction is Direction.TO_HUBSPOT
    is_coded = column.is_text or bool(column.labels) or column.base in INTEGERS
    match field.type:
        case Kind.TEXT | Kind.EMAIL:
            return column.is_text or (is_shown and field.type is Kind.TEXT and column.base != "record")
        case Kind.SET:
            return column.is_array and (column.base in TEXTS or bool(column.labels))
        case _ if column.is_array:
            return False
        case Kind.BOOLEAN:
            return column.is_flag or (is_coded and field.values is not None)
        case Kind.ENUM:
            return column.is_flag or is_coded
        # Of a time the date alone is shown; none is made of a date.
        case Kind.DATE if column.is_moment:
            return is_shown
        # Coarser than a time: compared as days.
        case Kind.DATETIME:
            return column.is_moment or column.base == "date"
        case kind:
            return kind_of_column(column) is kind


def takes(known: Property, field: MappedField) -> bool:
    """Whether the property and the field's kind have the same values, in the directions that the field goes."""
    is_text = known.type in ("string", "phone_number")
    match field.type:
        case Kind.TEXT if field.direction is Direction.TO_POSTGRES:
            return True
        case Kind.TEXT:
            return is_text or (known.is_choice and not known.is_multiple)
        case Kind.EMAIL:
            return is_text
        case _ if is_text and field.direction is Direction.TO_HUBSPOT:
            return True
        case kind:
            return kind_of_property(known) is kind
