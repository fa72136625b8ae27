"""A file of facts, larger than memory perhaps → facts under record references, in their order.

Rows are checked a piece at a time and put into buckets by reference, as persons are. What only the whole file
can tell (keys that repeat, facts about nobody) is told a bucket at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crypto.agency.buckets import Buckets
from crypto.agency.people import PIECE, People, References, Refs, hexadecimal
from crypto.agency.progress import Progress, silent
from crypto.errors import InputError
from crypto.facts import SCHEMAS, Problems, check_rows, duplicates
from crypto.tabular import estimate_rows, stream_table
from crypto.wire import FACT_KINDS, FactsWriter

#: Kept in memory by the buckets of one file of facts.
_BUDGET_BYTES: Final = 96 << 20
_ROW: Final = " row"  # no column of a schema is called that


class Facts:
    """One file of facts on its way into a package.

    Parameters
    ----------
    kind, path
    id_column : str
        The agency's own id, as in the file of persons.
    references : References
        Of the package.
    folder : Path
        For the rows that do not fit into memory.

    Raises
    ------
    InputError
        ``FACTS_KIND_UNKNOWN``.
    """

    def __init__(self, kind: str, path: Path, id_column: str, references: References, folder: Path) -> None:
        if kind not in FACT_KINDS:
            raise InputError("FACTS_KIND_UNKNOWN", f"kinds of facts are {', '.join(FACT_KINDS)}")
        self.kind, self._path, self._id_column, self._references = kind, path, id_column, references
        self.rows = 0
        self._spoken: list[Refs] = []
        total = estimate_rows(path)
        self._total = total
        self._buckets = Buckets(folder / f"facts-{kind}", total, _BUDGET_BYTES)
        # A key without the person may repeat on another person, in another bucket.
        self._keys = None
        if "record_ref" not in SCHEMAS[kind].key:
            self._keys = Buckets(folder / f"keys-{kind}", total, _BUDGET_BYTES)

    def read(
        self,
        submitted_on: date,
        *,
        delimiter: str = ",",
        encoding: str = "utf-8",
        progress: Progress = silent,
    ) -> None:
        """Read and check the whole file.

        Raises
        ------
        InputError
            The codes of ``tabular.stream_table`` and ``facts.validate_facts``.
        """
        problems = Problems(self.kind)
        for piece in stream_table(self._path, delimiter=delimiter, encoding=encoding, rows=PIECE):
            progress(f"check {self.kind}", self.rows, max(self._total, self.rows + piece.num_rows))
            typed = check_rows(
                self.kind,
                piece,
                problems,
                submitted_on=submitted_on,
                reference=self._id_column,
                first_row=self.rows,
            )
            if typed.num_rows and not problems.total:
                self._keep(typed)
            self.rows += piece.num_rows
        problems.raise_if_any()
        if self._keys is not None:
            for keys in self._keys.drain():
                self._find_duplicates(keys, problems)
            problems.raise_if_any()

    def _keep(self, typed: pa.Table) -> None:
        typed = typed.append_column(_ROW, pa.array(np.arange(self.rows, self.rows + typed.num_rows)))
        ids = pc.utf8_trim_whitespace(typed[self._id_column].cast(pa.string())).combine_chunks()
        if isinstance(ids, pa.ChunkedArray):
            ids = pa.concat_arrays(ids.chunks)
        encoded = ids.dictionary_encode()
        distinct = self._references.of(encoded.dictionary)
        self._spoken.append(distinct)
        refs = distinct[encoded.indices.to_numpy(zero_copy_only=False)]
        self._buckets.add(typed.append_column(" ref", pa.array(refs.tolist(), pa.binary())), refs)
        if self._keys is not None:
            columns = list(SCHEMAS[self.kind].key)
            self._keys.add(typed.select([*columns, _ROW]), _spread(typed, columns))

    def spoken(self) -> Refs:
        """References of whom the file speaks, ascending, once it was read; 16 bytes each."""
        self._spoken = [np.unique(np.concatenate([*self._spoken, np.zeros(0, "S16")]))]
        return self._spoken[0]

    def write(self, target: Path, people: People, progress: Progress = silent) -> None:
        """Write the facts under references, by references, once all persons are known.

        Raises
        ------
        InputError
            ``FACT_ID_UNKNOWN`` for facts about persons who are not in the file of persons; ``INVALID_ROWS``
            for keys that repeat.
        """
        unknown, repeated, done = Problems(self.kind), Problems(self.kind), 0
        with FactsWriter(target, SCHEMAS[self.kind].arrow("record_ref")) as writer:
            for rows in self._sorted():
                progress(f"write {self.kind}", done, self.rows)
                done += rows.num_rows
                refs: Refs = np.array(rows[" ref"].to_pylist(), "S16")
                number = rows[_ROW].to_numpy()
                strange = ~people.knows(refs)
                detail = f"a row of the {self.kind} facts has an id that is not among the persons"
                unknown.add_rows(number[strange], self._id_column, "FACT_ID_UNKNOWN", detail)
                if self._keys is None:
                    self._find_duplicates(rows, repeated)
                place = rows.column_names.index(self._id_column)
                field = pa.field("record_ref", pa.string(), nullable=False)
                rows = rows.set_column(place, field, hexadecimal(refs)).drop_columns([" ref", _ROW])
                writer.write(rows)
        progress(f"write {self.kind}", done, self.rows)
        if unknown.total:
            first = unknown.listed[0]
            raise InputError(
                "FACT_ID_UNKNOWN",
                f"{first.detail}; {unknown.total} rows",
                row=first.row,
                column=first.column,
                problems=unknown.listed,
            )
        repeated.raise_if_any()

    def _sorted(self) -> Iterator[pa.Table]:
        for rows in self._buckets.drain():
            yield rows.sort_by([(" ref", "ascending"), (_ROW, "ascending")])

    def _find_duplicates(self, rows: pa.Table, problems: Problems) -> None:
        again = duplicates(self.kind, rows.sort_by(_ROW), self._id_column)
        number = np.sort(rows[_ROW].to_numpy())
        problems.add_rows(number[again.rows], again.column, again.code, again.detail)


def _spread(table: pa.Table, columns: list[str]) -> NDArray[np.bytes_]:
    """16 bytes for each row, equal for equal values of the columns."""
    texts = [table[name].cast(pa.string()).fill_null("").to_pylist() for name in columns]
    hashed = [
        hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()
        for parts in zip(*texts, strict=True)
    ]
    return np.frombuffer(b"".join(hashed), "S16")
