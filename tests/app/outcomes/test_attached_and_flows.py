"""The rules that need facts of their own: attachment by ERDC, earnings of later years, flows of a cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

import pytest

from app.disclosure.policy import Policy
from app.disclosure.protect_figures import protect_flows
from app.outcomes.errors import OutcomesError
from app.outcomes.figures import flows, quantiles
from app.outcomes.publishable import plan_documents
from app.outcomes.tabulate import tabulate
from tests.app.outcomes.builders import completion, token, wage
from tests.app.outcomes.test_golden_indicators import source

AS_OF = date(2026, 11, 22)
POLICY = Policy(10, b"a secret of the tests, 32 bytes..")
#: The four quarters after an award of May 2022.
QUARTERS = ("2022Q3", "2022Q4", "2023Q1", "2023Q2")
Row = Mapping[str, object]


def quarterly(person: str, state: str, amounts: Sequence[object]) -> list[dict[str, object]]:
    return [wage(person, state, q, amount) for q, amount in zip(QUARTERS, amounts, strict=True)]


def test_erdc_asks_for_four_quarters_and_three_quarters_of_full_time_at_the_state_s_minimum() -> None:
    # 1,560 hours: 15,756.00 at Ohio's 10.10 of 2023, 11,310.00 at Kentucky's 7.25.
    reports = [
        *quarterly("enough", "39", ["3939.00"] * 4),
        *quarterly("a cent less", "39", ["3939.00"] * 3 + ["3938.99"]),
        *quarterly("three quarters", "39", ["9000", "9000", "9000", "0"]),
        *quarterly("kentucky", "21", ["2827.50"] * 4),
        # Most of these wages are Ohio's, so its minimum counts for all.
        *quarterly("both", "39", ["2000"] * 4),
        *quarterly("both", "21", ["1900"] * 4),
        *quarterly("both but more", "39", ["2000"] * 4),
        *quarterly("both but more", "21", ["1939"] * 4),
    ]
    people = list(
        dict.fromkeys(
            ["enough", "a cent less", "three quarters", "kentucky", "both", "both but more", "nobody"]
        )
    )
    found = {}
    for person in people:
        given = source(people, [completion(person, award_date="2022-05-14")], reports)
        table = tabulate(
            "attached_erdc", "2021-22", (), persons=given.persons, facts=given.facts, as_of=AS_OF
        )
        found[person] = (table.total.n, table.total.found)
    assert {person for person, counts in found.items() if counts == (1, 1)} == {
        "enough", "kentucky", "both but more"
    }  # fmt: skip


def test_erdc_of_a_state_and_year_without_a_minimum_wage_is_refused() -> None:
    awards = [completion("p", award_date="2015-05-14")]
    given = source(["p"], awards, [wage("p", "39", "2016Q2", 5000)])
    with pytest.raises(OutcomesError) as refusal:
        tabulate("attached_erdc", "2014-15", (), persons=given.persons, facts=given.facts, as_of=AS_OF)
    assert refusal.value.code == "MINIMUM_WAGE_MISSING"


@pytest.mark.parametrize(("year", "calendar"), [(1, 2013), (5, 2017), (10, 2022)])
def test_percentiles_look_at_the_nth_full_calendar_year_of_attached_persons(year: int, calendar: int) -> None:
    people = [f"p{i}" for i in range(9)]
    awards = [completion(person, award_date="2012-05-14") for person in people]
    reports = []
    for i, person in enumerate(people[:8]):
        # 20,000, 24,000 … 48,000 dollars in the year; other years must not count.
        for quarter in range(1, 5):
            reports.append(wage(person, "39", f"{calendar}Q{quarter}", 5000 + 1000 * i))
        reports += [wage(person, "39", f"{calendar + step}Q{q}", 99_000) for step, q in ((-1, 4), (1, 1))]
    # Not attached: two quarters only.
    reports += [wage("p8", "39", f"{calendar}Q{quarter}", 50_000) for quarter in (1, 2)]
    cell = quantiles(f"earnings_percentiles_y{year}", "2011-12", (), source(people, awards, reports)).total
    assert (cell.n, cell.others) == (8, 1)
    assert [cell.values[name][0] for name in ("p25", "p50", "p75")] == [
        Decimal(26_000), Decimal(34_000), Decimal(42_000)
    ]  # fmt: skip


def region() -> tuple[list[str], list[dict[str, object]]]:
    """40 in retail in Ohio at four employers, 30 in health care in Kentucky at two, 20 without wages."""
    people = [f"p{i}" for i in range(90)]
    reports = []
    for i, person in enumerate(people[:70]):
        state, naics, employers = ("39", "445110", 4) if i < 40 else ("21", "622110", 2)
        for quarter in range(1, 5):
            job = wage(person, state, f"2023Q{quarter}", 6000, naics=naics)
            reports.append(job | {"employer_token": token(state, i % employers)})
    # A second job in another industry, at which less is paid.
    side = wage("p0", "21", "2023Q1", 900, naics="541110")
    return people, [*reports, side | {"employer_token": token("side")}]


def test_flows_are_by_the_main_job_and_keep_employers_from_being_read_off() -> None:
    people, reports = region()
    awards = [completion(person, award_date="2022-05-14") for person in people]
    given = source(people, awards, reports)
    figure = flows("earnings_percentiles_y1", "2021-22", given)
    cells = {key: cell for key, cell in zip(figure.keys, figure.cells, strict=True) if cell.n}
    assert {key: (cell.n, cell.employers.number) for key, cell in cells.items()} == {
        ("44-45", "39"): (40, 4),
        ("62", "21"): (30, 2),
    }
    assert figure.not_in_data == 20
    rows = protect_flows(figure, POLICY).to_document()["rows"]
    # Two employers are too few: that flow is counted with others, of which nobody tells the industry. Alone
    # there it would still be theirs, so the other flow goes with it.
    shown = {tuple(row["key"].values()): row["n"] for row in rows if row["n"] is not None}
    assert shown == {("OTHER",): 70, ("NOT_IN_DATA",): 20}
    total = plan_documents("earnings_percentiles_y1", "2021-22", [], given, POLICY)[0]
    assert total["flows"] == rows
