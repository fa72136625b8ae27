"""Refuse what looks like personal data, by column name and by shape of value, without repeating any value.

This is a net under the closed schemas, not a substitute for them: it gives a person at the agency the real
reason ("this looks like a name") in place of "unknown column", and it looks into those few columns whose
values an agency makes up itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from crypto.errors import InputError, RowProblem

_WHOSE = "student|person|client|participant|employee|worker|parent|father|mother|case|pupil|learner"

#: What a column is about, by the letters of its name (lower case, nothing else). First match wins.
_COLUMN_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile("|".join(expressions)))
    for what, *expressions in (
        ("a social security or taxpayer number", "ssn", "socialsec", "^soc$", "itin$", "taxpayer", "^tin$"),
        (
            "an employer's name, number or account",
            "fein|^ein$|einnum|compan|business|tradename|dbaname|^acct",
            "employer(name|legal|number|id|acc|ein)",
            "(ui|emp|employer)?account(no|num|id|name|$)",
        ),
        (
            "a name",
            f"(first|last|middle|given|family|full|maiden|nick|sur|preferred|legal|{_WHOSE})s?name",
            "^f?name$|^[flm]name|surname|forename|middleinit",
            "^(first|last|middle|given|maiden|suffix|mi|initials?)$",
        ),
        ("a date of birth", "dob", "birth", "born", "^bday"),
        (
            "an address",
            "street|addr|^zip|zipcode|postal|postcode|apartment|^apt|^city$",
            "latitude|longitude|^lat$|^lon",
        ),
        ("an e-mail address", "e?mail"),
        ("a telephone number", "phone", "mobile", "cell(no|num)|^cell$", "^fax", "^tel$"),
        (
            "a personal id",
            f"({_WHOSE}|sis|medicaid|snap|state)(id|no|num|number|key)",
            "licen[cs]e(no|num)|passport|^id$|^guid$|^uuid$",
        ),
        ("free text", "comment|note|remark|descript|narrative|freetext|memo"),
    )
)

#: Shapes of values (RE2). A nine-digit number counts only in the ranges the SSA or IRS ever issued.
_SSN = r"\b(?:00[1-9]|0[1-9][0-9]|[1-57-9][0-9]{2}|6(?:[0-57-9][0-9]|6[0-57-9]))"
_VALUE_PATTERNS: tuple[tuple[str, str], ...] = (
    ("a social security number", _SSN + r"[- ][0-9]{2}[- ][0-9]{4}\b"),
    ("a social security number", f"^{_SSN}[0-9]{{6}}$"),
    ("an employer's tax number", r"^[0-9]{2}-[0-9]{7}$"),
    ("an e-mail address", r"[^\s@]+@[^\s@]+\.[A-Za-z]{2,}"),
    ("a telephone number", r"^(?:\+?1[-. ]?)?\(?[2-9][0-9]{2}\)?[-. ][0-9]{3}[-. ][0-9]{4}$"),
    ("a date of birth", r"\b(?:19|20)[0-9]{2}[-/](?:0?[1-9]|1[0-2])[-/](?:0?[1-9]|[12][0-9]|3[01])\b"),
    ("a date of birth", r"\b(?:0?[1-9]|1[0-2])[-/](?:0?[1-9]|[12][0-9]|3[01])[-/](?:19|20)[0-9]{2}\b"),
)

#: A header that may be repeated in a message: nobody's e-mail, number or sentence looks like this.
_SAFE_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9_ .-]{0,39}")


def header_text(name: str, position: int) -> str:
    """Name of a column as it may be shown: a file without header has its first person there."""
    safe = _SAFE_HEADER.fullmatch(name) and not re.search(r"[0-9]{3}", name)
    return name if safe else f"number {position}"


def looks_personal(name: str) -> str | None:
    """Say what a column called ``name`` seems to hold ("a name", "a date of birth", ...), or None."""
    letters = re.sub(r"[^a-z]", "", name.lower())
    return next((what for what, expression in _COLUMN_PATTERNS if expression.search(letters)), None)


def screen_columns(names: Iterable[str], *, allowed: Collection[str] = ()) -> None:
    """Refuse columns whose names say that they hold personal data.

    Parameters
    ----------
    names : iterable of str
    allowed : collection of str
        Names that the schema knows, or the agency's own id column, which encoding replaces.

    Raises
    ------
    InputError
        ``PII_COLUMN``; every such column is one problem.
    """
    problems = []
    for position, name in enumerate(names, start=1):
        if name in allowed or (what := looks_personal(name)) is None:
            continue
        detail = f"This column looks like {what}; facts carry none. Take it out of the file."
        problems.append(RowProblem(None, header_text(name, position), "PII_COLUMN", detail))
    if problems:
        first = problems[0]
        raise InputError("PII_COLUMN", first.detail, column=first.column, problems=problems)


def _distinct_texts(column: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return pa.array([], pa.string())
    return pc.utf8_trim_whitespace(pc.unique(column).drop_null().cast(pa.string()))


def _first_row(column: pa.ChunkedArray, expression: str) -> int:
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    hits = pc.fill_null(pc.match_substring_regex(texts, expression), False)
    return int(pc.index(hits, pa.scalar(True)).as_py()) + 1


def screen_values(table: pa.Table, *, exempt: Sequence[str] = ()) -> None:
    """Refuse values that are shaped like personal data.

    Parameters
    ----------
    table : pa.Table
        Only text columns are looked at.
    exempt : sequence of str
        Columns that are not looked at: those that rightly hold dates, and the agency's own id.

    Raises
    ------
    InputError
        ``PII_VALUE`` with column and first row; never the value.
    """
    problems = []
    for name in table.column_names:
        if name in exempt:
            continue
        texts = _distinct_texts(table[name])
        # None of the shapes is shorter than eight characters but an e-mail address.
        long = pc.or_(pc.greater_equal(pc.utf8_length(texts), 8), pc.match_substring(texts, "@"))
        texts = texts.filter(long)
        for what, expression in _VALUE_PATTERNS:
            if len(texts) and pc.any(pc.match_substring_regex(texts, expression)).as_py():
                row = _first_row(table[name], expression)
                detail = f"A value here is shaped like {what}. Facts carry no personal data."
                problems.append(RowProblem(row, name, "PII_VALUE", detail))
                break
    if problems:
        first = problems[0]
        raise InputError("PII_VALUE", first.detail, row=first.row, column=first.column, problems=problems)
