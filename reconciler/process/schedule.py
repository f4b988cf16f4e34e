"""The reconciler process: drain, poll, sweep and prune on APScheduler, woken by SQL writes, watched by the watchdog."""

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from reconciler.adapters.postgres.install import fit
from reconciler.adapters.postgres.listen import listen
from reconciler.core.errors import (
    CopiedDatabase,
    NotNow,
    OtherMapping,
    SchemaMissing,
    SyncError,
    Transient,
    WrongPortal,
)
from reconciler.core.ports import Lane
from reconciler.mapping.file import MappingFile
from reconciler.process.account import HOME_CHECK, check_home, check_portal, check_properties
from reconciler.process.settings import Sync, secret_source
from reconciler.process.watchdog import Watchdog, restart_process
from reconciler.process.wiring import Parts
from reconciler.sync.reconcile import SILENCE

PRUNE_INTERVAL = 3600.0
SECOND_LOOK_INTERVAL = 300.0
RULES_INTERVAL = 30.0
"""Seconds between two looks whether the table's owner has other rules by now."""

PROPERTIES_INTERVAL = 300.0
COLUMNS_INTERVAL = 20.0
SWEEP_LOOK = 60.0
"""Seconds between two looks whether a sweep is due."""

STALE = 60.0
"""Seconds without a page after which a job that another process took counts as given up."""

BEAT_PAUSE = 2.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """What runs every `interval` seconds."""

    name: str
    interval: float
    run: Callable[[Callable[[], None]], None]


