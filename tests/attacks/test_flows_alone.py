"""Random cohorts: whom flows found, told without their denominator, beside a rate and its match rates.

The attacker solves programs over who may be of which sort: a weaker one who knows no denominator that is not
published, and a stronger one who knows all of them, those excluded among them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from app.disclosure.alternatives import finest
from app.disclosure.beside import Beside
from app.disclosure.cube import protect_cube
from app.disclosure.joint import Entries
from app.outcomes import union
from tests.attacks.bounds import Bounds
from tests.attacks.cells import POLICY, K, axis
from tests.attacks.populations import ABOUT

COUNTIES = 3
#: By sort: whether it is linked, found in the quarter of the rate, counted by the flows, found by them.
SORTS = {
    "both": (True, True, True, True),
    "year": (True, False, True, True),
    "past": (True, False, True, False),
    "never": (False, False, True, False),
    "gone_found": (True, True, False, False),
    "gone_past": (True, False, False, False),
    "gone": (False, False, False, False),
}
NAMES = tuple(SORTS)
#: How many there are of each sort, drawn for each cohort.
SIZES = {
    "both": (40, 80, 140),
    "year": (0, 2, 8, 12, 30),
    "past": (0, 9, 12, 30),
    "never": (4, 15, 40),
    "gone_found": (0, 1, 2, 5, 9, 15),
    "gone_past": (0, 0, 1, 12),
    "gone": (0, 1, 3, 7, 12),
}
Layers = list[tuple[Entries, list[dict[str, Any]]]]


def people(seed: int) -> np.ndarray:
    """Each one's sort and county."""
    random = np.random.default_rng(seed)
    sorts = np.repeat(np.arange(len(NAMES)), [random.choice(SIZES[name]) for name in NAMES])
    shares = np.array([0.7, 0.2, 0.1]) if seed % 2 else np.full(COUNTIES, 1 / COUNTIES)
    return np.column_stack([sorts, random.choice(COUNTIES, len(sorts), p=shares)])


def layer(some: np.ndarray, indicator: str, found_at: int, within: Sequence[str] = ()) -> Entries:
    traits = np.array([SORTS[NAMES[sort]] for sort in some[:, 0]], np.bool_)
    whole = np.ones(len(some), np.bool_)
    return Entries(
        indicator,
        (axis("county", COUNTIES),),
        keys=[f"p{at}" for at in range(len(some))],
        codes=some[:, 1:],
        masks={frozenset(): whole},
        found=traits[:, found_at],
        counted=traits[:, 2] if found_at == 3 else whole,
        within=tuple(within),
        persons=[f"p{at}" for at in range(len(some))],
        about=ABOUT,
    )


def counted_only(entries: Entries) -> Entries:
    """As an agency's data have it: whoever is excluded is in no row."""
    at = np.flatnonzero(entries.counted)
    return Entries(
        entries.indicator,
        entries.axes,
        keys=[entries.keys[i] for i in at],
        codes=entries.codes[at],
        masks={frozenset(): np.ones(len(at), np.bool_)},
        found=entries.found[at],
        counted=entries.counted[at],
        within=entries.within,
        persons=[entries.keys[i] for i in at],
        about=ABOUT,
    )


def table_of(entries: Entries, layers: Layers) -> list[dict[str, Any]]:
    """Its tables, total and by county, protected beside what is out."""
    hide: Callable[[Any], None] = lambda _: None  # noqa: E731
    if layers:
        hide = Beside(layers, entries, POLICY, lambda *_: None).hide
    cube = protect_cube(finest(entries, ABOUT), POLICY, 1, beside=hide)
    return [json.loads(json.dumps(cube.table(by).to_document())) for by in cube.plan]


def published(some: np.ndarray, *, flows_first: bool) -> dict[str, list[dict[str, Any]]]:
    """Rate, match rates, and whom the flows found, if that is told."""
    rate = layer(some, "employed_q4", 1, ("matched", "in_flows_y1"))
    matched = layer(some, "matched", 0)
    flows = counted_only(layer(some, "in_flows_y1", 3, ("matched",)))
    found = int(flows.found.sum())
    alone = {"by": [], "rows": [], "total": {"key": {}, "n": None, "found": found}}
    out: Layers = []
    if flows_first:
        flows.found_alone = True
        out.append((flows, [alone]))
    told = {}
    for name, entries in (("rate", rate), ("matched", matched)):
        told[name] = table_of(entries, out)
        out.append((entries, told[name]))
    if flows_first or union._found_stands_beside(flows, out, POLICY, lambda *_: None):
        told["flows"] = [alone]
    return told


