"""The scan on tiles: that it loses no match, and that its machine code does what its twin does.

No test needs a processor with tiles. The NumPy twin of the scan runs everywhere, through the same sketches,
pieces and threads; the machine code is compiled on every x86-64, and run wherever the emulator is. More of
all with ``TILES=full`` (`make tiles`).
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from linkage.scan import dice_pairs, dice_pairs_twin, kernels, matrix, permission, stream
from linkage.scan import projection as projection_module
from linkage.scan.backends import BACKENDS
from linkage.scan.projection import (
    Projection,
    bits,
    certified_gain,
    choose_projection,
    directions,
    pack_columns,
    project,
    side_limits,
    sketch,
    sketch_twin,
    unit_projection,
)
from linkage.scan.shapes import OVERFLOW, Piece, Room, Side, Survivors
from linkage.scan.sketch import dice_limits, dice_side_limits, popcounts
from tests.linkage.emulator import machine
from tests.linkage.test_scan import WIDTHS, assert_same, filters, joined, related

AMX = BACKENDS["amx"]
#: The backend as a machine with tiles has it, but for the machine code.
TWIN = replace(
    AMX, name="twin", scan=matrix.scan_matrix_twin, needs=frozenset(), multiply=matrix.project_matrix_twin
)
THRESHOLDS = ("0.3", "0.7", "0.8", "0.85", "0.9", "1", "2/3")
FULL = os.environ.get("TILES") == "full"
some = settings(max_examples=60 if FULL else 6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
each_width = pytest.mark.parametrize("width", [512, 1024, 2048])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """On small matrices the threads of the linear algebra would wait for each other more than work."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def twin(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name under which `TWIN` can be asked for."""
    monkeypatch.setitem(BACKENDS, "twin", TWIN)
    monkeypatch.setattr(permission, "refusal", lambda: None)
    return "twin"


def projections(rng: np.random.Generator, a: Any, b: Any, t: Fraction) -> Iterator[Projection]:
    """Good ones, coarse ones, and such as fit the filters badly: none may lose a match."""
    width = 64 * a.shape[1]
    yield unit_projection(width)
    count = min(64, width)
    difference = bits(a[:20]).astype(np.float32) - bits(b[:20])
    for found in (
        directions(difference, count)[:64] if count == 64 else None,
        rng.integers(-127, 128, (64, width)).astype(np.int8),  # far from orthogonal
        np.ones((64, width), dtype=np.int8),  # 64 times the same direction
    ):
        if found is None or len(found) < 64:
            continue
        gain = certified_gain(found)
        middle = (bits(a).astype(np.float32) @ found.T).mean(axis=0).astype(np.int64)
        for step in (1, 17, 1000):  # most clipped; rounded; hardly anything left
            for slack in (1, 30):
                yield Projection(found, middle - 128 * step, step, gain, slack)


def passing(a: Any, b: Any, t: Fraction, projection: Projection) -> Any:
    """Which of all pairs pass, shape (n, m)."""
    x, y = sketch(a, projection), sketch(b, projection)
    limits = dice_side_limits(popcounts(a), t, 0), dice_side_limits(popcounts(b), t, 1)
    own = side_limits(x, limits[0], projection, left=True).astype(np.int64)
    other = side_limits(y, limits[1], projection, left=False).astype(np.int64)
    # Doubles, because their products are fast, and exact at this size.
    return x.numbers.astype(float) @ (255.0 - y.numbers).T <= own[:, None] + other


def nearby(rng: np.random.Generator, width: int, t: Fraction, toward: Any = None) -> tuple[Any, Any]:
    """Pairs (i, i) at or just inside the threshold, whose differing bits lie as one direction has them."""
    a = rng.random((24, width)) < rng.choice([0.05, 0.3, 0.6, 0.95], (24, 1))
    a[0], a[1] = False, True
    b = a.copy()
    for x, y in zip(a, b, strict=True):
        size = int(x.sum())
        kept = -(-t.numerator * size // (2 * t.denominator - t.numerator))  # 2 kept / (size + kept) >= t
        order = np.argsort(-toward, kind="stable") if toward is not None else rng.permutation(width)
        y[order[x[order]][: size - kept]] = False
    packed = (np.packbits(side, axis=1, bitorder="little").view("<u8").astype(np.uint64) for side in (a, b))
    return tuple(packed)  # type: ignore[return-value]


@some
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.sampled_from((64, 128, 192, 512, 1024)),
    threshold=st.sampled_from(THRESHOLDS),
)
def test_projection_any_filters_and_any_projection_let_every_match_pass(
    seed: int, width: int, threshold: str
) -> None:
    rng, t = np.random.default_rng(seed), Fraction(threshold)
    a, b = related(rng, 24, 40, width)
    matches = dice_pairs_twin(a, b, t)
    for projection in projections(rng, a, b, t):
        assert np.all(passing(a, b, t, projection)[matches.i, matches.j])


