"""What one definition implies of another is declared: no more of it, and no less, holds on random facts.

An implication that nobody declared lets somebody subtract: she knows definitions, and the proof does not.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest

from app.disclosure.joint import Entries
from app.outcomes.entries import entries
from app.outcomes.figures import Source
from app.outcomes.indicators import IN_BANDS, INDICATORS
from app.outcomes.match_rates import matched_beside
from app.outcomes.question import RATES
from app.outcomes.thresholds import parse_thresholds
from app.outcomes.union import _in_bands, _in_flows
from tests.app.outcomes.builders import completion, facts, persons, wage

COHORT = "2021-22"
#: When bands look at the fourth quarter alone, and when at four quarters.
PROVISIONAL, FINAL = date(2024, 6, 1), date(2026, 11, 22)
QUARTERS = [f"{year}Q{quarter}" for year in range(2021, 2025) for quarter in (1, 2, 3, 4)]
AMOUNTS = ("0.01", "600", "1600", "2950", "4200", "6000", "20000")
#: Declared, though it holds of most alone: somebody may take it to hold, and is right but for few.
TAKEN_TO_HOLD = {
    PROVISIONAL: {"attached_erdc within attached_pseo"},
    FINAL: {
        "attached_erdc within attached_pseo",
        "self_sufficient within employed_q4",
        "self_sufficient within in_flows_y1",
    },
}


def source(as_of: date, size: int = 1200) -> Source:
    """Persons who work seldom or always, little or much, for one employer or several, before and after."""
    random = np.random.default_rng(20)
    people = [f"p{at}" for at in range(size)]
    awards, wages, linked = [], [], set()
    for person in people:
        day = f"{random.choice(['2021-07', '2021-11', '2022-02', '2022-05'])}-1{random.integers(10)}"
        awards.append(completion(person, award_date=day, award_level="03", county_fips="39061"))
        if random.random() < 0.3:
            awards.append(completion(person, award_date="2022-09-10", award_level="05", county_fips="39061"))
        often, much = random.choice([0.0, 0.1, 0.3, 0.6, 0.9, 1.0]), random.integers(len(AMOUNTS))
        state, same = random.choice(["39", "21"]), random.random() < 0.5
        cut = random.integers(len(QUARTERS) + 1)
        parts = QUARTERS, QUARTERS, QUARTERS[cut:], QUARTERS[:cut]
        for at, quarter in enumerate(parts[random.integers(len(parts))]):
            if random.random() < often:
                amount = AMOUNTS[int(np.clip(much + random.integers(-1, 2), 0, len(AMOUNTS) - 1))]
                employer = f"{0 if same else at % 3:064x}"
                paid = {"employer_token": employer, "state_fips": str(state)}
                wages.append(wage(person, "39", quarter, amount, **paid))
                linked.add(person)
        if random.random() < 0.1:
            wages.append(wage(person, "39", "2019Q1", "500"))
            linked.add(person)
    rows = persons(people, {"edu-1": "edu", "oh-1": "39"}).to_pylist()
    for row in rows:
        if row["batch"] == "oh-1" and people[row["person"]] not in linked:
            row["person"] += size
    given = {
        "completion": [("edu-1", facts("completion", awards))],
        "wage": [("oh-1", facts("wage", wages))],
    }
    amounts = [
        {"source": "test", "version": "1", "family_type": "a1i0p0s0t0", "licence_note": "invented"}
        | {"county_fips": "39061", "year": year, "annual_amount": "30000"}
        for year in ("2022", "2023", "2024")
    ]
    return Source(pa.Table.from_pylist(rows), given, as_of, thresholds=parse_thresholds(amounts))


@cache
def layers(as_of: date) -> dict[str, Entries]:
    """Everything about the cohort that counts persons found, by name."""
    data = source(as_of)
    found = {
        name: entries(indicator, COHORT, (), data)
        for name, indicator in INDICATORS.items()
        if indicator.disclosure in RATES
    }
    found["matched"] = entries(matched_beside(INDICATORS["employed_q4"]), COHORT, (), data)
    for each in (
        _in_bands(INDICATORS["self_sufficient"], COHORT, (), data),
        _in_flows(INDICATORS["earnings_percentiles_y1"], COHORT, (), data),
    ):
        found[each.indicator] = each
    return found


def declared(one: Entries, other: Entries) -> bool:
    # Whoever is in a denominator that is an outcome is found by that, and so is whoever is found of these.
    return other.indicator in (*one.within, one.of)


def against(one: Entries, other: Entries) -> int:
    """How many, of those counted in both, only the first counts as found."""
    found, counted = (dict(zip(other.keys, flags, strict=True)) for flags in (other.found, other.counted))
    return sum(
        bool(is_found) and key in found and not found[key] and (bool(counted[key]) or other.of is not None)
        for key, is_found in zip(one.keys, one.found, strict=True)
    )


@pytest.mark.parametrize("as_of", [PROVISIONAL, FINAL])
def test_declared_implications_hold_and_no_other_does(as_of: date) -> None:
    found = layers(as_of)
    told, missing = [], []
    for one, other in permutations(found, 2):
        broken = against(found[one], found[other])
        if declared(found[one], found[other]) and broken:
            told.append(f"{one} within {other}")
        if not declared(found[one], found[other]) and not broken:
            missing.append(f"{one} within {other}")
    assert set(told) == TAKEN_TO_HOLD[as_of]
    assert not missing


def test_denominator_that_is_an_outcome_is_who_was_found_by_it_and_by_whatever_that_implies() -> None:
    found = layers(FINAL)
    kept = found["retained"]
    denominator = {key for key, inside in zip(kept.keys, kept.counted, strict=True) if inside}
    for name, layer in found.items():
        inside = {key for key, is_found in zip(layer.keys, layer.found, strict=True) if is_found}
        known = {key for key, is_counted in zip(layer.keys, layer.counted, strict=True) if is_counted}
        implied = name == kept.of or name in kept.of_within
        assert implied is (denominator & known <= inside), name


def test_bands_are_provisional_at_first() -> None:
    assert "employed_q4" in layers(PROVISIONAL)[IN_BANDS].within
    assert "employed_q4" not in layers(FINAL)[IN_BANDS].within
