"""The one thread: every piece of work is a coroutine that stops at each port, and which is next is drawn by lot.

At a port a piece of work may be left standing while others go on, may die (nothing after that point has an effect),
or may see the call fail before or after its effect.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from greenlet import getcurrent, greenlet

from reconciler.core.errors import SyncError, Transient
from simulation.clock import Clock


class Dead(BaseException):
    """The process of this work was killed; whatever still runs of it has no effect."""


class Forbidden(Transient):
    """The sync's role may not touch the owner's table."""

    cause = "privilege"
    is_systemic = True


@dataclass(slots=True)
class Weather:
    """How likely things go wrong at a port, as shares of its calls. `is_forbidden`: not the sync's table."""

    pause: float = 0.0
    fail_before: float = 0.0
    fail_after: float = 0.0
    is_forbidden: bool = False


@dataclass(slots=True, eq=False)
class Task:
    """A piece of work under way. `wakes` is when it may go on, in seconds."""

    name: str
    coroutine: Any
    wakes: float = 0.0
    is_dead: bool = False
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return bool(self.coroutine.dead)


class Stage:
    """Runs tasks piece by piece."""

    def __init__(self, random: Random, clock: Clock, trace: Callable[[str], None]) -> None:
        self.random, self.clock, self._trace = random, clock, trace
        self.tasks: list[Task] = []
        self.current: Task | None = None
        self._main: Any = getcurrent()

    def start(self, name: str, work: Callable[[], object]) -> Task:
        """Begin a piece of work; it runs when it is resumed."""
        task = Task(name, greenlet(work, parent=self._main))
        self.tasks.append(task)
        return task

    def resume(self, task: Task) -> None:
        """Let a task go on to its next stop."""
        outer, self.current = self.current, task
        self._trace(task.name)
        try:
            task.coroutine.switch()
        except SyncError as error:
            # As a job's guard does: it comes again at its next turn.
            self._trace(str(error))
        finally:
            self.current = outer
            self.tasks = [each for each in self.tasks if not each.is_over]

    def finish(self, task: Task) -> None:
        """Run a task to its end, with time passing while it sleeps."""
        while not task.is_over:
            self.clock.forward(max(task.wakes - self.clock.seconds, 0))
            self.resume(task)

    def kill(self, task: Task) -> None:
        """Kill a task where it stands: what it would still do has no effect."""
        task.is_dead = True
        outer, self.current = self.current, task
        try:
            task.coroutine.throw(Dead)
        except (Dead, SyncError):
            pass
        finally:
            self.current = outer
            self.tasks = [each for each in self.tasks if not each.is_over]

    def check(self) -> None:
        """Stop here for good if this task is dead."""
        if self.current is not None and self.current.is_dead:
            raise Dead

    def stop(self) -> None:
        """Stop here until this task is resumed."""
        if self.current is not None:
            self._main.switch()
            self.check()

    def sleep(self, seconds: float) -> None:
        """Stop here for a while."""
        self.check()
        if self.current is None:
            self.clock.forward(seconds)
            return
        self.current.wakes = self.clock.seconds + seconds
        self.stop()


class Watched:
    """A port at whose calls a task may stop, die, or see the call fail."""

    def __init__(self, port: Any, stage: Stage, weather: Weather, *, of_table: bool) -> None:
        self._port, self._stage, self._weather, self._of_table = port, stage, weather, of_table

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)
        stage, weather, random = self._stage, self._weather, self._stage.random

        def watched(*args: Any, **named: Any) -> Any:
            stage.check()
            if weather.pause and random.random() < weather.pause:
                stage.stop()
            if weather.fail_before and random.random() < weather.fail_before:
                raise Transient("the database did not answer", delay=1.0)
            if weather.is_forbidden and self._of_table:
                raise Forbidden("permission denied for table customer", delay=10.0)
            answer = call(*args, **named)
            if weather.fail_after and random.random() < weather.fail_after:
                raise Transient("the database's answer did not arrive", delay=1.0)
            if stage.current is not None:
                stage.current.notes[name] = answer
            return answer

        self.__dict__[name] = watched
        return watched
