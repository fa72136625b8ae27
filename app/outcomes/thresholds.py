"""Tables that somebody else decides: self-sufficiency thresholds, loaded by the user, and minimum wages.

No thresholds are shipped: their sources have licences of their own. The demo loads an invented table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache

import pyarrow as pa

from app.outcomes.errors import OutcomesError
from crypto.canonical import digest_of
from crypto.errors import InputError, RowProblem
from crypto.facts import code_list

#: Wage records hold one person's earnings; so the household is one adult, unless a program reported another.
DEFAULT_FAMILY = "a1i0p0s0t0"
COLUMNS = ("source", "version", "county_fips", "family_type", "year", "annual_amount", "licence_note")

_SCHEMA = pa.schema(
    [
        ("county_fips", pa.string()),
        ("family_type", pa.string()),
        ("year", pa.int32()),
        ("annual_amount", pa.decimal128(12, 2)),
    ]
)
_FAMILY = re.compile(r"a[0-9]i[0-9]p[0-9]s[0-9]t[0-9]", re.ASCII)
_AMOUNT = re.compile(r"[0-9]{1,8}(?:\.[0-9]{1,2})?", re.ASCII)
_YEAR = re.compile(r"(?:19|20|21)[0-9]{2}", re.ASCII)
_MAX_PROBLEMS = 100


@dataclass(frozen=True)
class Thresholds:
    """Yearly amounts in dollars by county, family type and year, without gaps.

    Attributes
    ----------
    source, version, licence_note : str
    table : pa.Table
        ``county_fips, family_type, year, annual_amount``.
    years : range
        First to last year; every county and family type has all of them, every county one adult alone.
    """

    source: str
    version: str
    licence_note: str
    table: pa.Table
    years: range

    @classmethod
    def empty(cls) -> Thresholds:
        """No thresholds: for measures that need none."""
        return cls("", "", "", _SCHEMA.empty_table(), range(0))

    @property
    def counties(self) -> tuple[str, ...]:
        """Counties that the table covers, ascending."""
        return tuple(sorted(set(self.table["county_fips"].to_pylist())))

    @property
    def digest(self) -> str:
        """SHA-256 of the content, so that a figure says exactly which amounts it used."""
        rows = sorted(
            [row["county_fips"], row["family_type"], row["year"], str(row["annual_amount"])]
            for row in self.table.to_pylist()
        )
        return digest_of({"source": self.source, "version": self.version, "rows": rows})

    def require_years(self, years: Iterable[int]) -> None:
        """Refuse a cohort whose earnings fall in years without thresholds (``THRESHOLD_GAP``)."""
        missing = [year for year in years if year not in self.years]
        if missing:
            raise OutcomesError(
                "THRESHOLD_GAP",
                f"The threshold table has no amounts for {missing[0]}, a year of the cohort.",
            )


def parse_thresholds(rows: Sequence[dict[str, str]]) -> Thresholds:
    """Read a table of texts with the columns ``COLUMNS``: one source and version, no gaps.

    Raises
    ------
    InputError
        ``MISSING_COLUMN``, ``UNKNOWN_COLUMN``, ``EMPTY_TABLE``, ``INVALID_ROWS`` (by row and column, no
        values) or ``THRESHOLD_GAP``: a county or family type lacks a year, or a county one adult alone.
    """
    if not rows:
        raise InputError("EMPTY_TABLE", "The table of thresholds has no rows.")
    for name in COLUMNS:
        if name not in rows[0]:
            raise InputError("MISSING_COLUMN", "The column is needed.", column=name)
    if set(rows[0]) - set(COLUMNS):
        raise InputError("UNKNOWN_COLUMN", f"The columns are {', '.join(COLUMNS)}.")
    problems = [problem for number, row in enumerate(rows, start=1) for problem in _problems(number, row)]
    heads = {(row["source"], row["version"], row["licence_note"]) for row in rows}
    if len(heads) > 1:
        detail = "A table has one source, one version and one licence note."
        problems.append(RowProblem(1, "source", "BAD_VALUE", detail))
    keys: dict[tuple[str, str, str], int] = {}
    for number, row in enumerate(rows, start=1):
        key = (row["county_fips"], row["family_type"], row["year"])
        if keys.setdefault(key, number) != number:
            detail = "An earlier row has the same county, family type and year."
            problems.append(RowProblem(number, "county_fips", "DUPLICATE_KEY", detail))
    if problems:
        first = problems[0]
        detail = f"{len(problems)} problem(s) in the thresholds. First: {first.detail}"
        raise InputError(
            "INVALID_ROWS", detail, row=first.row, column=first.column, problems=problems[:_MAX_PROBLEMS]
        )
    years = [int(row["year"]) for row in rows]
    span = range(min(years), max(years) + 1)
    _refuse_gaps(keys, span)
    table = pa.Table.from_pylist(
        [
            {
                "county_fips": row["county_fips"],
                "family_type": row["family_type"],
                "year": int(row["year"]),
                "annual_amount": Decimal(row["annual_amount"]).quantize(Decimal("0.01")),
            }
            for row in rows
        ],
        schema=_SCHEMA,
    )
    ((source, version, note),) = heads
    return Thresholds(source, version, note, table, span)


def _problems(number: int, row: dict[str, str]) -> list[RowProblem]:
    counties = _counties()
    checks = (
        ("source", bool(row["source"].strip()), "A source is needed."),
        ("version", bool(row["version"].strip()), "A version is needed."),
        ("county_fips", row["county_fips"] in counties, "Expected a county code of five digits."),
        ("family_type", bool(_FAMILY.fullmatch(row["family_type"])), f"Expected the form {DEFAULT_FAMILY}."),
        ("year", bool(_YEAR.fullmatch(row["year"])), "Expected a year."),
        ("annual_amount", _positive(row["annual_amount"]), "Expected dollars a year such as 30000, above 0."),
        ("licence_note", bool(row["licence_note"].strip()), "Say under which licence the table is used."),
    )
    return [RowProblem(number, column, "BAD_VALUE", detail) for column, good, detail in checks if not good]


def _positive(text: str) -> bool:
    try:
        return bool(_AMOUNT.fullmatch(text)) and Decimal(text) > 0
    except InvalidOperation:
        return False


@cache
def _counties() -> frozenset[str]:
    return frozenset(code_list("counties").codes)


def _refuse_gaps(keys: dict[tuple[str, str, str], int], span: range) -> None:
    for county, family, _ in keys:
        for year in span:
            if (county, family, str(year)) not in keys:
                number = keys[next(key for key in keys if key[:2] == (county, family))]
                detail = f"This row's county and family type have no amount for {year}."
                raise InputError("THRESHOLD_GAP", detail, row=number, column="year")
        if (county, DEFAULT_FAMILY, str(span[0])) not in keys:
            number = next(at for key, at in keys.items() if key[0] == county)
            detail = f"This row's county has no amounts for one adult alone ({DEFAULT_FAMILY})."
            raise InputError("THRESHOLD_GAP", detail, row=number, column="family_type")


@cache
def minimum_wages() -> pa.Table:
    """Hourly minimum wages in dollars by state (``00``: federal) and year, as on the first of January."""
    rows = [
        {"state_fips": row["state_fips"], "year": int(row["year"]), "hourly": Decimal(row["hourly"])}
        for row in code_list("minimum_wages").rows
    ]
    kinds = [("state_fips", pa.string()), ("year", pa.int32()), ("hourly", pa.decimal128(6, 2))]
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def require_minimum_wages(states: Sequence[str], years: Iterable[int]) -> None:
    """Refuse where a state whose records are used, or the federal level, has no minimum wage on file."""
    known = {(row["state_fips"], row["year"]) for row in minimum_wages().to_pylist()}
    for year in years:
        if any((state, year) not in known for state in ("00", *states)):
            raise OutcomesError(
                "MINIMUM_WAGE_MISSING", f"The list of minimum wages lacks {year} for a state of the records."
            )
