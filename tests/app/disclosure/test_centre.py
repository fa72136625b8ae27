"""From the middle of all worlds towards a goal: every world is one, and what is within reach is reached."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog
from threadpoolctl import threadpool_info, threadpool_limits

from app.disclosure import proof
from app.disclosure.centre import Range, find_centre
from app.disclosure.groups import plan_margins
from app.disclosure.policy import Policy
from app.disclosure.suppression import suppress
from tests.attacks.cells import joint, published, random_cells, small

POLICY = Policy(10, b"a secret of 32 bytes for testing")


def margins(rows: int, columns: int) -> sp.csr_matrix:
    """Row and column sums of a table."""
    by_row = sp.kron(sp.identity(rows), np.ones((1, columns)))
    by_column = sp.kron(np.ones((1, rows)), sp.identity(columns))
    return sp.vstack([by_row, by_column]).tocsr()


@pytest.mark.parametrize("seed", range(6))
def test_aims_reach_what_a_linear_program_reaches_and_nothing_beyond(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, truth = margins(4, 5), rng.integers(0, 12, 20).astype(float)
    upper = truth + rng.integers(1, 9, 20) if seed % 2 else np.full(20, np.inf)
    value = matrix @ truth
    centre, _ = find_centre(matrix, value, upper, np.where(np.isfinite(upper), upper / 2, 3.0))
    assert centre is not None
    assert np.abs(matrix @ centre - value).max() < 1e-6
    assert np.all((centre > 0) & (centre < upper))
    most = np.array(
        [
            -linprog(
                -np.eye(20)[i], A_eq=matrix, b_eq=value, bounds=list(zip([0] * 20, upper, strict=True))
            ).fun
            for i in range(20)
        ]
    )
    aims = sp.identity(20, format="csr")
    around = Range(matrix, value, upper, centre)
    (near,) = around.aim(aims, 0.95 * most + 0.05 * centre, 60)
    (beyond,) = around.aim(aims, most + 0.1, 60)
    assert len(near.reached) == 20
    assert not len(beyond.reached)
    assert beyond.held.shape == (9, 20)


def test_bounds_that_leave_no_room_have_no_centre() -> None:
    matrix = sp.csr_matrix([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert find_centre(matrix, np.array([5.0, 0.0]), np.full(3, np.inf), np.ones(3))[0] is None


@pytest.mark.parametrize(
    ("seed", "sizes", "depth", "twice"),
    [(1, (4, 5, 3), 2, 0.0), (2, (3, 3, 3), 3, 0.1), (3, (5, 6), 2, 0.0), (4, (2, 2, 2, 3), 2, 0.0)],
)
def test_large_cubes_are_protected_as_well_as_small_ones(
    seed: int, sizes: tuple[int, ...], depth: int, twice: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What large cubes do instead of exact programs, on cubes that are small enough to attack.
    monkeypatch.setattr(proof, "_EXACT_COLUMNS", 0)
    cells = random_cells(seed, 800, sizes, 0.7, 0.7, twice=twice)
    documents = published(cells, depth, POLICY)
    assert not small(documents)
    for know_n in (False, True):
        assert not joint(cells, documents, know_n=know_n)


def test_large_cubes_are_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_EXACT_COLUMNS", 0)
    cells = random_cells(3, 800, (5, 6), 0.7, 0.7)
    assert published(cells, 2, POLICY) == published(cells, 2, POLICY)


def test_proof_tells_what_it_took() -> None:
    cells = random_cells(1, 800, (4, 5, 3), 0.7, 0.7)
    decided = suppress(cells, plan_margins(cells.axes, 2), POLICY)
    assert decided.work.centres
    assert decided.work.aims
    assert decided.work.spent == POLICY.work - decided.work.left


def test_worlds_are_looked_for_by_one_thread_so_that_rounding_is_the_same_everywhere() -> None:
    seen: set[int] = set()

    def look(*_: object) -> None:
        seen.update(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")

    cells = random_cells(1, 600, (4, 5), 0.7, 0.7)
    with threadpool_limits(2, "blas"):
        suppress(cells, plan_margins(cells.axes, 2), POLICY, look)
    assert seen == {1}
