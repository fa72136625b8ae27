"""Scenes from which flows start, on one kind of storage; and one flow played with one call that fails."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from app.flows import destroy_data, link_inputs, publish_release, run_linkage, show_runs
from app.flows.check_log import check_log
from app.flows.rotate_keys import rotate_keys
from app.flows.run_units import clear_units
from app.flows.service import Service, open_service
from app.flows.sign_agreement import State
from app.settings import Settings
from app.store import Blobs, agreements, batches, datakeys, log, releases, runs
from app.store.models import BatchState, RunState
from linkage.units import Unit
from tests import objectstore, postgres
from tests.faults.failing import Fault, install
from tests.flows.linkage_world import AGREEMENT, COHORTS, Packages, World, populate

#: A rotation or a question that broke off and is repeated is told twice: both happened. So is the refusal
#: of a question whose cube could not be made.
TOLD_AGAIN = ("keys.rotated", "release.requested", "release.granted", "release.refused")
QUESTION = publish_release.Question("employed_q4", COHORTS, ("pathway",), {})


@dataclass(frozen=True)
class Storage:
    """Where rows and blobs lie: SQLite and a directory, unless a cluster or an S3 server is given."""

    cluster: postgres.Cluster | None = None
    objects: str | None = None

    def settings(self, folder: Path) -> Settings:
        """Settings of an empty service."""
        url = self.cluster.new_database() if self.cluster else None
        bucket = objectstore.new_bucket(self.objects) if self.objects else None
        made = Settings.for_data(folder, database_url=url, blob_url=bucket, part_size=65_536)
        return replace(made, migrate_on_start=True)

    def copy(self, settings: Settings, folder: Path) -> Settings:
        """The same rows, blobs and keys once more; nobody may be connected to the database."""
        shutil.copytree(settings.data, folder)
        url = bucket = None
        if self.cluster:
            url = self.cluster.new_database(template=str(make_url(settings.database_url).database))
        if self.objects:
            bucket = objectstore.new_bucket(self.objects)
            source, target = Blobs.open(settings.blob_url), Blobs.open(bucket)
            for path in source.list(""):
                target.put(path, list(source.get(path)))
        return Settings.for_data(folder, database_url=url, blob_url=bucket, part_size=65_536)


@dataclass
class Scene:
    """A state of the service from which a flow starts, to be copied."""

    world: World
    storage: Storage
    settings: Settings

    def copy(self, folder: Path) -> World:
        """The scene once more, open."""
        service = open_service(self.storage.copy(self.settings, folder))
        return replace(self.world, service=service, batches=dict(self.world.batches))


def make_scenes(root: Path, packages: Packages, storage: Storage) -> dict[str, Scene]:
    """Approved, submitted, linked, revoked and about to be destroyed: each from the one before."""
    made: dict[str, Scene] = {}
    live = storage.settings(root / "live")
    world = populate(open_service(live), packages, submit=False)

    def keep(name: str) -> None:
        nonlocal world
        if live.embedded:
            with world.service.store.engine.connect() as connection:
                connection.exec_driver_sql("ROLLBACK")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        world.service.close()
        made[name] = Scene(
            replace(world, batches=dict(world.batches)), storage, storage.copy(live, root / name)
        )
        world = replace(world, service=open_service(live))

    keep("approved")
    for organization in packages.folders:
        world.submit(organization)
    keep("submitted")
    _link(world)
    keep("linked")
    owner = next(iter(packages.folders))
    world.revoke(owner)
    destroy_data.request_or_execute(world.service, world.callers[owner], AGREEMENT)
    keep("due")
    world.service.close()
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
        clear_units(service, run["id"])


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


@contextmanager
def one_linkage() -> Iterator[None]:
    """The same inputs give the same bytes (others test that), so linking them once is enough here.

    Two of a run's units are stored all the same, each time.
    """
    kept: dict[tuple[str, ...], tuple[Any, dict[str, bytes]]] = {}
    original = link_inputs.link

    def link(sources: Any, *rest: Any, unit: Unit, **named: Any) -> Any:
        key = tuple(sorted(source.name for source in sources))
        if key not in kept:
            made: dict[str, bytes] = {}

            def keep(name: str, work: Callable[[], bytes]) -> bytes:
                made[name] = work()
                return made[name]

            kept[key] = original(sources, *rest, unit=keep, **named), made
        result, units = kept[key]
        for name, data in list(units.items())[:2]:
            unit(name, lambda data=data: data)  # type: ignore[misc]
        return result

    with mock.patch.object(link_inputs, "link", link):
        yield


@dataclass
class Played:
    """A flow without a fault: the state before, the calls that it made, the state after."""

    old: dict[str, Any]
    calls: list[str]
    new: dict[str, Any]


def play_through(scene: Scene, flow: str, folder: Path, *, statements: bool) -> Played:
    """Play a flow with nothing failing, and count its calls."""
    counted, world = Fault(None), scene.copy(folder)
    old = summary(world.service)
    remove = install(world.service.store, counted, statements=statements)
    FLOWS[flow][1](world)
    remove()
    new = summary(world.service)
    world.service.close()
    shutil.rmtree(folder)
    return Played(old, list(counted.calls), new)


def fail_once(
    scene: Scene, flow: str, played: Played, folder: Path, at: int, *, after: bool, statements: bool
) -> None:
    """Play a flow with one call that fails, and again without: its old or its new state, then its new one.

    Raises
    ------
    AssertionError
    """
    place = f"{flow}: call {at} ({played.calls[at]}), {'after' if after else 'before'}"
    world, fault = scene.copy(folder), Fault(at, after=after)
    try:
        remove = install(world.service.store, fault, statements=statements)
        with contextlib.suppress(OSError, DBAPIError):
            FLOWS[flow][1](world)
        # How often a run or a cube reports progress depends on the time: the last calls may not come.
        assert fault.fired or flow in ("run", "release"), place
        remove()
        between = summary(world.service)
        if flow in ("revoke", "destroy"):
            # One transaction each: everything, or nothing. (The others take several on purpose.)
            assert between in (played.old, played.new), place
        FLOWS[flow][1](world)
        assert summary(world.service) == played.new, place
    finally:
        world.service.close()
        shutil.rmtree(folder)
