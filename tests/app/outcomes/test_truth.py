"""Rates of linkage from known pairs, by group where there are enough; the model's own otherwise."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import date
from fractions import Fraction

import pyarrow as pa
import pytest

from app.disclosure.policy import Policy
from app.disclosure.treatment import Treatment
from app.outcomes.figures import Source
from app.outcomes.linkage_error import Rates, adjust, model_rates
from app.outcomes.plan import Plan, plan_cube
from app.outcomes.truth import Known, group_rates, truth_rates
from tests.app.outcomes.builders import completion, facts, persons, ref, wage

BATCHES = {"edu-1": "edu", "oh-1": "39"}


def world(
    missed: int, false: int, same: int = 240, other: int = 200
) -> tuple[pa.Table, dict[str, list[tuple[str, pa.Table]]]]:
    """Known pairs of which some are missed, and known differences of which some are joined."""
    people = [f"p{i}" for i in range(same + other)]
    linked = persons(people, BATCHES).to_pylist()
    for row in linked:
        who, wages = row["person"], row["batch"] == "oh-1"
        if wages and (who < missed or same <= who < same + other - false):
            row["person"] = 1000 + who
    table = pa.Table.from_pylist(linked)
    pairs = [
        {"record_ref": ref("edu", p), "other_record_ref": ref("39", p), "same_person": str(i < same).lower()}
        for i, p in enumerate(people)
    ]
    sexes = {p: "Male" if i % 3 else "Female" for i, p in enumerate(people)}
    awards = [completion(p, sex=sexes[p], award_date="2020-05-01") for p in people]
    return table, {
        "completion": [("edu-1", facts("completion", awards))],
        "wage": [("oh-1", facts("wage", [wage(p, "39", "2023Q2", 1) for p in people]))],
        "truth": [("oh-1", facts("truth", pairs))],
    }


def test_known_pairs_give_the_shares_found_and_wrongly_found() -> None:
    overall, groups = truth_rates(*world(missed=60, false=5), 10)
    assert overall == Rates(Fraction(180, 240), Fraction(5, 200), 240, 200, "truth pairs")
    # Of 80 women 20 were missed, of 160 men 40; five were joined falsely in all: too few for a rate by sex.
    assert groups["sex"] == {
        "Female": Rates(Fraction(60, 80), Fraction(5, 200), 80, 200, "truth pairs"),
        "Male": Rates(Fraction(120, 160), Fraction(5, 200), 160, 200, "truth pairs"),
    }


def together(groups: Mapping[str, Known]) -> Known:
    """All groups as one."""
    parts = [(each.same, each.joined_same, each.other, each.joined_other) for each in groups.values()]
    return Known(*(sum(part) for part in zip(*parts, strict=True)))


def test_known_pairs_when_fewer_than_a_sample_give_nothing() -> None:
    assert truth_rates(*world(60, 5, same=199), 10) == (None, {})
    assert truth_rates(*world(60, 5, other=199), 10) == (None, {})


def test_rate_of_a_group_is_never_solved_for_fewer_pairs_than_the_minimum_cell() -> None:
    def told(k: int, **groups: tuple[int, int]) -> set[str]:
        """Groups (known, joined) with an s of their own; of all, one in ten is joined falsely."""
        known = {code: Known(n, joined, 10 * n, n) for code, (n, joined) in groups.items()}
        rates = group_rates(together(known), known, k)
        return {code for code in rates if rates[code].n_s == groups[code][0]}

    # .983 of 60 would be one missed pair.
    assert told(10, a=(60, 59), b=(300, 270), c=(200, 180)) == {"b"}
    # One more told would leave the third's one missed pair to be subtracted.
    assert told(10, b=(300, 270), c=(200, 180)) == {"b", "c"}
    assert told(10, a=(60, 59), b=(300, 270)) == set()
    assert told(10, a=(60, 50), b=(300, 270), c=(20, 15), d=(20, 14)) == {"a", "b"}
    assert told(10, a=(60, 5), b=(300, 200)) == set()


@pytest.mark.parametrize("seed", range(40))
def test_rates_of_groups_and_the_whole_leave_no_small_rest(seed: int) -> None:
    draw = random.Random(seed)
    groups = {}
    for code in "abcdef"[: draw.randint(1, 6)]:
        same, other = draw.randint(0, 120), draw.randint(0, 400)
        groups[code] = Known(same, draw.randint(0, same), other, draw.randint(0, other // 4))
    whole = together(groups)
    if not whole.same or not whole.other:
        return
    rates = group_rates(whole, groups, 10)
    for side, name in ((Known.s, "n_s"), (Known.f, "n_f")):
        own = {code for code in rates if getattr(rates[code], name) != sum(side(whole))}
        assert all(min(side(groups[code])) >= 10 for code in own)
        left = [sum(side(groups[c])[at] for c in groups if c not in own) for at in (0, 1)]
        assert own == set() or left == [0, 0] or min(left) >= 10


def test_rate_of_280_in_400_with_pairs_of_known_truth_is_adjusted_to_73_4_beside_the_raw_one() -> None:
    """Golden case 6 from facts: 10 of 200 known pairs missed, 3 of 300 known differences joined."""
    known, given = world(missed=10, false=3, same=200, other=300)
    cohort = [f"g{i}" for i in range(400)]
    linked = _joined(known, cohort)
    given["completion"].append(("edu-2", facts("completion", [completion(p) for p in cohort])))
    given["wage"].append(("oh-2", facts("wage", [wage(p, "39", "2023Q2", 1) for p in cohort[:280]])))
    source = Source(linked, given, date(2026, 11, 22))
    plan, policy = Plan("employed_q4", "2021-22", ()), Policy(10, bytes(range(32)))
    (document,) = plan_cube(
        plan, source, policy, Treatment(), quality=None, published=(), progress=lambda *_: None
    ).documents
    total = document["total"]
    assert (total["n"], total["found"], total["rate"]) == (400, 280, "70.0")
    adjusted = total["adjusted"]
    assert (adjusted["rate"], adjusted["low"], adjusted["high"]) == ("73.4", "70.3", "76.5")
    overall = document["linkage"]["overall"]
    assert (overall["s"], overall["n_s"], overall["f"], overall["n_f"]) == ("0.950", 200, "0.010", 300)


def _joined(known: pa.Table, cohort: list[str]) -> pa.Table:
    """The cohort's persons, all of them linked with their wages, after those of the known pairs."""
    rows = [
        {"person": 5000 + at, "batch": batch, "record_ref": ref(word, p), "probability": 1.0}
        for at, p in enumerate(cohort)
        for batch, word in (("edu-2", "edu"), ("oh-2", "39"))
    ]
    return pa.Table.from_pylist([*known.to_pylist(), *rows])


