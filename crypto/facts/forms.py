"""Forms of single values: text in, typed Arrow values out, null where the text does not have the form.

Every form works on the *distinct* texts of a column, so that 1.4 million wage rows cost a few thousand
regular-expression matches for most columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from crypto.facts.codes import code_list

Parser = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class Form:
    """How one kind of value is written.

    Attributes
    ----------
    type : pa.DataType
        Type of the parsed value.
    parse : callable
        From distinct, trimmed texts to values of ``type``; null where a text is not of this form.
    rule : str
        What is expected, in words for the person who must mend the file; it never quotes a value.
    """

    type: pa.DataType
    parse: Parser
    rule: str


def _keep(texts: pa.Array, good: pa.Array) -> pa.Array:
    return pc.if_else(pc.fill_null(good, False), texts, pa.scalar(None, texts.type))


def _each(parse: Callable[[str], object], type_: pa.DataType) -> Parser:
    """Lift a parser of one text, which raises ValueError or KeyError, to an array."""

    def one(text: str) -> object:
        try:
            return parse(text)
        except (ValueError, KeyError):
            return None

    def run(texts: pa.Array) -> pa.Array:
        return pa.array([one(text) for text in texts.to_pylist()], type_)

    return run


def pattern(expression: str, rule: str) -> Form:
    """Text that matches ``expression`` (RE2) from end to end."""
    anchored = f"^(?:{expression})$"
    return Form(pa.string(), lambda texts: _keep(texts, pc.match_substring_regex(texts, anchored)), rule)


def codes(name: str) -> Form:
    """A code of the list ``name``."""

    def parse(texts: pa.Array) -> pa.Array:
        return _keep(texts, pc.is_in(texts, value_set=pa.array(code_list(name).codes)))

    return Form(pa.string(), parse, f"a code of the list '{name}'")


def _number(expression: str, type_: pa.DataType, low: int | None, high: int | None, rule: str) -> Form:
    def parse(texts: pa.Array) -> pa.Array:
        numbers = _keep(texts, pc.match_substring_regex(texts, f"^(?:{expression})$")).cast(type_)
        inside = pa.array([True] * len(numbers), pa.bool_())
        if low is not None:
            inside = pc.and_(inside, pc.greater_equal(numbers, pa.scalar(str(low)).cast(type_)))
        if high is not None:
            inside = pc.and_(inside, pc.less_equal(numbers, pa.scalar(str(high)).cast(type_)))
        return _keep(numbers, inside)

    return Form(type_, parse, rule)


def _day(text: str) -> date:
    if len(text) != 10 or not "1900" <= text[:4] <= "2199":
        raise ValueError
    return date.fromisoformat(text)


def _award_date(text: str) -> str:
    # Kept as written: filling a missing day in would claim a precision that the agency did not report.
    _day(text if len(text) == 10 else f"{text}-01" if len(text) == 7 else "")
    return text


_AWARD_LEVELS = {code: code for code in code_list("award_levels").codes} | dict.fromkeys(
    ("1A", "1B", "1a", "1b"), "01"
)
_YES_NO = {
    "true": True,
    "false": False,
    "1": True,
    "0": False,
    "yes": True,
    "no": False,
    "y": True,
    "n": False,
}
_HISPANIC = {"yes": "Yes", "true": "Yes", "no": "No", "false": "No", "notselected": "NotSelected"}
_RACES = code_list("races").codes


def _races(text: str) -> str:
    given = [part.strip() for part in text.replace("|", ";").split(";") if part.strip()]
    if not given or len(set(given)) != len(given) or not set(given) <= set(_RACES):
        raise ValueError
    return ";".join(race for race in _RACES if race in given)


DATE = Form(pa.date32(), _each(_day, pa.date32()), "a date YYYY-MM-DD")
AWARD_DATE = Form(
    pa.string(), _each(_award_date, pa.string()), "YYYY-MM-DD or YYYY-MM; a year alone is not enough"
)
BOOLEAN = Form(pa.bool_(), _each(lambda text: _YES_NO[text.lower()], pa.bool_()), "true or false")
AWARD_LEVEL = Form(
    pa.string(),
    _each(_AWARD_LEVELS.__getitem__, pa.string()),
    "an award level 01 to 08, 17, 18 or 19 (IPEDS 1A and 1B are read as 01)",
)
HISPANIC = Form(
    pa.string(), _each(lambda text: _HISPANIC[text.lower()], pa.string()), "Yes, No or NotSelected"
)
RACE = Form(
    pa.string(), _each(_races, pa.string()), "one or more codes of the list 'races', separated by semicolons"
)
COUNTY = codes("counties")
QUARTER = pattern(r"(?:19|20|21)[0-9]{2}Q[1-4]", "a quarter YYYYQ1 to YYYYQ4")
LOCAL_ID = pattern(
    r"[A-Za-z0-9_.:/-]{0,63}[0-9][A-Za-z0-9_.:/-]{0,63}",
    "an id of your own of letters, digits and _ . : / - with at least one digit, no blanks",
)
PROVIDER = pattern(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}", "a provider code of letters, digits and _ . : -")
INSTITUTION = pattern(
    r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}", "an institution code of letters, digits and _ . : -"
)
RECORD_REF = pattern(r"[0-9a-f]{32}", "32 lowercase hexadecimal digits")
# Before encoding, an agency's own id of any shape stands here; it never leaves the agency.
OWN_ID = pattern(r"(?s).{1,200}", "an id")
EMPLOYER_TOKEN = pattern(r"[0-9a-f]{64}", "64 lowercase hexadecimal digits (a keyed hash, never a FEIN)")
ACCOUNT_TOKEN = pattern(r"[0-9a-f]{16,64}", "16 to 64 lowercase hexadecimal digits (a keyed hash)")
CIP = pattern(r"[0-9]{2}\.[0-9]{4}", "a CIP code NN.NNNN")
CIP_VERSION = pattern("2010|2020", "2010 or 2020")
FAMILY_TYPE = pattern(r"a[0-9]i[0-9]p[0-9]s[0-9]t[0-9]", "a family type such as a1i0p0s0t0")
VERSION = _number(r"[0-9]{1,9}", pa.int32(), 1, None, "a whole number from 1")
WAGES = _number(
    r"-?[0-9]{1,10}(?:\.[0-9]{1,2})?",
    pa.decimal128(12, 2),
    None,
    None,
    "an amount such as 9000 or 9000.00, without thousands separators or currency",
)
WEEKS = _number(r"[0-9]{1,2}", pa.int8(), 0, 14, "a whole number from 0 to 14, or nothing")
HOURS = _number(
    r"[0-9]{1,4}(?:\.[0-9]{1,2})?", pa.decimal128(6, 2), 0, 2208, "hours in the quarter, or nothing"
)


def _naics(text: str) -> str:
    if len(text) != 6 or not text.isascii() or not text.isdigit() or text[:2] not in _SECTORS:
        raise ValueError
    return text


_SECTORS = frozenset(row["prefix"] for row in code_list("naics_sectors").rows)
NAICS = Form(pa.string(), _each(_naics, pa.string()), "six digits of a NAICS sector, 999999 if unclassified")
