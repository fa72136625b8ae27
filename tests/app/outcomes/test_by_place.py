"""Rows by place beside the tables by group of the same persons: what both tell of few is given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from app.disclosure import beside_groups
from app.disclosure.along import Layer, along, hide_along
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from app.disclosure.suppression import Progress, Suppression
from app.disclosure.treatment import Treatment
from app.outcomes import crossed_matches, union
from app.outcomes.figures import Source
from app.outcomes.plan import Made, Out, Plan, plan_cube
from tests.app.outcomes.builders import completion, facts, persons, wage

POLICY = Policy(10, b"a secret of the tests, 32 bytes..")
Q = "2023Q2"
#: Found of sixty graduates of each sex, by state of work: a share of the women's works at home alone.
TIED = {"Female": {"39": 30}, "Male": {"39": 4, "21": 26}}
#: Nobody but fourteen women works in one of the states, and twelve of them do.
FEW = {"Female": {"21": 12}, "Male": {"39": 60}}
MIXED = {"Female": {"39": 18, "21": 14}, "Male": {"39": 16, "21": 15}}


def source(
    worked: dict[str, dict[str, int]], *, education: str = "edu-1", sizes: tuple[int, int] = (60, 60)
) -> Source:
    """Sixty graduates of each sex, some of whom were paid in a state."""
    people = [f"{sex}-{at}" for sex, size in zip(worked, sizes, strict=True) for at in range(size)]
    awards = [completion(person, sex=person.split("-")[0]) for person in people]
    given: dict[str, list[Any]] = {"completion": [(education, facts("completion", awards))], "wage": []}
    for batch, state in (("oh-1", "39"), ("ky-1", "21")):
        paid = [
            wage(f"{sex}-{start + at}", state, Q, 5000)
            for sex, states in worked.items()
            for start in [0 if state == "39" else states.get("39", 0)]
            for at in range(states.get(state, 0))
        ]
        given["wage"].append((batch, facts("wage", paid)))
    batches = {education: "edu", "oh-1": "39", "ky-1": "21"}
    return Source(persons(people, batches), given, date(2026, 11, 22), {education: "edu"})


def make(
    data: Source,
    dimensions: Sequence[str],
    published: Sequence[Out] = (),
    policy: Policy = POLICY,
    indicator: str = "employed_q4",
) -> Made:
    plan = Plan(indicator, "2021-22", tuple(dimensions), 2, permitted=tuple(dimensions))
    by = Treatment("suppression")
    return plan_cube(plan, data, policy, by, quality=None, published=published, progress=lambda *_: None)


def without(*rules: str) -> Policy:
    """The policy of a cube that was made before there were some rules."""
    frozen = {name: value for name, value in POLICY.frozen().items() if name not in rules}
    return Policy.thaw(frozen, POLICY.secret)


def found(made: Made, dimension: str) -> dict[str, int]:
    """Numerators that are shown, by code."""
    document = next(each for each in made.documents if each["by"] == [dimension])
    return {row["key"][dimension]: row["found"] for row in document["rows"] if row["found"] is not None}


def test_rows_by_state_that_tell_of_four_men_beside_the_women_are_withheld() -> None:
    made = make(source(TIED), ["sex", "state_of_work"])
    assert found(made, "sex") == {"Female": 30, "Male": 30}
    assert found(made, "state_of_work") == {}
    rows = next(each for each in made.documents if each["by"] == ["state_of_work"])["rows"]
    assert {(row["status"], row["n"], row["rate"]) for row in rows} == {("count_only", 120, None)}
    assert made.proof["places"]["columns"] > 0


def test_rows_by_state_of_either_sex_alike_are_shown() -> None:
    made = make(source(MIXED), ["sex", "state_of_work"])
    assert found(made, "state_of_work") == {"39": 34, "21": 29}
    assert len(found(made, "sex")) == 2


def test_rows_by_state_alone_are_shown_and_groups_of_another_agreement_give_way_to_them() -> None:
    data = source(TIED)
    first = make(data, ["state_of_work"])
    assert found(first, "state_of_work") == {"39": 34, "21": 26}
    out = Out("employed_q4", "2021-22", first.documents, lambda: data, same_agreement=False)
    again = source(TIED, education="edu-9")
    assert found(make(again, ["sex"], [out]), "sex") == {}
    mixed = source(MIXED)
    out = replace(out, documents=make(mixed, ["state_of_work"]).documents, source=lambda: mixed)
    assert len(found(make(source(MIXED, education="edu-9"), ["sex"], [out]), "sex")) == 2


def test_rows_by_state_give_way_to_groups_of_another_agreement() -> None:
    data = source(TIED)
    out = Out("employed_q4", "2021-22", make(data, ["sex"]).documents, lambda: data, same_agreement=False)
    assert found(make(source(TIED, education="edu-9"), ["state_of_work"], [out]), "state_of_work") == {}


def test_rows_by_state_that_are_a_small_group_of_no_table_are_withheld() -> None:
    data = source(FEW, sizes=(14, 106))
    made = make(data, ["state_of_work"])
    assert made.documents[0]["total"]["found"] == 72
    assert found(made, "state_of_work") == {}
    before = make(data, ["state_of_work"], policy=without("places_beside_all_groups"))
    assert found(before, "state_of_work") == {"39": 60, "21": 12}


def test_match_rates_and_other_indicators_are_proven_beside_rows_by_state_that_are_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, str, bool]] = []

    def noted(state: Suppression, new: Entries, out: Layer, policy: Policy, progress: Progress) -> None:
        asked.append((new.indicator, out[0].indicator, out[0].worked is not None))
        hide_along(state, new, out, policy, progress)

    for module in (crossed_matches, union):
        monkeypatch.setattr(module, "hide_along", noted)
    data = source(MIXED)
    for policy, times in ((POLICY, 1), (without("places_beside_all_groups"), 0)):
        asked.clear()
        first = make(data, ["sex", "state_of_work"], policy=policy)
        assert found(first, "state_of_work") == {"39": 34, "21": 29}
        assert asked == [("matched", "employed_q4", True)] * times
        asked.clear()
        out = Out("employed_q4", "2021-22", first.documents, None, same_agreement=True)
        make(data, ["sex"], [out], policy, "employed_q2")
        assert asked[:1] == [("employed_q2", "employed_q4", True)] * times


def test_rows_by_state_are_proven_beside_what_other_indicators_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    data, asked = source(MIXED), list[str]()

    def noted(layer: Layer, name: str) -> Layer:
        asked.append(layer[0].indicator)
        return along(layer, name)

    first = make(data, ["sex"], indicator="employed_q2")
    out = Out("employed_q2", "2021-22", first.documents, None, same_agreement=True)
    monkeypatch.setattr("app.disclosure.along.along", noted)
    make(data, ["sex", "state_of_work"], [out])
    assert "employed_q2" in asked


def test_rows_by_state_that_are_not_proven_within_the_budget_are_withheld(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = source({"Female": {"39": 24, "21": 8}, "Male": {"39": 16, "21": 15}})
    assert found(make(few, ["sex", "state_of_work"]), "state_of_work") == {"39": 40, "21": 23}
    monkeypatch.setattr(beside_groups, "MOST_WORK", 0)
    made = make(few, ["sex", "state_of_work"])
    assert len(found(made, "sex")) == 2
    assert found(made, "state_of_work") == {}


def test_cubes_of_before_are_made_again_as_they_were() -> None:
    before = without("places_beside_groups")
    assert not before.places_beside_groups
    made = make(source(TIED), ["sex", "state_of_work"], policy=before)
    assert found(made, "state_of_work") == {"39": 34, "21": 26}
    assert Policy.thaw(POLICY.frozen(), POLICY.secret) == POLICY
