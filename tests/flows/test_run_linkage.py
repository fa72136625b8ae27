"""Runs without a worker process: who may start them, who owns them, what stops them, what is said of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import ServiceError
from app.flows import hold_agreement, link_inputs, run_linkage, show_runs, submit_batch
from app.flows.run_linkage import RunLostError, RunStoppedError
from app.flows.run_report import coarse, rate
from app.flows.service import Service, open_service
from app.store import batches, datakeys, log, run_ownership, runs
from crypto.log.entry import Entry
from linkage.errors import LinkageError
from tests.flows.linkage_world import AGREEMENT, PARTNERSHIP, Packages, World, populate
from tests.linkage.dask_cluster import Running


@pytest.fixture
def region(service: Service, packages: Packages) -> World:
    return populate(service, packages)


@pytest.fixture
def sqlite_region(sqlite_settings: Any, packages: Packages) -> Iterator[World]:
    service = open_service(sqlite_settings)
    yield populate(service, packages)
    service.close()


def start(region: World, **arguments: Any) -> str:
    return str(run_linkage.start_run(region.service, region.operator, AGREEMENT, **arguments)["id"])


def show(region: World, run_id: str) -> dict[str, Any]:
    return show_runs.show_run(region.service, region.operator, run_id)


def begin(region: World, run_id: str, worker: str = "w") -> str:
    owner = run_linkage.begin(region.service, run_id, worker)
    assert owner is not None
    return owner


def link(region: World, run_id: str, owner: str) -> dict[str, Any]:
    service = region.service
    return link_inputs.link_inputs(service, service.plane("encodings"), service.plane("links"), run_id, owner)


def entries(region: World, kind: str) -> list[Entry]:
    with region.service.store.reading() as tx:
        return [Entry.parse(row.leaf) for row in log.entries(tx, 0, log.size(tx), kind=kind)]


def test_start_when_an_organization_has_submitted_nothing_names_it_and_can_do_without_if_allowed(
    service: Service, packages: Packages
) -> None:
    region = populate(service, packages, submit=False)
    for organization in ("ohio-education", "ohio-workforce", "kentucky-education"):
        region.submit(organization)
    with pytest.raises(ServiceError) as refused:
        start(region)
    assert refused.value.code == "DATASET_MISSING"
    assert "kentucky-workforce, riverside-bridges" in refused.value.detail
    with pytest.raises(ServiceError) as refused:
        start(region, allow_missing=["nobody"])
    assert refused.value.code == "ALLOWANCE_UNKNOWN"
    run_id = start(region, allow_missing=["kentucky-workforce", "riverside-bridges"])
    with service.store.reading() as tx:
        assert {each.organization_id for each in runs.inputs(tx, run_id)} == {
            "ohio-education",
            "ohio-workforce",
            "kentucky-education",
        }


def test_start_with_a_threshold_freezes_it_in_one_spelling_and_refuses_what_is_none(
    sqlite_region: World,
) -> None:
    def threshold(given: str | None) -> str:
        run = run_linkage.start_run(sqlite_region.service, sqlite_region.operator, AGREEMENT, threshold=given)
        run_linkage.cancel_run(sqlite_region.service, sqlite_region.operator, run["id"])
        with sqlite_region.service.store.reading() as tx:
            found = runs.find(tx, run["id"])
        assert found is not None
        return str(found.parameters["options"]["threshold"])

    assert [threshold(given) for given in (None, "", ".5", "0.50", "0.35")] == ["0.5"] * 4 + ["0.35"]
    for none in ("0", "1", "0.00", "0,5", "5e-1", "0.345", "-0.5", "nan", "\u0660.5", "0.5 "):
        with pytest.raises(ServiceError) as refused:
            threshold(none)
        assert refused.value.code == "THRESHOLD_OUT_OF_RANGE", none


def test_start_when_called_by_a_partnership_is_forbidden(sqlite_region: World) -> None:
    with pytest.raises(ServiceError) as refused:
        run_linkage.start_run(sqlite_region.service, sqlite_region.partnership, AGREEMENT)
    assert refused.value.code == "FORBIDDEN"


def test_start_when_the_queue_of_the_agreement_is_full_is_refused_until_one_is_cancelled(
    region: World,
) -> None:
    run_id = start(region)
    for _ in range(run_linkage.MAX_QUEUED - 1):
        start(region)
    with pytest.raises(ServiceError) as refused:
        start(region)
    assert refused.value.code == "RUN_QUEUE_FULL"
    first = run_linkage.cancel_run(region.service, region.operator, run_id)
    assert first["state"] == "CANCELLED"
    assert run_linkage.cancel_run(region.service, region.operator, run_id) == first
    assert [entry.body["run"] for entry in entries(region, "run.cancelled")] == [run_id]
    start(region)


def test_of_each_agreement_the_oldest_run_is_next_and_none_while_one_is_under_way(region: World) -> None:
    def waiting() -> list[str]:
        with region.service.store.reading() as tx:
            return run_ownership.waiting(tx)

    # Of the same second the ids decide.
    asked = [start(region), start(region)]
    first, second = sorted(asked, key=lambda run: (show(region, run)["created_at"], run))
    assert waiting() == [first]
    begin(region, first)
    assert waiting() == []
    run_linkage.cancel_run(region.service, region.operator, first)
    run_linkage.fail(region.service, first, show_owner(region, first), "CANCELLED")
    assert waiting() == [second]


def show_owner(world: World, run_id: str) -> str:
    with world.service.store.reading() as tx:
        run = runs.find(tx, run_id)
    assert run is not None
    return str(run.executor)


def test_cancel_when_the_run_is_under_way_stops_it_at_its_next_sign_of_progress(region: World) -> None:
    run_id = start(region)
    owner = begin(region, run_id)
    run_linkage.cancel_run(region.service, region.operator, run_id)
    assert show(region, run_id)["state"] == "RUNNING"
    with pytest.raises(RunStoppedError) as stopped:
        link(region, run_id, owner)
    run_linkage.fail(region.service, run_id, owner, stopped.value.code)
    assert show(region, run_id)["state"] == "CANCELLED"


def test_revocation_when_linking_is_done_but_not_saved_stops_the_run(sqlite_region: World) -> None:
    region = sqlite_region
    run_id = start(region)
    owner = begin(region, run_id)
    produced = link(region, run_id, owner)
    region.revoke("ohio-education")
    run_linkage.finish(region.service, run_id, owner, produced)
    document = show(region, run_id)
    assert (document["state"], document["error"]["code"]) == ("FAILED", "AGREEMENT_REVOKED")
    assert document["persons_sha256"] is None
    # What it had written opens no more.
    with region.service.store.reading() as tx:
        assert datakeys.find(tx, run_id, "links") is None
    (entry,) = entries(region, "run.failed")
    assert entry.body["code"] == "AGREEMENT_REVOKED"
    assert entries(region, "run.finished") == []


def test_suspension_when_the_run_is_under_way_stops_it_and_the_run_says_what_to_do(
    sqlite_region: World,
) -> None:
    region = sqlite_region
    run_id = start(region)
    owner = begin(region, run_id)
    hold_agreement.suspend(region.service, region.operator, AGREEMENT)
    with pytest.raises(RunStoppedError) as stopped:
        link(region, run_id, owner)
    run_linkage.fail(region.service, run_id, owner, stopped.value.code)
    error = show(region, run_id)["error"]
    assert error["code"] == "AGREEMENT_SUSPENDED"
    assert "when the suspension is lifted" in error["detail"]


def test_withdrawal_of_a_batch_when_the_run_is_under_way_stops_it(region: World) -> None:
    run_id = start(region)
    owner = begin(region, run_id)
    submit_batch.withdraw(region.service, region.callers["ohio-workforce"], region.batches["ohio-workforce"])
    with pytest.raises(RunStoppedError) as stopped:
        link(region, run_id, owner)
    assert stopped.value.code == "BATCH_WITHDRAWN"


def test_owner_when_another_worker_took_the_run_cannot_write_anything(region: World) -> None:
    run_id = start(region)
    first = begin(region, run_id, "one")
    second = begin(region, run_id, "two")
    assert (first, second) == ("one#1", "two#2")
    with pytest.raises(RunLostError):
        link(region, run_id, first)
    nothing = {"persons": {"path": "p", "sha256": "0"}, "links": {}, "report": {}}
    with pytest.raises(RunLostError):
        run_linkage.finish(region.service, run_id, first, nothing)
    run_linkage.fail(region.service, run_id, first, "INTERNAL_ERROR")
    assert show(region, run_id)["state"] == "RUNNING"
    assert len(entries(region, "run.started")) == 1


def test_claim_when_two_observers_see_the_same_silence_is_won_by_one(region: World) -> None:
    run_id = start(region)
    begin(region, run_id)
    store, now = region.service.store, region.service.now()
    with store.reading() as tx:
        ((_, owner, beat_at),) = run_ownership.running(tx)
    won = []
    for _ in range(2):
        with store.transaction() as tx:
            won.append(run_ownership.claim(tx, run_id, seen=owner, beat_at=beat_at, now=now))
    assert won == [True, False]


def test_run_when_it_has_taken_too_many_workers_with_it_is_given_up(region: World) -> None:
    run_id = start(region)
    for number in range(run_linkage.MAX_LOSSES):
        begin(region, run_id, f"w{number}")
    assert run_linkage.begin(region.service, run_id, "last") is None
    assert show(region, run_id)["error"]["code"] == "WORKER_LOST"


def test_run_that_loses_workers_is_not_given_up_as_long_as_units_of_it_get_done(
    sqlite_region: World,
) -> None:
    region, memory = sqlite_region, dict[str, dict[str, Any]]()
    service, run_id = region.service, start(region)
    planes = service.plane("encodings"), service.plane("links")

    def attempt(number: int, units: int) -> None:
        """A worker that dies over the unit after so many that it finished."""
        allowed = len(memory) + units

        def step(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            if name not in memory:
                if len(memory) == allowed:
                    raise KeyboardInterrupt
                memory[name] = work()
            return memory[name]

        owner = begin(region, run_id, f"w{number}")
        with pytest.raises(KeyboardInterrupt):
            link_inputs.link_inputs(service, *planes, run_id, owner, step=step)

    for number in range(run_linkage.MAX_LOSSES - 1):
        begin(region, run_id, f"in vain {number}")
    attempt(5, units=1)
    attempt(6, units=1)
    for number in range(run_linkage.MAX_LOSSES - 2):
        begin(region, run_id, f"in vain {number}")
    # Reading what others did is no progress.
    attempt(7, units=0)
    assert run_linkage.begin(service, run_id, "last") is None
    assert show(region, run_id)["error"]["code"] == "WORKER_LOST"


def test_linker_when_the_key_of_the_facts_is_not_there_does_its_work(sqlite_region: World) -> None:
    region = sqlite_region
    region.service.settings.keyring("facts").unlink()
    run_id = start(region)
    owner = begin(region, run_id)
    run_linkage.finish(region.service, run_id, owner, link(region, run_id, owner))
    assert show(region, run_id)["state"] == "SUCCEEDED"

    # What is said of it, to the operator and in the log, holds no count that is not coarse.
    quality = show_runs.run_quality(region.service, region.operator, run_id)
    (finished,) = entries(region, "run.finished")
    assert finished.body["quality"] == quality
    assert finished.body["persons_sha256"] == show(region, run_id)["persons_sha256"]
    for pair in quality["pairs"]:
        counts = [pair["matches"], pair["candidates"], pair["compared"]]
        counts += pair["histogram"]["probability_tenths"] + pair["histogram"]["weights"]
        assert [count for count in counts if count % 10] == []
        assert len(pair["comparable"]) == 2
        assert pair["threshold"] == "0.50"
        # Shares are told where there are many matches, and to two places.
        assert bool(pair["thresholds"]) == (pair["advised_threshold"] is not None) == (pair["matches"] >= 100)
        assert all(re.fullmatch(r"[01]\.\d\d", each) for row in pair["thresholds"] for each in row.values())
        assert all(share is None or re.fullmatch(r"[01]\.\d\d", share) for share in pair["comparable"])
    assert all(not re.search(r"\d", doubt.partition(": ")[2]) for doubt in quality["doubts"])
    assert [w for pair in quality["pairs"] for w in pair["warnings"]] == [
        doubt.partition(": ")[2] for doubt in quality["doubts"]
    ]


@pytest.mark.parametrize(
    ("address", "code"),
    [("tcp://127.0.0.1:8786", "CLUSTER_NOT_TLS"), ("tls://127.0.0.1:8786", "CLUSTER_CREDENTIALS")],
)
def test_run_when_the_cluster_it_is_given_is_not_safe_fails_and_says_so(
    sqlite_region: World, monkeypatch: pytest.MonkeyPatch, address: str, code: str
) -> None:
    region = sqlite_region
    monkeypatch.setenv("COHORTLINK_DASK_ADDRESS", address)
    run_id = start(region)
    owner = begin(region, run_id)
    with pytest.raises(LinkageError) as refused:
        link(region, run_id, owner)
    assert run_linkage.code_of(refused.value) == code
    run_linkage.fail(region.service, run_id, owner, code)
    error = show(region, run_id)["error"]
    assert error["code"] == code and "worker's log" not in error["detail"]


@pytest.mark.slow
def test_run_on_a_cluster_gives_the_links_of_a_run_on_this_machine(
    sqlite_region: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    region = sqlite_region
    run_id = start(region)
    owner = begin(region, run_id)
    here = link(region, run_id, owner)
    cluster = Running(tmp_path, workers=1)
    try:
        cluster.wait(1)
        monkeypatch.setenv("COHORTLINK_DASK_ADDRESS", cluster.cluster.address)
        for name, path in cluster.files.items():
            monkeypatch.setenv(f"COHORTLINK_DASK_{name.upper()}", path)
        there = link(region, run_id, owner)
        assert there["persons"]["sha256"] == here["persons"]["sha256"]
        assert there["links"]["sha256"] == here["links"]["sha256"]
        cluster.stop()
        with pytest.raises(LinkageError, match="CLUSTER_UNREACHABLE"):
            link(region, run_id, owner)
    finally:
        cluster.stop()


def test_stored_encodings_when_altered_fail_the_run(sqlite_region: World) -> None:
    region = sqlite_region
    batch = region.batches["ohio-education"]
    with region.service.store.transaction() as tx:
        row = batches.file(tx, batch, "encodings.parquet")
        assert row is not None
        row.sha256 = "0" * 64
    run_id = start(region)
    with pytest.raises(RunStoppedError) as stopped:
        link(region, run_id, begin(region, run_id))
    assert stopped.value.code == "INPUT_ALTERED"


def test_show_when_asked_by_a_party_is_forbidden_and_an_unknown_run_is_not_found(
    sqlite_region: World,
) -> None:
    run_id = start(sqlite_region)
    with pytest.raises(ServiceError) as refused:
        show_runs.show_run(sqlite_region.service, sqlite_region.callers[PARTNERSHIP], run_id)
    assert refused.value.code == "FORBIDDEN"
    with pytest.raises(ServiceError) as refused:
        show(sqlite_region, "run-0")
    assert refused.value.code == "RUN_UNKNOWN"


@pytest.mark.parametrize(("count", "said"), [(0, 0), (9, 0), (10, 10), (19, 10), (20, 20)])
def test_count_when_made_coarse_is_a_multiple_of_the_minimum_cell(count: int, said: int) -> None:
    assert coarse(count, 10) == said


def test_rate_when_the_whole_is_below_the_minimum_cell_is_not_said() -> None:
    assert rate(5, 9, 10) is None
    assert rate(47, 109, 10) == "0.40"
