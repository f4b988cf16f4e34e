"""`python -m bench.model`: what portals of any size cost, by the real division and the real slots in virtual time.

A first run of ten million contacts takes hours at HubSpot's pace. So the clock is virtual; walkers, the division of the
id space, slots, lanes' share of the day are the product's own. CPU and rows follow from the engine's figures of a run
of `make bench ONLY=engine`, given as arguments.
"""

import argparse
import heapq
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from reconciler.core.ports import Lane
from reconciler.sync.budget import LOW_LANES_SHARE, WINDOWS, pace
from reconciler.walks.id_ranges import END, EVERYTHING, Division, Stretch, needed
from simulation.memory.slots import MemoryOutage, MemoryQuota, MemorySlots

PLANS = ((100, 250_000), (190, 625_000))
"""Calls in ten seconds and a day, of HubSpot's smaller and larger plans."""

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
GAP = 7
"""Ids between two contacts on average."""

PAGE = 100
WALKERS = 24
DAY = 86_400.0
ROW_BYTES = 1_214 + 448
"""Customer and link, and history, with their indexes, of a new contact with five fields (measured at 20,000)."""


@dataclass(slots=True)
class Walk:
    """A walk over a portal of so many contacts, in virtual time."""

    people: int
    rate: int
    daily: int
    latency: float
    calls: int = 0
    now: float = 0.0

    def run(self) -> None:
        """Walk; afterwards `now` is the time it took in seconds, `calls` the pages."""
        random = Random(1)
        quota, outage = MemoryQuota(lambda: self.now), MemoryOutage(lambda: self.now)
        slots = MemorySlots(lambda: self.now, outage)
        slots.shape({"all": self.rate})
        division = Division(EVERYTHING, WALKERS)
        division.highest = self.people * GAP
        queue: list[tuple[float, int, Stretch | None, bool]] = [(0.0, n, None, False) for n in range(WALKERS)]
        idle: list[int] = []
        while queue:
            self.now, walker, stretch, has_answer = heapq.heappop(queue)
            if stretch is not None and has_answer:
                self._answer(division, stretch, random)
                division.readers = min(needed(self.rate / 10, self.latency), WALKERS)
                queue += [(self.now, each, None, False) for each in idle]
                idle.clear()
                heapq.heapify(queue)
                stretch = self._kept(division, stretch)
            stretch = stretch or division.take()
            if stretch is None:
                if division.is_being_read:
                    idle.append(walker)
                continue
            wait = self._wait(slots, quota)
            if wait:
                heapq.heappush(queue, (self.now + wait, walker, stretch, False))
            else:
                self.calls += 1
                taken = self.latency * random.uniform(0.8, 1.3)
                heapq.heappush(queue, (self.now + taken, walker, stretch, True))

    def _wait(self, slots: MemorySlots, quota: MemoryQuota) -> float:
        """Return 0 if a call is free, else the seconds until it is worth asking again."""
        if quota.count(0, quota=self.daily) >= self.daily * LOW_LANES_SHARE:
            return DAY - self.now % DAY + 1
        if slots.take("all", lane=Lane.BULK, calls=1, window=WINDOWS["all"], pace=pace(Lane.BULK, self.rate)):
            quota.count(1, quota=self.daily)
            return 0.0
        return max(slots.next_free("all", window=WINDOWS["all"]), 0.05)

    def _answer(self, division: Division, stretch: Stretch, random: Random) -> None:
        reach = stretch.at + int(PAGE * GAP * random.uniform(0.9, 1.1))
        division.advance(stretch, END if reach > self.people * GAP else reach)

    @staticmethod
    def _kept(division: Division, stretch: Stretch) -> Stretch | None:
        if stretch.is_read:
            division.give_back(stretch)
            return None
        return stretch


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--new", type=float, required=True, help="microseconds of CPU for a new contact")
    parser.add_argument("--unchanged", type=float, required=True, help="microseconds of CPU for an unchanged contact")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds an answer takes")
    arguments = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, answers of {arguments.latency:g} s, {WALKERS} walkers\n")
    print("| contacts | calls/10 s | a walk | of the ceiling | calls | a contact | first run | a sweep | on disk |")
    print("|---|---|---|---|---|---|---|---|---|")
    for rate, daily in PLANS:
        for people in SIZES:
            walk = Walk(people, rate, daily, arguments.latency)
            walk.run()
            least = people / rate / 10
            disk = people * ROW_BYTES / 1e9
            new, unchanged = people * arguments.new / 1e6, people * arguments.unchanged / 1e6
            print(
                f"| {people:,} | {rate} | {_time(walk.now)} | {least / walk.now:.1%} | {walk.calls:,} | "
                f"{walk.calls / people:.5f} | {_time(new)} CPU | {_time(unchanged)} CPU | {disk:.2f} GB |"
            )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
