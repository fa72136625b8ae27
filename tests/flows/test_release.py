"""Questions and answers: what is permitted, what is in the plan, and that an answer never changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.auth import Caller
from app.errors import ServiceError
from app.flows import link_inputs, publish_release, run_linkage
from app.flows.publish_release import Question
from app.flows.release_csv import to_csv
from app.flows.service import Service, open_service
from app.settings import Settings
from app.store import log, releases
from crypto.log.entry import Entry
from tests.flows.linkage_world import AGREEMENT, COHORTS, Packages, World, populate


def link_once(region: World) -> None:
    service = region.service
    run_id = run_linkage.start_run(service, region.operator, AGREEMENT)["id"]
    owner = run_linkage.begin(service, run_id, "w")
    assert owner is not None
    produced = link_inputs.link_inputs(
        service, service.plane("encodings"), service.plane("links"), run_id, owner
    )
    run_linkage.finish(service, run_id, owner, produced)


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory, packages: Packages) -> Iterator[World]:
    """One linked region for all tests that only ask."""
    service = open_service(Settings.for_data(tmp_path_factory.mktemp("linked")))
    region = populate(service, packages)
    link_once(region)
    yield region
    service.close()


def ask(region: World, *by: str, cohort: str = COHORTS, indicator: str = "employed_q4") -> dict[str, Any]:
    return publish_release.request_release(
        region.service, region.partnership, AGREEMENT, Question(indicator, cohort, by)
    )


def refused(region: World, question: Question, caller: Caller | None = None) -> str:
    with pytest.raises(ServiceError) as refusal:
        publish_release.request_release(region.service, caller or region.partnership, AGREEMENT, question)
    return refusal.value.code


def newest(region: World) -> Entry:
    with region.service.store.reading() as tx:
        size = log.size(tx)
        return Entry.parse(log.entries(tx, size - 1, size)[0].leaf)


def test_release_when_asked_twice_and_after_another_run_gives_identical_bytes(
    service: Service, packages: Packages
) -> None:
    region = populate(service, packages)
    assert refused(region, Question("employed_q4", COHORTS)) == "RUN_MISSING"
    link_once(region)
    # The tabulator needs no key of the encodings.
    hidden = service.settings.keyring("encodings")
    aside = hidden.rename(hidden.with_suffix(".aside"))
    first = ask(region, "pathway")
    assert (first["status"], first["table"]["by"]) == ("GRANTED", ["pathway"])
    assert newest(region).kind == "release.granted"
    assert newest(region).body["table_sha256"] == first["table_sha256"]
    aside.rename(hidden)
    link_once(region)
    second = ask(region, "pathway")
    assert json.dumps(second["table"]) == json.dumps(first["table"])
    assert second["run"] == first["run"]
    with service.store.reading() as tx:
        assert len(releases.ledger_of_agreement(tx, AGREEMENT)) == 1


def test_release_when_asked_at_once_by_many_charges_the_ledger_once(
    service: Service, packages: Packages
) -> None:
    region = populate(service, packages)
    link_once(region)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda by: ask(region, *by), [(), ("pathway",), (), ("pathway",)]))
    assert answers[0]["table"] == answers[2]["table"]
    assert answers[1]["table"] == answers[3]["table"]
    with service.store.reading() as tx:
        assert len(releases.ledger_of_agreement(tx, AGREEMENT)) == 1


def test_release_when_the_agreement_is_revoked_is_refused_and_what_was_published_says_so(
    sqlite_settings: Settings, packages: Packages
) -> None:
    service = open_service(sqlite_settings)
    region = populate(service, packages)
    link_once(region)
    published = ask(region)
    region.revoke("kentucky-workforce")
    assert refused(region, Question("employed_q4", COHORTS)) == "AGREEMENT_REVOKED"
    shown = publish_release.show_release(service, region.partnership, published["id"])
    assert (shown["agreement_state"], shown["table"]) == ("REVOKED", published["table"])
    service.close()


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (Question("median_earnings_q2", COHORTS), "INDICATOR_NOT_PERMITTED"),
        (Question("employed_q4", COHORTS, ("county",)), "DIMENSION_NOT_PERMITTED"),
        (Question("employed_q4", COHORTS, ("last_name",)), "DIMENSION_NOT_PERMITTED"),
        (Question("employed_q4", COHORTS, ("pathway", "sex")), "NOT_IN_PLAN"),
        (Question("employed_q4", COHORTS, (), {"pathway": ["ASSOCIATE"]}), "NOT_IN_PLAN"),
        (Question("employed_q4", COHORTS, (), {"pathway": {"from": "ASSOCIATE"}}), "NOT_IN_PLAN"),
        (Question("employed_q4", COHORTS, ("sex",), {"pathway": "Miller"}), "NOT_IN_PLAN"),
        (Question("employed_q4", COHORTS, (), {"county": "Miller"}), "DIMENSION_NOT_PERMITTED"),
        (Question("employed_q4", "Miller 1999-01-01"), "BAD_COHORT"),
    ],
)
def test_question_when_not_permitted_or_not_planned_is_refused_and_logged_without_its_values(
    linked: World, question: Question, code: str
) -> None:
    assert refused(linked, question) == code
    entry = newest(linked)
    assert (entry.kind, entry.body["code"]) == ("release.refused", code)
    said = json.dumps(entry.to_document())
    assert not any(value in said for value in ("Miller", "last_name", "ASSOCIATE"))


@pytest.mark.parametrize("cohort", ["2022-23", "2020-21..2022-23", "2021", "2019-20..2020-21"])
@pytest.mark.parametrize("indicator", ["employed_q4", "employed_q2"])
def test_cohort_when_it_overlaps_a_published_one_without_being_the_same_is_not_in_the_plan(
    linked: World, cohort: str, indicator: str
) -> None:
    ask(linked)
    assert refused(linked, Question(indicator, cohort)) == "NOT_IN_PLAN"


def test_single_years_when_a_range_is_published_are_rows_of_its_cube(linked: World) -> None:
    table = ask(linked, "cohort_year")["table"]
    assert [row["key"]["cohort_year"] for row in table["rows"]] == [
        "2020-21",
        "2021-22",
        "2022-23",
        "2023-24",
    ]


def test_question_when_asked_in_the_wrong_role_is_forbidden(linked: World) -> None:
    for caller in (linked.operator, linked.callers["ohio-education"]):
        assert refused(linked, Question("employed_q4", COHORTS), caller) == "FORBIDDEN"


def test_release_when_shown_is_for_recipients_and_owners_and_not_for_the_operator(linked: World) -> None:
    release = ask(linked, "sex")
    for caller in (linked.partnership, linked.callers["riverside-bridges"]):
        shown = publish_release.show_release(linked.service, caller, release["id"])
        assert shown["table"] == release["table"]
    with pytest.raises(ServiceError) as refusal:
        publish_release.show_release(linked.service, linked.operator, release["id"])
    assert refusal.value.status == 403
    listed = publish_release.list_releases(linked.service, linked.operator, AGREEMENT)
    assert release["id"] in [each["id"] for each in listed]
    assert not any("table" in each for each in listed)


def test_csv_when_made_carries_definition_policy_and_coverage_and_leaves_withheld_figures_empty(
    linked: World,
) -> None:
    release = ask(linked, "pathway")
    lines = to_csv(release).split("\r\n")
    comments = [line for line in lines if line.startswith("#")]
    for name in ("definition", "vintage", "policy", "coverage", "cohort"):
        assert any(line.startswith(f"# {name}: ") for line in comments), name
    head = lines[len(comments)].split(",")
    assert head[:6] == ["pathway", "label", "status", "n", "found", "rate"]
    rows = release["table"]["rows"]
    for line, row in zip(lines[len(comments) + 1 :], rows, strict=False):
        assert line.startswith(row["key"]["pathway"])
        if row["status"] == "withheld":
            assert line.endswith("withheld" + "," * (len(head) - 3))


def test_csv_when_a_code_looks_like_a_formula_makes_it_inert(linked: World) -> None:
    release = ask(linked, "pathway")
    row = release["table"]["rows"][0] | {"key": {"pathway": "=1+1"}}
    changed = release | {"table": release["table"] | {"rows": [row]}}
    assert "'=1+1," in to_csv(changed)