def test_without_known_pairs_there_are_no_measured_rates() -> None:
    linked, given = world(0, 0)
    del given["truth"]
    assert truth_rates(linked, given, 10) == (None, {})


def test_model_based_rates_come_from_the_runs_report_and_are_labelled() -> None:
    pair = {
        "batches": ["edu-1", "oh-1"],
        "matches": 800,
        "expected_precision": "0.990",
        "expected_recall": "0.960",
    }
    quality = {"sources": [{"batch": "edu-1", "records": 1000}], "pairs": [pair]}
    rates = model_rates(quality, frozenset({"edu-1"}), frozenset({"oh-1"}))
    assert rates is not None
    assert rates.s == Fraction(96, 100)
    assert rates.f == Fraction(8) / (1000 - Fraction(792) / Fraction(96, 100))
    assert rates.basis == "model-based"
    # What the model believes to be missed is told with it.
    assert rates.to_document()["missed"] == "0.040"
    adjusted = adjust(400, 280, rates)
    assert adjusted is not None
    assert adjusted["basis"] == "model-based"
    assert model_rates({"sources": [], "pairs": []}, frozenset(), frozenset()) is None


def test_rate_is_not_adjusted_where_linkage_tells_nothing_and_stays_within_bounds() -> None:
    assert adjust(100, 50, Rates(Fraction(1, 2), Fraction(1, 2), 60, 60, "truth pairs")) is None
    full = adjust(100, 99, Rates(Fraction(9, 10), Fraction(0), 60, 60, "truth pairs"))
    assert full is not None
    assert (full["rate"], full["high"]) == ("100.0", "100.0")
