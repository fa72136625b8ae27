"""Every storage call of every flow fails once, before and after it took effect: old state or new.

By default every eighth outcome is tried, on SQLite; `FAULTS=full` (as `make faults` sets it) tries all.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from app.flows import destroy_data, link_inputs, publish_release, run_linkage, show_runs
from app.flows.check_log import check_log
from app.flows.rotate_keys import rotate_keys
from app.flows.service import Service, open_service
from app.flows.sign_agreement import State
from app.settings import Settings
from app.store import agreements, batches, datakeys, log, releases, runs
from app.store.models import BatchState, RunState
from tests.faults.failing import Fault, install
from tests.flows.linkage_world import AGREEMENT, COHORTS, Packages, World, make_packages, populate

STEP = 1 if os.environ.get("FAULTS") == "full" else 8
#: A rotation or a question that broke off and is repeated is told twice: both happened.
TOLD_AGAIN = ("keys.rotated", "release.requested", "release.granted")
QUESTION = publish_release.Question("employed_q4", COHORTS, ("pathway",), {})


@dataclass
class Scene:
    """A state of the service from which a flow starts, to be copied."""

    world: World
    data: Path

    def copy(self, folder: Path) -> World:
        shutil.copytree(self.data, folder)
        service = open_service(Settings.for_data(folder))
        return replace(self.world, service=service, batches=dict(self.world.batches))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return make_packages(tmp_path_factory.mktemp("region"))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, packages: Packages) -> dict[str, Scene]:
    """Approved, submitted, linked, revoked and about to be destroyed: each from the one before."""
    root = tmp_path_factory.mktemp("scenes")
    service = open_service(Settings.for_data(root / "live"))
    world = populate(service, packages, submit=False)
    made: dict[str, Scene] = {}

    def keep(name: str) -> None:
        with service.store.engine.connect() as connection:
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copytree(root / "live", root / name)
        made[name] = Scene(replace(world, batches=dict(world.batches)), root / name)

    keep("approved")
    for organization in packages.folders:
        world.submit(organization)
    keep("submitted")
    _link(world)
    keep("linked")
    world.revoke(next(iter(packages.folders)))
    destroy_data.request_or_execute(service, world.callers[next(iter(packages.folders))], AGREEMENT)
    keep("due")
    service.close()
    return made


def _submit(world: World) -> None:
    world.submit(next(iter(world.packages.folders)))


def _link(world: World) -> None:
    service = world.service
    if not show_runs.list_runs(service, world.operator, AGREEMENT):
        run_linkage.start_run(service, world.operator, AGREEMENT)
    (run,) = show_runs.list_runs(service, world.operator, AGREEMENT)
    owner = run_linkage.begin(service, run["id"], "worker")
    if owner is not None:
        encodings, links = service.plane("encodings"), service.plane("links")
        produced = link_inputs.link_inputs(service, encodings, links, run["id"], owner)
        run_linkage.finish(service, run["id"], owner, produced)


def _release(world: World) -> None:
    publish_release.request_release(world.service, world.partnership, AGREEMENT, QUESTION)


def _revoke(world: World) -> None:
    world.revoke(next(iter(world.packages.folders)))


def _destroy(world: World) -> None:
    destroy_data.request_or_execute(world.service, world.operator, AGREEMENT)


def _rotate(world: World) -> None:
    rotate_keys(world.service)


FLOWS: dict[str, tuple[str, Callable[[World], None]]] = {
    "submit": ("approved", _submit),
    "run": ("submitted", _link),
    "release": ("linked", _release),
    "revoke": ("linked", _revoke),
    "rotate": ("linked", _rotate),
    "destroy": ("due", _destroy),
}


def summary(service: Service) -> dict[str, Any]:
    """What there is, after checking that rows, blobs, keys and log say the same."""
    with service.store.reading() as tx:
        held = batches.of_agreement(tx, AGREEMENT)
        linked = runs.of_agreement(tx, AGREEMENT)
        named = {part.path for batch in held for part in batches.parts(tx, batch.id)}
        named |= {run.links_path for run in linked if run.links_path}
        keys = datakeys.of_agreement(tx, AGREEMENT)
        found = agreements.find(tx, AGREEMENT)
        certificate = agreements.certificate(tx, AGREEMENT)
        granted = [row for row in releases.of_agreement(tx, AGREEMENT) if row.status == "GRANTED"]
        charged = len(releases.ledger_of_agreement(tx, AGREEMENT))
        kinds = Counter(json.loads(leaf)["kind"] for leaf in log.leaves(tx, 0, log.size(tx)))
    assert found is not None
    assert named <= set(service.store.blobs.list("")), "a row names a blob that is not there"
    accepted = [batch for batch in held if batch.receipt is not None]
    assert len(accepted) == kinds["batch.accepted"]
    assert all(batch.state in (BatchState.ACCEPTED, BatchState.DESTROYED) for batch in accepted)
    assert kinds["run.finished"] == sum(run.state == RunState.SUCCEEDED for run in linked)
    assert kinds["release.granted"] == len(granted)
    assert kinds["ledger.charged"] == charged
    destroyed = found.state == State.DESTROYED
    issued = certificate is not None and certificate.document is not None
    assert destroyed == issued == bool(kinds["destruction.done"])
    assert not (destroyed and keys), "destroyed, and a data key is there"
    report = check_log(service)
    assert all(check.ok for check in report.checks), report
    for plane in {row.plane for row in keys}:
        ring = service.keys(plane).opening(AGREEMENT)  # type: ignore[arg-type]
        erased = service.keys(plane).agreement(AGREEMENT) is None  # type: ignore[arg-type]
        whole = all(row.key_id in ring.keys for row in keys if row.plane == plane)
        assert whole or (erased and found.state == State.DESTRUCTION_DUE)
    return {
        "state": found.state,
        "batches": Counter(batch.state for batch in held),
        "runs": Counter((run.state, run.links_sha256) for run in linked),
        "keys": Counter(row.plane for row in keys),
        "charged": charged,
        # Whoever asks again, having lost the first answer, gets the same one, and another record of it.
        "answers": {row.document_sha256 for row in granted},
        "log": {kind: count for kind, count in kinds.items() if kind not in TOLD_AGAIN},
    }


@pytest.fixture
def one_linkage(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same inputs give the same bytes (others test that), so linking them once is enough here."""
    kept: dict[tuple[str, ...], Any] = {}
    original = link_inputs.link

    def link(sources: Any, spec: Any, **named: Any) -> Any:
        key = tuple(sorted(source.name for source in sources))
        if key not in kept:
            kept[key] = original(sources, spec, **named)
        return kept[key]

    monkeypatch.setattr(link_inputs, "link", link)


