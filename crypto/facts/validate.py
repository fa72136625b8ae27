"""Validate one table of facts: columns, values, rows, keys; typed and normalised, or refused with reasons."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crypto.errors import InputError, RowProblem
from crypto.facts import forms
from crypto.facts.rules import RULES, Breach, mask
from crypto.facts.schemas import SCHEMAS, Field, Schema
from crypto.facts.screen import header_text, screen_columns, screen_values

#: Problems listed one by one; the total is in the error's detail.
MAX_PROBLEMS = 100

#: What a row that only deletes an earlier version need not carry.
_NOT_FOR_DELETION = frozenset({"award_kind", "award_date"})


@dataclasses.dataclass
class Problems:
    """What is wrong with a file of facts, gathered over its pieces: all are counted, the first are listed."""

    kind: str
    limit: int = MAX_PROBLEMS
    total: int = 0
    listed: list[RowProblem] = dataclasses.field(default_factory=list)

    def add(self, breaches: Sequence[Breach], first_row: int = 0) -> None:
        """Add the breaches of a piece that begins at ``first_row`` (from 0) of the file."""
        self.total += sum(int(np.count_nonzero(breach.rows)) for breach in breaches)
        for breach in breaches:
            self._list(first_row + np.flatnonzero(breach.rows)[: self.limit], breach)

    def add_rows(self, rows: NDArray[np.int64], column: str, code: str, detail: str) -> None:
        """Add rows of the file, from 0, of which one thing is wrong."""
        self.total += len(rows)
        breach = Breach(np.zeros(0, np.bool_), column, code, detail)
        self._list(np.sort(rows)[: self.limit], breach)

    def _list(self, rows: NDArray[np.int64], breach: Breach) -> None:
        self.listed += [RowProblem(int(row) + 1, breach.column, breach.code, breach.detail) for row in rows]
        self.listed.sort(key=lambda problem: (problem.row or 0, problem.column or ""))
        del self.listed[self.limit :]

    def raise_if_any(self) -> None:
        """Refuse the file.

        Raises
        ------
        InputError
            ``INVALID_ROWS``.
        """
        if not self.total:
            return
        first, listed = self.listed[0], len(self.listed)
        detail = f"{self.total} problem(s) in the '{self.kind}' facts, {listed} listed. First: {first.detail}"
        raise InputError("INVALID_ROWS", detail, row=first.row, column=first.column, problems=self.listed)


def validate_facts(
    kind: str,
    table: pa.Table,
    *,
    submitted_on: date,
    reference: str = "record_ref",
    limit: int = MAX_PROBLEMS,
) -> pa.Table:
    """Check every rule of the schema ``kind`` and return the table typed.

    Parameters
    ----------
    kind : {"completion", "wage", "participation", "truth"}
    table : pa.Table
        From CSV (all text) or Parquet (typed). Blank text counts as no value.
    submitted_on : date
        Nothing may be dated after it.
    reference : str
        The column that ties facts to encodings. At the agency, before encoding, it is the agency's own id
        column, taken as it is; ``record_ref`` must be 32 lowercase hexadecimal digits.
    limit : int
        Most problems that are listed one by one.

    Returns
    -------
    pa.Table
        ``SCHEMAS[kind].arrow(reference)``, rows in the order given. Validating it again changes nothing.

    Raises
    ------
    InputError
        ``UNKNOWN_KIND``, ``NO_HEADER``, ``PII_COLUMN``, ``PII_VALUE``, ``UNKNOWN_COLUMN``,
        ``DUPLICATE_COLUMN``, ``MISSING_COLUMN``, or ``INVALID_ROWS`` with at most ``limit`` problems
        by row and column. No message repeats a value.
    """
    problems = Problems(kind, limit)
    typed = check_rows(kind, table, problems, submitted_on=submitted_on, reference=reference)
    problems.add([duplicates(kind, typed, reference)])
    problems.raise_if_any()
    return typed


def check_rows(
    kind: str,
    table: pa.Table,
    problems: Problems,
    *,
    submitted_on: date,
    reference: str = "record_ref",
    first_row: int = 0,
) -> pa.Table:
    """Check and type one piece of a file, all but the uniqueness of keys (:func:`duplicates`).

    Parameters are those of :func:`validate_facts`; what is wrong with rows is added to ``problems``, and has
    no value in the table that is returned. ``first_row`` is the piece's first row in the file, from 0.

    Raises
    ------
    InputError
        As :func:`validate_facts` for what concerns columns as a whole.
    """
    schema = _schema(kind)
    _check_columns(schema, table.column_names, reference)
    dates = [field.name for field in schema.fields if field.form in (forms.DATE, forms.AWARD_DATE)]
    screen_values(table, exempt=[*dates, reference])

    breaches: list[Breach] = []
    reference_form = forms.RECORD_REF if reference == "record_ref" else forms.OWN_ID
    columns = {}
    for field in (Field(reference, reference_form, required=True), *schema.fields):
        columns[field.name] = _column(field, table, breaches)
    if kind == "completion":
        breaches = [_spare_deletions(breach, mask(columns["is_deleted"])) for breach in breaches]
    wrong = {breach.column: breach.rows for breach in breaches if breach.code == "BAD_VALUE"}
    breaches.extend(_spare_wrong(breach, wrong) for breach in RULES[kind](columns, submitted_on))
    problems.add(breaches, first_row)
    return pa.table(columns, schema=schema.arrow(reference))


def _schema(kind: str) -> Schema:
    schema = SCHEMAS.get(kind)
    if schema is None:
        raise InputError("UNKNOWN_KIND", f"Kinds of facts are {', '.join(SCHEMAS)}.")
    return schema


def _check_columns(schema: Schema, names: Sequence[str], reference: str) -> None:
    known = {reference, *schema.names}
    if not known & set(names):
        raise InputError("NO_HEADER", "None of the columns is known. Is the line with column names missing?")
    screen_columns(names, allowed=known)
    for position, name in enumerate(names, start=1):
        shown = header_text(name, position)
        if name not in known:
            detail = f"A '{schema.kind}' file has no such column; nothing beyond the schema is taken."
            raise InputError("UNKNOWN_COLUMN", detail, column=shown)
        if list(names).count(name) > 1:
            raise InputError("DUPLICATE_COLUMN", "The column occurs more than once.", column=shown)
    needed = [field.name for field in schema.fields if field.required and field.default is None]
    for name in (reference, *needed):
        if name not in names:
            raise InputError("MISSING_COLUMN", "The column is needed.", column=name)


def _texts(column: pa.ChunkedArray) -> pa.Array:
    """Any column as trimmed text, blank as null; typed values in their ISO form."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # an empty table has no chunk to combine
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        array = pc.binary_join(array.cast(pa.list_(pa.string())), ";")
    if pa.types.is_timestamp(array.type):
        # A date that some tool widened; a real time of day stays visible in the text and is then refused.
        days = array.cast(pa.timestamp("us"), safe=False).cast(pa.date32(), safe=False)
        whole = pc.equal(days.cast(array.type, safe=False), array)
        array = pc.if_else(whole, days.cast(pa.string()), array.cast(pa.string()))
    texts = pc.utf8_trim_whitespace(array.cast(pa.string()))
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _column(field: Field, table: pa.Table, breaches: list[Breach]) -> pa.Array:
    """Parse one column through its distinct texts; note rows without a needed value or with a bad one."""
    if field.name not in table.column_names:
        texts = pa.nulls(table.num_rows, pa.string())
    else:
        try:
            texts = _texts(table[field.name])
        except pa.ArrowException:
            raise InputError(
                "BAD_VALUE",
                f"Expected {field.form.rule}; the column's type cannot hold it.",
                column=field.name,
            ) from None
    if field.default is not None:
        texts = pc.fill_null(texts, field.default)
    encoded = texts.dictionary_encode()
    values = field.form.parse(encoded.dictionary).take(encoded.indices)
    wrong = mask(pc.and_(pc.is_valid(texts), pc.is_null(values)))
    breaches.append(Breach(wrong, field.name, "BAD_VALUE", f"Expected {field.form.rule}."))
    if field.required:
        breaches.append(Breach(mask(pc.is_null(texts)), field.name, "MISSING_VALUE", "A value is needed."))
    return values


