"""Sketches for processors that multiply matrices: projections whose scalar product bounds the distance.

Filters differ in few directions: in those in which names, dates and places differ. A filter's bits, seen as a
vector x, are projected onto the d directions that tell a sample of pairs apart best, and the projections are
rounded to one byte each. A pair whose sketches are too far apart is no match; the scalar product of the
sketches tells, and that is what tiles of 64-byte rows compute 256 of at a time (`linkage.scan.matrix`).

*Why no match is ever rejected.* Everything below is in whole numbers, so nothing is rounded unnoticed.

1. A is a d x W matrix of whole numbers from -127 to 127, and ``gain`` at least the largest eigenvalue of
   G = A A', so that |A v|^2 <= gain |v|^2 for every v. It is certified, not assumed, whatever directions were
   found: with c the largest number on G's diagonal and E = G - c I, the eigenvalue is at most c + |E|, and
   |E|^2 = |E E| is at most the largest sum of absolute values in a row of E E (as it is of any matrix).
2. Filters x and y differ in H bits, so |x - y|^2 = H and |A x - A y| <= sqrt(gain H). A match has
   H <= L(x) + L(y), both sides' limits (`linkage.scan.sketch`, *Splitting the limit*).
3. A x is sketched as bytes q(x) with ``A x = start + step q(x) + r(x)``: the remainder r(x), clipping
   included, is known to the last unit, and e(x) = |r(x)|. By the triangle inequality a match has
   step |q(x) - q(y)| <= S + E with S = sqrt(gain (L(x) + L(y))) and E = e(x) + e(y).
4. For every m > 0, (S + E)^2 <= (1 + 1/m) S^2 + (1 + m) E^2, and E^2 <= 2 e(x)^2 + 2 e(y)^2: the right side
   is a sum of one number of x and one of y, and stays so when each is rounded up. The ``slack`` m only
   decides how much is let through; 0 says that nothing was rounded, and then S^2 alone bounds.
5. With step^2 |q(x) - q(y)|^2 = step^2 (|q(x)|^2 + |q(y)|^2 - 2 q(x) q(y)), a match has
   q(x) q(y) >= T(x) + T(y), T(x) = floor of (step^2 |q(x)|^2 - bound(x)) / (2 step^2), where bound(x) is x's
   part of 4: rounding T down only lets more through.
6. The right side's sketch holds 255 - q(y), so that the product grows with the distance, as it does for other
   sketches: q(x) (255 - q(y)) <= (255 sum q(x) - T(x)) + (-T(y)), which are the limits of the two sides.

Products stay below 2^28, since 255^2 times 4096 numbers do; T is held above -2^28, where it rejects nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linkage.scan.compiled import compiled
from linkage.scan.shapes import Ints, Words
from linkage.scan.sketch import NEVER, Cost, padded, sample_pairs

#: Writes the projections of some filters.
Multiply = Callable[[Words, NDArray[np.uint32], Ints], None]

Bytes = NDArray[np.uint8]
Whole = NDArray[np.int64]

_LARGEST = 127
_TOP = 255
#: Numbers of a sketch: whole rows of a tile. More than the last would let products grow beyond `_NOTHING`.
_DIRECTIONS = (64, 128, 192, 256, 384)
_MOST_NUMBERS = 4096
_NOTHING = -(1 << 28)
#: That the sketches of both sides take at most, unless even the narrowest take more.
_MOST_BYTES = 2 << 30
_FEWEST_PAIRS, _MOST_PAIRS, _TRAINING_PAIRS = 512, 8192, 2048
_FAR = 1 << 40  # a remainder that bounds nothing any more
_PARTS = 2048  # records that are projected in one go
_EXACT = 1 << 22  # numbers of this size, multiplied and summed over 512, are exact in a double


class Projection(NamedTuple):
    """How filters become sketches.

    Attributes
    ----------
    matrix : int8, shape (d, W), or None
        A; None stands for the unit matrix: the bits themselves.
    start : int64, shape (d,)
    step, gain, slack : int
        As in the proof above.
    """

    matrix: NDArray[np.int8] | None
    start: Whole
    step: int
    gain: int
    slack: int


class Sketches(NamedTuple):
    """The sketches of some filters.

    Attributes
    ----------
    numbers : uint8, shape (n, d)
        q.
    total, square, remainder : int64, shape (n,)
        Sum of q, of q^2, and e^2.
    """

    numbers: Bytes
    total: Whole
    square: Whole
    remainder: Whole


def bits(words: Words) -> Bytes:
    """The bits of each filter, the lowest of each word first. Shape (n, W)."""
    return np.unpackbits(words.astype("<u8").view(np.uint8), axis=1, bitorder="little")


def certified_gain(matrix: NDArray[np.int8]) -> int:
    """At least the largest eigenvalue of ``matrix @ matrix.T``: step 1 of the proof."""
    wide = matrix.astype(np.float64)
    gram = (wide @ wide.T).astype(np.int64)  # sums of up to 127^2 W are exact in a double, in any order
    largest = int(gram.diagonal().max())
    rest = (gram - largest * np.eye(len(gram), dtype=np.int64)).astype(np.float64)
    if np.abs(rest).max() > _EXACT:
        return int(np.abs(gram).sum(axis=1).max())  # also a bound, of any matrix
    squared = (rest @ rest).astype(np.int64)
    return largest + isqrt(int(np.abs(squared).sum(axis=1).max())) + 1


def unit_projection(width: int) -> Projection:
    """The bits themselves: a product says all, but for the splitting of the limit."""
    return Projection(None, np.zeros(width, dtype=np.int64), 1, 1, 0)


def _projected(words: Words, matrix: NDArray[np.int8] | None) -> Any:
    """A x for each filter, shape (n, d). Exact in floats: all sums are whole and below the mantissa's end."""
    x = bits(words)
    if matrix is None:
        return x
    kind = np.float32 if _LARGEST * matrix.shape[1] < 1 << 24 else np.float64
    return x.astype(kind) @ np.ascontiguousarray(matrix.T.astype(kind))


