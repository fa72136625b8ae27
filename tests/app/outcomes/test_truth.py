"""Rates of linkage from known pairs, by group where there are enough; the model's own otherwise."""

from __future__ import annotations

from fractions import Fraction

import pyarrow as pa

from app.outcomes.linkage_error import Rates, adjust, model_rates
from app.outcomes.truth import truth_rates
from tests.app.outcomes.builders import completion, facts, persons, ref, wage

BATCHES = {"edu-1": "edu", "oh-1": "39"}


def world(missed: int, false: int) -> tuple[pa.Table, dict[str, list[tuple[str, pa.Table]]]]:
    """60 known pairs of which some are missed, 50 known differences of which some are joined."""
    people = [f"p{i}" for i in range(110)]
    linked = persons(people, BATCHES).to_pylist()
    for row in linked:
        who, wages = row["person"], row["batch"] == "oh-1"
        if wages and (who < missed or 60 <= who < 110 - false):
            row["person"] = 1000 + who
    table = pa.Table.from_pylist(linked)
    pairs = [
        {"record_ref": ref("edu", p), "other_record_ref": ref("39", p), "same_person": str(i < 60).lower()}
        for i, p in enumerate(people)
    ]
    sexes = {p: "Male" if i < 60 or i % 2 else "Female" for i, p in enumerate(people)}
    return table, {
        "completion": [("edu-1", facts("completion", [completion(p, sex=sexes[p]) for p in people]))],
        "wage": [("oh-1", facts("wage", [wage(p, "39", "2023Q2", 1) for p in people]))],
        "truth": [("oh-1", facts("truth", pairs))],
    }


def test_known_pairs_give_the_shares_found_and_wrongly_found() -> None:
    overall, groups = truth_rates(*world(missed=6, false=5))
    assert overall == Rates(Fraction(54, 60), Fraction(5, 50), 60, 50, "truth pairs")
    # 60 men with a partner but only 25 known to differ: too few for rates of their own.
    assert groups["sex"] == {}


def test_without_known_pairs_there_are_no_measured_rates() -> None:
    linked, given = world(0, 0)
    del given["truth"]
    assert truth_rates(linked, given) == (None, {})


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