def _spare_wrong(breach: Breach, wrong: Mapping[str, NDArray[np.bool_]]) -> Breach:
    """A value that is there and wrong was told once: it is not missing as well."""
    if breach.code != "MISSING_VALUE" or breach.column not in wrong:
        return breach
    return Breach(breach.rows & ~wrong[breach.column], breach.column, breach.code, breach.detail)


def _spare_deletions(breach: Breach, deleted: NDArray[np.bool_]) -> Breach:
    if breach.code != "MISSING_VALUE" or breach.column not in _NOT_FOR_DELETION:
        return breach
    return Breach(breach.rows & ~deleted, breach.column, breach.code, breach.detail)


def duplicates(kind: str, table: pa.Table, reference: str = "record_ref") -> Breach:
    """Rows of a checked table whose key was there before: which is right, only the agency can say."""
    names = [reference if name == "record_ref" else name for name in _schema(kind).key]
    key = np.zeros(table.num_rows, dtype=np.int64)
    for name in names:
        encoded = table[name].combine_chunks().dictionary_encode(null_encoding="encode")
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        # Renumbered after each column, so that the product of sizes never leaves 64 bits.
        _, key = np.unique(key * max(len(encoded.dictionary), 1) + codes, return_inverse=True)
    _, first = np.unique(key, return_index=True)
    again = np.ones(len(key), dtype=np.bool_)
    again[first] = False
    return Breach(again, names[0], "DUPLICATE_KEY", f"An earlier row has the same {', '.join(names)}.")