@pytest.mark.usefixtures("one_linkage")
@pytest.mark.parametrize("flow", FLOWS)
def test_a_flow_whose_storage_fails_once_ends_in_its_old_or_its_new_state(
    scenes: dict[str, Scene], tmp_path: Path, flow: str
) -> None:
    scene, play = scenes[FLOWS[flow][0]], FLOWS[flow][1]
    counted = Fault(None)
    world = scene.copy(tmp_path / "clean")
    install(world.service.store, counted)
    old = summary(world.service)
    counted.calls.clear()
    play(world)
    calls = list(counted.calls)
    new = summary(world.service)
    world.service.close()
    tried = [(at, after) for at in range(len(calls)) for after in (False, True)]
    for at, after in tried[sum(map(ord, flow)) % STEP :: STEP]:
        place = f"{flow}: call {at} ({calls[at]}), {'after' if after else 'before'}"
        world = scene.copy(tmp_path / f"{at}-{after}")
        fault = Fault(at, after=after)
        remove = install(world.service.store, fault)
        with contextlib.suppress(OSError):
            play(world)
        # The number of progress reports of a run depends on the time: the last calls may not come.
        assert fault.fired or flow == "run", place
        remove()
        between = summary(world.service)
        if flow in ("revoke", "destroy"):
            # One transaction each: everything, or nothing. (The others take several on purpose.)
            assert between in (old, new), place
        play(world)
        after_all = summary(world.service)
        assert after_all == new, place
        world.service.close()
        shutil.rmtree(tmp_path / f"{at}-{after}")
