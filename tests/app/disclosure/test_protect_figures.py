"""What percentiles, bands, flows and contributions show, and what they withhold."""

from __future__ import annotations

import copy
import itertools
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from app.disclosure.figures import Bands, Contribution, FlowCell, Flows, QuantileCell, Quantiles
from app.disclosure.policy import Policy
from app.disclosure.protect_figures import (
    one_decimal,
    protect_bands,
    protect_contribution,
    protect_flows,
    protect_quantiles,
)
from app.disclosure.table import Cell, Coverage, Description

POLICY = Policy(10, b"a secret of the tests, 32 bytes..")
#: As it was before percentiles kept groups apart by all their persons.
BEFORE = Policy.thaw({"min_cell": 10}, POLICY.secret)
#: Where numbers begin of whoever has no value, a million apart.
_FRESH = itertools.count(10**9, 10**6)
ABOUT = Description("x", "X", "", "2021-22", "FINAL", Coverage(""))


def paid(*dollars: int, first: int = 0) -> dict[str, Decimal]:
    return {f"e{at}": Decimal(each) for at, each in enumerate(dollars, first)}


def cell(
    members: range,
    others: int | range = 30,
    below: int = 10,
    above: int = 10,
    by: dict[str, Decimal] | None = None,
) -> QuantileCell:
    """A group; whoever has no value is nobody's of another group, unless she is named."""
    without = range(next(_FRESH), 10**12) if isinstance(others, int) else others
    without = without[:others] if isinstance(others, int) else without
    values = {"p50": (Decimal("5649.99"), below, above)}
    each = paid(*[len(members)] * 3) if by is None else by
    return QuantileCell(len(members), np.array(without, np.int64), values, np.array(members), each)


def table(total: QuantileCell, *cells: QuantileCell, by: str = "sex") -> Quantiles:
    codes = tuple((f"{by}{at}",) for at in range(len(cells)))
    labels = tuple(code for (code,) in codes)
    names = (by,) if cells else ()
    return Quantiles(ABOUT, names, names=("p50",), keys=codes, labels=labels, cells=cells, total=total)


def shown(*figures: Quantiles) -> list[list[bool]]:
    """Of each table: whether its rows, and last its total, are shown."""
    documents = [figure.to_document() for figure in protect_quantiles(figures, POLICY)]
    return [[row["p50"] is not None for row in [*each["rows"], each["total"]]] for each in documents]


def test_median_is_rounded_and_shown_with_enough_on_either_side_and_beside() -> None:
    (figure,) = protect_quantiles([table(cell(range(21), 10))], POLICY)
    total = figure.to_document()["total"]
    assert (total["status"], total["p50"], total["n"]) == ("published", "5600", None)


@pytest.mark.parametrize("sizes", [(9, 10, 11), (10, 9, 11), (10, 11, 9)])
def test_median_with_too_few_on_a_side_or_beside_is_withheld(sizes: tuple[int, int, int]) -> None:
    (figure,) = protect_quantiles([table(cell(range(21), *sizes))], POLICY)
    total = figure.to_document()["total"]
    assert (total["status"], total["p50"]) == ("withheld", None)


@pytest.mark.parametrize(
    ("by", "told"),
    [
        (paid(100, 100), False),
        (paid(810, 100, 90), False),
        (paid(800, 100, 100), True),
    ],
)
def test_median_of_what_few_employers_or_one_above_80_per_cent_paid_is_withheld(
    by: dict[str, Decimal], told: bool
) -> None:
    assert shown(table(cell(range(40), by=by))) == [[told]]


def test_median_of_a_group_beside_one_that_holds_few_persons_more_is_withheld() -> None:
    total = cell(range(60))
    assert shown(table(total, cell(range(51)), cell(range(51, 60), below=3))) == [[False, False, True]]
    assert shown(table(total, cell(range(50)), cell(range(50, 60), below=3))) == [[True, False, True]]
    # The same group in another table, and one that differs from it both ways.
    rows = table(total, cell(range(30)), cell(range(30, 60)))
    like = table(total, cell(range(3, 34)), cell(range(0)), by="county")
    assert shown(rows, like)[0] == [False, True, True]
    assert shown(rows, like)[1][0]
    rows, same = (
        table(total, cell(range(30), range(900, 920)), cell(range(30, 60), range(920, 950)), by=by)
        for by in ("sex", "county")
    )
    assert shown(rows, same) == [[True, True, True]] * 2


def test_median_of_a_group_beside_one_with_few_more_who_have_no_value_is_withheld() -> None:
    many, total = range(900, 1000), cell(range(60), range(900, 1030))
    # Nobody of three has a value, or all of thirty: that both are shown would say so.
    for others in (range(900, 1027), range(900, 1000)):
        same_values = table(total, cell(range(60), others), cell(range(0), range(others.stop, 1030), below=0))
        assert shown(same_values) == [[False, False, True]]
    all_earn = table(cell(range(90), many), cell(range(60), many), cell(range(60, 90), range(0)))
    assert shown(all_earn) == [[False, False, True]]
    both = table(total, cell(range(40), range(900, 1020)), cell(range(40, 60), range(1020, 1030), below=3))
    assert shown(both) == [[True, False, True]]
    # Two schools in one county, and three more persons without a value in it.
    county = table(total, cell(range(40), range(900, 1000)), by="county")
    schools = table(
        total, cell(range(20), range(900, 950)), cell(range(20, 40), range(950, 997)), by="school"
    )
    assert shown(county, schools) == [[True, True], [False, True, True]]
    before = [figure.to_document() for figure in protect_quantiles([county, schools], BEFORE)]
    assert all(row["p50"] for each in before for row in each["rows"])