@compiled
def _round_into(projected: Any, start: Whole, step: int, numbers: Bytes, sums: Whole) -> None:
    # By a reciprocal, since any number will do: the remainder is what tells how far it is off.
    per_step, low, high = np.float32(1 / step), np.float32(0), np.float32(255)
    for record in range(projected.shape[0]):
        total, square, remainder = np.int64(0), np.int64(0), np.int64(0)
        for k in range(projected.shape[1]):
            offset = np.int32(projected[record, k]) - np.int32(start[k])
            near = np.float32(offset) * per_step + np.float32(0.5)
            number = np.int32(min(max(near, low), high))
            rest = np.int64(offset - np.int32(step) * number)
            numbers[record, k] = number
            total += number
            square += number * number
            remainder += rest * rest
        sums[0, record], sums[1, record], sums[2, record] = total, square, remainder


def rounded(projected: Any, projection: Projection) -> Sketches:
    """Step 3 of the proof, of filters that are projected already."""
    numbers = np.empty(projected.shape, dtype=np.uint8)
    sums = np.empty((3, len(projected)), dtype=np.int64)
    _round_into(projected, projection.start, projection.step, numbers, sums)
    return Sketches(numbers, *sums)


def sketch(words: Words, projection: Projection) -> Sketches:
    """The filters' sketches."""
    return rounded(_projected(words, projection.matrix), projection)


def sketch_twin(words: Words, projection: Projection) -> Sketches:
    """NumPy twin of `sketch`, in whole numbers throughout."""
    x = bits(words).astype(np.int64)
    offset = (x if projection.matrix is None else x @ projection.matrix.T.astype(np.int64)) - projection.start
    near = offset.astype(np.float32) * np.float32(1 / projection.step) + np.float32(0.5)
    numbers = np.clip(near, 0, _TOP).astype(np.int64)
    sums = (numbers, numbers**2, (offset - projection.step * numbers) ** 2)
    return Sketches(numbers.astype(np.uint8), *(each.sum(axis=1) for each in sums))


