"""Two workers that each believe the other is dead: one result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from app.flows import run_linkage
from app.flows.service import open_service
from app.settings import Settings
from tests.faults.story import entries
from tests.flows.linkage_world import AGREEMENT, Packages, make_packages, populate

WORKER = (
    "import os\n"
    "from app.settings import Settings\n"
    "from app.worker import serve_runs\n"
    "serve_runs(Settings.from_env(), parent=os.getppid(), tick=0.1, silence=1.0)\n"
)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return make_packages(tmp_path_factory.mktemp("region"))


def test_a_worker_that_was_asleep_while_another_finished_its_run_writes_no_second_result(
    settings: Settings, packages: Packages, tmp_path: Path
) -> None:
    service = open_service(settings)
    world = populate(service, packages)
    run_id = run_linkage.start_run(service, world.operator, AGREEMENT)["id"]
    log = (tmp_path / "workers.log").open("wb")

    def start() -> subprocess.Popen[bytes]:
        environ = {**os.environ, **settings.to_environ()}
        return subprocess.Popen([sys.executable, "-c", WORKER], env=environ, stdout=log, stderr=log)

    def state() -> str:
        return str(run_linkage.show_run(service, world.operator, run_id)["state"])

    def wait(what: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not what():
            assert time.monotonic() < end, (tmp_path / "workers.log").read_text()[-3000:]
            time.sleep(0.005)

    workers = [start()]
    try:
        wait(lambda: state() == "RUNNING")
        workers[0].send_signal(signal.SIGSTOP)
        if state() == "RUNNING":
            workers.append(start())
            wait(lambda: state() != "RUNNING")
        digest = run_linkage.show_run(service, world.operator, run_id)["persons_sha256"]
        workers[0].send_signal(signal.SIGCONT)
        again = run_linkage.start_run(service, world.operator, AGREEMENT)["id"]
        wait(lambda: run_linkage.show_run(service, world.operator, again)["state"] == "SUCCEEDED")
        time.sleep(1)
    finally:
        for process in workers:
            process.kill()
            process.wait()
        log.close()
    shown = run_linkage.show_run(service, world.operator, run_id)
    assert (shown["state"], shown["persons_sha256"]) == ("SUCCEEDED", digest)
    other = run_linkage.show_run(service, world.operator, again)
    assert other["persons_sha256"] == digest
    service.close()
    finished = Counter(item["body"]["run"] for item in entries(settings) if item["kind"] == "run.finished")
    assert finished == {run_id: 1, again: 1}
