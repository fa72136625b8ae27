"""What percentiles, bands, flows and contributions show, and what they withhold."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from fractions import Fraction

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
from app.disclosure.table import Cell, Coverage, Description, Employers

POLICY = Policy(10, b"a secret of the tests, 32 bytes..")
ABOUT = Description("x", "X", "", "2021-22", "FINAL", Coverage(""))


def median(n: int, others: int, below: int, above: int) -> Quantiles:
    cell = QuantileCell(n, others, {"p50": (Decimal("5649.99"), below, above)})
    return Quantiles(ABOUT, (), names=("p50",), keys=(), labels=(), cells=(), total=cell)


def test_median_is_rounded_and_shown_with_enough_on_either_side_and_beside() -> None:
    total = protect_quantiles(median(21, 10, 10, 10), POLICY).to_document()["total"]
    assert (total["status"], total["p50"], total["n"]) == ("published", "5600", None)


@pytest.mark.parametrize("sizes", [(21, 9, 10, 11), (21, 10, 9, 11), (21, 10, 11, 9)])
def test_median_with_too_few_on_a_side_or_beside_is_withheld(sizes: tuple[int, int, int, int]) -> None:
    total = protect_quantiles(median(*sizes), POLICY).to_document()["total"]
    assert (total["status"], total["p50"]) == ("withheld", None)


def test_bands_are_shown_all_or_none() -> None:
    def rows(*counts: int) -> list[dict[str, object]]:
        figure = Bands(ABOUT, ("a", "b", "c"), ("A", "B", "C"), counts)
        listed: list[dict[str, object]] = protect_bands(figure, POLICY).to_document()["rows"]
        return listed

    assert [row["n"] for row in rows(10, 20, 30)] == [10, 20, 30]
    assert [row["n"] for row in rows(9, 20, 30)] == [None, None, None]


def test_flow_with_few_employers_or_one_that_dominates_is_counted_elsewhere() -> None:
    keys = (("11", "39"), ("62", "39"), ("72", "39"), ("81", "39"))
    cells = (
        FlowCell(40, Employers(2, Fraction(1, 2))),
        FlowCell(50, Employers(3, Fraction(81, 100))),
        FlowCell(60, Employers(3, Fraction(4, 5))),
        FlowCell(70, Employers(9, Fraction(1, 5))),
    )
    document = protect_flows(Flows(ABOUT, keys, ("a", "b", "c", "d"), cells, 80), POLICY).to_document()
    assert [row["n"] for row in document["rows"]] == [None, None, 60, 70, 90, 80]
    assert document["total"]["n"] == 300


def test_small_flow_hides_another_with_it() -> None:
    keys = (("11", "39"), ("62", "39"), ("72", "39"))
    cells = tuple(FlowCell(n, Employers(5, Fraction(1, 5))) for n in (4, 50, 60))
    document = protect_flows(Flows(ABOUT, keys, ("a", "b", "c"), cells, 80), POLICY).to_document()
    shown = [row["n"] for row in document["rows"]]
    assert shown[0] is None
    assert sum(n is None for n in shown[:3]) + (shown[4] is None) >= 2


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
    for figure in (median(21, 10, 10, 10), FlowCell(1, Employers(1, Fraction(1))), Bands(ABOUT, (), (), ())):
        assert "unprotected" in f"{figure} {figure!r}"
        for leave in (pickle.dumps, copy.copy):
            with pytest.raises(TypeError):
                leave(figure)


def test_signed_figures_are_rounded_away_from_zero_and_never_minus_zero() -> None:
    assert [one_decimal(Fraction(n, 100)) for n in (-495, -4, 5, 4)] == ["-5.0", "0.0", "0.1", "0.0"]
