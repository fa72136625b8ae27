"""Rules that concern several columns of one row: each yields the rows that break it, the column, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Columns = Mapping[str, pa.Array]


@dataclass(frozen=True)
class Breach:
    """Rows that break one rule.

    Attributes
    ----------
    rows : ndarray of bool, shape (n_rows,)
    column, code, detail : str
    """

    rows: Mask
    column: str
    code: str
    detail: str


Rule = Callable[[Columns, date], Iterator[Breach]]


def mask(array: pa.Array) -> Mask:
    """Arrow booleans as NumPy, null as False."""
    filled: Mask = pc.fill_null(array, False).to_numpy(zero_copy_only=False).astype(np.bool_)
    return filled


def _given(columns: Columns, name: str) -> Mask:
    return mask(pc.is_valid(columns[name]))


def _is(columns: Columns, name: str, *values: str) -> Mask:
    return mask(pc.is_in(columns[name], value_set=pa.array(values)))


def _together(columns: Columns, one: str, other: str) -> Iterator[Breach]:
    lone_one, lone_other = _given(columns, one), _given(columns, other)
    yield Breach(lone_one & ~lone_other, other, "MISSING_VALUE", f"'{other}' goes with '{one}'.")
    yield Breach(lone_other & ~lone_one, one, "MISSING_VALUE", f"'{one}' goes with '{other}'.")


def _only_with(columns: Columns, column: str, belongs: Mask, words: str) -> Iterator[Breach]:
    given = _given(columns, column)
    yield Breach(
        belongs & ~given, column, "MISSING_VALUE", f"'{column}' is needed where award_kind is {words}."
    )
    yield Breach(given & ~belongs, column, "UNEXPECTED_VALUE", f"'{column}' is only for award_kind {words}.")


def _not_after(columns: Columns, column: str, day: date) -> Iterator[Breach]:
    late = mask(pc.greater(columns[column], pa.scalar(day, pa.date32())))
    yield Breach(late, column, "DATE_IN_FUTURE", "The date is after the day of submission.")


def _exclusion(columns: Columns, submitted_on: date) -> Iterator[Breach]:
    yield from _together(columns, "exclusion_reason", "exclusion_date")
    yield from _not_after(columns, "exclusion_date", submitted_on)


def completion(columns: Columns, submitted_on: date) -> Iterator[Breach]:
    """Award attributes if and only if of their kind; dates not in the future; ids with their system."""
    alive = ~mask(columns["is_deleted"])
    known = _given(columns, "award_kind")
    for column, kinds in (
        ("award_level", ("POSTSEC",)),
        ("credential_type", ("INDUSTRY", "APPRENTICESHIP")),
        ("hse_type", ("HSE",)),
    ):
        for breach in _only_with(columns, column, _is(columns, "award_kind", *kinds), " or ".join(kinds)):
            yield Breach(breach.rows & alive & known, breach.column, breach.code, breach.detail)
    dates = columns["award_date"]
    today = submitted_on.isoformat()
    # ISO dates order as text; a month is late only if it is after this one.
    late = np.where(
        mask(pc.equal(pc.utf8_length(dates), 7)),
        mask(pc.greater(dates, today[:7])),
        mask(pc.greater(dates, today)),
    )
    yield Breach(late, "award_date", "DATE_IN_FUTURE", "The award is after the day of submission.")
    yield from _together(columns, "cip_code", "cip_version")
    yield from _together(columns, "institution_id", "id_system")
    for system, digits in (("UNITID", 6), ("OPEID", 8)):
        well = mask(pc.match_substring_regex(columns["institution_id"], f"^[0-9]{{{digits}}}$"))
        wrong = _is(columns, "id_system", system) & _given(columns, "institution_id") & ~well
        yield Breach(wrong, "institution_id", "BAD_VALUE", f"A {system} has {digits} digits.")
    yield from _exclusion(columns, submitted_on)


def wage(columns: Columns, submitted_on: date) -> Iterator[Breach]:
    """County in its state, negative wages only as adjustments, nothing from the future."""
    county = columns["work_county_fips"]
    away = mask(pc.not_equal(pc.utf8_slice_codeunits(county, 0, 2), columns["state_fips"]))
    yield Breach(
        away, "work_county_fips", "COUNTY_NOT_IN_STATE", "The county is not in the state of 'state_fips'."
    )
    negative = mask(pc.less(columns["wages"], pa.scalar("0").cast(columns["wages"].type)))
    yield Breach(
        negative & ~mask(columns["adjustment"]),
        "wages",
        "NEGATIVE_WAGES",
        "Negative wages need adjustment = true.",
    )
    this_quarter = f"{submitted_on.year:04d}Q{(submitted_on.month + 2) // 3}"
    late = mask(pc.greater(columns["quarter"], this_quarter))
    yield Breach(late, "quarter", "DATE_IN_FUTURE", "The quarter begins after the day of submission.")
    yield from _not_after(columns, "received_date", submitted_on)


def participation(columns: Columns, submitted_on: date) -> Iterator[Breach]:
    """Exit not before entry, a reason only with an exit, nothing from the future."""
    early = mask(pc.less(columns["exit_date"], columns["entry_date"]))
    yield Breach(early, "exit_date", "EXIT_BEFORE_ENTRY", "The exit is before the entry.")
    lone = _given(columns, "exit_reason") & ~_given(columns, "exit_date")
    yield Breach(lone, "exit_date", "MISSING_VALUE", "'exit_date' goes with 'exit_reason'.")
    yield from _not_after(columns, "entry_date", submitted_on)
    yield from _not_after(columns, "exit_date", submitted_on)
    yield from _exclusion(columns, submitted_on)


def truth(columns: Columns, submitted_on: date) -> Iterator[Breach]:
    """A pair has two ends."""
    del submitted_on
    if "record_ref" in columns:
        same = mask(pc.equal(columns["record_ref"], columns["other_record_ref"]))
        yield Breach(same, "other_record_ref", "PAIR_OF_ONE", "A record is paired with itself.")


RULES: dict[str, Rule] = {
    "completion": completion,
    "wage": wage,
    "participation": participation,
    "truth": truth,
}
