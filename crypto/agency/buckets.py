"""Rows by random reference, in buckets that are small enough to be sorted one at a time.

While few, rows stay in memory; beyond a budget they go to one file per bucket under a private folder of the
package that is being made. References are spread evenly, so buckets are of nearly equal size, and the buckets
in their order, each sorted, are all rows in the order of their references.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

#: Open files at once; macOS allows 256 to a process.
MOST_BUCKETS: Final = 128
_ROWS: Final = 1 << 15  # that a bucket should hold
_BUDGET_BYTES: Final = 192 << 20  # kept in memory by all buckets together


class Buckets:
    """Collects rows, then gives them back by bucket.

    Parameters
    ----------
    folder : Path
        Made when it is first needed.
    rows : int
        Expected in all; a wrong guess costs memory or speed, never correctness.
    budget : int
        Bytes in memory.
    """

    def __init__(self, folder: Path, rows: int, budget: int = _BUDGET_BYTES) -> None:
        count = 1
        while count < MOST_BUCKETS and count * _ROWS < rows:
            count *= 2
        self.count = count
        self._shift = 16 - (count.bit_length() - 1)
        self._folder = folder
        self._budget = budget
        self._held: list[list[pa.Table]] = [[] for _ in range(count)]
        self._bytes = 0
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}

    def add(self, rows: pa.Table, refs: NDArray[np.bytes_]) -> None:
        """Add rows whose references are ``refs``, 16 bytes each."""
        top = refs.view(np.uint8).reshape(len(refs), 16)[:, :2].astype(np.uint16)
        place = ((top[:, 0] << 8) | top[:, 1]).astype(np.int64) >> self._shift
        order = np.argsort(place, kind="stable")
        rows = rows.take(pa.array(order))
        bounds = np.searchsorted(place[order], np.arange(self.count + 1))
        for bucket, (start, end) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
            if end > start:
                self._held[bucket].append(rows.slice(start, end - start))
        self._bytes += rows.nbytes
        if self._bytes > self._budget:
            self._spill()

    def _spill(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for bucket, parts in enumerate(self._held):
            if not parts:
                continue
            table = pa.concat_tables(parts).combine_chunks()
            if bucket not in self._writers:
                sink = self._path(bucket)
                self._writers[bucket] = pa.ipc.new_stream(sink, table.schema)
            self._writers[bucket].write_table(table)
            self._held[bucket] = []
        self._bytes = 0

    def _path(self, bucket: int) -> str:
        return str(self._folder / f"{bucket:03}.arrow")

    def close(self) -> None:
        """Close all files; without this Windows could not delete them."""
        for writer in self._writers.values():
            writer.close()

    def drain(self) -> Iterator[pa.Table]:
        """Rows of each bucket that has any, in order of buckets; what was given is let go."""
        self.close()
        for bucket in range(self.count):
            parts, self._held[bucket] = self._held[bucket], []
            if bucket in self._writers:
                path = Path(self._path(bucket))
                with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as reader:
                    parts.insert(0, reader.read_all())
                path.unlink()
            if parts:
                yield pa.concat_tables(parts)
