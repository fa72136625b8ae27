"""The log of a whole story: the rules hold, auditors find and prove what they look for, a run repeats."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.auth import Caller, Role
from app.disclosure.policy import Policy
from app.errors import ServiceError
from app.flows import (
    audit_views,
    link_inputs,
    link_options,
    organizations,
    publish_release,
    run_linkage,
)
from app.flows import replay_run as replay
from app.flows.audit_views import Selection
from app.flows.check_log import check_log
from app.flows.publish_release import Question
from app.flows.replay_run import replay_run
from app.flows.run_report import logged_report
from app.flows.seal_log import inclusion, verifier_key
from app.flows.service import open_service
from app.settings import Settings
from app.store import runs
from crypto.canonical import canonical_json, digest_of
from crypto.errors import LogError
from crypto.log.entry import Entry
from crypto.log.export import verify_export
from crypto.log.rules import Rules
from crypto.log.summary import summarize, to_text
from tests.flows.linkage_world import AGREEMENT, COHORTS, Packages, World, populate


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def region(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, packages: Packages
) -> Iterator[World]:
    """Linked, asked once with an answer and once without, and revoked; on both databases."""
    database = None
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres_cluster")
        database = cluster.new_database(template=request.getfixturevalue("migrated_postgres"))
    service = open_service(Settings.for_data(tmp_path_factory.mktemp("story"), database_url=database))
    region = populate(service, packages)
    run_id = run_linkage.start_run(service, region.operator, AGREEMENT)["id"]
    owner = run_linkage.begin(service, run_id, "w")
    assert owner is not None
    produced = link_inputs.link_inputs(
        service, service.plane("encodings"), service.plane("links"), run_id, owner
    )
    run_linkage.finish(service, run_id, owner, produced)
    publish_release.request_release(
        service, region.partnership, AGREEMENT, Question("employed_q4", COHORTS, ("sex",))
    )
    with pytest.raises(ServiceError):
        publish_release.request_release(
            service, region.partnership, AGREEMENT, Question("employed_q4", COHORTS, ("nothing",))
        )
    region.revoke(next(iter(packages.folders)))
    organizations.create_organization(service, region.operator, "watch", "Watch")
    key = organizations.create_api_key(service, region.operator, "watch", Role.AUDITOR, None)["api_key"]
    region.callers["watch"] = organizations.authenticate(service, f"Bearer {key}")
    yield region
    service.close()


def auditor(region: World) -> Caller:
    return region.callers["watch"]


def entries(region: World) -> list[Entry]:
    return [Entry.parse(leaf) for leaf in audit_views.read_entries(region.service, auditor(region), 0, None)]


def run_of(region: World) -> str:
    with region.service.store.reading() as tx:
        return runs.of_agreement(tx, AGREEMENT)[0].id


def test_a_whole_story_breaks_no_rule_and_the_stored_log_holds(region: World) -> None:
    rules = Rules()
    for entry in entries(region):
        rules.feed(entry)
    assert rules.broken == {}
    report = check_log(region.service)
    assert report.ok, [check for check in report.checks if not check.ok]


def test_a_selection_is_found_exported_and_verified_offline(region: World) -> None:
    service, caller = region.service, auditor(region)
    found = audit_views.search(service, caller, Selection(agreement=AGREEMENT, kind="release.*"))
    kinds = [entry["kind"] for entry in found["entries"]]
    assert kinds == ["release.requested", "release.granted", "release.requested", "release.refused"]
    assert found["next"] is None
    first = audit_views.search(service, caller, Selection(agreement=AGREEMENT, limit=2))
    assert len(first["entries"]) == 2 and first["next"] is not None
    rest = audit_views.search(service, caller, Selection(agreement=AGREEMENT, start=first["next"], limit=1))
    assert rest["entries"][0]["index"] > first["entries"][1]["index"]
    later = service.now() + timedelta(days=1)
    assert audit_views.search(service, caller, Selection(since=later))["entries"] == []
    lines = list(audit_views.export(service, caller, Selection(kind="run.finished")))
    checkpoint, proven = verify_export(lines, verifier_key(service))
    assert [entry.kind for entry in proven] == ["run.finished"]
    assert checkpoint.size > proven[0].index
    forged = [lines[0], lines[1].replace("run.finished", "run.Finished")]
    with pytest.raises(LogError, match="INCLUSION_FAILED"):
        verify_export(forged, verifier_key(service))
    with pytest.raises(LogError, match="row 2"):
        verify_export([lines[0], "{}"], verifier_key(service))
    with pytest.raises(ServiceError, match="FORBIDDEN"):
        audit_views.search(service, region.partnership, Selection())


def test_the_page_on_an_agreement_is_the_same_from_the_service_and_from_a_copy(region: World) -> None:
    page = audit_views.summary(region.service, auditor(region), AGREEMENT)
    own = summarize(AGREEMENT, entries(region))
    assert {name: value for name, value in page.items() if name != "size"} == own
    assert [batch["state"] for batch in page["batches"]] == ["accepted"] * len(page["batches"])
    assert page["ledger"]["questions"] == 1
    assert [release["state"] for release in page["releases"]] == ["granted", "refused"]
    assert sum(page["refusals"].values()) == 1
    text = to_text(json.loads(json.dumps(page)))
    for word in ("Submitted", "finished", "granted", "refused", "revoked", "Destroyed"):
        assert word in text


def test_reading_is_logged_once_an_hour_before_anything_is_read(region: World) -> None:
    audit_views.read_entries(region.service, auditor(region), 0, 1)
    audit_views.read_entries(region.service, auditor(region), 0, 1)
    read = [entry for entry in entries(region) if entry.kind == "log.read" and entry.actor == "watch"]
    assert len(read) == 1
    assert read[0].body["credential"] == auditor(region).credential_id


def test_a_run_and_its_release_repeat_bit_for_bit_and_the_log_says_so(region: World) -> None:
    result = replay_run(region.service, run_of(region))
    assert result["same"], result
    assert [check["what"].split()[0] for check in result["checks"]] == [
        "persons",
        "links",
        "presence",
        "cube",
        "release",
    ]
    last = [entry for entry in entries(region) if entry.kind == "run.replayed"][-1]
    assert last.body["same"] is True
    assert inclusion(region.service, last.index, None)["index"] == last.index


def test_an_old_run_and_release_repeat_though_all_defaults_are_others_by_now(
    region: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_options, "DEFAULTS", {**link_options.DEFAULTS, "threshold": "0.99"})
    monkeypatch.setattr("app.disclosure.policy.DEFAULT_WORK", 1)
    _, *others = Policy.__init__.__defaults__ or ()
    monkeypatch.setattr(Policy.__init__, "__defaults__", (1, *others))
    assert Policy(10, bytes(16)).work == 1
    result = replay_run(region.service, run_of(region))
    assert result["same"], result
    # They are those that the log has, and they do decide: with others the bytes are others.
    monkeypatch.setattr(replay, "_logged_parameters", lambda tx, run: {"options": link_options.DEFAULTS})
    other = replay_run(region.service, run_of(region))
    assert {check["what"] for check in other["checks"] if not check["same"]} >= {"persons"}


def test_what_a_cube_was_made_by_stands_in_the_log(region: World) -> None:
    charged = next(entry for entry in entries(region) if entry.kind == "ledger.charged")
    basis: Any = charged.body["basis"]
    assert (basis["agreement_version"], basis["policy"]["min_cell"]) == (1, 10)
    assert "secret" not in basis["policy"]
    secret = region.service.release_secret()
    assert Policy.thaw(basis["policy"], secret) == Policy(**basis["policy"], secret=secret)
    started = next(entry for entry in entries(region) if entry.kind == "run.started")
    assert started.body["parameters"]["options"] == link_options.DEFAULTS  # type: ignore[index]


def test_a_run_whose_stored_digest_was_changed_does_not_repeat(region: World) -> None:
    run_id = run_of(region)
    with region.service.store.transaction("tamper") as tx:
        run = runs.lock(tx, run_id)
        assert run is not None and run.report is not None
        kept = run.report
        run.report = kept | {"links": kept["links"] | {"sha256": "0" * 64}}
    try:
        result = replay_run(region.service, run_id)
    finally:
        with region.service.store.transaction("mend") as tx:
            run = runs.lock(tx, run_id)
            assert run is not None
            run.report = kept
    assert not result["same"]
    assert [check["what"] for check in result["checks"] if not check["same"]] == ["links"]


def test_an_unknown_run_is_not_repeated(region: World, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="RUN_UNKNOWN"):
        replay_run(region.service, "run-0")


@pytest.mark.parametrize("count", [1, 100, 3000])
def test_a_report_of_any_number_of_pairs_fits_into_an_entry(count: int) -> None:
    pair = {"batches": ["a", "b"], "model": ["0.123"] * 100, "histogram": {"weights": [10] * 60}}
    doubts = [f"a{n} × b{n}: The estimation did not converge." for n in range(count)]
    report = {"persons": 10, "pairs": [pair] * count, "doubts": doubts}
    logged = logged_report(report)
    assert all(any(said in doubt for doubt in doubts) for said in logged["doubts"]) and logged["doubts"]
    assert len(canonical_json(logged)) < 41_000
    assert logged == report if count == 1 else logged["report_sha256"] == digest_of(report)