def sums(sorts: Callable[[tuple[bool, ...]], bool], county: str | None) -> np.ndarray:
    """Which unknowns a figure adds up: one for each sort and county."""
    inside = [county in (None, f"county{at}") for at in range(COUNTIES)]
    return np.array([float(sorts(SORTS[name]) and here) for name in NAMES for here in inside])


def worlds(some: np.ndarray, told: dict[str, list[dict[str, Any]]], *, knows: bool) -> Bounds:
    """Whatever agrees with all that is told, and with denominators for who knows them."""
    truth = np.bincount(some[:, 0] * COUNTIES + some[:, 1], minlength=len(NAMES) * COUNTIES)
    rows, values = [], []
    columns = {"rate": 1, "matched": 0, "flows": 3}
    for name, documents in told.items():
        for document in documents:
            for row in [*document["rows"], document["total"]]:
                county = row["key"].get("county")
                is_found = sums(lambda sort, at=columns[name]: sort[at], county)  # type: ignore[misc]
                everybody = sums(lambda _: True, county)
                for figure, values_of in (("found", is_found), ("n", everybody)):
                    if row[figure] is not None:
                        rows.append(values_of)
                        values.append(float(row[figure]))
    if knows:
        for county in (f"county{at}" for at in range(COUNTIES)):
            for counted in (True, False):
                row = sums(lambda sort, inside=counted: sort[2] is inside, county)  # type: ignore[misc]
                rows.append(row)
                values.append(float(row @ truth))
    return Bounds(rows, values, len(NAMES) * COUNTIES)


def few(some: np.ndarray, told: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What either attacker learns of a few by the flows."""
    if "flows" not in told:
        return []
    truth = np.bincount(some[:, 0] * COUNTIES + some[:, 1], minlength=len(NAMES) * COUNTIES)
    hits = []
    weak = worlds(some, told, knows=False)
    for at in np.flatnonzero(truth):
        one = np.zeros(len(truth))
        one[at] = 1
        if not weak.reaches(one, K):
            hits.append(f"{truth[at]} {NAMES[at // COUNTIES]} of a county")
    strong = worlds(some, told, knows=True)
    only_year = sums(lambda sort: sort[3] and not sort[1], None)
    if only_year @ truth and not strong.reaches(only_year, K):
        hits.append("those who work in the year alone")
    for county in (None, *(f"county{at}" for at in range(COUNTIES))):
        gone = int(sums(lambda sort: not sort[2], county) @ truth)
        low, high = strong.whole(sums(lambda sort: sort[1] and not sort[2], county))
        if 0 < gone < K and (high <= low or 2 * (high - low) < gone):
            hits.append(f"{low} to {high} of {gone} excluded were employed")
    return hits


def test_nothing_of_few_follows_in_random_cohorts_and_most_flows_are_told() -> None:
    told = [published(people(seed), flows_first=False) for seed in range(12)]
    for seed, made in enumerate(told):
        assert not few(people(seed), made), seed
    assert sum("flows" in made for made in told) > 2


def test_nothing_of_few_follows_in_random_cohorts_whose_flows_were_first() -> None:
    shown = 0
    for seed in range(12):
        some = people(seed)
        made = published(some, flows_first=True)
        assert not few(some, made), seed
        shown += made["rate"][0]["total"]["found"] is not None
    assert shown > 2


@pytest.mark.parametrize("flows_first", [False, True])
def test_few_are_told_of_in_random_cohorts_where_flows_are_told_unproven(
    monkeypatch: pytest.MonkeyPatch, *, flows_first: bool
) -> None:
    monkeypatch.setattr(Beside, "hide", lambda *_, **__: None)
    hits = [few(people(seed), published(people(seed), flows_first=flows_first)) for seed in range(12)]
    assert sum(map(bool, hits)) > 1
