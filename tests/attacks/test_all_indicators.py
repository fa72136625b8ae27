"""Figures of everything that wages say of one cohort, solved together: who is in one and not in another.

Random graduates with wages of four quarters; what they are found in follows from these. She knows the
definitions: what lies within what, also through figures that are not out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from app.disclosure.policy import Policy
from app.disclosure.treatment import Treatment
from app.outcomes import union
from app.outcomes.figures import Source
from app.outcomes.plan import Out, Plan, plan_cube
from tests.app.outcomes.builders import completion, facts, ref, token, wage
from tests.attacks.adversary import ABSENT, FOUND, MISSED, Layer, System

K = 10
BY = ("sex", "age_band")
QUARTERS = ("2022Q3", "2022Q4", "2023Q1", "2023Q2")
#: Dollars of a year by PSEO's rule, and by ERDC's in Ohio in 2023.
PSEO, ERDC = 1750 * 7.25, 1560 * 10.10
ORDERS = (
    ("retained", "attached_erdc", "employed_q4"),
    ("attached_erdc", "retained"),
    ("attached_kystats", "employed_q2", "attached_pseo"),
    ("employed_q4", "attached_pseo", "retained"),
)


class Person:
    """A graduate with her wages by quarter, and whether she changed her employer."""

    def __init__(self, name: str, rng: np.random.Generator) -> None:
        self.name = name
        self.codes = {
            "sex": str(rng.choice(["Female", "Male"])),
            "age_band": str(rng.choice(["20-24", "25-34"])),
        }
        kind = rng.random()
        some = () if kind < 0.3 else QUARTERS if kind < 0.75 else [q for q in QUARTERS if rng.random() < 0.55]
        least = 2500 if kind < 0.75 else 300
        self.wages = {quarter: int(rng.integers(least, 9000)) for quarter in some}
        self.stays = bool(rng.random() < 0.8)
        self.linked = bool(self.wages) or bool(rng.random() < 0.1)

    def state(self, indicator: str) -> int:
        """Absent, missed or found."""
        quarters, year = len(self.wages), sum(self.wages.values())
        second, fourth = QUARTERS[1] in self.wages, QUARTERS[3] in self.wages
        if indicator == "retained" and not second:
            return ABSENT
        found = {
            "matched": self.linked,
            "employed_q2": second,
            "employed_q4": fourth,
            "attached_kystats": quarters >= 2 and year >= 3000,
            "attached_pseo": quarters >= 3 and year > PSEO,
            "attached_erdc": quarters == 4 and year >= ERDC,
            "retained": fourth and self.stays,
        }[indicator]
        return FOUND if found else MISSED


def source(people: Sequence[Person]) -> Source:
    awards = [completion(each.name, **each.codes) for each in people]
    wages = [
        wage(each.name, "39", quarter, paid, employer_token=token(each.name, each.stays or at))
        for each in people
        for at, (quarter, paid) in enumerate(each.wages.items())
    ]
    wages += [wage(each.name, "39", "2019Q1", 100) for each in people if each.linked and not each.wages]
    rows = [
        {"person": at, "batch": batch, "record_ref": ref(word, each.name), "probability": 1.0}
        for batch, word in (("edu-1", "edu"), ("oh-1", "39"))
        for at, each in enumerate(people)
        if each.linked or word == "edu"
    ]
    given = {
        "completion": [("edu-1", facts("completion", awards))],
        "wage": [("oh-1", facts("wage", wages))],
    }
    return Source(pa.Table.from_pylist(rows), given, date(2026, 11, 22))


def possible(names: Sequence[str], pattern: Sequence[int]) -> bool:
    """Whether the definitions let somebody be in these states."""
    state = dict(zip(names, pattern, strict=True))
    if any(value == ABSENT for name, value in state.items() if name != "retained"):
        return False
    known: dict[str, bool] = {name: value == FOUND for name, value in state.items()}
    if "retained" in state:
        known["employed_q2"] = known.get("employed_q2", state["retained"] > ABSENT)
        if known["employed_q2"] is not (state["retained"] > ABSENT):
            return False
    within: Mapping[str, tuple[str, ...]] = {
        "employed_q2": ("matched",),
        "employed_q4": ("matched",),
        "attached_kystats": ("matched",),
        "attached_pseo": ("attached_kystats", "matched"),
        "attached_erdc": ("attached_pseo", "attached_kystats", "employed_q2", "employed_q4", "matched"),
        "retained": ("employed_q2", "employed_q4", "matched"),
    }
    if any(known[name] and not known.get(other, True) for name in known for other in within.get(name, ())):
        return False
    return not (
        known.get("attached_pseo") and not (known.get("employed_q2", True) or known.get("employed_q4", True))
    )


def recovered(seed: int, order: Sequence[str]) -> tuple[list[str], int]:
    """Fewer than the minimum in some figures and not in others; and how many rates are shown."""
    rng = np.random.default_rng(seed)
    people = [Person(f"p{at}", rng) for at in range(int(rng.integers(150, 320)))]
    data, out = source(people), []
    for name in order:
        made = plan_cube(
            Plan(name, "2021-22", BY, depth=1),
            data,
            Policy(K, b"a secret of the tests, 32 bytes.."),
            Treatment(),
            quality=None,
            published=out,
            progress=lambda *_: None,
        )
        out.append(Out(name, "2021-22", json.loads(json.dumps(made.documents)), None, same_agreement=True))
    tables: dict[str, list[Any]] = {each.indicator: list(each.documents) for each in out}
    tables["matched"] = [
        {
            "rows": [{"key": row["key"], **row["matched"]} for row in table["rows"]],
            "total": table["total"]["matched"],
        }
        for each in out[:1]
        for table in each.documents
        if "matched" in table["total"]
    ]
    codes = {each.name: each.codes for each in people}
    layers = [
        Layer(documents, {p.name: p.state(name) for p in people if p.state(name)}, codes)
        for name, documents in tables.items()
    ]
    system = System(layers, lambda pattern: possible(list(tables), pattern))
    shown = sum(row["found"] is not None for each in out for table in each.documents for row in table["rows"])
    return system.at_most(K), shown


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_nothing_of_few_lies_between_figures_of_one_cohort_in_whatever_order(order: tuple[str, ...]) -> None:
    hits, shown = recovered(1, order)
    assert not hits
    assert shown


def test_few_are_told_apart_by_figures_of_one_cohort_where_each_is_protected_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(union, "union", lambda *_: None)
    assert any(recovered(seed, ORDERS[2])[0] for seed in (1, 2, 3, 4))
