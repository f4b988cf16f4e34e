"""What a planted fault is: a rule of the design, broken in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """`text` stands exactly once in `file`; `instead` takes its place."""

    file: str
    text: str
    instead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A broken rule. `tests` are the directed ones; `is_simulated`: the simulation runs on what is broken."""

    name: str
    rule: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...] = ()
    is_simulated: bool = True

    @property
    def files(self) -> str:
        return ", ".join(sorted({edit.file for edit in self.edits}))


def simulated(name: str, rule: str, *edits: Edit, tests: tuple[str, ...] = ()) -> Fault:
    """A fault in what the simulation runs on: the core, the use cases, the store in memory."""
    return Fault(name=name, rule=rule, edits=edits, tests=tests)


def real(name: str, rule: str, *edits: Edit, tests: tuple[str, ...]) -> Fault:
    """A fault in the adapters, the statements or the schema: only tests with a real Postgres can see it."""
    return Fault(name=name, rule=rule, edits=edits, tests=tests, is_simulated=False)
