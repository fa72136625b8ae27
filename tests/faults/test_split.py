"""A worker that is thought dead and only sleeps, while another finishes its run: one result."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.flows import link_inputs, run_linkage, show_runs
from app.flows.service import open_service
from app.settings import Settings
from tests.faults.processes import Victim, work
from tests.faults.story import entries
from tests.flows.linkage_world import AGREEMENT, Packages, make_packages, populate

#: Seconds: of the linkage that falls asleep, and for which anything is waited for.
LONG, PATIENCE = 5.0, 60.0
#: What the sleeper says on waking: our own check, or the workflow library's, comes first.
LETS_GO = ("run taken over by another worker", "no longer owned by this execution")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return make_packages(tmp_path_factory.mktemp("region"))


def _work_slowly(environ: dict[str, str], log: str, teller: int) -> None:
    """A worker whose linkages take so long that there is time to stop it."""
    original = link_inputs.link

    def link(*sources: Any, **named: Any) -> Any:
        time.sleep(LONG)
        return original(*sources, **named)

    link_inputs.link = link
    work(environ, log, teller)


def _put_to_sleep(worker: Victim, settings: Settings) -> None:
    """Stop a worker between its transactions.

    One that is stopped within a transaction keeps its locks, and everybody waits until it goes on or is
    killed: that is the database's promise, not ours to test.
    """
    engine = sa.create_engine(settings.database_url, poolclass=sa.NullPool)
    end = time.monotonic() + PATIENCE
    while True:
        worker.send(signal.SIGSTOP)
        _wait(lambda: _stopped(worker.process.pid), "the worker does not stop")
        if not _locked(engine):
            return
        worker.send(signal.SIGCONT)
        assert time.monotonic() < end, "the worker never lets go of the database"
        time.sleep(0.05)


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _locked(engine: sa.Engine) -> bool:
    """Whether somebody holds a lock of a writer."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            try:
                connection.exec_driver_sql("PRAGMA busy_timeout=200")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except sa.exc.OperationalError:
                return True
            connection.exec_driver_sql("ROLLBACK")
            return False
        open_ones = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL AND backend_type = 'client backend'"
        )
        return bool(connection.exec_driver_sql(open_ones).scalar_one())


def _wait(what: Callable[[], bool], otherwise: str, log: Path | None = None) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, f"{otherwise}\n{log.read_text()[-3000:] if log else ''}"
        time.sleep(0.02)


def test_a_worker_that_was_asleep_while_another_finished_its_run_writes_no_second_result(
    settings: Settings, packages: Packages, tmp_path: Path
) -> None:
    service = open_service(settings)
    world = populate(service, packages)
    run_id = run_linkage.start_run(service, world.operator, AGREEMENT)["id"]
    log = tmp_path / "workers.log"

    def shown(run: str) -> dict[str, Any]:
        return show_runs.show_run(service, world.operator, run)

    workers = [Victim(_work_slowly, settings, log)]
    try:
        _wait(lambda: shown(run_id)["state"] == "RUNNING", "nobody takes the run", log)
        _put_to_sleep(workers[0], settings)
        assert shown(run_id)["state"] == "RUNNING"
        workers.append(Victim(work, settings, log))
        _wait(lambda: shown(run_id)["state"] != "RUNNING", "nobody takes the run over", log)
        first = shown(run_id)
        workers[0].send(signal.SIGCONT)
        _wait(lambda: any(words in log.read_text() for words in LETS_GO), "the sleeper goes on", log)
        again = run_linkage.start_run(service, world.operator, AGREEMENT)["id"]
        _wait(lambda: shown(again)["state"] not in ("QUEUED", "RUNNING"), "nobody takes the next run", log)
    finally:
        for worker in workers:
            worker.stop()
    assert first["state"] == "SUCCEEDED"
    assert shown(run_id) == first
    assert (shown(again)["state"], shown(again)["persons_sha256"]) == ("SUCCEEDED", first["persons_sha256"])
    service.close()
    finished = Counter(item["body"]["run"] for item in entries(settings) if item["kind"] == "run.finished")
    assert finished == {run_id: 1, again: 1}
