"""One line per figure: what was measured, beside what is possible, against its target."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A figure and its target; `beside` says what it is to be compared with, measured in the same run."""

    what: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    beside: str = ""

    @property
    def is_met(self) -> bool:
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    def __str__(self) -> str:
        target = f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"
        verdict = "met" if self.is_met else "missed"
        beside = f"  ({self.beside})" if self.beside else ""
        return f"{self.what:<52} {self.value:>10,.4g} {self.unit:<12} target {target:<8}{beside}  {verdict}"


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value below which so many percent of the values are."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]
