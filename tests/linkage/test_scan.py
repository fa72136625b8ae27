"""The exhaustive scan: every backend finds exactly the pairs of the definition, in order, in bounded room."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from linkage.errors import LinkageError
from linkage.scan import PairBlock, dice_pairs, dice_pairs_twin, stream
from linkage.scan.backends import BACKENDS, select, unavailable
from linkage.scan.compiled import compiled
from linkage.scan.sketch import choose_fold, dice_limits, dice_side_limits, fold, halves, pack, popcounts

HERE = [name for name, backend in BACKENDS.items() if unavailable(backend) is None]
FOLDING = [name for name in HERE if not BACKENDS[name].projects]
WIDTHS = (64, 128, 192, 512, 1024, 2048)
each_backend = pytest.mark.parametrize("backend", HERE)
thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def joined(blocks: Iterator[PairBlock]) -> PairBlock:
    parts = list(blocks)
    assert all(len(part.i) for part in parts)
    empty = PairBlock(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))
    return PairBlock(*(np.concatenate(columns) for columns in zip(*parts, empty, strict=True)))


def assert_same(found: PairBlock, wanted: PairBlock) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def filters(rng: np.random.Generator, n: int, width: int) -> Any:
    """Rows of all kinds: empty, full, sparse, dense, and repeated."""
    density = rng.choice([0.0, 0.02, 0.3, 0.5, 1.0], n, p=[0.1, 0.2, 0.5, 0.1, 0.1])
    bits = rng.random((n, width)) < density[:, None]
    return np.packbits(bits, axis=1).view(np.uint64).reshape(n, width // 64)


def related(rng: np.random.Generator, n: int, m: int, width: int) -> tuple[Any, Any]:
    """Two sides, of which some rows of the left resemble some of the right."""
    a, b = filters(rng, n, width), filters(rng, m, width)
    if n and m:
        for row in np.flatnonzero(rng.random(n) < 0.5):
            kept = np.packbits(rng.random(width) < rng.choice([1.0, 0.95, 0.8])).view(np.uint64)
            a[row] = b[rng.integers(m)] & kept
    return a, b


@pytest.mark.parametrize("backend", HERE)
@thorough
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 40),
    m=st.integers(0, 150),
    width=st.sampled_from(WIDTHS),
    threshold=st.sampled_from(["0.01", "0.3", "0.7", "0.8", "0.85", "0.9", "1", "2/3"]),
)
def test_dice_pairs_any_filters_equals_its_twin(
    backend: str, seed: int, n: int, m: int, width: int, threshold: str
) -> None:
    a, b = related(np.random.default_rng(seed), n, m, width)
    exact = Fraction(threshold)
    assert_same(joined(dice_pairs(a, b, exact, backend=backend)), dice_pairs_twin(a, b, exact))


@each_backend
@thorough
@given(seed=st.integers(0, 2**32 - 1), width=st.sampled_from(WIDTHS))
def test_dice_pairs_threshold_exactly_a_pairs_own_similarity_keeps_the_pair(
    backend: str, seed: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = related(rng, 12, 70, width)
    common = np.bitwise_count(a[:, None] & b[None]).sum(axis=2, dtype=np.int64)
    both = popcounts(a)[:, None].astype(int) + popcounts(b)[None, :]
    some = np.argwhere(common > 0)
    assume(len(some))
    i, j = some[rng.integers(len(some))]
    own = Fraction(2 * int(common[i, j]), int(both[i, j]))
    found = joined(dice_pairs(a, b, own, backend=backend))
    assert (i, j) in set(zip(found.i.tolist(), found.j.tolist(), strict=True))
    assert_same(found, dice_pairs_twin(a, b, own))
    if own < 1:  # a hair above: the pair is gone
        above = own + Fraction(1, 10**15)
        gone = joined(dice_pairs(a, b, above, backend=backend))
        assert (i, j) not in set(zip(gone.i.tolist(), gone.j.tolist(), strict=True))


@each_backend
def test_dice_pairs_empty_filters_never_match(backend: str) -> None:
    nothing, full = np.zeros((200, 16), np.uint64), np.full((3, 16), 2**64 - 1, np.uint64)
    assert not list(dice_pairs(nothing, nothing, "0.0001", backend=backend))
    assert not list(dice_pairs(nothing, full, "0.0001", backend=backend))
    assert len(joined(dice_pairs(full, full, 1, backend=backend)).i) == 9


@each_backend
@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_dice_pairs_without_records_finds_nothing(backend: str, shape: tuple[int, int]) -> None:
    n, m = shape
    assert not list(
        dice_pairs(np.ones((n, 16), np.uint64), np.ones((m, 16), np.uint64), 0.5, backend=backend)
    )


@each_backend
def test_dice_pairs_unaligned_strided_readonly_and_foreign_endian_views_give_the_same(backend: str) -> None:
    a, b = related(np.random.default_rng(3), 50, 90, 1024)
    wanted = dice_pairs_twin(a, b, "0.7")
    assert len(wanted.i)
    raw = b"x" + a.tobytes()
    unaligned = np.frombuffer(raw, np.uint64, offset=1).reshape(a.shape)
    strided = np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3]
    for left in (unaligned, strided, np.asfortranarray(a), a.astype(">u8")):
        assert_same(joined(dice_pairs(left, b, "0.7", backend=backend)), wanted)
        swapped = joined(dice_pairs(b, left, "0.7", backend=backend))
        assert sorted(zip(swapped.j, swapped.i, strict=True)) == list(zip(wanted.i, wanted.j, strict=True))


def test_dice_pairs_float_threshold_means_the_decimal_it_prints_as() -> None:
    # 18 common bits of 20 and 20: exactly .9. The nearest double lies above it and would drop the pair.
    a = np.array([[2**20 - 1]], np.uint64)
    b = np.array([[2**18 - 1 | 3 << 30]], np.uint64)
    assert len(joined(dice_pairs(a, b, 0.9)).i) == len(joined(dice_pairs(a, b, "0.9")).i) == 1
    assert not list(dice_pairs(a, b, "0.90000000000000002"))


@each_backend
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_dice_pairs_any_number_of_threads_gives_the_same_blocks(backend: str, threads: int) -> None:
    a, b = related(np.random.default_rng(5), 700, 300, 512)
    wanted = [block.i.tolist() for block in dice_pairs(a, b, "0.6", threads=1, backend=backend)]
    assert [x.i.tolist() for x in dice_pairs(a, b, "0.6", threads=threads, backend=backend)] == wanted
    assert len(wanted) > 1


@each_backend
def test_dice_pairs_all_filters_identical_streams_every_pair_in_bounded_blocks(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_CAPACITY", 257)
    same = np.tile(np.random.default_rng(1).integers(0, 2**63, (1, 16), dtype=np.uint64), (1000, 1))
    blocks = list(dice_pairs(same[:70], same, "0.9", backend=backend))
    assert max(len(block.i) for block in blocks) <= 257
    found = joined(iter(blocks))
    np.testing.assert_array_equal(found.i * 1000 + found.j, np.arange(70_000))


@each_backend
def test_dice_pairs_low_threshold_overflowing_in_places_equals_its_twin(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_CAPACITY", 300)
    a, b = related(np.random.default_rng(8), 90, 500, 256)
    wanted = dice_pairs_twin(a, b, "0.3")
    assert len(wanted.i) > 3000
    assert_same(joined(dice_pairs(a, b, "0.3", backend=backend)), wanted)


def test_dice_pairs_flood_at_full_size_hands_over_before_everything_is_found() -> None:
    same = np.full((3000, 16), 2**64 - 1, np.uint64)
    blocks = dice_pairs(same, same, 1)
    assert len(next(blocks).i) <= 1 << 18
    blocks.close()  # type: ignore[attr-defined]


@each_backend
def test_dice_pairs_filters_made_to_collide_in_every_fold_are_still_told_apart(backend: str) -> None:
    # Halves repeat, so that every even fold of the difference of two records cancels to nothing.
    half = np.random.default_rng(9).integers(0, 2**63, (300, 8), dtype=np.uint64)
    evil = np.concatenate([half, half], axis=1)
    assert not fold(halves(evil), 8).any()
    for threshold in ("0.6", "0.9"):
        assert_same(
            joined(dice_pairs(evil[:100], evil, threshold, backend=backend)),
            dice_pairs_twin(evil[:100], evil, threshold),
        )


@thorough
@given(seed=st.integers(0, 2**32 - 1), width=st.sampled_from(WIDTHS), depth=st.integers(1, 64))
def test_fold_any_depth_never_increases_a_distance_and_equals_pack(seed: int, width: int, depth: int) -> None:
    depth = min(depth, width // 32)
    rng = np.random.default_rng(seed)
    a, b = filters(rng, 9, width), filters(rng, 9, width)
    folded = np.bitwise_count(fold(halves(a), depth) ^ fold(halves(b), depth)).sum(axis=1)
    assert np.all(folded <= np.bitwise_count(a ^ b).sum(axis=1))
    packed = pack(a, depth, 4)
    assert packed.shape == (3, depth, 4)
    np.testing.assert_array_equal(packed.transpose(0, 2, 1).reshape(12, depth)[:9], fold(halves(a), depth))
    assert not packed[2, :, 1:].any()


@thorough
@given(
    threshold=st.fractions(Fraction(1, 1000), 1),
    x=st.integers(1, 2048),
    y=st.integers(1, 2048),
    c=st.integers(0),
)
def test_limits_any_sizes_say_what_the_definition_says(threshold: Fraction, x: int, y: int, c: int) -> None:
    c %= min(x, y) + 1
    distance, is_match = x + y - 2 * c, Fraction(2 * c, x + y) >= threshold
    assert (distance <= dice_limits(2048, threshold)[x + y]) == is_match
    sizes = np.array([x, y], np.int32)
    halves_of_limit = dice_side_limits(sizes, threshold, 0)[0] + dice_side_limits(sizes, threshold, 1)[1]
    assert not is_match or distance <= halves_of_limit


def test_choose_fold_high_threshold_takes_a_shorter_sketch_than_a_low_one() -> None:
    words = filters(np.random.default_rng(2), 2000, 1024)
    words = words[popcounts(words) > 100]
    depths = []
    for threshold in ("0.1", "0.9"):
        exact, sizes = Fraction(threshold), popcounts(words)
        limits = dice_side_limits(sizes, exact, 0), dice_side_limits(sizes, exact, 1)
        depths.append(choose_fold(words, words, *limits, BACKENDS["plain"].cost, 64))
    assert depths[0] == 32 > depths[1]


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan"), float("inf"), "half", "1/0", None])
def test_dice_pairs_threshold_out_of_range_is_refused_at_once(threshold: Any) -> None:
    words = np.ones((2, 16), np.uint64)
    with pytest.raises(LinkageError, match="THRESHOLD_OUT_OF_RANGE"):
        dice_pairs(words, words, threshold)


@pytest.mark.parametrize(
    ("left", "right", "code"),
    [
        (np.ones((2, 16), np.uint64), np.ones((2, 8), np.uint64), "FILTER_WIDTH"),
        (np.ones(16, np.uint64), np.ones((2, 16), np.uint64), "FILTER_SHAPE"),
        (np.ones((2, 16), np.int64), np.ones((2, 16), np.uint64), "FILTER_SHAPE"),
        (np.ones((2, 16)), np.ones((2, 16)), "FILTER_SHAPE"),
        (np.ones((2, 0), np.uint64), np.ones((2, 0), np.uint64), "FILTER_SHAPE"),
    ],
)
def test_dice_pairs_filters_of_the_wrong_shape_are_refused_at_once(left: Any, right: Any, code: str) -> None:
    with pytest.raises(LinkageError, match=code):
        dice_pairs(left, right, "0.8")


def test_dice_pairs_unknown_backend_is_refused_with_the_names_of_those_that_run() -> None:
    with pytest.raises(LinkageError, match=r"BACKEND_UNAVAILABLE.*plain"):
        select("quantum")


def test_dice_pairs_progress_counts_every_pair_once() -> None:
    a, b = related(np.random.default_rng(4), 500, 130, 512)
    seen: list[tuple[str, int, int]] = []
    list(dice_pairs(a, b, "0.8", progress=lambda *event: seen.append(event)))
    done = [count for stage, count, total in seen if stage == "scan" and total == 65_000]
    assert done == sorted(done) and done[0] == 0 and done[-1] == 65_000


def test_compiled_function_without_a_place_for_its_cache_still_runs() -> None:
    scope: dict[str, Any] = {}
    exec(
        "def double(x):\n    return 2 * x\n", scope
    )  # no source file, so Numba finds nowhere to keep the code
    assert compiled(scope["double"])(21) == 42


_ALONE = """
import sys
import numpy as np
from linkage.scan import dice_pairs, dice_pairs_twin
from linkage.scan.backends import select
rng = np.random.default_rng(6)
a = rng.integers(0, 2**63, (40, 8), dtype=np.uint64)
noise = rng.integers(0, 2**63, (40, 8), dtype=np.uint64)
b = np.concatenate([a[::-1] & noise | a[::-1] >> np.uint64(9), a[:9]])
stages = []
for threshold in ("0.4", "0.7", "1"):
    blocks = list(dice_pairs(a, b, threshold, progress=lambda *event: stages.append(event[:2])))
    wanted = dice_pairs_twin(a, b, threshold)
    assert [x for block in blocks for x in block.i] == wanted.i.tolist()
    assert [x for block in blocks for x in block.j] == wanted.j.tolist()
    assert [x for block in blocks for x in block.bits] == wanted.bits.tolist()