@each_width
@pytest.mark.parametrize("threshold", ["0.7", "0.85", "0.9"])
def test_projection_pairs_at_the_threshold_along_its_own_directions_pass(width: int, threshold: str) -> None:
    rng, t = np.random.default_rng(width), Fraction(threshold)
    others = filters(rng, 60, width)
    steep = directions(bits(others[:30]).astype(np.float32) - bits(others[30:]), 64)
    for toward in (None, steep[0].astype(int), -steep[0].astype(int), np.abs(steep.astype(int)).sum(axis=0)):
        a, b = nearby(rng, width, t, toward)
        matches = dice_pairs_twin(a, b, t)
        assert len(matches.i) >= 23
        lowest = (bits(a).astype(np.float32) @ steep.T).min(axis=0).astype(np.int64)
        for step in (1, 9, 200):
            projection = Projection(steep, lowest, step, certified_gain(steep), 20)
            assert np.all(passing(a, b, t, projection)[matches.i, matches.j])
        for projection in projections(rng, a, b, t):
            assert np.all(passing(a, b, t, projection)[matches.i, matches.j])


def test_projection_pair_that_needs_every_part_of_the_bound_passes_by_a_hair() -> None:
    # All differing bits lie in the one direction there is (64 times), the pair is exactly at t, one record is
    # rounded up and the other down, and the slack is S / E: every inequality of the proof is an equality.
    t, width = Fraction(3, 4), 512
    x = np.zeros((1, width), bool)
    x[0, :145] = True
    y = x.copy()
    y[0, 87:145] = False  # Dice 2 * 87 / (145 + 87)
    a, b = (np.packbits(side, axis=1, bitorder="little").view(np.uint64) for side in (x, y))
    assert len(dice_pairs_twin(a, b, t).i) == 1
    found = np.tile((x & ~y).astype(np.int8), (64, 1))
    tight = Projection(found, np.full(64, -3), 8, certified_gain(found), 10)
    assert 0 <= tight.gain - 64 * 58 <= 1
    seen = sketch(a, tight), sketch(b, tight)
    assert [(part.numbers[0, 0], part.remainder[0]) for part in seen] == [(8, 64 * 9), (0, 64 * 9)]
    assert passing(a, b, t, tight).all()
    assert not passing(a, b, t, tight._replace(gain=64 * 58 * 99 // 100)).any()
    assert not passing(a, b, t, tight._replace(slack=0)).any()  # as if nothing had been rounded
    assert all(passing(a, b, t, tight._replace(slack=m)).all() for m in (1, 3, 30, 1000))
    assert passing(a, b, t, tight._replace(step=1, slack=0)).all()


@some
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 80), width=st.sampled_from((64, 512)))
def test_certified_gain_any_matrix_is_no_less_than_its_largest_eigenvalue(
    seed: int, rows: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    amplitude = int(rng.choice([1, 5, 127]))
    found = rng.integers(-amplitude, amplitude + 1, (rows, width)).astype(np.int8)
    if rng.random() < 0.5:
        found[1:] = found[0]
    wide = found.astype(float)
    assert certified_gain(found) >= np.linalg.eigvalsh(wide @ wide.T)[-1] - 1e-6


def test_certified_gain_directions_that_were_found_is_tight() -> None:
    a, b = related(np.random.default_rng(2), 300, 300, 1024)
    found = directions(bits(a).astype(np.float32) - bits(b), 64)
    wide = found.astype(float)
    assert certified_gain(found) <= 1.1 * np.linalg.eigvalsh(wide @ wide.T)[-1]


@some
@given(seed=st.integers(0, 2**32 - 1), width=st.sampled_from((64, 512, 1024)))
def test_sketch_any_projection_equals_its_twin(seed: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = related(rng, 24, 40, width)
    for projection in projections(rng, a, b, Fraction(1, 2)):
        for ours, theirs in zip(sketch(a, projection), sketch_twin(a, projection), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@some
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 80),
    m=st.integers(0, 150),
    width=st.sampled_from(WIDTHS),
    threshold=st.sampled_from(THRESHOLDS),
)
def test_dice_pairs_on_twin_tiles_any_filters_equals_the_definition(
    seed: int, n: int, m: int, width: int, threshold: str
) -> None:
    a, b = related(np.random.default_rng(seed), n, m, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKENDS, "twin", TWIN)
        patch.setattr(permission, "refusal", lambda: None)
        found = joined(dice_pairs(a, b, Fraction(threshold), backend="twin"))
    assert_same(found, dice_pairs_twin(a, b, Fraction(threshold)))


@pytest.mark.parametrize("width", [4096, 4160])
def test_dice_pairs_on_twin_tiles_wide_filters_equals_the_definition(twin: str, width: int) -> None:
    a, b = related(np.random.default_rng(width), 12, 40, width)
    for threshold in ("0.6", "0.9"):
        assert_same(joined(dice_pairs(a, b, threshold, backend=twin)), dice_pairs_twin(a, b, threshold))


def test_dice_pairs_on_twin_tiles_overflowing_and_on_threads_equals_the_definition(
    twin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_CAPACITY", 300)
    a, b = related(np.random.default_rng(8), 190, 300, 256)
    wanted = dice_pairs_twin(a, b, "0.3")
    assert len(wanted.i) > 3000
    for threads in (1, 3):
        assert_same(joined(dice_pairs(a, b, "0.3", threads=threads, backend=twin)), wanted)


def test_dice_pairs_on_twin_tiles_identical_or_empty_filters_equals_the_definition(twin: str) -> None:
    same = np.tile(np.random.default_rng(1).integers(0, 2**63, (1, 16), dtype=np.uint64), (70, 1))
    nothing, full = np.zeros_like(same), np.full_like(same, 2**64 - 1)
    for a, b in ((same, same), (same, nothing), (nothing, nothing), (full, full), (full, same)):
        assert_same(joined(dice_pairs(a, b, "0.9", backend=twin)), dice_pairs_twin(a, b, "0.9"))


def test_choose_projection_little_room_takes_no_more_of_it_than_the_narrowest_sketch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b = related(np.random.default_rng(7), 60, 80, 1024)
    limits = [dice_side_limits(popcounts(side), Fraction(1, 20), k) for k, side in enumerate((a, b))]
    for room, wanted in ((2 << 30, 1024), (200 * (60 + 80), 192), (0, 64)):
        monkeypatch.setattr(projection_module, "_MOST_BYTES", room)
        chosen = choose_projection(a, b, limits[0], limits[1], AMX.cost, AMX.rows * AMX.columns)
        assert len(chosen.start) <= wanted
    assert len(chosen.start) == 64


def test_choose_projection_high_threshold_takes_fewer_directions_than_a_low_one() -> None:
    people = np.random.default_rng(5)
    groups = filters(people, 30, 1024)  # filters that differ in few directions, as people's do
    a = groups[people.integers(0, 30, 800)] ^ (groups[people.integers(0, 30, 800)] & np.uint64(0xFFFF))
    counts = []
    for threshold in ("0.05", "0.9"):
        limits = [dice_side_limits(popcounts(a), Fraction(threshold), extra) for extra in (0, 1)]
        chosen = choose_projection(a, a, limits[0], limits[1], AMX.cost, AMX.rows * AMX.columns)
        counts.append(len(chosen.start))
    assert counts[0] > counts[1]


def test_matrix_was_written_for_the_kernels_that_it_holds_code_of() -> None:
    digest = hashlib.sha256(Path(kernels.__file__).read_bytes()).hexdigest()[:16]
    assert digest == matrix.MADE_WITH, f"kernels.py has changed: write MADE_WITH = {digest!r} into matrix.py"


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scan, compiled for a processor that has tiles."""
    if platform.machine() != "x86_64":
        pytest.skip("tiles are instructions of x86-64")
    folder = tmp_path_factory.mktemp("tiles")
    machine.compile_scan(folder)
    return folder


def test_machine_code_for_a_processor_with_tiles_uses_all_eight_and_lets_go_of_them(code: Path) -> None:
    text = (code / "scan.s").read_text()

    def count(instruction: str) -> int:
        return len(re.findall(rf"^\s+{instruction}\s", text + "\n", re.MULTILINE))

    assert count("ldtilecfg") == 2  # the scan, and the projection
    assert count("tdpbuud") >= 8 and count("tdpbuud") % 4 == 0
    assert count("tileloadd") == count("tdpbuud")  # four loads for four products of 256 pairs each
    assert count("tilestored") == count("tilezero") == 8
    assert count("tilerelease") >= 3  # where either ends, and where there is no room
    assert set(re.findall(r"%tmm\d", text)) == {f"%tmm{n}" for n in range(8)}


@pytest.fixture(scope="module")
def program(code: Path) -> Path:
    """The same, linked into what the emulator boots."""
    why = machine.missing()
    if why:
        pytest.skip(f"no machine with tiles can be emulated: {why}")
    machine.link_program(code)
    return code


def sides(a: Any, b: Any, t: Fraction, projection: Projection) -> tuple[Side, Side, Any]:
    """What a scan reads."""
    limits = dice_side_limits(popcounts(a), t, 0), dice_side_limits(popcounts(b), t, 1)
    left = project(a, limits[0], projection, AMX.rows, None, left=True)
    right = project(b, limits[1], projection, AMX.columns, None, left=False)
    return Side(a, popcounts(a), *left), Side(b, popcounts(b), *right), dice_limits(64 * a.shape[1], t)


def cases_of(width: int) -> Iterator[machine.Case]:
    """Scans of some hundred filters: several sketches, thresholds, pieces, and too little room."""
    rng = np.random.default_rng(width)
    a, b = related(rng, 70, 150, width)
    for threshold in ("0.7", "0.85", "1") if FULL else ({512: "0.7", 1024: "0.85", 2048: "1"}[width],):
        t = Fraction(threshold)
        near_a, near_b = nearby(rng, width, t)
        left, right = np.concatenate([a, near_a]), np.concatenate([b, near_b])
        limits = [dice_side_limits(popcounts(side), t, extra) for extra, side in enumerate((left, right))]
        best = choose_projection(left, right, limits[0], limits[1], AMX.cost, AMX.rows * AMX.columns)
        found = directions(bits(left[:70]).astype(np.float32) - bits(right[:70]), 128)
        start = (bits(left).astype(np.float32) @ found.T).min(axis=0).astype(np.int64)
        coarse = Projection(found, start, 40, certified_gain(found), 10)
        for projection in (best, coarse, *([unit_projection(width)] if FULL or width == 512 else [])):
            both = sides(left, right, t, projection)
            panels = both[1].sketch.shape[0]
            yield machine.Case(*both, Piece(0, len(left), 0, panels), 20_000)
        yield machine.Case(*both, Piece(33, 50, 1, panels - 1), 20_000)
        yield machine.Case(*both, Piece(0, len(left), 0, panels), 3)


def twin_of(case: machine.Case) -> machine.Found:
    room = Room(*(np.zeros(case.capacity, np.int32) for _ in range(3)))
    waiting = Survivors(np.zeros(0, np.int32), np.zeros(0, np.int32))
    count = matrix.scan_matrix_twin(case.a, case.b, case.limits, case.piece, waiting, room)
    return machine.Found(count, *(column[: max(count, 0)] for column in room))


@each_width
def test_machine_code_on_an_emulated_machine_with_tiles_equals_its_twin_bit_for_bit(
    program: Path, width: int
) -> None:
    cases = list(cases_of(width))
    wanted = [twin_of(case) for case in cases]
    assert {found.count == OVERFLOW for found in wanted} == {True, False}
    for ours, theirs in zip(machine.run(program, cases), wanted, strict=True):
        assert ours.count == theirs.count
        for column, expected in zip(ours[1:], theirs[1:], strict=True):
            np.testing.assert_array_equal(column, expected)


def test_machine_code_of_the_projection_on_an_emulated_machine_equals_its_twin_bit_for_bit(
    program: Path,
) -> None:
    cases, wanted = [], []
    for width, n, count in ((64, 1, 64), (512, 70, 64), (1024, 33, 128), (2048, 32, 64)):
        rng = np.random.default_rng(width)
        matrix_ = rng.integers(-127, 128, (count, width)).astype(np.int8)
        matrix_[0], matrix_[1] = 127, -127
        words = filters(rng, n, width)
        words[0] = 2**64 - 1
        columns = pack_columns((127 - matrix_).view(np.uint8), AMX.columns)
        cases.append(machine.Projecting(words, columns))
        wanted.append(bits(words).astype(np.int64) @ matrix_.T.astype(np.int64))
        out = np.zeros((n, count), np.int32)
        matrix.project_matrix_twin(words, columns, out)
        np.testing.assert_array_equal(out, wanted[-1])
    for ours, theirs in zip(machine.run(program, cases), wanted, strict=True):
        np.testing.assert_array_equal(ours.i, theirs.ravel())
