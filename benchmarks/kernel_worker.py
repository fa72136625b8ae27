"""One contestant, in a process of its own, in either environment: it imports only what it is asked for.

Reads requests, one JSON document a line: {"contestant", "threshold", "threads"}; answers with the time of
the kernel alone, from filters in memory in the contestant's own form to all matching pairs, and the number
of pairs. The pairs go to a file, as ``i * m + j``, ascending.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

Pairs = tuple[Any, Any]


class Contestants:
    """Each method prepares its input outside the clock and returns what is to be timed."""

    def __init__(self, folder: Path) -> None:
        self.a, self.b = np.load(folder / "a.npy"), np.load(folder / "b.npy")
        self.ready: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.ready:
            self.ready[name] = make()
        return self.ready[name]

    def _ours(self, threshold: str, threads: int, backend: str) -> Callable[[], Pairs]:
        from linkage.scan import dice_pairs

        def warm() -> bool:
            return not list(dice_pairs(self.a[:2], self.b[:2] & np.uint64(0), "1", backend=backend))

        self.once(f"warm {backend}", warm)

        def scan() -> Pairs:
            blocks = list(dice_pairs(self.a, self.b, threshold, threads=threads, backend=backend))
            return np.concatenate([x.i for x in blocks]), np.concatenate([x.j for x in blocks])

        return scan

    def amx(self, threshold: str, threads: int) -> Callable[[], Pairs]:
        return self._ours(threshold, threads, "amx")

    def avx512(self, threshold: str, threads: int) -> Callable[[], Pairs]:
        return self._ours(threshold, threads, "avx512")

    def avx2(self, threshold: str, threads: int) -> Callable[[], Pairs]:
        return self._ours(threshold, threads, "avx2")

    def plain(self, threshold: str, threads: int) -> Callable[[], Pairs]:
        return self._ours(threshold, threads, "plain")

    def anonlink(self, threshold: str, threads: int) -> Callable[[], Pairs]:
        from anonlink.similarities import dice_coefficient_accelerated
        from bitarray import bitarray

        def bits(words: Any) -> list[Any]:
            rows = []
            for row in words:
                rows.append(bitarray())
                rows[-1].frombytes(row.tobytes())
            return rows

        datasets = self.once("bitarrays", lambda: (bits(self.a), bits(self.b)))

        def scan() -> Pairs:
            _, (left, right) = dice_coefficient_accelerated(datasets, float(threshold), k=None)
            return np.frombuffer(left, dtype=np.uint32), np.frombuffer(right, dtype=np.uint32)

        return scan

    def _matrix(self, threshold: str, distances: Callable[[int, int], Any], rows: int) -> Pairs:
        """Threshold blocks of a distance matrix, exactly: den * H <= (den - num) * (|a| + |b|)."""
        t = Fraction(threshold)
        a_size = np.bitwise_count(self.a).sum(axis=1, dtype=np.int64)
        b_size = np.bitwise_count(self.b).sum(axis=1, dtype=np.int64)
        top = np.array(
            [
                (t.denominator - t.numerator) * s // t.denominator
                for s in range(a_size.max() + b_size.max() + 1)
            ],
            dtype=np.int32,
        )
        top[0] = -1
        lefts, rights = [], []
        for start in range(0, len(self.a), rows):
            stop = min(start + rows, len(self.a))
            i, j = np.nonzero(distances(start, stop) <= top[a_size[start:stop, None] + b_size[None, :]])
            lefts.append(i + start)
            rights.append(j)
        return np.concatenate(lefts), np.concatenate(rights)

    def numpy(self, threshold: str, threads: int) -> Callable[[], Pairs]:
        def distances(start: int, stop: int) -> Any:
            return np.bitwise_count(self.a[start:stop, None, :] ^ self.b[None, :, :]).sum(
                axis=2, dtype=np.int32
            )

        return lambda: self._matrix(threshold, distances, 2)

    def numkong(self, threshold: str, threads: int) -> Callable[[], Pairs]:
        import numkong

        a = self.a.view(np.uint8)
        packed = self.once("numkong", lambda: numkong.hammings_pack(self.b.view(np.uint8), dtype="uint1"))

        def distances(start: int, stop: int) -> Any:
            return np.asarray(numkong.hammings_packed(a[start:stop], packed)).view(np.int32)

        return lambda: self._matrix(threshold, distances, 16)

    def faiss(self, threshold: str, threads: int) -> Callable[[], Pairs]:
        """A fixed radius is not Dice: search with the largest one that Dice allows, then test exactly."""
        import faiss

        faiss.omp_set_num_threads(threads)
        index = faiss.IndexBinaryFlat(self.b.shape[1] * 64)
        index.add(self.b.view(np.uint8))
        t = Fraction(threshold)
        a_size = np.bitwise_count(self.a).sum(axis=1, dtype=np.int64)
        b_size = np.bitwise_count(self.b).sum(axis=1, dtype=np.int64)

        def scan() -> Pairs:
            radius = int((1 - t) * int(a_size.max() + b_size.max())) + 1  # faiss: strictly below
            limits, distance, j = index.range_search(self.a.view(np.uint8), radius)
            i = np.repeat(np.arange(len(self.a)), np.diff(limits.astype(np.int64)))
            both = a_size[i] + b_size[j]
            keep = (t.denominator * distance.astype(np.int64) <= (t.denominator - t.numerator) * both) & (
                both > 0
            )
            return i[keep], j[keep]

        return scan


def main() -> None:
    folder = Path(sys.argv[1])
    contestants = Contestants(folder)
    for line in sys.stdin:
        request = json.loads(line)
        scan = getattr(contestants, request["contestant"])(request["threshold"], request["threads"])
        wall, processor = time.perf_counter(), time.process_time()
        i, j = scan()
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        keys = np.sort(i.astype(np.int64) * len(contestants.b) + j.astype(np.int64))
        np.save(folder / f"{request['contestant']}.npy", keys)
        print(json.dumps({"processor": processor, "wall": wall, "pairs": len(keys)}), flush=True)


if __name__ == "__main__":
    main()
