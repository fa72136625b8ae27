"""The SQL of every measure says what its plain definition for one person says; amendments and gaps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.outcomes.document import FILE, render
from app.outcomes.errors import OutcomesError
from app.outcomes.figures import bands, quantiles
from app.outcomes.finest import finest_cells
from app.outcomes.indicators import INDICATORS
from app.outcomes.measures import attached, band, percentile, retained
from app.outcomes.quarters import Quarter
from app.outcomes.tabulate import tabulate
from app.outcomes.thresholds import parse_thresholds
from crypto.errors import InputError
from tests.app.outcomes.builders import completion, facts, participation, persons, token, wage
from tests.app.outcomes.test_golden_indicators import BATCHES, source, thresholds
from tests.app.outcomes.test_tabulate import AWARDS, PEOPLE, WAGES, counts

AS_OF = date(2026, 11, 22)
ONE = [f"p{i}" for i in range(6)]
EXIT = Quarter.parse("2022Q2")
PROPERTY = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Row = Mapping[str, object]

REPORTS = st.lists(
    st.builds(
        lambda person, state, n, employer, amount: wage(
            person, state, str(EXIT + n), amount, employer_token=token(employer)
        ),
        st.sampled_from(ONE),
        st.sampled_from(["39", "21"]),
        st.integers(1, 7),
        st.sampled_from("XY"),
        st.sampled_from([0, 1500, 3000, 4500, 7000, 9000]),
    ),
    max_size=60,
).map(
    lambda rows: list(
        {
            tuple(row[n] for n in ("record_ref", "state_fips", "quarter", "employer_token")): row
            for row in rows
        }.values()
    )
)


def earned(reports: Sequence[Row]) -> dict[str, dict[int, dict[str, Decimal]]]:
    """Dollars by person, quarter after the award, and employer token."""
    refs = {
        wage(person, state, "2023Q1", 1)["record_ref"]: person for person in ONE for state in ("39", "21")
    }
    found: dict[str, dict[int, dict[str, Decimal]]] = defaultdict(lambda: defaultdict(dict))
    for row in reports:
        mine = found[refs[row["record_ref"]]][Quarter.parse(str(row["quarter"])).index - EXIT.index]
        employer = str(row["employer_token"])
        mine[employer] = mine.get(employer, Decimal(0)) + Decimal(str(row["wages"]))
    return found


@PROPERTY
@given(REPORTS)
def test_every_measure_counts_whom_its_definition_names(reports: list[dict[str, object]]) -> None:
    awards = [completion(person, award_date="2022-05-14", county_fips="39061") for person in ONE]
    given_ = source(ONE, awards, reports, thresholds())
    people = earned(reports)

    def count(indicator: str) -> tuple[int, int]:
        table = tabulate(
            indicator, "2021-22", (), persons=given_.persons, facts=given_.facts, as_of=AS_OF,
            thresholds=given_.thresholds,
        )  # fmt: skip
        return table.total.n, table.total.found

    def totals(person: str, quarters: Sequence[int]) -> list[Decimal]:
        return [sum(people[person][q].values(), Decimal(0)) for q in quarters]

    for preset in ("pseo", "kystats"):
        expected = sum(attached(preset, totals(person, range(1, 5))) for person in ONE)
        assert count(f"attached_{preset}") == (6, expected)
    before = [person for person in ONE if totals(person, [2])[0] > 0]
    kept = sum(retained(people[person][2], people[person][4]) for person in before)
    assert count("retained") == (len(before), kept)
    reached = sum(band(totals(person, range(4, 8)), Decimal(30000)) == "SELF_SUFFICIENT" for person in ONE)
    assert count("self_sufficient") == (6, reached)
    positive = sorted(total for person in ONE for total in totals(person, [2]) if total > 0)
    cell = quantiles("median_earnings_q2", "2021-22", (), given_).total
    assert cell.n == len(positive)
    if positive:
        assert cell.values["p50"][0] == percentile(positive, 2)


@PROPERTY
@given(AWARDS, WAGES)
def test_finest_cells_add_up_to_every_table(
    awards: list[dict[str, object]], wages: list[dict[str, object]]
) -> None:
    given_ = source(PEOPLE, awards, wages)
    names = ("pathway", "cohort_year", "sex", "county")
    cohort = "2020-21..2021-22"
    cells = finest_cells(
        "employed_q4", cohort, names, persons=given_.persons, facts=given_.facts, as_of=AS_OF
    )
    for by in (
        (),
        ("pathway",),
        ("cohort_year",),
        ("sex",),
        ("pathway", "sex"),
        ("pathway", "cohort_year", "county"),
    ):
        table = tabulate("employed_q4", cohort, by, persons=given_.persons, facts=given_.facts, as_of=AS_OF)
        inside = cells.in_table(frozenset(by))
        axes = [names.index(name) for name in by]
        sums: dict[str, tuple[int, int]] = {}
        for code, n, found in zip(cells.codes[inside], cells.n[inside], cells.found[inside], strict=True):
            key = "/".join(cells.axes[axis].codes[code[axis]] for axis in axes)
            had = sums.get(key, (0, 0))
            sums[key] = (had[0] + int(n), had[1] + int(found))
        if by:
            assert sums == counts(table)
        else:
            assert sums.get("", (0, 0)) == (table.total.n, table.total.found)


def test_participation_of_a_later_batch_replaces_the_same_spell() -> None:
    first = participation("p0", exclusion_reason="MEDICAL", exclusion_date="2022-08-01")
    awards = {"completion": [("edu-1", facts("completion", [completion("p0")]))]}
    linked = persons(["p0"], {"edu-1": "edu", "np-1": "np", "np-2": "np"})

    def total(*batches: tuple[str, Row]) -> int:
        given_ = {
            **awards,
            "participation": [(batch, facts("participation", [row])) for batch, row in batches],
        }
        owners = {"np-1": "bridges", "np-2": "bridges"}
        table = tabulate(
            "employed_q4", "2021-22", (), persons=linked, facts=given_, as_of=AS_OF, owners=owners
        )
        return table.total.n

    assert total(("np-1", first)) == 0
    assert total(("np-1", first), ("np-2", participation("p0"))) == 1
    assert total(("np-2", participation("p0")), ("np-1", first)) == 0


def test_rows_by_program_count_those_who_entered_by_the_quarter_of_the_award() -> None:
    awards = [completion(person, award_date="2022-05-14") for person in ("a", "b", "c")]
    spells = [
        participation("a", entry_date="2022-06-30"),
        participation("a", entry_date="2021-01-10", program_type="07"),
        participation("b", entry_date="2022-07-01"),
    ]
    table = tabulate(
        "employed_q4",
        "2021-22",
        ("program",),
        persons=persons(["a", "b", "c"], BATCHES),
        facts={
            "completion": [("edu-1", facts("completion", awards))],
            "participation": [("np-1", facts("participation", spells))],
        },
        as_of=AS_OF,
    )
    assert counts(table) == {"03": (1, 0), "07": (1, 0), "NONE": (2, 0)}
    assert not table.additive


def test_going_on_to_a_higher_award_counts_within_four_quarters() -> None:
    def found(*later: Mapping[str, object]) -> int:
        rows = [
            completion("p0", award_level="03", award_date="2022-05-14"),
            *(completion("p0", **r) for r in later),
        ]
        given_ = source(["p0"], rows, [])
        table = tabulate(
            "continued_education", "2021-22", (), persons=given_.persons, facts=given_.facts, as_of=AS_OF
        )
        return table.total.found

    assert found({"award_level": "05", "award_date": "2023-06-30"}) == 1
    assert found({"award_level": "05", "award_date": "2023-07-01"}) == 0
    assert found({"award_level": "03", "award_date": "2023-01-15"}) == 0
    assert found({"award_level": "05", "award_date": "2022-03-15"}) == 0


def test_years_whose_contributors_changed_break_the_series() -> None:
    people = [f"p{i}" for i in range(20)]
    awards = [
        completion(person, award_date=f"{2020 + year}-09-15", completion_id=f"c{year}-{person}")
        for person in people
        for year in range(2)
    ]
    quarters = ["2021Q3", "2021Q4", "2022Q1", "2022Q2", "2022Q3", "2022Q4", "2023Q1", "2023Q2"]
    ohio = [wage("p0", "39", quarter, 1) for quarter in quarters]

    def breaks(kentucky: Sequence[str]) -> tuple[str, ...]:
        given_ = source(people, awards, [*ohio, *(wage("p1", "21", quarter, 1) for quarter in kentucky)])
        table = tabulate(
            "employed_q4", "2020-21..2021-22", (), persons=given_.persons, facts=given_.facts, as_of=AS_OF
        )
        return table.about.breaks

    assert breaks(quarters) == ()
    assert breaks(quarters[4:]) == ("2021-22",)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("indicator", "cohort", "by", "code"),
    [
        ("unemployed", "2021-22", (), "UNKNOWN_INDICATOR"),
        ("employed_q4", "2021-22", ("last_name",), "UNKNOWN_DIMENSION"),
        ("retained", "2021-22", ("state_of_work",), "UNKNOWN_DIMENSION"),
        ("employed_q4", "2021-23", (), "BAD_COHORT"),
        ("employed_q4", "2025-26", (), "REFERENCE_QUARTER_OPEN"),
        ("median_earnings_q2", "2021-22", (), "OTHER_TREATMENT"),
        ("gap", "2021-22", (), "OTHER_TREATMENT"),
        ("self_sufficient", "2021-22", (), "THRESHOLDS_MISSING"),
    ],
)
def test_question_that_cannot_be_answered_is_refused_by_code(
    indicator: str, cohort: str, by: tuple[str, ...], code: str
) -> None:
    given_ = source(["p"], [completion("p")], [])
    with pytest.raises(OutcomesError) as refusal:
        tabulate(indicator, cohort, by, persons=given_.persons, facts=given_.facts, as_of=AS_OF)
    assert refusal.value.code == code


def test_cohort_whose_year_the_thresholds_lack_is_refused() -> None:
    given_ = source(["p"], [completion("p", award_date="2020-05-14")], [], thresholds())
    with pytest.raises(OutcomesError) as refusal:
        bands("self_sufficient", "2019-20", given_)
    assert refusal.value.code == "THRESHOLD_GAP"


@pytest.mark.parametrize(
    ("changes", "code", "column"),
    [
        ({"annual_amount": "30,000"}, "BAD_VALUE", "annual_amount"),
        ({"annual_amount": "0"}, "BAD_VALUE", "annual_amount"),
        ({"county_fips": "00000"}, "BAD_VALUE", "county_fips"),
        ({"family_type": "single"}, "BAD_VALUE", "family_type"),
        ({"licence_note": ""}, "BAD_VALUE", "licence_note"),
    ],
)
def test_threshold_row_when_wrong_is_told_by_row_and_column(
    changes: dict[str, str], code: str, column: str
) -> None:
    with pytest.raises(InputError) as refusal:
        thresholds(**changes)
    first = refusal.value.problems[0]
    assert (first.row, first.column, first.code) == (1, column, code)


def test_threshold_table_without_one_adult_alone_has_a_gap() -> None:
    with pytest.raises(InputError) as refusal:
        thresholds(family_type="a1i0p1s0t0")
    assert refusal.value.code == "THRESHOLD_GAP"
    with pytest.raises(InputError) as refusal:
        parse_thresholds([])
    assert refusal.value.code == "EMPTY_TABLE"


# ---------------------------------------------------------------- declarations


def test_page_of_indicators_is_what_the_declarations_say() -> None:
    assert FILE.read_text(encoding="utf-8") == render(), "run: python -m app.outcomes.document"


def test_every_indicator_says_all_that_a_reader_needs() -> None:
    for indicator in INDICATORS.values():
        document = indicator.to_document()
        assert all(
            document[name] for name in ("title", "definition", "numerator", "denominator", "additivity")
        )