class Schedule:
    """Runs the jobs of one reconciler process until it is stopped."""

    def __init__(self, parts: Parts, settings: Sync) -> None:
        self._parts, self._settings = parts, settings
        self._watchdog = Watchdog(restart_process)
        self._beaten = self._silent_until = float("-inf")
        self._is_draining = False
        self._scheduler = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": ThreadPoolExecutor(8)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )
        self._stopped, self._code, self._following = threading.Event(), 0, threading.Lock()

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; return the exit code."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: self._stopped.set())
        if not self._prepare():
            return self._code
        for job in self._jobs():
            self._watchdog.expect(job.name, job.interval)
            trigger = IntervalTrigger(seconds=job.interval, timezone=UTC)
            now = datetime.now(UTC)
            self._scheduler.add_job(self._guarded(job), trigger, id=job.name, next_run_time=now)
        self._scheduler.start()
        self._watchdog.start()
        listener = threading.Thread(target=self._listen, daemon=True, name="listen")
        listener.start()
        log.info("reconciler.started")
        # A wait without an end might never see a signal that another thread was given.
        while not self._stopped.wait(1.0):
            pass
        self._watchdog.stop()
        self._scheduler.shutdown(wait=True)
        return self._code

    def _prepare(self) -> bool:
        """Check the account before anything is written; wait for whatever is not there yet."""
        while not self._stopped.is_set():
            try:
                check_portal(self._parts)
                check_properties(self._parts)
                return True
            except WrongPortal as error:
                log.error("reconciler.wrong_portal", reason=str(error))
                self._code = _code_of(error)
                return False
            except Transient as error:
                log.warning("reconciler.waiting", reason=error.reason)
                self._stopped.wait(min(error.delay, 5.0))
        return False

    def _jobs(self) -> list[Job]:
        settings = self._settings
        return [
            Job("drain", settings.drain_interval, self._drain),
            Job("poll", settings.poll_interval, self._poll),
            Job("poll again", SECOND_LOOK_INTERVAL, self._poll_again),
            Job("sweep", min(settings.sweep_interval, SWEEP_LOOK), self._sweep),
            Job("prune", PRUNE_INTERVAL, self._prune),
            Job("properties", PROPERTIES_INTERVAL, self._properties),
            Job("rules", RULES_INTERVAL, self._rules),
            *([Job("columns", COLUMNS_INTERVAL, self._columns)] if settings.own_table is not None else []),
            Job("home", min(settings.poll_interval, HOME_CHECK), self._home),
        ]

    def _guarded(self, job: Job) -> Callable[[], None]:
        def run() -> None:
            try:
                with self._watchdog.running(job.name) as tick:
                    job.run(tick)
            except NotNow as error:
                self._wait(error)
            except SchemaMissing as error:
                log.warning("job.postponed", job=job.name, reason=error.reason)
                # What is missing may be a column that the owner has just altered.
                with suppress(SyncError), self._following:
                    self._follow_columns()
            except Transient as error:
                log.warning("job.postponed", job=job.name, reason=error.reason)
            except SyncError as error:
                log.error("job.refused", job=job.name, reason=str(error))
            except Exception:
                log.exception("job.failed", job=job.name)

        return run

    def _wait(self, error: NotNow) -> None:
        """Say once in a while that jobs wait for HubSpot."""
        if monotonic() > self._silent_until:
            self._silent_until = monotonic() + SILENCE
            log.warning("job.waiting", reason=error.reason)

    def _drain(self, tick: Callable[[], None]) -> None:
        def progress(_: int) -> None:
            tick()
            self._beat()

        self._is_draining = True
        try:
            self._parts.drainers.drain(progress, lambda: not self._stopped.is_set())
        finally:
            self._is_draining = False
        self._beat()

    def _beat(self) -> None:
        """Say that data is moving: not while everything is only put off."""
        if not self._parts.reconciler.is_postponed and monotonic() - self._beaten > BEAT_PAUSE:
            self._parts.records.beat("drain")
            self._beaten = monotonic()

    def _poll(self, tick: Callable[[], None]) -> None:
        interval = self._settings.poll_interval
        self._alone("poll", interval, lambda: self._parts.poll.recent(self._progress("poll", tick)))

    def _poll_again(self, tick: Callable[[], None]) -> None:
        progress = self._progress("poll again", tick)
        self._alone("poll again", SECOND_LOOK_INTERVAL, lambda: self._parts.poll.again(progress))

    def _sweep(self, tick: Callable[[], None]) -> None:
        progress = self._progress("sweep", tick)
        self._alone("sweep", self._settings.sweep_interval, lambda: self._parts.sweep.run(Lane.AUDIT, progress))

    def _prune(self, tick: Callable[[], None]) -> None:
        self._alone("prune", PRUNE_INTERVAL, self._parts.records.prune)

    def _properties(self, tick: Callable[[], None]) -> None:
        self._alone("properties", PROPERTIES_INTERVAL, lambda: check_properties(self._parts))

    def _home(self, tick: Callable[[], None]) -> None:
        """End if another database answers by now: what is true of it is for the next start to find out."""
        try:
            check_home(self._parts.database, self._parts.mapping)
        except (CopiedDatabase, OtherMapping) as error:
            log.error("reconciler.wrong_portal", reason=str(error))
            self._code = _code_of(error)
            self._stopped.set()

    def _rules(self, tick: Callable[[], None]) -> None:
        lift = self._parts.gates.lift_refused
        self._alone("rules", RULES_INTERVAL, lambda: lift(only_if_rules_changed=True))

    def _columns(self, tick: Callable[[], None]) -> None:
        """Follow what the owner altered in the table."""
        with self._following:
            self._follow_columns()

    def _follow_columns(self) -> None:
        own = self._settings.own_table
        if own is not None and fit(self._settings.database_url.get_secret_value(), own):
            log.warning("table.altered", lacking=self._lacking(own))

    def _lacking(self, own: MappingFile) -> list[str]:
        known = {row["field"] for row in self._parts.database.rows("fields_with_column")}
        return sorted(name for name, field in own.fields.items() if field.column and name not in known)

    def _progress(self, job: str, tick: Callable[[], None]) -> Callable[[int], None]:
        """Return what a long job calls at each page: it lives, and it is still the one at it."""

        def progress(_: int) -> None:
            tick()
            self._parts.records.hold(job)

        return progress

    def _alone(self, job: str, every: float, run: Callable[[], object]) -> None:
        """Run a job of which one process is enough."""
        if self._parts.records.take(job, every=every * 0.9, stale=STALE):
            try:
                run()
                self._parts.records.beat(job)
            finally:
                self._parts.records.leave(job)

    def _listen(self) -> None:
        listen(secret_source("DATABASE_URL", self._settings.database_url), self._wake, self._stopped)

    def _wake(self) -> None:
        """Drain at once; a drain under way sees by itself what there is, and what it misses is told again."""
        if self._is_draining:
            return
        try:
            self._scheduler.modify_job("drain", next_run_time=datetime.now(UTC))
        except JobLookupError:
            return


def _code_of(error: WrongPortal) -> int:
    return 2 if isinstance(error, OtherMapping) else 1
