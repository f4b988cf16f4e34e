"""A death in the middle of a call, in the test's own process."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 0.05
"""Seconds until a strike that could not be felt comes again."""


@contextmanager
def mortal(when: str) -> Iterator[Callable[[], None]]:
    """Yield what strikes the main thread, from any other: it raises KeyboardInterrupt, once, wherever it is just then.

    But not in a finalizer, where Python swallows what is raised: there the strike is passed over, and comes again.
    `when` it strikes `before` a call arrives, the call has no effect.
    """
    main, is_over, ending = threading.main_thread().ident, threading.Event(), threading.Lock()
    assert main is not None

    def die(_: int, frame: FrameType | None) -> None:
        if not is_over.is_set() and not _is_in_a_finalizer(frame):
            is_over.set()
            raise KeyboardInterrupt

    def insist() -> None:
        while not is_over.wait(AGAIN):
            with ending:
                if not is_over.is_set():
                    signal.pthread_kill(main, signal.SIGINT)

    def strike() -> None:
        signal.pthread_kill(main, signal.SIGINT)
        threading.Thread(target=insist, daemon=True).start()
        if when == "before":
            raise ConnectionAbortedError

    before = signal.signal(signal.SIGINT, die)
    try:
        yield strike
    finally:
        with ending:
            is_over.set()
        signal.signal(signal.SIGINT, before)


def _is_in_a_finalizer(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code.co_filename.endswith("weakref.py"):
            return True
        frame = frame.f_back
    return False
