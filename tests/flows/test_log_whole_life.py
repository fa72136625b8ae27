"""A whole life over HTTP: every kind of entry is written by what really happens, and no rule is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.auth import Role
from app.demo.thresholds import write_thresholds
from app.flows import link_inputs, run_linkage
from app.flows.check_log import check_log
from app.flows.preview_release import preview_release
from app.flows.rekey_log import rekey_log
from app.flows.replay_run import replay_run
from app.flows.rotate_keys import rotate_keys
from crypto.log.kinds import KINDS
from tests.world import EDUCATION, PARTNERSHIP, Clock, World, agreement_document, make_package

ID = "cincinnati-nky"


def entries(world: World) -> list[dict[str, Any]]:
    return [json.loads(line) for line in world.auditor.get("/log/entries").text.splitlines()]


def statement(world: World, what: str) -> None:
    for owner in (world.education, world.workforce):
        body = owner.state(ID, f"agreement-{what}")
        assert owner.post(f"/agreements/{ID}/{what}s", body).status_code == 201


def agree(world: World) -> None:
    """A version that is edited, reviewed and approved; suspended and resumed."""
    assert world.partnership.post("/agreements", agreement_document()).status_code == 201
    edited = agreement_document(purpose="Another purpose", review_days=7)
    assert world.partnership.post(f"/agreements/{ID}/versions", edited).status_code in (200, 201)
    assert world.partnership.post(f"/agreements/{ID}/review").status_code == 200
    statement(world, "approval")
    assert world.education.post(f"/agreements/{ID}/suspension").status_code in (200, 201)
    assert world.education.call("DELETE", f"/agreements/{ID}/suspension").status_code in (200, 201, 204)


def submit(world: World) -> None:
    """Batches that are accepted, rejected, superseded and withdrawn."""
    broken = make_package(seed=9)
    broken.files["encodings.parquet"] = b"x" * len(broken.files["encodings.parquet"])
    assert world.submit(world.education, broken.reseal()).status_code == 422
    old = world.submit(world.education, make_package(seed=1)).json()["id"]
    package = make_package(seed=2)
    body = world.education.signed("batch-manifest", package.manifest) | {"supersedes": old}
    begun = world.education.post(f"/agreements/{ID}/batches", body).json()
    for item in begun["files"]:
        data, size = package.files[item["name"]], begun["part_size"]
        for number in range(item["parts"]):
            part = data[number * size : (number + 1) * size]
            world.put_part(world.education, begun["id"], item["name"], number, part)
    assert world.education.post(f"/batches/{begun['id']}/completion").json()["state"] == "ACCEPTED"
    spare = world.submit(world.education, make_package(seed=3)).json()["id"]
    assert world.education.call("DELETE", f"/batches/{spare}").status_code in (200, 204)
    assert world.submit(world.workforce, make_package(kind="wage", seed=4)).status_code == 200


def link(world: World) -> str:
    """Runs that are cancelled, fail and finish."""
    ends = []
    service = world.service
    for end in ("cancel", "fail", "finish"):
        run = world.operator.post(f"/agreements/{ID}/runs", {}).json()["id"]
        if end == "cancel":
            world.operator.post(f"/runs/{run}/cancellation")
            continue
        owner = run_linkage.begin(service, run, "worker")
        assert owner is not None
        if end == "fail":
            run_linkage.fail(service, run, owner, "INTERNAL_ERROR")
            continue
        planes = service.plane("encodings"), service.plane("links")
        produced = link_inputs.link_inputs(service, *planes, run, owner)
        run_linkage.finish(service, run, owner, produced)
        ends.append(run)
    return ends[0]


def ask(world: World, clock: Clock) -> None:
    """Answers that are refused, approved, objected to, and opened because nobody objected."""
    path = f"/agreements/{ID}/releases"
    refused = world.partnership.post(path, {"indicator": "retained", "cohort": "2021-22"})
    assert refused.json()["code"] == "INDICATOR_NOT_PERMITTED"
    made = []
    for by in ([], ["pathway"]):
        answer = world.partnership.post(path, {"indicator": "employed_q4", "cohort": "2021-22", "by": by})
        assert answer.status_code in (201, 202), answer.text
        made.append(answer.json()["id"])
    clock.advance(hours=1)
    assert world.education.post(f"/releases/{made[0]}/approvals").status_code == 201
    assert world.workforce.post(f"/releases/{made[1]}/objections").status_code == 201
    clock.advance(days=8)
    assert world.partnership.get(f"/releases/{made[0]}").json()["status"] == "GRANTED"


def destroy(world: World) -> None:
    body = world.workforce.state(ID, "agreement-revocation")
    assert world.workforce.post(f"/agreements/{ID}/revocations", body).status_code == 201
    assert world.workforce.post(f"/agreements/{ID}/destruction").status_code == 202
    assert world.operator.post(f"/agreements/{ID}/destruction").status_code == 202


def test_a_whole_life_writes_every_kind_of_entry_and_breaks_no_rule(
    world: World, clock: Clock, tmp_path: Path
) -> None:
    agree(world)
    submit(world)
    write_thresholds(tmp_path / "thresholds.csv")
    table = {"csv": (tmp_path / "thresholds.csv").read_text()}
    assert world.operator.post("/thresholds", table).status_code in (200, 201)
    run = link(world)
    preview_release(world.service, ID, "employed_q4", "2021-22")
    ask(world, clock)
    assert replay_run(world.service, run)["same"]
    rotate_keys(world.service)
    rekey_log(world.service)
    destroy(world)
    guest = world.join("guest", Role.AGENCY)
    listed = world.operator.get(f"/organizations/{guest.id}").json()["credentials"]
    for credential in listed:
        path = f"/organizations/{guest.id}/credentials/{credential['id']}"
        assert world.operator.call("DELETE", path).status_code == 204
    entries(world)  # that somebody reads is in there as well
    found = entries(world)
    assert set(KINDS) - {entry["kind"] for entry in found} == set()
    report = check_log(world.service)
    assert report.ok, [check for check in report.checks if not check.ok]
    page = world.auditor.get(f"/log/summary/{ID}").json()
    states = [(release["state"], release.get("review")) for release in page["releases"]]
    assert states == [("refused", None), ("granted", "reviewed"), ("granted", "objected")]
    assert [batch["state"] for batch in page["batches"]].count("accepted") == 2
    assert {run["state"] for run in page["runs"]} == {"cancelled", "failed", "finished"}
    assert [step["what"] for step in page["destruction"]] == ["due", "done"]
    # Nobody's answer, and no count of it, is in there: of entries that are not about a batch or a run.
    for entry in found:
        if entry["kind"].startswith("release."):
            assert not {"n", "found", "rows"} & set(json.dumps(entry["body"]).replace('"', " ").split())
    assert {entry["actor"] for entry in found} >= {"service", EDUCATION, PARTNERSHIP}