print(select("auto").name, stages.count(("compile", 0)), stages.count(("compile", 1)))
if len(sys.argv) > 1:
    from linkage.scan.kernels import scan_wide
    text = next(iter(scan_wide.inspect_asm().values()))
    print(sum("vpopcntd" in line and "zmm" in line for line in text.splitlines()))
"""


def alone(*arguments: str, **environment: str) -> list[str]:
    """Run the script in an interpreter of its own."""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, *arguments],
        env={**os.environ, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_dice_pairs_without_the_compiler_runs_interpreted_and_says_the_same() -> None:
    assert alone(NUMBA_DISABLE_JIT="1") == ["plain", "0", "0"]


def test_dice_pairs_on_an_older_processor_takes_the_backend_that_it_can_run() -> None:
    if "avx2" not in HERE:
        pytest.skip("this processor has no AVX2")
    older = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+popcnt,+sse4.2,+ssse3"}
    assert alone(**older)[0] == "avx2"


def test_dice_pairs_first_use_announces_compilation_and_fills_the_cache_directory(tmp_path: Path) -> None:
    wide = "avx512" in HERE
    backend, started, finished, *instructions = alone(
        *(["asm"] if wide else []), NUMBA_CACHE_DIR=str(tmp_path)
    )
    assert backend == FOLDING[0] and (started, finished) == ("1", "1")
    assert list(tmp_path.rglob("*.nbc"))
    if wide:  # the full-width instruction, once for every running count of the tile
        assert int(instructions[0]) >= 24
