"""Rules of the domain that no golden case holds: pathways, families, provisional and final, trends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from app.outcomes.coverage import CoverageTerms
from app.outcomes.derived import trend
from app.outcomes.errors import OutcomesError
from app.outcomes.tabulate import tabulate
from app.outcomes.thresholds import parse_thresholds
from crypto.errors import InputError
from tests.app.outcomes.builders import completion, facts, participation, persons, wage

AS_OF = date(2026, 11, 22)
BATCHES = {"edu-1": "edu", "oh-1": "39", "np-1": "np"}
Row = Mapping[str, object]

PATHWAYS = {
    "HSE": [{"award_kind": "HSE", "hse_type": kind} for kind in ("GED", "OTHER")],
    "CERTIFICATE": [{"award_level": level} for level in ("01", "1A", "1B", "02", "04")],
    "ASSOCIATE": [{"award_level": "03"}],
    "BACHELOR": [{"award_level": "05"}],
    "GRADUATE": [{"award_level": level} for level in ("06", "07", "08", "17", "18", "19")],
    "INDUSTRY": [{"award_kind": "INDUSTRY", "credential_type": "IndustryCertification"}],
    "APPRENTICESHIP": [
        {"award_kind": "APPRENTICESHIP", "credential_type": "ApprenticeshipCertificate"},
    ],
}


def source(
    people: Sequence[str], awards: Sequence[Row], wages: Sequence[Row], spells: Sequence[Row] = ()
) -> dict[str, Any]:
    given = {
        "completion": [("edu-1", facts("completion", awards))],
        "wage": [("oh-1", facts("wage", wages))],
        "participation": [("np-1", facts("participation", spells))],
    }
    return {"persons": persons(people, BATCHES), "facts": given}


def test_pathway_of_every_kind_and_level_is_that_of_the_domain() -> None:
    kinds = [(pathway, marks) for pathway, each in PATHWAYS.items() for marks in each]
    people = [f"p{i}" for i in range(len(kinds))]
    awards = [
        completion(
            person,
            **({"award_level": None} if "award_kind" in marks else {}),
            **marks,
        )
        for person, (_, marks) in zip(people, kinds, strict=True)
    ]
    table = tabulate("employed_q4", "2021-22", ("pathway",), **source(people, awards, []), as_of=AS_OF)
    counted = {key[0]: cell.n for key, cell in zip(table.keys, table.cells, strict=True)}
    assert counted == {pathway: len(each) for pathway, each in PATHWAYS.items()}


def thresholds() -> Any:
    amounts = {"a1i0p0s0t0": 30_000, "a1i0p1s0t0": 45_000}
    return parse_thresholds(
        [
            {
                "source": "test",
                "version": "1",
                "county_fips": "39061",
                "family_type": family,
                "year": str(year),
                "annual_amount": str(amount),
                "licence_note": "invented",
            }
            for family, amount in amounts.items()
            for year in (2022, 2023)
        ]
    )


def reached(wages: Sequence[Row], as_of: date, spells: Sequence[Row] = ()) -> tuple[int, int]:
    awards = [completion("p", award_date="2022-05-14", county_fips="39061")]
    given = source(["p"], awards, wages, spells)
    total = tabulate("self_sufficient", "2021-22", (), **given, as_of=as_of, thresholds=thresholds()).total
    return total.n, total.found


#: Q4 to Q7 of an award of 2022Q2.
LATER = ("2023Q2", "2023Q3", "2023Q4", "2024Q1")
BEFORE_FINAL, FINAL = date(2024, 9, 26), date(2024, 9, 27)  # 180 days after 2024-03-31


def test_self_sufficiency_is_four_times_q4_until_four_quarters_are_final_and_their_sum_from_then() -> None:
    falling = [wage("p", "39", quarter, 7500 if at == 0 else 100) for at, quarter in enumerate(LATER)]
    rising = [wage("p", "39", quarter, 100 if at == 0 else 9967) for at, quarter in enumerate(LATER)]
    assert (reached(falling, BEFORE_FINAL), reached(falling, FINAL)) == ((1, 1), (1, 0))
    # 100 + 3 × 9,967 = 30,001
    assert (reached(rising, BEFORE_FINAL), reached(rising, FINAL)) == ((1, 0), (1, 1))


def test_threshold_is_that_of_the_family_that_a_program_reported_last_and_of_one_adult_otherwise() -> None:
    wages = [wage("p", "39", "2023Q2", 8000)]
    alone = participation("p", family_type="a1i0p0s0t0", entry_date="2020-01-10")
    child = participation("p", family_type="a1i0p1s0t0", entry_date="2021-01-10")
    unknown = participation("p", family_type="a1i0p0s3t0", entry_date="2021-01-10")
    assert reached(wages, BEFORE_FINAL) == (1, 1)
    assert reached(wages, BEFORE_FINAL, [alone, child]) == (1, 0)
    assert reached(wages, BEFORE_FINAL, [child, {**alone, "entry_date": "2022-01-10"}]) == (1, 1)
    # A family of which the table has no amounts is taken as one adult.
    assert reached(wages, BEFORE_FINAL, [unknown]) == (1, 1)


def test_person_in_a_county_without_thresholds_is_in_no_denominator() -> None:
    awards = [completion("p", award_date="2022-05-14", county_fips="39017")]
    given = source(["p"], awards, [wage("p", "39", "2023Q2", 90_000)])
    total = tabulate(
        "self_sufficient", "2021-22", (), **given, as_of=BEFORE_FINAL, thresholds=thresholds()
    ).total
    assert (total.n, total.found) == (0, 0)


@pytest.mark.parametrize(
    ("reports", "found"),
    [
        # A newer version replaces, whatever its place in the file; a lower one does not.
        ([("1", 5000, "a"), ("2", 0, "a")], 0),
        ([("2", 5000, "a"), ("1", 0, "a")], 1),
        # Another account of the same employer is another report: they add up.
        ([("1", -200, "a"), ("1", 200, "b")], 0),
        ([("1", -200, "a"), ("1", 201, "b")], 1),
    ],
)
def test_wages_are_the_newest_report_of_each_account_added_up(
    reports: Sequence[tuple[str, int, str]], found: int
) -> None:
    rows = [
        wage(
            "p",
            "39",
            "2023Q2",
            amount,
            report_version=version,
            account_token=(account * 64),
            adjustment=str(amount < 0).lower(),
        )
        for version, amount, account in reports
    ]
    table = tabulate("employed_q4", "2021-22", (), **source(["p"], [completion("p")], rows), as_of=AS_OF)
    assert table.total.found == found


# ---------------------------------------------------------------- trends


def published(cohort: str, rate: str, **changes: Any) -> dict[str, Any]:
    total = {"key": {}, "status": "published", "n": 100, "found": 70, "rate": rate}
    return {
        "indicator": "employed_q4",
        "title": "Employed",
        "definition": "The same.",
        "cohort": cohort,
        "vintage": "FINAL",
        "by": [],
        "rows": [],
        "total": total,
        "coverage": {"text": "…"},
        "contributors": ["ohio", "wages-39"],
        "breaks": [],
    } | changes


def test_trend_is_one_point_for_each_cohort_and_flags_where_definition_or_contributors_changed() -> None:
    tables = [
        published("2019-20", "70.0"),
        published("2020-21", "71.0"),
        published("2021-22", "72.0", contributors=["ohio", "wages-21", "wages-39"]),
        published("2022-23", "73.0", contributors=["ohio", "wages-21", "wages-39"], definition="Another."),
    ]
    points = trend(tables)["points"]
    assert [(point["cohort"], point["rate"]) for point in points] == [
        ("2019-20", "70.0"),
        ("2020-21", "71.0"),
        ("2021-22", "72.0"),
        ("2022-23", "73.0"),
    ]
    assert [point["reasons"] for point in points] == [[], [], ["contributors"], ["definition"]]
    assert [point["break_in_series"] for point in points] == [False, False, True, True]


def test_trend_of_one_table_by_cohort_year_takes_its_rows_and_its_breaks() -> None:
    rows = [
        {"key": {"cohort_year": year}, "status": status, "n": n, "found": None, "rate": rate}
        for year, status, n, rate in (
            ("2020-21", "published", 100, "70.0"),
            ("2021-22", "withheld", None, None),
        )
    ]
    table = published("2020-21..2021-22", "71.0", by=["cohort_year"], rows=rows, breaks=["2021-22"])
    points = trend([table])["points"]
    assert [(p["cohort"], p["rate"], p["break_in_series"]) for p in points] == [
        ("2020-21", "70.0", False),
        ("2021-22", None, True),
    ]


def test_trend_of_several_indicators_or_of_none_is_refused() -> None:
    for tables in ([], [published("2020-21", "1"), published("2021-22", "2", indicator="employed_q2")]):
        with pytest.raises(OutcomesError) as caught:
            trend(tables)
        assert caught.value.code == "NOT_A_SERIES"


# ---------------------------------------------------------------- who counts, and when


def test_exclusion_of_a_deleted_award_excludes_nobody() -> None:
    excluded = {"exclusion_reason": "DECEASED", "exclusion_date": "2022-08-01"}
    awards = [
        completion("p", completion_id="c1"),
        completion("p", completion_id="c2", award_level="01", **excluded),
        completion("p", completion_id="c2", award_level="01", version=2, is_deleted="true", **excluded),
    ]
    table = tabulate("employed_q4", "2021-22", (), **source(["p"], awards, []), as_of=AS_OF)
    assert table.total.n == 1


@pytest.mark.parametrize(
    ("award", "year"), [("2021-06-30", "2020-21"), ("2021-07-01", "2021-22"), ("2021-07", "2021-22")]
)
def test_academic_year_of_an_award_begins_in_july(award: str, year: str) -> None:
    given = source(["p"], [completion("p", award_date=award)], [])
    table = tabulate("employed_q4", "2020-21..2021-22", ("cohort_year",), **given, as_of=AS_OF)
    assert {key[0] for key, cell in zip(table.keys, table.cells, strict=True) if cell.n} == {year}
    assert tabulate("employed_q4", "2021", (), **given, as_of=AS_OF).total.n == 1


def test_two_records_of_one_person_in_one_file_are_two_reports_and_both_count() -> None:
    given = source(["p", "twin"], [completion("p")], [wage("p", "39", "2023Q2", -50, adjustment="true")])
    given["facts"]["wage"] = [
        (
            "oh-1",
            facts(
                "wage",
                [
                    wage("p", "39", "2023Q2", -50, adjustment="true"),
                    wage("twin", "39", "2023Q2", 60),
                ],
            ),
        )
    ]
    # Linkage found that the two are one person.
    given["persons"] = pa.table(
        {
            "person": [0] * given["persons"].num_rows,
            **{name: given["persons"][name] for name in ("batch", "record_ref")},
        }
    )
    assert tabulate("employed_q4", "2021-22", (), **given, as_of=AS_OF).total.found == 1


def test_question_is_refused_until_the_day_after_its_last_reference_quarter() -> None:
    given = source(["p"], [completion("p")], [])
    with pytest.raises(OutcomesError) as caught:
        tabulate("employed_q4", "2021-22", (), **given, as_of=date(2023, 6, 30))
    assert caught.value.code == "REFERENCE_QUARTER_OPEN"
    assert tabulate("employed_q4", "2021-22", (), **given, as_of=date(2023, 7, 1)).total.n == 1


@pytest.mark.parametrize("persons_", [0, 1, 9, 10])
def test_organization_that_submits_is_a_contributor_however_many_awards_are_of_the_cohort(
    persons_: int,
) -> None:
    people = [f"p{i}" for i in range(12)]
    dates = ["2022-05-15" if at < persons_ else "2019-05-15" for at in range(12)]
    given = source(people, [completion(p, award_date=day) for p, day in zip(people, dates, strict=True)], [])
    assert tabulate("employed_q4", "2021-22", (), **given, as_of=AS_OF).about.contributors == ("edu-1",)


def test_organization_whose_awards_an_agreement_permits_of_other_years_is_no_contributor_of_this_one() -> (
    None
):
    given = source(["p"], [completion("p")], [])
    terms = CoverageTerms(submitters={2020: frozenset(), 2021: frozenset({"edu-1"})})
    about = tabulate("employed_q4", "2020-21..2021-22", (), **given, as_of=AS_OF, coverage=terms).about
    assert (about.contributors, about.breaks) == (("edu-1",), ("2021-22",))


def test_threshold_table_with_a_row_twice_or_of_two_sources_is_refused() -> None:
    row = {
        "source": "test",
        "version": "1",
        "county_fips": "39061",
        "family_type": "a1i0p0s0t0",
        "year": "2022",
        "annual_amount": "30000",
        "licence_note": "invented",
    }
    for rows, code in (
        ([row, row], "DUPLICATE_KEY"),
        ([row, {**row, "year": "2023", "source": "other"}], "BAD_VALUE"),
    ):
        with pytest.raises(InputError) as caught:
            parse_thresholds(rows)
        assert (caught.value.code, caught.value.problems[0].code) == ("INVALID_ROWS", code)
    with pytest.raises(InputError) as caught:
        parse_thresholds([row, {**row, "year": "2024"}])
    assert caught.value.code == "THRESHOLD_GAP"


@pytest.mark.parametrize("excluded", ["p", "twin"])
def test_spells_of_two_records_that_linkage_joined_are_both_kept(excluded: str) -> None:
    spells = [
        participation(person)
        | ({"exclusion_reason": "DECEASED", "exclusion_date": "2022-08-01"} if person == excluded else {})
        for person in ("p", "twin")
    ]
    given = source(["p", "twin"], [completion("p")], [], spells)
    persons_ = given["persons"]
    given["persons"] = persons_.set_column(0, "person", pa.array([0] * persons_.num_rows, pa.int64()))
    assert tabulate("employed_q4", "2021-22", (), **given, as_of=AS_OF).total.n == 0
