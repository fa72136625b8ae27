"""`kill -9` at random moments: a handful here, hundreds with `make faults` (COHORTLINK's campaign)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import postgres
from tests.faults.stage import Stage
from tests.faults.story import tell
from tests.flows.linkage_world import Packages, make_packages

KILLS = 6 if os.environ.get("FAULTS") == "full" else 3


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


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_processes_killed_at_random_moments_lose_nothing_and_do_nothing_twice(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stage: Stage = request.getfixturevalue(f"{database}_stage")
    seed = {"sqlite": 1, "postgres": 2}[database]
    tally = tell(stage.copy(tmp_path / "data"), stage.cast, tmp_path, seed=seed, kills=KILLS)
    assert tally.clean, tally
    assert sum(tally.kills.values()) > 0
