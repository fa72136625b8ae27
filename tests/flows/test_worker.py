"""A real worker process, killed and replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.flows import run_linkage, show_runs
from app.flows.service import open_service
from app.settings import Settings
from app.store import runs
from app.store.models import RunState
from app.worker import JsonSerializer, StepFailedError
from tests.flows.linkage_world import AGREEMENT, Packages, World, populate

PATIENCE = 120.0


@contextmanager
def worker_process(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as `serve` starts it; whatever is left of it is killed at the end."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.worker"],
            env={**os.environ, **settings.to_environ()},
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(what: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, log.read_text()[-2000:]
        time.sleep(0.02)


def state_of(world: World, run_id: str) -> str:
    return str(show_runs.show_run(world.service, world.operator, run_id)["state"])


@pytest.fixture
def world(settings: Settings, packages: Packages) -> Iterator[World]:
    service = open_service(settings)
    yield populate(service, packages)
    service.close()


def test_worker_when_killed_in_the_middle_and_replaced_completes_the_run_with_the_same_bytes(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    run_id = run_linkage.start_run(world.service, world.operator, AGREEMENT)["id"]
    with worker_process(settings, log) as first:
        wait_for(lambda: bool(_show(world, run_id)["stage"]), log)
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert state_of(world, run_id) == "RUNNING"
    with worker_process(settings, log):
        wait_for(lambda: state_of(world, run_id) != "RUNNING", log)
        assert state_of(world, run_id) == "SUCCEEDED", log.read_text()[-2000:]
        again = run_linkage.start_run(world.service, world.operator, AGREEMENT)["id"]
        wait_for(lambda: state_of(world, again) == "SUCCEEDED", log)
    one, other = (_show(world, each) for each in (run_id, again))
    assert one["persons_sha256"] == other["persons_sha256"]
    with world.service.store.reading() as tx:
        kinds = [run.state for run in runs.of_agreement(tx, AGREEMENT)]
    assert kinds == [RunState.SUCCEEDED, RunState.SUCCEEDED]


def test_worker_when_the_process_that_started_it_is_gone_ends(settings: Settings, tmp_path: Path) -> None:
    open_service(settings).close()
    log = tmp_path / "worker.log"
    code = (
        "import sys, time\n"
        "from app.settings import Settings\n"
        "from app.worker import start_worker_process\n"
        "print(start_worker_process(Settings.from_env()).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with log.open("wb") as errors:
        parent = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **settings.to_environ()},
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not _alive(child), log)


def test_serializer_when_given_an_error_keeps_its_code_and_not_its_message() -> None:
    written = JsonSerializer().serialize(ValueError("last_name Miller"))
    assert "Miller" not in written
    read = JsonSerializer().deserialize(written)
    assert isinstance(read, StepFailedError)
    assert read.code == "INTERNAL_ERROR"


def test_serializer_when_given_workflow_arguments_returns_them() -> None:
    serializer = JsonSerializer()
    value = {"args": ["run-1"], "kwargs": {}}
    assert serializer.deserialize(serializer.serialize(value)) == value


def _show(world: World, run_id: str) -> dict[str, object]:
    return show_runs.show_run(world.service, world.operator, run_id)


def _alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
