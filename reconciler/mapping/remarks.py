"""What `mapping check` says: one line for each thing, with what to write instead."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing about a column, a property or a key of the file; nothing is begun with a mapping that is refused."""

    place: str
    text: str
    is_refused: bool

    def __str__(self) -> str:
        return f"{'refused' if self.is_refused else 'said'} {self.place}: {self.text}"


def refused(place: str, wrong: str, instead: str) -> Remark:
    """Say what keeps the mapping from being used, and what to write instead."""
    return Remark(place, f"{wrong}; {instead}", is_refused=True)


def said(place: str, what: str, instead: str = "") -> Remark:
    """Say what an owner should know, and what he may write."""
    return Remark(place, f"{what}; {instead}" if instead else what, is_refused=False)