def test_median_of_a_group_beside_one_that_holds_the_persons_of_one_employer_more_is_withheld() -> None:
    total, most = cell(range(60), by=paid(40, 40, 40, 60)), cell(range(40))
    one = cell(range(40, 60), by=paid(60, first=3))
    assert shown(table(total, most, one)) == [[False, False, True]]


def test_bands_are_shown_all_or_none() -> None:
    def rows(*counts: int) -> list[dict[str, object]]:
        figure = Bands(ABOUT, ("a", "b", "c"), ("A", "B", "C"), counts)
        listed: list[dict[str, object]] = protect_bands(figure, POLICY).to_document()["rows"]
        return listed

    assert [row["n"] for row in rows(10, 20, 30)] == [10, 20, 30]
    assert [row["n"] for row in rows(9, 20, 30)] == [None, None, None]


def flows(*cells: FlowCell, none: int = 80) -> list[int | None]:
    """Persons of each flow, of other flows, of nobody's."""
    keys = tuple((f"s{at}", "39") for at in range(len(cells)))
    figure = Flows(ABOUT, keys, tuple(sector for sector, _ in keys), cells, none)
    document = protect_flows(figure, POLICY).to_document()
    assert document["total"]["n"] == sum(each.n for each in cells) + none
    return [row["n"] for row in document["rows"]]


def test_flow_with_few_employers_or_one_that_dominates_is_counted_elsewhere() -> None:
    few, one = FlowCell(40, paid(50, 50)), FlowCell(50, paid(81, 10, 9, first=2))
    enough, many = FlowCell(60, paid(800, 100, 100, first=10)), FlowCell(70, paid(*[10] * 9, first=20))
    assert flows(few, one, enough, many) == [None, None, 60, 70, 90, 80]


def test_flows_that_are_withheld_beside_those_not_in_the_data_are_nobody_or_k_together() -> None:
    left = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        sizes = [int(random.choice([0, 0, 1, 2, 4, 8, 9, 10, 11, 14, 30, 60])) for _ in range(6)]
        employers = [min(n, int(random.choice([2, 5]))) for n in sizes]
        cells = [
            FlowCell(n, paid(*[100] * by, first=9 * at))
            for at, (n, by) in enumerate(zip(sizes, employers, strict=True))
        ]
        rows = flows(*cells, none=int(random.choice([3, 12, 40])))
        if rows[-1] is not None:
            left.append(sum(sizes) - sum(n or 0 for n in rows[:-1]))
    # Numbers of flows stand without shares on that: how many have wages may be known exactly.
    assert {n for n in left if n} and not set(range(1, 10)) & set(left)


def test_other_flows_when_they_would_be_one_employers_take_further_flows_with_them() -> None:
    one, many = FlowCell(50, paid(900)), FlowCell(70, paid(*[100] * 9, first=20))
    small = FlowCell(20, paid(50, 50, 50, first=10))
    # 900 of 1,050 dollars are above 80 per cent; of 1,950 they are not.
    assert flows(one, small, many) == [None, None, None, 140, 80]
    assert flows(FlowCell(50, paid(500)), small, many) == [None, None, 70, 70, 80]


def test_small_flow_hides_another_with_it() -> None:
    told = flows(*(FlowCell(n, paid(*[10] * 5)) for n in (4, 50, 60)))
    assert told[0] is None
    assert sum(n is None for n in told[:3]) + (told[3] is None) >= 2


@pytest.mark.parametrize(
    ("ours", "theirs", "population"),
    [
        (Cell(19, 10), Cell(100, 50), Cell(400, 200)),
        (Cell(30, 25), Cell(19, 10), Cell(400, 200)),
        (Cell(100, 50), Cell(30, 15), Cell(119, 60)),
    ],
)
def test_contribution_with_a_small_side_is_withheld_whole(ours: Cell, theirs: Cell, population: Cell) -> None:
    figure = Contribution(ABOUT, ours, theirs, population, Fraction(1, 2))
    total = protect_contribution(figure, POLICY).to_document()["total"]
    assert total["status"] == "withheld"
    assert {total[name] for name in ("n", "found", "rate", "standardised_rate", "contributed_points")} == {
        None
    }


def test_figures_have_no_bytes_and_no_text() -> None:
    for figure in (table(cell(range(21))), FlowCell(1, paid(1)), Bands(ABOUT, (), (), ())):
        assert "unprotected" in f"{figure} {figure!r}"
        for leave in (pickle.dumps, copy.copy):
            with pytest.raises(TypeError):
                leave(figure)


def test_signed_figures_are_rounded_away_from_zero_and_never_minus_zero() -> None:
    assert [one_decimal(Fraction(n, 100)) for n in (-495, -4, 5, 4)] == ["-5.0", "0.0", "0.1", "0.0"]
