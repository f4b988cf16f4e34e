"""Starts the reconciler as `python -m reconciler` does, and breaks it once, as an accident would.

`python breaking.py HOW MARKER`: once the file MARKER is there, it starts unbroken.
"""

import ctypes
import sys
import threading
import time
from pathlib import Path


def _scheduler() -> threading.Thread | None:
    return next((each for each in threading.enumerate() if each.name == "APScheduler"), None)


def end_the_schedulers_thread() -> None:
    """The thread that starts the jobs ends; the scheduler goes on to say that it is running."""
    while (thread := _scheduler()) is None:
        time.sleep(0.05)
    time.sleep(1)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))


def let_a_job_hang() -> None:
    """A poll never comes back; how long one may take is shortened, so that nobody waits for minutes."""
    from reconciler.process import watchdog
    from reconciler.walks.poll import Poll

    watchdog.LONGEST_STEP = 3.0
    Poll.recent = lambda *_: threading.Event().wait()  # type: ignore[assignment, method-assign]


def main() -> None:
    how, marker = sys.argv[1], Path(sys.argv[2])
    del sys.argv[1:]
    if not marker.exists():
        marker.touch()
        if how == "hang":
            let_a_job_hang()
        else:
            threading.Thread(target=end_the_schedulers_thread, daemon=True).start()
    from reconciler.__main__ import main as start

    start()


if __name__ == "__main__":
    main()
