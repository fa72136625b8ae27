"""One cube over HTTP: every table and filter, asked by one who subtracts, solves and compares answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crypto.log.entry import Entry
from tests.attacks import adversary, twin
from tests.attacks.adversary import FOUND, MISSED, K, Layer, System, one_layer
from tests.attacks.region import COHORT, Analyst, Region, Someone, published_codes, random_people, region_of

DIMENSIONS = ("sex", "race_ethnicity", "age_band")
FEW = {"sex": "Male", "race_ethnicity": "Hawaiian", "age_band": "20-24"}
PEOPLE = [*random_people(11, 190, rate=0.7, skew=0.5), *(Someone(f"few{at}", FEW) for at in range(5))]
TERMS = {"indicators": ["employed_q4", "gap"]}
RELEASES = "/agreements/cincinnati-nky/releases"


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Region]:
    with region_of(tmp_path_factory.mktemp("attacked"), migrated_sqlite, PEOPLE, **TERMS) as made:
        yield made


@pytest.fixture(scope="module")
def answers(region: Region) -> list[Any]:
    """Everything that may be asked."""
    return Analyst(region.partnership).everything(DIMENSIONS, filters=True)


def populated(group: Any) -> bool:
    return any(group.items() <= published_codes(each, DIMENSIONS).items() for each in PEOPLE)


def system(documents: list[Any]) -> System:
    """Everything that is known, as one system; she knows which combinations of codes nobody has."""
    state = {each.name: FOUND if each.works() else MISSED for each in PEOPLE}
    codes = {each.name: published_codes(each, DIMENSIONS) for each in PEOPLE}
    return System([Layer(documents, state, codes)], one_layer)


def trackers(analyst: Analyst) -> list[str]:
    """Denning's trackers: a small group as a larger one less those outside it, by filters alone.

    Who is in ``a`` and in ``b`` are those in ``a`` less those in ``a`` and not in ``b``: asked as a list, or,
    where lists are refused, code by code (the tracker of a general query is the sum of such).
    """
    one, other = "sex", "race_ethnicity"
    codes = {name: _populated_codes(name) for name in (one, other)}
    hits = []
    for a in codes[one]:
        asked = {b: analyst.ask((), {one: a, other: b})["total"] for b in codes[other]}
        whole = analyst.ask((), {one: a})["total"]
        for b in codes[other]:
            rest = [code for code in codes[other] if code != b]
            listed = analyst.ask((), {one: a, other: rest})
            parts = [listed["total"]] if listed else [asked[code] for code in rest]
            for figure in ("n", "found"):
                # What nobody is in is nothing to her: she knows which combinations are empty.
                values = [
                    0 if part["n"] is None and not populated({one: a, other: code}) else part[figure]
                    for part, code in zip(parts, rest, strict=False)
                ]
                if whole[figure] is not None and None not in values and 0 < whole[figure] - sum(values) < K:
                    hits.append(f"{a} {b}: {whole[figure] - sum(values)} {figure}")
    return hits


def _populated_codes(name: str) -> list[str]:
    return sorted({published_codes(each, DIMENSIONS)[name] for each in PEOPLE})


def test_figures_complements_rates_and_margins_give_no_small_group(answers: list[Any]) -> None:
    assert len([row for answer in answers for row in answer["rows"] if row["status"] == "published"]) > 5
    assert not adversary.small(answers) + adversary.solved_rates(answers)
    assert not adversary.contradictions(answers)
    assert not adversary.subtraction(answers, populated)


def test_trackers_over_filters_give_no_small_group_and_lists_are_refused(region: Region) -> None:
    analyst = Analyst(region.partnership)
    assert not trackers(analyst)
    assert set(analyst.refusals) == {"NOT_IN_PLAN"}


def test_joint_programs_over_all_answers_leave_every_group_open(answers: list[Any]) -> None:
    assert not system(answers).at_most()
    assert not system(answers).pinned()


def test_whole_numbers_leave_every_group_open(answers: list[Any]) -> None:
    assert not system(answers).at_most(whole=True)


def test_gap_is_told_only_where_both_rates_are(region: Region) -> None:
    for by in DIMENSIONS:
        release = region.partnership.post(
            RELEASES, {"indicator": "employed_q4", "cohort": COHORT, "by": [by]}
        ).json()
        rows = {row["key"][by]: row for row in release["table"]["rows"]}
        for reference, base in rows.items():
            answer = region.partnership.get(
                f"/releases/{release['id']}/gap", params={"reference": reference}
            ).json()
            for row in answer["rows"]:
                both = base["found"] is not None and rows[row["key"][by]]["found"] is not None
                assert (row["points"] is not None, row["ratio"] is not None) == (both, both)


@pytest.mark.parametrize("switch", [twin.show_everything, twin.hide_small_cells_alone])
def test_each_attack_succeeds_where_protection_is_off(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch, switch: Any
) -> None:
    switch(monkeypatch)
    with region_of(tmp_path, migrated_sqlite, PEOPLE, **TERMS) as made:
        analyst = Analyst(made.partnership)
        open_answers = analyst.everything(DIMENSIONS)
        if switch is twin.show_everything:
            assert adversary.small(open_answers)
            bare = [
                {**answer, "rows": [row | {"found": None} for row in answer["rows"]]}
                for answer in open_answers
            ]
            assert adversary.solved_rates(bare)
        else:
            assert trackers(analyst)
            assert adversary.subtraction(open_answers, populated)
    assert system(open_answers).at_most()
    assert system(open_answers).at_most(whole=True)
    assert switch is twin.show_everything or system(open_answers).pinned()


# --- withheld, absent, unknown: one answer ---------------------------------------------------------------


def shape(answer: Any) -> tuple[Any, ...]:
    """An answer without what differs from question to question: ids, digests, and the filter itself."""
    release = answer.json()
    table = release.pop("table")
    where = table.pop("where", None)
    assert where is not None
    own = ("id", "question", "table_sha256", "log_index")
    rest = {name: value for name, value in release.items() if name not in own}
    return answer.status_code, *sorted(answer.headers), json.dumps([rest, table])


def test_withheld_absent_and_unknown_groups_are_answered_alike_to_the_byte(region: Region) -> None:
    def within(code: str) -> Any:
        body = {"indicator": "employed_q4", "cohort": COHORT, "by": ["sex"]}
        return region.partnership.post(RELEASES, body | {"where": {"race_ethnicity": code}})

    small = published_codes(Someone("few", FEW), DIMENSIONS)["race_ethnicity"]
    rows = Analyst(region.partnership).ask(("race_ethnicity",))["rows"]
    listed = [row["key"]["race_ethnicity"] for row in rows]
    absent = [code for code in listed if not populated({"race_ethnicity": code})]
    assert absent
    shapes = {shape(within(code)) for code in (small, *absent, "Klingon", "'; drop table")}
    assert len(shapes) == 1


def test_rows_stand_in_the_order_of_the_list_and_differ_in_their_keys_alone(answers: list[Any]) -> None:
    for answer in answers:
        hidden = [row for row in answer["rows"] if row["status"] == "withheld"]
        bare = {json.dumps({**row, "key": None, "label": None}) for row in hidden}
        assert len(bare) <= 1
    grids: dict[tuple[str, ...], set[str]] = {}
    for answer in answers:
        keys = json.dumps([row["key"] for row in answer["rows"]])
        grids.setdefault(tuple(answer["by"]), set()).add(keys)
    assert all(len(orders) == 1 for orders in grids.values())


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"by": ["sex", "race_ethnicity", "age_band"]}, "NOT_IN_PLAN"),
        ({"by": ["sex"], "where": {"sex": "Male"}}, "NOT_IN_PLAN"),
        ({"where": {"sex": ["Male", "Female"]}}, "NOT_IN_PLAN"),
        ({"where": {"sex": {"not": "Male"}}}, "NOT_IN_PLAN"),
        ({"where": {"county": "39061"}}, "DIMENSION_NOT_PERMITTED"),
        ({"by": ["institution"]}, "DIMENSION_NOT_PERMITTED"),
        ({"min_cell": 9}, "MIN_CELL_TOO_SMALL"),
        ({"min_cell": 11}, "NOT_IN_PLAN"),
        ({"correction": True}, None),
        ({"cohort": "2021"}, "NOT_IN_PLAN"),
    ],
)
def test_refusals_depend_on_the_question_alone(
    region: Region, answers: list[Any], question: dict[str, Any], code: str | None
) -> None:
    assert answers
    body = {"indicator": "employed_q4", "cohort": COHORT} | question
    told = region.partnership.post(RELEASES, body).json()
    assert told.get("code") == code or told["code"] == "CORRECTION_NOT_PLANNED"


# --- what stands beside answers --------------------------------------------------------------------------


def test_csv_holds_the_figures_of_the_document_and_no_other_number(region: Region) -> None:
    asked = {"indicator": "employed_q4", "cohort": COHORT, "by": ["sex", "race_ethnicity"]}
    release = region.partnership.post(RELEASES, asked).json()
    text = region.partnership.get(f"/releases/{release['id']}", headers={"Accept": "text/csv"}).text
    rows = [line for line in text.splitlines() if not line.startswith("#")][1:]
    table = [*release["table"]["rows"], release["table"]["total"]]
    assert len(rows) == len(table)
    for line, row in zip(rows, table, strict=True):
        shown = {str(row[name]) for name in ("n", "found", "rate") if row[name] is not None}
        assert set(re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])", line)) == shown


#: Numbers that entries about releases may hold: terms, and how many tables and rows there are.
_SAID = {"min_cell", "charged", "total", "vintage", "published", "count_only", "withheld"}


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, name)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield name, value


def test_log_and_metrics_hold_no_count_that_answers_do_not(region: Region, answers: list[Any]) -> None:
    assert answers
    leaves = region.auditor.get("/log/entries").content.splitlines()
    entries = [Entry.parse(leaf) for leaf in leaves]
    told = [entry for entry in entries if entry.kind.startswith(("release.", "ledger."))]
    assert len(told) > len(answers)
    for entry in told:
        # The basis holds terms and defaults, by which the cube is made again.
        body = {name: value for name, value in entry.body.items() if name != "basis"}
        assert {name for name, _ in _numbers(body)} <= _SAID
    metrics = region.client.get("/metrics").text
    assert not re.search(r"cincinnati|employed_q4|rel-|run-", metrics)


def test_audit_statistics_reach_neither_analysts_nor_owners_nor_auditors(region: Region) -> None:
    listed = region.partnership.get(RELEASES).json()["releases"]
    for reader in (region.partnership, region.education):
        text = reader.get(f"/releases/{listed[0]['id']}").text
        assert not re.search(r"programs|worlds|goals|repairs|\"work\"|columns", text)
