"""Facts: what the closed schemas take, what they refuse, and that no refusal repeats a value."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from crypto.errors import InputError
from crypto.facts import MAX_PROBLEMS, SCHEMAS, code_list, validate_facts

TODAY = datetime.date(2026, 11, 22)
REF = "0123456789abcdef" * 2
OTHER = "f" * 32
TOKEN = "ab" * 32

GOOD: dict[str, dict[str, str | None]] = {
    "completion": {
        "record_ref": REF,
        "completion_id": "c-1",
        "version": "1",
        "is_deleted": "false",
        "award_kind": "POSTSEC",
        "award_level": "03",
        "award_date": "2022-05-14",
        "cip_code": "51.3801",
        "cip_version": "2020",
        "institution_id": "201885",
        "id_system": "UNITID",
        "county_fips": "39061",
        "race": "White;Asian",
        "hispanic": "No",
        "sex": "Female",
        "age_band": "20-24",
    },
    "wage": {
        "record_ref": REF,
        "state_fips": "39",
        "quarter": "2023Q2",
        "employer_token": TOKEN,
        "account_token": TOKEN,
        "report_version": "1",
        "wages": "9000.00",
        "adjustment": "false",
        "weeks_paid": "13",
        "hours": "520.5",
        "naics": "622110",
        "work_county_fips": "39061",
        "ownership": "5",
        "source": "UI",
        "received_date": "2023-08-15",
    },
    "participation": {
        "record_ref": REF,
        "program_type": "03",
        "provider_id": "RB-1",
        "entry_date": "2022-01-10",
        "exit_date": "2022-06-01",
        "exit_reason": "COMPLETED",
        "family_type": "a1i0p0s0t0",
    },
    "truth": {"record_ref": REF, "other_record_ref": OTHER, "same_person": "true"},
}


def table(kind: str, *changes: dict[str, str | None]) -> pa.Table:
    rows = [GOOD[kind] | change for change in changes or ({},)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})


def refusal(kind: str, given: pa.Table, reference: str = "record_ref") -> InputError:
    with pytest.raises(InputError) as caught:
        validate_facts(kind, given, submitted_on=TODAY, reference=reference)
    return caught.value


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_good_row_of_every_kind_is_typed_by_the_schema_and_validates_again_to_itself(kind: str) -> None:
    typed = validate_facts(kind, table(kind), submitted_on=TODAY)
    assert typed.schema == SCHEMAS[kind].arrow()
    assert validate_facts(kind, typed, submitted_on=TODAY).equals(typed)


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_table_without_rows_is_valid(kind: str) -> None:
    assert validate_facts(kind, table(kind).slice(0, 0), submitted_on=TODAY).num_rows == 0


def test_values_are_normalised() -> None:
    given = table("completion", {"race": " White | Asian ", "award_level": "1A", "sex": " Female "})
    row = validate_facts("completion", given, submitted_on=TODAY).to_pylist()[0]
    assert (row["race"], row["award_level"], row["sex"]) == ("Asian;White", "01", "Female")
    amount = validate_facts("wage", table("wage", {"wages": "9000"}), submitted_on=TODAY)["wages"][0].as_py()
    assert amount == Decimal("9000.00")


def test_typed_columns_of_parquet_are_taken_like_text() -> None:
    given = table("completion").set_column(2, "version", pa.array([1], pa.int64()))
    given = given.set_column(3, "is_deleted", pa.array([False]))
    given = given.set_column(6, "award_date", pa.array([datetime.date(2022, 5, 14)]))
    given = given.set_column(12, "race", pa.array([["White", "Asian"]]))
    expected = validate_facts("completion", table("completion"), submitted_on=TODAY)
    assert validate_facts("completion", given, submitted_on=TODAY).equals(expected)


def test_own_id_column_stands_for_the_reference_before_encoding() -> None:
    given = table("wage").rename_columns(["employee_ssn", *table("wage").column_names[1:]])
    given = given.set_column(0, "employee_ssn", pa.array(["123-45-6789"]))
    typed = validate_facts("wage", given, submitted_on=TODAY, reference="employee_ssn")
    assert typed.column_names[0] == "employee_ssn"
    assert refusal("wage", given).code == "PII_COLUMN"


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("last_name", "a name"),
        ("FirstName", "a name"),
        ("SSN", "social security"),
        ("birth_date", "date of birth"),
        ("dob", "date of birth"),
        ("street_address", "an address"),
        ("email", "e-mail"),
        ("home_phone", "telephone"),
        ("student_id", "personal id"),
        ("case_no", "personal id"),
        ("employer_name", "employer"),
        ("FEIN", "employer"),
        ("ui_account_number", "employer"),
        ("comments", "free text"),
    ],
)
def test_personal_column_refuses_the_file_and_is_named(column: str, words: str) -> None:
    error = refusal("completion", table("completion", {column: "Secretive"}))
    assert (error.code, error.column) == ("PII_COLUMN", column)
    assert words in error.detail
    assert "Secretive" not in str(error)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("completion_id", "123-45-6789"),
        ("completion_id", "123456789"),
        ("completion_id", "jane@example.org"),
        ("institution_id", "1999-04-30"),
        ("completion_id", "4/30/1999"),
        ("completion_id", "513-555-0100"),
        ("county_fips", "12-3456789"),
    ],
)
def test_personal_value_refuses_the_file_with_row_and_column_and_without_the_value(
    column: str, value: str
) -> None:
    error = refusal("completion", table("completion", {}, {"completion_id": "c-2", column: value}))
    assert (error.code, error.column, error.row) == ("PII_VALUE", column, 2)
    assert value not in str(error) + "".join(problem.detail for problem in error.problems)


def test_unknown_column_refuses_the_file() -> None:
    error = refusal("wage", table("wage", {"bonus": "1"}))
    assert (error.code, error.column) == ("UNKNOWN_COLUMN", "bonus")


def test_file_without_header_is_refused_without_repeating_its_first_person() -> None:
    given = pa.table({"Miller": pa.array(["Doe"]), "1999-01-02": pa.array(["x"])})
    error = refusal("wage", given)
    assert error.code == "NO_HEADER"
    assert "Miller" not in str(error)


def test_column_that_is_needed_and_absent_is_named() -> None:
    error = refusal("wage", table("wage").drop_columns(["quarter"]))
    assert (error.code, error.column) == ("MISSING_COLUMN", "quarter")


@pytest.mark.parametrize(
    ("kind", "change", "column", "code"),
    [
        ("wage", {"quarter": "2023Q5"}, "quarter", "BAD_VALUE"),
        ("wage", {"wages": "9,000"}, "wages", "BAD_VALUE"),
        ("wage", {"wages": "$9000"}, "wages", "BAD_VALUE"),
        ("wage", {"wages": "1e3"}, "wages", "BAD_VALUE"),
        ("wage", {"wages": "9000.001"}, "wages", "BAD_VALUE"),
        ("wage", {"wages": "٣٠٠"}, "wages", "BAD_VALUE"),
        ("wage", {"wages": None}, "wages", "MISSING_VALUE"),
        ("wage", {"wages": "-1"}, "wages", "NEGATIVE_WAGES"),
        ("wage", {"state_fips": "21"}, "work_county_fips", "COUNTY_NOT_IN_STATE"),
        ("wage", {"state_fips": "99"}, "state_fips", "BAD_VALUE"),
        ("wage", {"employer_token": "12-3456"}, "employer_token", "BAD_VALUE"),
        ("wage", {"account_token": "0012345"}, "account_token", "BAD_VALUE"),
        ("wage", {"weeks_paid": "15"}, "weeks_paid", "BAD_VALUE"),
        ("wage", {"naics": "6221"}, "naics", "BAD_VALUE"),
        ("wage", {"naics": "001234"}, "naics", "BAD_VALUE"),
        ("wage", {"ownership": "4"}, "ownership", "BAD_VALUE"),
        ("wage", {"source": "IRS"}, "source", "BAD_VALUE"),
        ("wage", {"quarter": "2027Q1"}, "quarter", "DATE_IN_FUTURE"),
        ("wage", {"received_date": "2026-11-23"}, "received_date", "DATE_IN_FUTURE"),
        ("wage", {"record_ref": REF.upper()}, "record_ref", "BAD_VALUE"),
        ("wage", {"report_version": "0"}, "report_version", "BAD_VALUE"),
        ("completion", {"award_date": "2022"}, "award_date", "BAD_VALUE"),
        ("completion", {"award_date": "2022-02-30"}, "award_date", "BAD_VALUE"),
        ("completion", {"award_date": "20220514"}, "award_date", "BAD_VALUE"),
        ("completion", {"award_date": "2026-11-23"}, "award_date", "DATE_IN_FUTURE"),
        ("completion", {"award_date": "2026-12"}, "award_date", "DATE_IN_FUTURE"),
        ("completion", {"award_level": None}, "award_level", "MISSING_VALUE"),
        ("completion", {"award_level": "09"}, "award_level", "BAD_VALUE"),
        ("completion", {"award_kind": "HSE", "hse_type": "GED"}, "award_level", "UNEXPECTED_VALUE"),
        ("completion", {"award_kind": "HSE", "award_level": None}, "hse_type", "MISSING_VALUE"),
        ("completion", {"award_kind": "INDUSTRY", "award_level": None}, "credential_type", "MISSING_VALUE"),
        ("completion", {"credential_type": "OccupationalLicense"}, "credential_type", "UNEXPECTED_VALUE"),
        ("completion", {"cip_code": "513801"}, "cip_code", "BAD_VALUE"),
        ("completion", {"cip_version": None}, "cip_version", "MISSING_VALUE"),
        ("completion", {"cip_version": "2000"}, "cip_version", "BAD_VALUE"),
        ("completion", {"institution_id": "2018850"}, "institution_id", "BAD_VALUE"),
        ("completion", {"county_fips": "39062"}, "county_fips", "BAD_VALUE"),
        ("completion", {"race": "White;Martian"}, "race", "BAD_VALUE"),
        ("completion", {"age_band": "19"}, "age_band", "BAD_VALUE"),
        ("completion", {"exclusion_reason": "DECEASED"}, "exclusion_date", "MISSING_VALUE"),
        ("completion", {"exclusion_date": "2023-01-01"}, "exclusion_reason", "MISSING_VALUE"),
        ("participation", {"exit_date": "2022-01-09"}, "exit_date", "EXIT_BEFORE_ENTRY"),
        ("participation", {"exit_date": None}, "exit_date", "MISSING_VALUE"),
        ("participation", {"program_type": "20"}, "program_type", "BAD_VALUE"),
        ("participation", {"family_type": "zwei"}, "family_type", "BAD_VALUE"),
        ("truth", {"other_record_ref": REF}, "other_record_ref", "PAIR_OF_ONE"),
        ("truth", {"same_person": "perhaps"}, "same_person", "BAD_VALUE"),
    ],
)
def test_bad_value_is_refused_by_row_and_column_without_the_value(
    kind: str, change: dict[str, str | None], column: str, code: str
) -> None:
    error = refusal(kind, table(kind, change))
    assert error.code == "INVALID_ROWS"
    assert (1, column, code) in [(p.row, p.column, p.code) for p in error.problems]
    said = str(error) + "".join(problem.detail for problem in error.problems)
    assert not any(
        value in said
        for value in change.values()
        if value and len(value) > 2 and value not in ("HSE", "INDUSTRY")
    )


def test_value_of_a_wrong_form_is_told_once_and_not_as_missing_too() -> None:
    error = refusal("completion", table("completion", {"award_level": "20"}))
    assert [(p.column, p.code) for p in error.problems] == [("award_level", "BAD_VALUE")]


def test_month_of_submission_is_not_in_the_future() -> None:
    assert validate_facts("completion", table("completion", {"award_date": "2026-11"}), submitted_on=TODAY)


def test_negative_wages_are_taken_as_an_adjustment() -> None:
    given = table("wage", {"wages": "-200", "adjustment": "true"})
    assert validate_facts("wage", given, submitted_on=TODAY)["wages"][0].as_py() == Decimal("-200.00")


def test_deletion_needs_its_key_alone() -> None:
    blank: dict[str, str | None] = dict.fromkeys(GOOD["completion"])
    given = table(
        "completion",
        blank | {"record_ref": REF, "completion_id": "c-1", "version": "2", "is_deleted": "true"},
    )
    assert validate_facts("completion", given, submitted_on=TODAY)["is_deleted"][0].as_py() is True


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_second_row_with_the_same_key_is_refused(kind: str) -> None:
    error = refusal(kind, table(kind, {}, {}))
    assert [(p.row, p.code) for p in error.problems] == [(2, "DUPLICATE_KEY")]


def test_problems_are_listed_up_to_a_limit_with_the_total_told() -> None:
    given = table("wage", *({"quarter": "2023Q9", "report_version": str(i + 1)} for i in range(250)))
    error = refusal("wage", given)
    assert len(error.problems) == MAX_PROBLEMS
    assert "250 problem(s)" in error.detail
    assert [p.row for p in error.problems] == list(range(1, MAX_PROBLEMS + 1))


def test_every_code_list_names_its_source_and_version_and_has_no_code_twice() -> None:
    for name in (
        "states",
        "counties",
        "award_levels",
        "pathways",
        "credential_types",
        "cip_families",
        "races",
    ):
        listed = code_list(name)
        assert listed.source
        assert listed.version
        assert len(set(listed.codes)) == len(listed.codes) > 4
    assert {"39061", "39017", "39165", "39025", "21037", "21117", "21015"} <= set(code_list("counties").codes)
