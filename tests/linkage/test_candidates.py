"""Candidates: joins and scan together find the true pairs, and no block can flood the memory."""

from __future__ import annotations

import numpy as np
import pytest

from crypto.encoding.types import Encodings, FilterColumn
from linkage import candidates, comparison
from linkage.plan import make_plan, sample_pairs
from linkage.records import Source, checked, common_filters
from linkage.scanning import Limits
from tests.linkage.synthetic import field_level_spec, make_world

SPEC = field_level_spec()


def found_in(a: Source, b: Source, limits: Limits | None = None) -> candidates.Candidates:
    sample = sample_pairs(a, b, SPEC, 1)
    plan = make_plan([sample], SPEC)
    names = common_filters(a.encodings, b.encodings, SPEC)
    levels = [plan.levels[n] for n in names]
    return candidates.find(a.encodings, b.encodings, levels, sample.similarity, limits or Limits(threads=1))


def test_candidates_of_education_and_wages_hold_nearly_every_true_pair() -> None:
    world = make_world(0.05, seed=3)
    a, b = checked([Source(n, world.encodings[n]) for n in ("edu-oh", "ui-oh")], SPEC)
    found = found_in(a, b)
    have = set(
        zip(
            a.encodings.record_refs[found.left].tolist(),
            b.encodings.record_refs[found.right].tolist(),
            strict=True,
        )
    )
    truth = world.truth("edu-oh", "ui-oh")
    assert len(have & truth) / len(truth) > 0.99
    assert len(found.left) < 0.02 * len(a.encodings) * len(b.encodings)
    keys = found.left * len(b.encodings) + found.right
    assert np.all(np.diff(keys) > 0)
    assert np.all(found.rules > 0)


def test_candidates_within_one_source_hold_each_pair_once_and_no_record_with_itself() -> None:
    world = make_world(0.02, seed=4)
    (a,) = checked([Source("edu-oh", world.encodings["edu-oh"])], SPEC)
    sample = sample_pairs(a, a, SPEC, 1)
    plan = make_plan([sample], SPEC)
    found = candidates.find(
        a.encodings,
        a.encodings,
        list(plan.levels.values()),
        sample.similarity,
        Limits(threads=1),
        within=True,
    )
    assert len(found.left)
    assert np.all(found.left < found.right)


def test_candidates_of_a_million_identical_filters_are_capped_and_reported() -> None:
    n = 500_000
    same = FilterColumn(np.full((n, 16), 0x0F0F, np.uint64), np.ones(n, np.bool_))
    level = comparison.FilterLevels(SPEC.filters[0], (1.0,), 0.4, 0.1)
    refs = np.array([f"{i:032x}" for i in range(4)], dtype="<U32")
    side = Encodings(np.resize(refs, n), {"name": same})
    found = candidates.find(side, side, [level], {"name": np.full(1000, 0.4)}, Limits(threads=1))
    assert not len(found.left)
    assert found.report[-1]["capped_blocks"] == 1
    assert found.report[-1]["capped_pairs"] == n * n


def test_candidates_of_many_near_duplicates_raise_the_threshold_until_they_fit() -> None:
    rng = np.random.default_rng(1)
    base = rng.integers(0, 1 << 63, 16, np.uint64)
    words = np.repeat(base[None], 3000, axis=0)
    words[np.arange(3000), rng.integers(0, 16, 3000)] ^= np.uint64(1) << rng.integers(0, 63, 3000).astype(
        np.uint64
    )
    column = FilterColumn(words, np.ones(3000, np.bool_))
    side = Encodings(np.array([f"{i:032x}" for i in range(3000)], dtype="<U32"), {"name": column})
    level = comparison.FilterLevels(SPEC.filters[0], (1.0,), 0.4, 0.1)
    found = candidates.find(side, side, [level], {"name": np.full(1000, 0.4)}, Limits(threads=1))
    assert len(found.left) <= 4 * Limits().budget(side, side) + Limits().join_budget(side, side)
    assert next(r["used"] for r in found.report if r["rule"] == "scan") is False


@pytest.mark.parametrize("block", [1, 4, 100])
def test_join_with_a_block_cap_leaves_out_exactly_the_larger_blocks(block: int) -> None:
    rng = np.random.default_rng(block)
    a, b = rng.integers(-1, 20, 60), rng.integers(-1, 20, 50)
    joined = candidates.join(a, b, block, 10_000)
    wanted = {
        (i, j)
        for i in range(60)
        for j in range(50)
        if a[i] == b[j] >= 0 and (a == a[i]).sum() * (b == a[i]).sum() <= block
    }
    assert set(zip(joined.left.tolist(), joined.right.tolist(), strict=True)) == wanted
    assert joined.total == len(wanted)


def test_candidates_despite_a_placeholder_in_an_identifier_join_the_others() -> None:
    rng = np.random.default_rng(6)
    words = rng.integers(1, 1 << 63, (2000, 2), np.uint64)
    words[:800] = 5  # everybody whose number was not known
    column = FilterColumn(words, np.ones(2000, np.bool_))
    side = Encodings(np.array([f"{i:032x}" for i in range(2000)], dtype="<U32"), {"ssn": column})
    level = comparison.FilterLevels(SPEC.filters[3], (1.0,), 0.4, 0.1)
    found = candidates.find(side, side, [level], {"ssn": np.full(1000, 0.4)}, Limits(threads=1))
    assert found.left.tolist() == found.right.tolist() == list(range(800, 2000))
    assert found.report[0]["capped_pairs"] == 800 * 800
