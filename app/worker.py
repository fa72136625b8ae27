"""The worker: links and makes protected cubes as durable workflows, and takes over from workers that died.

What is to be done stands in the tables of runs and of cubes; the workflow library (DBOS, on the same
database) remembers which steps of it are done. Losing the library's tables would lose no work, only steps.

A worker is built to be killed: it keeps nothing that a successor needs. Stopping it is killing it, announced.

Ownership. Each attempt at a run takes the run for itself under a name of its own (``<worker>#<attempt>``) and
says every second that it is alive. Another worker that sees one owner's sign of life stand still for
``SILENCE`` seconds of *its own* clock (clocks of different machines are never compared) claims the run and
resumes the workflow at the step after the last finished one. If the first was only asleep, its next statement
changes nothing and it lets go (see `app.store.run_ownership`).
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID
from dbos import error as workflow_errors

from app import tracing
from app.flows import link_inputs, prepare_cube, run_linkage
from app.flows.housekeeping import keep_house
from app.flows.run_units import clear_units
from app.flows.service import Service, open_service, require_storage
from app.logs import configure
from app.settings import Settings
from app.store import run_ownership
from app.store.models import Cube, Run
from app.store.workflows import create_workflow_engine

#: Queue of each kind of work: a long run must not keep anybody waiting for a cube.
QUEUES: Final[Mapping[run_ownership.Job, str]] = {Run: "linkage", Cube: "cubes"}
#: Steps of different versions are not mixed: another version begins the work anew, as a workflow of its own.
STEPS_VERSION: Final = run_linkage.SOFTWARE
#: How ids of each kind begin.
_PREFIXES: Final[Mapping[run_ownership.Job, str]] = {Run: "run-", Cube: "cub-"}
TICK: Final = 0.5
SILENCE: Final = 6.0

log = structlog.get_logger()


class StepFailedError(Exception):
    """A failure that a step left behind before a crash, read again: its code is all that is kept."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class JsonSerializer(Serializer):
    """Step results as JSON: the default, pickle, would run whatever a database thief wrote there."""

    def name(self) -> str:
        return "cohortlink_json_1"

    def serialize(self, data: Any) -> str:
        if isinstance(data, BaseException):
            # Never the message: it may quote anything.
            return json.dumps({"failed": run_linkage.code_of(data)})
        return json.dumps({"value": data})

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805 (the library's own name)
        document = json.loads(serialized_data)
        return StepFailedError(document["failed"]) if "failed" in document else document["value"]


class Worker:
    """One worker process.

    Parameters
    ----------
    service : Service
    tick, silence : float
        Seconds between two looks at the table, and of silence after which an owner counts as dead.
    """

    def __init__(self, service: Service, *, tick: float = TICK, silence: float = SILENCE) -> None:
        self._service = service
        self._tick = tick
        self._silence = silence
        self.name = f"{socket.gethostname()[:60]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._attempts: dict[str, str] = {}  # run or cube → the name under which we own it
        self._guard = threading.Lock()
        self._enqueued: set[str] = set()
        self._seen: dict[str, tuple[tuple[str | None, datetime | None], float]] = {}
        self._workflows: dict[run_ownership.Job, Callable[[str], None]] = {
            Run: self._declare_linkage(),
            Cube: self._declare_cubes(),
        }

    # -- the durable workflows

    def _declare_linkage(self) -> Callable[[str], None]:
        service = self._service

        @DBOS.workflow(name="linkage", max_recovery_attempts=None)
        def linkage(run_id: str) -> None:
            # Not a step: every attempt, also a resumed one, must take the run for itself anew.
            owner = self._take(run_id, run_linkage.begin)
            if owner is None:
                return
            try:
                with tracing.span("run", run=run_id):
                    # The linker's keyrings, opened for this and nothing else. Each unit of it is a step.
                    encodings, links = service.plane("encodings"), service.plane("links")
                    produced = link_inputs.link_inputs(service, encodings, links, run_id, owner, step=_step)
                    # Not a step either: it is one transaction that happens once by its own condition.
                    with tracing.span("finish"):
                        run_linkage.finish(service, run_id, owner, produced)
                clear_units(service, run_id)
            except run_linkage.RunLostError:
                log.warning("run taken over by another worker", run=run_id)
            except Exception as error:  # noqa: BLE001 (whatever it was, the run must say that it failed)
                self._fail(run_id, owner, error)
            finally:
                self._let_go(run_id, owner)

        return linkage

    def _declare_cubes(self) -> Callable[[str], None]:
        service = self._service

        @DBOS.step(name="protect")
        def protect_step(cube_id: str, owner: str) -> dict[str, Any]:
            # The tabulator's keyrings, opened for this step and nothing else.
            return prepare_cube.protect(
                service, service.plane("facts"), service.plane("links"), cube_id, owner
            )

        @DBOS.workflow(name="cube", max_recovery_attempts=None)
        def cube(cube_id: str) -> None:
            owner = self._take(cube_id, prepare_cube.begin)
            if owner is None:
                return
            try:
                while True:
                    with tracing.span("protect", cube=cube_id):
                        produced = protect_step(cube_id, owner)
                    try:
                        prepare_cube.finish(service, service.plane("links"), cube_id, owner, produced)
                    except prepare_cube.CubeStaleError:
                        # Something else came out meanwhile: once more, beside it.
                        continue
                    return
            except prepare_cube.CubeLostError:
                log.warning("cube taken over by another worker", cube=cube_id)
            except Exception as error:  # noqa: BLE001 (whatever it was, who waits must be told)
                log.error("cube failed", cube=cube_id, error=type(error).__name__)
                code, detail = prepare_cube.refusal_of(error)
                prepare_cube.fail(service, cube_id, owner, code, detail)
            finally:
                self._let_go(cube_id, owner)

        return cube

    def _take(self, run_id: str, begin: Callable[[Service, str, str], str | None]) -> str | None:
        owner = begin(self._service, run_id, self.name)
        if owner is not None:
            with self._guard:
                self._attempts[run_id] = owner
        return owner

    def _let_go(self, run_id: str, owner: str) -> None:
        with self._guard:
            # Only this attempt: a later one in the same process may own the run by now.
            if self._attempts.get(run_id) == owner:
                del self._attempts[run_id]

    def _fail(self, run_id: str, owner: str, error: Exception) -> None:
        code = run_linkage.code_of(error)
        if code == "CANCELLED":
            log.info("run cancelled", run=run_id)
        else:
            # The kind of error, never its message: it may quote data.
            log.error("run failed", run=run_id, code=code, error=type(error).__name__)
        run_linkage.fail(self._service, run_id, owner, code)
        clear_units(self._service, run_id)

    # -- the loop

    def start(self) -> None:
        """Start the workflow library and its queue."""
        config: DBOSConfig = {
            "name": "cohortlink",
            "system_database_engine": create_workflow_engine(self._service.settings),
            "executor_id": self.name,
            "application_version": STEPS_VERSION,
            "serializer": JsonSerializer(),
            "log_level": "WARNING",
        }
        DBOS(config=config)
        DBOS.launch()
        # The library would write tracebacks with messages; ours names the error's kind and nothing else.
        library = logging.getLogger("dbos")
        library.handlers.clear()
        library.propagate = True
        for queue in QUEUES.values():
            DBOS.register_queue(queue, worker_concurrency=1, polling_interval_sec=self._tick)

    def run(self, stop: threading.Event) -> None:
        """Beat, hand out and take over until told to stop; an outage of the database is waited out."""
        while not stop.wait(self._tick):
            try:
                self._beat()
                for job in QUEUES:
                    self._enqueue(job)
                    self._take_over(job)
            except Exception as error:  # noqa: BLE001 (the loop outlives every outage)
                log.error("round of the worker failed", error=type(error).__name__)

    def _beat(self) -> None:
        with self._guard:
            owned = list(self._attempts.values())
        if owned:
            with self._service.store.transaction("beat") as tx:
                for job in QUEUES:
                    run_ownership.beat(tx, owned, datetime.now(UTC), job)

    def _enqueue(self, job: run_ownership.Job) -> None:
        queue = QUEUES[job]
        with self._service.store.reading("waiting work") as tx:
            waiting = run_ownership.waiting(tx, job)
        for run_id in waiting:
            if run_id not in self._enqueued:
                self._hand_out(job, run_id)
                self._enqueued.add(run_id)
            elif self._silent(run_id, (None, None)) and _left_behind(run_id, self.name):
                # Its worker died between taking it from the queue and taking it for itself.
                DBOS.resume_workflow(_workflow_of(run_id), queue_name=queue)

    def _hand_out(self, job: run_ownership.Job, run_id: str) -> None:
        """Put work into its queue; twice put in, by whomever, it is in there once."""
        with SetWorkflowID(_workflow_of(run_id)):
            DBOS.enqueue_workflow(QUEUES[job], self._workflows[job], run_id)

    def _take_over(self, job: run_ownership.Job) -> None:
        with self._service.store.reading("running work") as tx:
            running = run_ownership.running(tx, job)
        with self._guard:
            mine = dict(self._attempts)
        for run_id, executor, beat_at in running:
            if mine.get(run_id) == executor or not self._silent(run_id, (executor, beat_at)):
                continue
            now = datetime.now(UTC)
            with self._service.store.transaction("claim run") as tx:
                claimed = run_ownership.claim(tx, run_id, seen=executor, beat_at=beat_at, now=now, job=job)
            if claimed:
                # A crash here leaves the run with a sign of life that stands still: it is claimed again.
                self._resume(job, run_id)
                log.warning("work taken over from a silent worker", work=run_id)
        self._forget(job, {run_id for run_id, _, _ in running})

    def _resume(self, job: run_ownership.Job, run_id: str) -> None:
        try:
            DBOS.resume_workflow(_workflow_of(run_id), queue_name=QUEUES[job])
        except workflow_errors.DBOSNonExistentWorkflowError:
            # Begun by a worker of another version; or without a worker, by a process that made its cubes in
            # the request and died over one.
            self._hand_out(job, run_id)

    def _forget(self, job: run_ownership.Job, known: set[str]) -> None:
        """Forget signs of life of work of this kind that has ended."""
        prefix = _PREFIXES[job]
        self._seen = {
            each: sign
            for each, sign in self._seen.items()
            if each in known or sign[0] == (None, None) or not each.startswith(prefix)
        }

    def _silent(self, run_id: str, sign: tuple[str | None, datetime | None]) -> bool:
        """Whether this sign of life has stood still for longer than the silence allowed."""
        now = time.monotonic()
        last = self._seen.get(run_id)
        if last is None or last[0] != sign:
            self._seen[run_id] = (sign, now)
            return False
        if now - last[1] < self._silence:
            return False
        del self._seen[run_id]
        return True


def _workflow_of(run_id: str) -> str:
    return f"{run_id}@{STEPS_VERSION}"


def _step(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A step of the workflow that is under way: done once, then remembered."""
    with tracing.span("unit"):
        return DBOS.run_step({"name": name}, work)


def _left_behind(run_id: str, me: str) -> bool:
    status = DBOS.get_workflow_status(_workflow_of(run_id))
    return status is not None and status.status == "PENDING" and status.executor_id != me


def serve_runs(
    settings: Settings, *, parent: int | None = None, tick: float = TICK, silence: float = SILENCE
) -> None:
    """Run a worker until SIGTERM or SIGINT.

    Parameters
    ----------
    parent : int, optional
        Process that this one belongs to: it also stops when that one is gone, so that a killed `serve`
        leaves no worker behind.
    tick, silence : float
        As of `Worker`.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    tracing.configure(settings.traces, "cohortlink-worker")
    service = open_service(settings)
    storage = require_storage(service)
    worker = Worker(service, tick=tick, silence=silence)
    worker.start()
    if parent is not None:
        threading.Thread(target=_watch_parent, args=(parent, stop), daemon=True).start()
    threading.Thread(target=keep_house, args=(service, stop), daemon=True).start()
    log.info("worker ready", worker=worker.name, **storage.to_document())
    worker.run(stop)
    # The workflow's thread may be deep in a computation; everything it leaves is meant to be left.
    logging.shutdown()
    os._exit(0)


def _watch_parent(parent: int, stop: threading.Event) -> None:
    while not stop.wait(1.0):
        if os.getppid() != parent:
            stop.set()


def start_worker_process(settings: Settings) -> subprocess.Popen[bytes]:
    """Start a worker as a child of this process, with the same settings; it ends when this process does."""
    environment = {**os.environ, **settings.to_environ()}
    command = [sys.executable, "-m", "app.worker", str(os.getpid())]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)  # noqa: S603


if __name__ == "__main__":
    configure()
    # The parent's number comes from itself: by now it may be gone, and this process another's child.
    serve_runs(Settings.from_env(), parent=int(sys.argv[1]) if len(sys.argv) > 1 else None)
