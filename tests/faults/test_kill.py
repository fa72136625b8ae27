"""`kill -9` at random moments: a handful here, hundreds with `make faults` (COHORTLINK's campaign)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.faults.processes import DaskWorkers
from tests.faults.stage import Stage
from tests.faults.story import tell
from tests.flows.linkage_world import Packages, make_packages

FULL = os.environ.get("FAULTS") == "full"
KILLS = 12 if FULL else 3


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return make_packages(tmp_path_factory.mktemp("region"))


@pytest.fixture(scope="module")
def sqlite_stage(tmp_path_factory: pytest.TempPathFactory, packages: Packages) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage") / "data", packages)


@pytest.fixture(scope="module")
def postgres_stage(
    tmp_path_factory: pytest.TempPathFactory, packages: Packages, postgres_cluster: postgres.Cluster
) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage") / "data", packages, postgres_cluster)


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskWorkers | None]:
    """Where runs compare in the full form; here tests/linkage kills Dask workers."""
    if not FULL:
        yield None
        return
    workers = DaskWorkers(tmp_path_factory.mktemp("dask") / "cluster")
    yield workers
    workers.stop()


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_processes_killed_at_random_moments_lose_nothing_and_do_nothing_twice(
    database: str, tmp_path: Path, request: pytest.FixtureRequest, dask: DaskWorkers | None
) -> None:
    stage: Stage = request.getfixturevalue(f"{database}_stage")
    seed = {"sqlite": 1, "postgres": 2}[database]
    tally = tell(stage.copy(tmp_path / "data"), stage.cast, tmp_path, seed=seed, kills=KILLS, dask=dask)
    assert tally.clean, tally
    assert sum(tally.kills.values()) > 0