def thresholds(sketches: Sketches, limits: Ints, projection: Projection) -> Whole:
    """T, step 5 of the proof; ``limits`` are L (of records that can match nothing, whatever they are)."""
    square = projection.step**2
    spread = projection.gain * np.maximum(limits, 0).astype(np.int64)
    bound, far = spread, np.zeros(len(limits), dtype=bool)
    if projection.slack:
        far = sketches.remainder >= _FAR  # T is far below _NOTHING then, and what follows would not fit
        remainder = np.where(far, 0, sketches.remainder)
        bound = spread + -(-spread // projection.slack) + 2 * (1 + projection.slack) * remainder
    least = (square * sketches.square - bound) // (2 * square)
    return np.where(far, _NOTHING, np.maximum(least, _NOTHING))


def side_limits(sketches: Sketches, limits: Ints, projection: Projection, *, left: bool) -> Ints:
    """The limits of step 6, of the left or of the right side; NEVER stays."""
    own = -thresholds(sketches, limits, projection)
    if left:
        own = own + _TOP * sketches.total
    return np.where(limits == NEVER, NEVER, own).astype(np.int32)


def pack_rows(numbers: Bytes, side: int) -> NDArray[np.uint32]:
    """Tiles of 16 records with 64 numbers each, two by two: shape (groups, d // 4, side)."""
    blocks = _filled(numbers, side).reshape(-1, side // 16, 16, numbers.shape[1] // 64, 64)
    tiles = np.ascontiguousarray(blocks.transpose(0, 3, 1, 2, 4))
    return tiles.view(np.uint32).reshape(len(blocks), numbers.shape[1] // 4, side)


def pack_columns(numbers: Bytes, side: int) -> NDArray[np.uint32]:
    """What tiles are multiplied with: the same, four numbers of all 16 records beside each other."""
    blocks = _filled(_TOP - numbers, side).reshape(-1, side // 16, 16, numbers.shape[1] // 64, 16, 4)
    tiles = np.ascontiguousarray(blocks.transpose(0, 3, 1, 4, 2, 5))
    return tiles.view(np.uint32).reshape(len(blocks), numbers.shape[1] // 4, side)


def _filled(numbers: Bytes, side: int) -> Bytes:
    missing = -len(numbers) % side
    return np.concatenate([numbers, np.zeros((missing, numbers.shape[1]), np.uint8)]) if missing else numbers


def project(
    words: Words, limits: Ints, projection: Projection, side: int, multiply: Multiply | None, *, left: bool
) -> tuple[NDArray[np.uint32], Ints]:
    """Packed sketches and padded limits of one side, as `linkage.scan.shapes.Side` holds them.

    ``multiply`` is `linkage.scan.matrix.project_matrix` where it can run.
    """
    columns = None
    if multiply is not None and projection.matrix is not None:
        # pack_columns takes what it packs from 255, which leaves 128 + A. Modulo 256, as bytes are.
        columns = pack_columns(np.subtract(_LARGEST, projection.matrix).view(np.uint8), side)
    pack = pack_rows if left else pack_columns
    depth = len(projection.start) // 4
    packed = np.empty((-(-len(words) // side), depth, side), dtype=np.uint32)
    own = np.empty(len(words), dtype=np.int32)
    for start in range(0, len(words), _PARTS):
        some = words[start : start + _PARTS]
        if multiply is not None and columns is not None:
            projected = np.empty((len(some), len(projection.start)), dtype=np.int32)
            multiply(some, columns, projected)
            part = rounded(projected, projection)
        else:
            part = sketch(some, projection)
        blocks = pack(part.numbers, side)
        packed[start // side : start // side + len(blocks)] = blocks
        own[start : start + _PARTS] = side_limits(part, limits[start : start + _PARTS], projection, left=left)
    return packed, padded(own, side)


def directions(difference: NDArray[np.float32], count: int) -> NDArray[np.int8]:
    """The ``count`` directions in which differences are longest, about: any would be safe.

    Subspace iteration (Halko, Martinsson and Tropp 2011) and Rayleigh-Ritz, the longest first.
    """
    picks = np.random.default_rng(19_010_101)
    basis = picks.standard_normal((difference.shape[1], min(count + 16, difference.shape[1])))
    basis = basis.astype(np.float32)
    for _ in range(2):
        basis = np.linalg.qr(difference.T @ (difference @ basis))[0]
    seen = difference @ basis
    _, turned = np.linalg.eigh(seen.T @ seen)  # ascending
    found = (basis @ turned[:, ::-1][:, :count]).T
    return np.asarray(np.rint(found * (_LARGEST / np.abs(found).max())), dtype=np.int8)


def _fitted(matrix: NDArray[np.int8], seen: Any, reach: float) -> Projection:
    """Step, start and slack for a matrix: bytes cover a sample's projections, slack suits its rounding.

    ``reach`` is the largest distance of a match that is typical here.
    """
    low, high = seen.min(axis=0).astype(np.int64), seen.max(axis=0).astype(np.int64)
    step = max(1, -(-int((high - low).max()) // _TOP))
    start = (low + high) // 2 - step * (_TOP + 1) // 2
    gain = certified_gain(matrix)
    rounding = 2 * np.sqrt(len(matrix) / 12) * step  # E, of evenly spread remainders
    slack = int(np.clip(np.sqrt(gain * max(reach, 1.0)) / rounding, 1, 1000)) if step > 1 else 1
    return Projection(matrix, start, step, gain, slack)


def choose_projection(a: Words, b: Words, a_limit: Ints, b_limit: Ints, cost: Cost, tile: int) -> Projection:
    """The one that costs least for these filters and limits, by a sample of pairs.

    Tried are several counts of directions, and the bits themselves, as far as there is room for all sketches.
    """
    width, room = 64 * a.shape[1], max(_MOST_BYTES // (len(a) + len(b)), _DIRECTIONS[0])
    # The more pairs there are, the more it pays to look before.
    wanted = max(_FEWEST_PAIRS, isqrt(len(a) * len(b)) // 16)
    i, j = sample_pairs(len(a), len(b), min(wanted, _MOST_PAIRS))
    left, right, limits = a[i], b[j], (a_limit[i], b_limit[j])
    reach = float(np.median(np.maximum(limits[0], 0) + np.maximum(limits[1], 0)))
    best, least = unit_projection(width), np.inf
    if width <= min(_MOST_NUMBERS, room):
        passing = np.mean(_pass(bits(left), bits(right), limits, best))
        least = cost.of(width // 4, float(passing), tile, a.shape[1])
    counts = [count for count in _DIRECTIONS if count < width and count <= room]
    if not counts:
        return best
    some = slice(_TRAINING_PAIRS)
    matrix = directions(bits(left[some]).astype(np.float32) - bits(right[some]), counts[-1])
    seen = _projected(left, matrix), _projected(right, matrix)
    sample = np.concatenate([side[some] for side in seen])
    for count in counts:
        projection = _fitted(matrix[:count], sample[:, :count], reach)
        passing = np.mean(_pass(seen[0][:, :count], seen[1][:, :count], limits, projection))
        price = cost.of(count // 4, float(passing), tile, a.shape[1])
        if price < least:
            best, least = projection, price
    return best


def _pass(left: Any, right: Any, limits: tuple[Ints, Ints], projection: Projection) -> NDArray[np.bool_]:
    """Does each pair of projected filters, row by row, pass?"""
    x, y = rounded(left, projection), rounded(right, projection)
    product = np.einsum("ij,ij->i", x.numbers.astype(np.int32), _TOP - y.numbers.astype(np.int32))
    own = side_limits(x, limits[0], projection, left=True)
    return np.asarray(product <= own + side_limits(y, limits[1], projection, left=False))
