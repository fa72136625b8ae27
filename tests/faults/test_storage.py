"""Every storage call of every flow fails once, before and after it took effect: old state or new.

Calls are those of blobs, commits and single SQL statements; on SQLite with a directory and on PostgreSQL with
an S3 server. By default a few of each flow are tried, statements on SQLite alone; `FAULTS=full` (as
`make faults` sets it) tries all, and `python -m benchmarks.storage_faults` counts them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import objectstore, postgres
from tests.faults.scenes import FLOWS, Scene, Storage, fail_once, make_scenes, one_linkage, play_through
from tests.flows.linkage_world import Packages, make_packages

FULL = os.environ.get("FAULTS") == "full"
#: Storage, whether single statements fail, and of how many outcomes one is tried.
CASES = (
    [("directory", False, 1), ("directory", True, 1), ("s3", False, 1), ("s3", True, 1)]
    if FULL
    else [("directory", False, 11), ("directory", True, 397), ("s3", False, 41)]
)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return make_packages(tmp_path_factory.mktemp("region"))


@pytest.fixture(scope="module")
def on_directory(tmp_path_factory: pytest.TempPathFactory, packages: Packages) -> dict[str, Scene]:
    return make_scenes(tmp_path_factory.mktemp("scenes"), packages, Storage())


@pytest.fixture(scope="module")
def on_s3(
    tmp_path_factory: pytest.TempPathFactory, packages: Packages, postgres_cluster: postgres.Cluster
) -> Iterator[dict[str, Scene]]:
    with objectstore.running_server() as server, objectstore.credentials(server):
        yield make_scenes(
            tmp_path_factory.mktemp("scenes"), packages, Storage(cluster=postgres_cluster, objects=server)
        )


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(("storage", "statements", "step"), CASES)
def test_a_flow_whose_storage_fails_once_ends_in_its_old_or_its_new_state(
    storage: str, statements: bool, step: int, flow: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scene: Scene = request.getfixturevalue(f"on_{storage}")[FLOWS[flow][0]]
    with one_linkage():
        played = play_through(scene, flow, tmp_path / "clean", statements=statements)
        tried = [(at, after) for at in range(len(played.calls)) for after in (False, True)]
        for at, after in tried[sum(map(ord, flow)) % min(step, len(tried)) :: step]:
            fail_once(scene, flow, played, tmp_path / "one", at, after=after, statements=statements)
