"""Several threads at the same work: a pass mostly waits for HubSpot, so its rate takes many passes at once."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from reconciler.core.ports import Lane, Progress
from reconciler.sync.reconcile import BATCH, Reconciler

FULL = BATCH // 2
"""Pairs of a pass from which on there seems to be more work than one thread does."""


class Drainers:
    """Drains with up to `most` passes under way: one to begin with, one more for every full pass."""

    def __init__(self, reconciler: Reconciler, most: int) -> None:
        self._reconciler, self._most = reconciler, most

    def drain(self, progress: Progress = lambda count: None, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Work off what is due while `goes_on` says so; `progress` hears of every pass that found work."""
        with ThreadPoolExecutor(self._most, thread_name_prefix="drain") as threads:

            def one() -> Future[int]:
                return threads.submit(self._reconciler.drain_once, tuple(Lane))

            under_way = {one()}
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for count in (each.result() for each in done):
                    if count and goes_on():
                        progress(count)
                        under_way.add(one())
                    if count >= FULL and len(under_way) < self._most and goes_on():
                        under_way.add(one())
