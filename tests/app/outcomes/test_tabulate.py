"""Counting: who is counted once, where, and what supersedes what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.disclosure.table import Rows, Table
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.errors import OutcomesError
from app.outcomes.indicators import INDICATORS
from app.outcomes.tabulate import tabulate, tabulate_plan
from tests.app.outcomes.builders import completion, facts, persons, wage

AS_OF = date(2026, 11, 22)
BATCHES = {"edu-1": "edu", "edu-2": "edu", "oh-1": "39", "ky-1": "21"}
Row = Mapping[str, object]


def count(
    awards: Sequence[Row],
    wages: Sequence[Row] = (),
    by: tuple[str, ...] = (),
    cohort: str = "2021-22",
    people: Sequence[object] = ("p",),
    **more: object,
) -> Table:
    given = {"completion": [("edu-1", facts("completion", awards))]}
    if wages:
        given["wage"] = [("oh-1", facts("wage", wages))]
    linked = persons(people, BATCHES)
    return tabulate("employed_q4", cohort, by, persons=linked, facts=given, as_of=AS_OF, **more)  # type: ignore[arg-type]


def counts(table: Table) -> dict[str, tuple[int, int]]:
    return {"/".join(k): (c.n, c.found) for k, c in zip(table.keys, table.cells, strict=True) if c.n}


def test_award_outside_the_cohort_is_not_counted() -> None:
    assert count([completion("p", award_date="2022-07-01")]).total.n == 0


def test_latest_version_wins_and_a_deleted_award_is_gone() -> None:
    first = completion("p", completion_id="c1", award_level="01")
    second = completion("p", completion_id="c1", version=2, award_level="03")
    gone = completion("p", completion_id="c1", version=3, is_deleted="true")
    assert counts(count([first, second], by=("pathway",))) == {"ASSOCIATE": (1, 0)}
    assert count([second, gone, first]).total.n == 0


def test_later_batch_of_one_owner_supersedes_and_of_another_does_not() -> None:
    linked = persons(["p"], BATCHES)
    given = {
        "completion": [
            ("edu-1", facts("completion", [completion("p", completion_id="c1", award_level="01")])),
            (
                "edu-2",
                facts("completion", [completion("p", completion_id="c1", version=2, award_level="05")]),
            ),
        ]
    }

    def rows(owners: Mapping[str, str]) -> dict[str, tuple[int, int]]:
        return counts(
            tabulate(
                "employed_q4",
                "2021-22",
                ("pathway",),
                persons=linked,
                facts=given,
                as_of=AS_OF,
                owners=owners,
            )
        )

    assert rows({"edu-1": "ohio", "edu-2": "ohio"}) == {"BACHELOR": (1, 0)}
    assert rows({"edu-1": "ohio", "edu-2": "kentucky"}) == {"BACHELOR": (1, 0), "CERTIFICATE": (1, 0)}


def test_total_takes_the_highest_award_and_each_pathway_its_own_reference_quarter() -> None:
    awards = [
        completion("p", award_level="01", award_date="2021-09-01"),
        completion("p", award_level="03", award_date="2022-05-01"),
    ]
    table = count(awards, [wage("p", "39", "2022Q3", 900)], ("pathway",))
    assert counts(table) == {"CERTIFICATE": (1, 1), "ASSOCIATE": (1, 0)}
    assert (table.total.n, table.total.found) == (1, 0)


def test_equal_awards_count_with_the_earliest() -> None:
    awards = [completion("p", award_date="2022-05-01"), completion("p", award_date="2021-09-01")]
    assert count(awards, [wage("p", "39", "2022Q3", 900)]).total.found == 1


def test_person_with_awards_in_two_years_counts_in_each_and_once_in_total() -> None:
    awards = [completion("p", award_date="2021-05-01"), completion("p", award_date="2022-05-01")]
    table = count(awards, by=("cohort_year",), cohort="2020-21..2021-22")
    assert counts(table) == {"2020-21": (1, 0), "2021-22": (1, 0)}
    assert table.total.n == 1
    assert not table.additive
    assert count(awards, by=("cohort_year",)).additive


def test_exclusion_by_the_end_of_the_reference_quarter_leaves_the_denominator() -> None:
    def excluded(day: str) -> int:
        return count([completion("p", exclusion_reason="MEDICAL", exclusion_date=day)]).total.n

    assert excluded("2023-06-30") == 0
    assert excluded("2023-07-01") == 1


def test_exclusion_known_to_one_agency_excludes_the_person_everywhere() -> None:
    awards = [
        completion("p", award_level="05"),
        completion("p", award_level="01", exclusion_reason="DECEASED", exclusion_date="2022-08-01"),
    ]
    assert count(awards).total.n == 0


def test_hispanic_of_any_race_comes_first_then_two_or_more_races() -> None:
    people = ["a", "b", "c", "d"]
    marks: list[dict[str, object]] = [
        {"hispanic": "Yes", "race": "White;Asian"},
        {"hispanic": "No", "race": "White;Asian"},
        {"race": "Asian"},
        {},
    ]
    awards = [completion(person, **mark) for person, mark in zip(people, marks, strict=True)]
    assert counts(count(awards, by=("race_ethnicity",), people=people)) == {
        "HispanicOrLatino": (1, 0),
        "TwoOrMoreRaces": (1, 0),
        "Asian": (1, 0),
        "RaceAndEthnicityUnknown": (1, 0),
    }


def test_grid_is_the_whole_code_list_in_its_order_whoever_is_in_the_cohort() -> None:
    empty, one = count([], by=("pathway",)), count([completion("p")], by=("pathway",))
    assert empty.keys == one.keys
    assert [key[0] for key in one.keys][:3] == ["HSE", "CERTIFICATE", "ASSOCIATE"]


def test_code_outside_the_given_list_falls_to_the_last_row() -> None:
    people = ["a", "b", "c"]
    awards = [completion("a", county_fips="39061"), completion("b", county_fips="48001"), completion("c")]
    table = count(awards, by=("county",), people=people, code_lists={"county": ["21117", "39061"]})
    assert [key[0] for key in table.keys] == ["21117", "39061", "OTHER"]
    assert counts(table) == {"39061": (1, 0), "OTHER": (2, 0)}


def test_wages_of_a_state_that_nobody_submitted_for_stand_under_other_states() -> None:
    ohio = wage("p", "39", "2023Q2", 10)
    wages = [ohio, ohio | {"state_fips": "18", "source": "SWIS"}]
    table = count([completion("p")], wages, ("state_of_work",))
    assert counts(table) == {"39": (1, 1), "OTHER": (1, 1)}
    assert table.rows is Rows.PLACES


def test_two_dimensions_cross_and_still_add_up() -> None:
    people = ["a", "b"]
    awards = [completion("a", sex="Male", age_band="<20"), completion("b", sex="Female")]
    table = count(awards, by=("sex", "age_band"), people=people)
    assert counts(table) == {"Male/<20": (1, 0), "Female/NOT_STATED": (1, 0)}
    assert table.additive


def test_employed_q2_looks_two_quarters_after_the_award() -> None:
    given = {
        "completion": [("edu-1", facts("completion", [completion("p")]))],
        "wage": [("oh-1", facts("wage", [wage("p", "39", "2022Q4", 5)]))],
    }
    linked = persons(["p"], BATCHES)
    assert tabulate("employed_q2", "2021-22", (), persons=linked, facts=given, as_of=AS_OF).total.found == 1
    assert tabulate("employed_q4", "2021-22", (), persons=linked, facts=given, as_of=AS_OF).total.found == 0


@pytest.mark.parametrize(
    ("as_of", "vintage"),
    [
        (date(2023, 7, 1), "PRELIMINARY"),
        (date(2023, 12, 26), "PRELIMINARY"),
        (date(2023, 12, 27), "FINAL"),
    ],
)
def test_figure_is_preliminary_until_180_days_after_its_last_reference_quarter(
    as_of: date, vintage: str
) -> None:
    given = {"completion": [("edu-1", facts("completion", [completion("p")]))]}
    table = tabulate("employed_q4", "2021-22", (), persons=persons(["p"], BATCHES), facts=given, as_of=as_of)
    assert table.about.vintage == vintage


def test_coverage_note_says_what_is_not_covered() -> None:
    coverage = count([completion("p")], [wage("p", "39", "2023Q2", 10)]).about.coverage
    assert "Wage records of Ohio." in coverage.text
    assert "self-employment" in coverage.text
    assert "not counted as unemployed" in coverage.text


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"by": ("shoe_size",)}, "UNKNOWN_DIMENSION"),
        ({"by": ("sex", "sex")}, "UNKNOWN_DIMENSION"),
        ({"by": ("sex", "state_of_work")}, "DEPTH_NOT_SUPPORTED"),
        ({"cohort": "2022-24"}, "BAD_COHORT"),
        ({"cohort": "2025-26"}, "REFERENCE_QUARTER_OPEN"),
    ],
)
def test_question_that_has_no_answer_is_refused(change: dict[str, object], code: str) -> None:
    with pytest.raises(OutcomesError) as caught:
        count([completion("p")], **change)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_unknown_indicator_is_refused() -> None:
    with pytest.raises(OutcomesError) as caught:
        tabulate("happiness", "2021-22", (), persons=persons([], {}), facts={}, as_of=AS_OF)
    assert caught.value.code == "UNKNOWN_INDICATOR"


def test_facts_of_a_record_that_no_person_has_are_refused() -> None:
    with pytest.raises(OutcomesError) as caught:
        count([completion("q")])
    assert caught.value.code == "FACTS_WITHOUT_PERSON"


def test_record_in_two_persons_is_refused() -> None:
    twice = pa.concat_tables([persons(["p"], BATCHES)] * 2)
    given = {"completion": [("edu-1", facts("completion", [completion("p")]))]}
    with pytest.raises(OutcomesError) as caught:
        tabulate("employed_q4", "2021-22", (), persons=twice, facts=given, as_of=AS_OF)
    assert caught.value.code == "DUPLICATE_RECORD"


def test_every_indicator_declares_words_and_known_dimensions() -> None:
    for name, indicator in INDICATORS.items():
        assert indicator.id == name
        assert all((indicator.definition, indicator.numerator, indicator.denominator, indicator.additivity))
        assert set(indicator.dimensions) <= set(DIMENSIONS)


# --- properties over random facts ------------------------------------------------------------------------

PEOPLE = [f"p{i}" for i in range(12)]


def _unique(rows: list[dict[str, object]], *key: str) -> list[dict[str, object]]:
    return list({tuple(row[name] for name in key): row for row in rows}.values())


AWARDS = st.lists(
    st.builds(
        lambda person, number, level, month, sex, county: completion(
            person,
            completion_id=f"c{number}-{person}",
            award_level=level,
            award_date=month,
            sex=sex,
            county_fips=county,
        ),
        st.sampled_from(PEOPLE),
        st.integers(0, 2),
        st.sampled_from(["01", "03", "05", "07"]),
        st.sampled_from(["2021-08", "2021-11-20", "2022-02", "2022-06-30", "2020-09"]),
        st.sampled_from(["Male", "Female", None]),
        st.sampled_from(["39061", "21117", "48001", None]),
    ),
    max_size=25,
).map(lambda rows: _unique(rows, "completion_id"))

WAGES = st.lists(
    st.builds(
        lambda person, state, quarter, amount: wage(
            person, state, quarter, amount, adjustment="true" if amount < 0 else "false"
        ),
        st.sampled_from(PEOPLE),
        st.sampled_from(["39", "21"]),
        st.sampled_from(["2021Q3", "2022Q3", "2022Q4", "2023Q1", "2023Q2"]),
        st.sampled_from([-200, 0, 1, 5000]),
    ),
    max_size=40,
).map(lambda rows: _unique(rows, "record_ref", "state_fips", "quarter"))

PROPERTY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def plan(awards: Sequence[Row], wages: Sequence[Row]) -> tuple[Table, ...]:
    ohio = [row for row in wages if row["state_fips"] == "39"]
    kentucky = [row for row in wages if row["state_fips"] == "21"]
    given = {"completion": [("edu-1", facts("completion", awards))]} if awards else {}
    given["wage"] = [
        (batch, facts("wage", rows)) for batch, rows in (("oh-1", ohio), ("ky-1", kentucky)) if rows
    ]
    names = ["pathway", "cohort_year", "sex", "county", "state_of_work", "award_level", "age_band"]
    return tabulate_plan(
        "employed_q4", "2020-21..2021-22", names, persons=persons(PEOPLE, BATCHES), facts=given, as_of=AS_OF
    )


@PROPERTY
@given(AWARDS, WAGES)
def test_disjoint_parts_add_up_and_no_count_exceeds_the_cohort(
    awards: list[dict[str, object]], wages: list[dict[str, object]]
) -> None:
    cohort = {row["record_ref"] for row in awards}
    for table in plan(awards, wages):
        assert table.total.n == len(cohort)
        assert all(cell.found <= cell.n <= len(cohort) for cell in table.cells)
        if table.by and table.additive:
            assert sum(cell.n for cell in table.cells) == table.total.n
            assert sum(cell.found for cell in table.cells) == table.total.found
        elif table.by:
            assert sum(cell.n for cell in table.cells) >= table.total.n
        if table.rows is Rows.PLACES:
            assert max(cell.found for cell in table.cells) <= table.total.found
            assert table.total.found <= sum(cell.found for cell in table.cells)


@PROPERTY
@given(AWARDS, WAGES, st.randoms(use_true_random=False))
def test_amendment_followed_by_its_reversal_restores_every_figure(
    awards: list[dict[str, object]], wages: list[dict[str, object]], chance: object
) -> None:
    before = plan(awards, wages)
    amended = [*awards, *({**row, "version": 2, "award_level": "07"} for row in awards[::2])]
    amended += [{**row, "version": 3} for row in awards[::2]]
    reported = [
        *wages,
        *({**row, "report_version": 2, "wages": 77, "adjustment": "false"} for row in wages[::2]),
    ]
    reported += [{**row, "report_version": 3} for row in wages[::2]]
    chance.shuffle(amended)  # type: ignore[attr-defined]
    chance.shuffle(reported)  # type: ignore[attr-defined]
    after = plan(amended, reported)
    assert [counts(table) for table in before] == [counts(table) for table in after]
    assert [(t.total.n, t.total.found) for t in before] == [(t.total.n, t.total.found) for t in after]
