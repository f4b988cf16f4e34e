"""What a push without a read overwrote is found in the property's history."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from reconciler.core.contact import BlindPush, Contact, ContactId, CustomerId, Entry, Link, Pair, Snapshot
from reconciler.core.judge import overwritten_blindly

NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)


def lost(since: datetime | None, *entries: tuple[str, float]) -> list[str | None]:
    """Return what is logged after "ours" went over the entries (value, seconds after nine), oldest first."""
    written = tuple(Entry(value=value, at=NINE + timedelta(seconds=at)) for value, at in (*entries, ("ours", 60)))
    contact = Contact(
        id=ContactId(1),
        values={"phone": "ours"},
        created_at=NINE,
        updated_at=written[-1].at,
        history={"phone": written[::-1]},
    )
    pushes = {"phone": BlindPush(since=since, base="base", sent=("ours",))}
    pair = Pair(link=Link(uuid=CustomerId(uuid4()), blind_pushes=pushes), remote=Snapshot(contact=contact))
    return [conflict.lost for conflict in overwritten_blindly(pair)]


def test_what_was_written_since_the_base_is_lost() -> None:
    assert lost(NINE, ("older", -1), ("base", 0), ("theirs", 1)) == ["theirs"]


def test_a_person_may_write_in_the_millisecond_of_the_base() -> None:
    assert lost(NINE, ("base", 0), ("theirs", 0)) == ["theirs"]


def test_a_person_may_write_what_the_base_was() -> None:
    assert lost(NINE, ("base", 0), ("theirs", 1), ("base", 2)) == ["base", "theirs"]


def test_where_nothing_was_agreed_everything_was_overwritten() -> None:
    assert lost(None, ("older", -1), ("theirs", 1)) == ["theirs", "older"]


def test_what_was_sent_before_is_no_persons() -> None:
    assert lost(NINE, ("base", 0), ("ours", 1), ("theirs", 2)) == ["theirs"]
