"""Who works when, where and for how much: employment histories and wage reports.

Quarters are whole numbers, year × 4 + (quarter − 1). Normal deviates come from a table of quantiles, so
that the amounts do not hang on a platform's mathematics library.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.demo import plan
from app.demo.population import Ints, pick

EMPLOYER_KEY = hashlib.sha256(b"cohortlink demo: the wage agencies' shared employer key").digest()
_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 8192) for i in range(8192)])

NAICS = (
    "445110", "722511", "722513", "622110", "623110", "621111", "611110", "611310", "238220", "238210",
    "236220", "336411", "336390", "325611", "522110", "524126", "541511", "541611", "561320", "484121",
    "493110", "492110", "812112", "999999",
)  # fmt: skip


def normal(rng: np.random.Generator, size: int | tuple[int, ...]) -> NDArray[np.float64]:
    """Draw standard normal deviates from a table of 8,192 quantiles."""
    deviates: NDArray[np.float64] = _QUANTILES[rng.integers(0, len(_QUANTILES), size)]
    return deviates


@dataclass(frozen=True)
class Histories:
    """Employment of persons over the 24 quarters.

    Attributes
    ----------
    works : bool, shape (n_persons, n_quarters, 2)
        Whether the person has wages in Ohio (0), in Kentucky (1).
    level : float64, shape (n_persons, n_quarters)
        Median quarterly wage of the person's kind at that time, in dollars.
    """

    works: NDArray[np.bool_]
    level: NDArray[np.float64]


def sticky(rng: np.random.Generator, n: int, keep: float) -> NDArray[np.float64]:
    """Uniform numbers, shape (n, N_QUARTERS), that stay from quarter to quarter with chance ``keep``.

    Each column alone is uniform on [0, 1), so that comparing it with a chance hits exactly at that chance.
    """
    drawn = rng.random((n, plan.N_QUARTERS))
    kept = rng.random((n, plan.N_QUARTERS)) < keep
    for quarter in range(1, plan.N_QUARTERS):
        drawn[:, quarter] = np.where(kept[:, quarter], drawn[:, quarter - 1], drawn[:, quarter])
    return drawn


def histories(
    chance: NDArray[np.float64], level: NDArray[np.float64], place: Ints, rng: np.random.Generator
) -> Histories:
    """Draw histories.

    Parameters
    ----------
    chance
        Chance of working in each quarter, shape (n, N_QUARTERS).
    level
        Median quarterly wage, dollars, same shape.
    place
        Index into `plan.WORK_PLACES`, shape (n,).
    """
    n = len(place)
    working = sticky(rng, n, plan.STICKINESS) < chance
    where = sticky(rng, n, plan.STICKINESS)
    works = np.zeros((n, plan.N_QUARTERS, 2), dtype=np.bool_)
    both = (place == 2)[:, None]
    works[:, :, plan.OHIO] = working & ((place == 0)[:, None] | (both & (where < 0.6)))
    works[:, :, plan.KENTUCKY] = working & ((place == 1)[:, None] | (both & (where >= 0.4)))
    return Histories(works, level)


def ensure_some_work(found: Histories, place: Ints, rng: np.random.Generator) -> None:
    """Give a quarter of work to those who have none in a state where they are meant to work (in place)."""
    for state in (plan.OHIO, plan.KENTUCKY):
        belongs = (place == state) | (place == 2)
        idle = np.flatnonzero(belongs & ~found.works[:, :, state].any(axis=1))
        found.works[idle, rng.integers(0, plan.N_QUARTERS, len(idle)), state] = True


def money(cents: Ints) -> pa.Array:
    """Cents as decimal128(12, 2), without a detour through floating point."""
    words = np.empty((len(cents), 2), dtype=np.int64)
    words[:, 0] = cents
    words[:, 1] = np.where(cents < 0, -1, 0)
    return pa.Array.from_buffers(pa.decimal128(12, 2), len(cents), [None, pa.py_buffer(words.tobytes())])


@dataclass(frozen=True)
class Employers:
    """The region's employers, the larger first; arrays of shape (n_employers,)."""

    token: NDArray[np.object_]
    naics: NDArray[np.object_]
    ownership: NDArray[np.object_]
    active: NDArray[np.bool_]  # shape (n_employers, 2): has workers in Ohio, in Kentucky

    def __len__(self) -> int:
        return len(self.token)


def make_employers(scale: float, rng: np.random.Generator) -> Employers:
    """Draw employers; an employer has one token in both states, as the agencies share the key."""
    n = max(80, round(4_000 * scale**0.6))
    token = [hmac.new(EMPLOYER_KEY, f"{i:09d}".encode(), hashlib.sha256).hexdigest() for i in range(n)]
    active = np.zeros((n, 2), dtype=np.bool_)
    chance = rng.random(n)
    active[:, plan.OHIO] = chance < 0.75
    active[:, plan.KENTUCKY] = chance >= 0.55
    naics = np.array(NAICS, dtype=object)[rng.integers(0, len(NAICS), n)]
    ownership = np.array(["5", "3", "2"], dtype=object)[pick(rng.random(n), (0.88, 0.08, 0.04))]
    return Employers(np.array(token, dtype=object), naics, ownership, active)


def wage_table(
    found: Histories,
    persons: Ints,
    ids: NDArray[np.object_],
    state: int,
    id_column: str,
    employers: Employers,
    rng: np.random.Generator,
) -> pa.Table:
    """Wage reports of one state.

    Parameters
    ----------
    persons
        Rows of ``found`` who have wages in this state, shape (n,).
    ids
        The agency's ids of them, shape (n,).

    Returns
    -------
    pyarrow.Table
        One row a person, quarter and employer, and one more for each amendment; columns as the closed schema
        has them, with the agency's id in place of the record_ref.
    """
    who, quarter = np.nonzero(found.works[persons, :, state])
    shared = found.works[persons[who], quarter, 1 - state]
    personal, passing = normal(rng, len(persons)), normal(rng, len(who))
    deviate = np.sqrt(0.7) * personal[who] + np.sqrt(0.3) * passing
    amount = found.level[persons[who], quarter] * np.exp(plan.WAGE_SIGMA * deviate)
    amount = np.where(shared, amount * 0.5, amount)
    employer = _employers_over_time(who, employers, state, rng)

    second = np.flatnonzero(rng.random(len(who)) < plan.SHARE_SECOND_JOB)
    moonlight = _draw_employers(rng.random(len(second)), employers, state)
    differs = moonlight != employer[second]
    second, moonlight = second[differs], moonlight[differs]
    rows = np.concatenate([np.arange(len(who)), second])
    employer = np.concatenate([employer, moonlight])
    cents = np.round(100 * np.concatenate([amount, 0.2 * amount[second]])).astype(np.int64)
    cents = np.maximum(cents, 100)

    amended = np.flatnonzero(rng.random(len(rows)) < plan.SHARE_AMENDED)
    version = np.concatenate([np.ones(len(rows), dtype=np.int64), np.full(len(amended), 2)])
    cents = np.concatenate([cents, np.round(cents[amended] * 1.03).astype(np.int64)])
    rows, employer = np.concatenate([rows, rows[amended]]), np.concatenate([employer, employer[amended]])
    order = np.lexsort((version, employer, quarter[rows], who[rows]))
    return _as_table(
        ids[who[rows]], quarter[rows], employer, cents, version, state, id_column, employers, rng, order
    )


def _draw_employers(uniform: NDArray[np.float64], employers: Employers, state: int) -> Ints:
    """Employers of a state by size; the size of the r-th is proportional to (r + 20) ** −0.9."""
    here = np.flatnonzero(employers.active[:, state])
    size = (np.arange(len(here)) + 20.0) ** -0.9
    drawn: Ints = here[np.minimum(np.searchsorted(np.cumsum(size) / size.sum(), uniform), len(here) - 1)]
    return drawn


def _employers_over_time(who: Ints, employers: Employers, state: int, rng: np.random.Generator) -> Ints:
    """Employer of each row (sorted by person, then time): kept until a change of job."""
    fresh = rng.random(len(who)) < plan.JOB_CHANGE
    fresh[0:1] = True
    fresh[1:] |= who[1:] != who[:-1]
    drawn = _draw_employers(rng.random(len(who)), employers, state)
    kept: Ints = drawn[np.maximum.accumulate(np.where(fresh, np.arange(len(who)), 0))]
    return kept


def _as_table(
    ids: NDArray[np.object_], quarter: Ints, employer: Ints, cents: Ints, version: Ints, state: int,
    id_column: str, employers: Employers, rng: np.random.Generator, order: Ints,
) -> pa.Table:  # fmt: skip
    n = len(ids)
    counties = np.array([county for county, _ in plan.COUNTIES[state]], dtype=object)
    county = counties[(employer * 7919) % len(counties)]
    weeks = np.where(rng.random(n) < 0.88, 13, rng.integers(2, 13, n))
    labels = [
        f"{(plan.FIRST_QUARTER + q) // 4}Q{(plan.FIRST_QUARTER + q) % 4 + 1}" for q in range(plan.N_QUARTERS)
    ]
    ends = np.array([quarter_end(plan.FIRST_QUARTER + q) for q in range(plan.N_QUARTERS)])
    received = ends[quarter] + 45 + (employer % 20) + 120 * (version - 1)
    fips = plan.STATE_FIPS[state]
    accounts = np.array([f"{fips}{(i * 7919) % 1_000_003:08d}" for i in range(len(employers))], dtype=object)
    account_tokens = np.array(
        [hmac.new(EMPLOYER_KEY, a.encode(), hashlib.sha256).hexdigest()[:16] for a in accounts], dtype=object
    )
    columns: dict[str, pa.Array] = {
        id_column: pa.array(ids[order], pa.string()),
        "state_fips": _coded(np.zeros(n, dtype=np.int64), [fips]),
        "quarter": _coded(quarter[order], labels),
        "employer_token": _coded(employer[order], list(employers.token)),
        "account_token": _coded(employer[order], list(account_tokens)),
        "report_version": pa.array(version[order]),
        "wages": money(cents[order]),
        "adjustment": _coded(np.zeros(n, dtype=np.int64), ["false"]),
        # Only Ohio's employers report weeks; hours are reported by neither state.
        "weeks_paid": pa.array(weeks[order], mask=np.full(n, state != plan.OHIO)),
        "hours": pa.nulls(n, pa.string()),
        "naics": _coded(employer[order], list(employers.naics)),
        "work_county_fips": pa.array(county[order], pa.string(), mask=(employer[order] % 23) == 0),
        "ownership": _coded(employer[order], list(employers.ownership)),
        "source": _coded(np.zeros(n, dtype=np.int64), ["UI"]),
        "received_date": pa.array(received[order].astype("datetime64[D]")),
    }
    return pa.table(columns)


def _coded(at: Ints, values: list[str]) -> pa.Array:
    """Column of few distinct values."""
    return pa.array(values, pa.string()).take(pa.array(at))


def quarter_end(quarter: int) -> int:
    """Last day of a quarter, days since 1970-01-01."""
    year, q = divmod(quarter, 4)
    month = np.datetime64(f"{year:04d}-{3 * q + 3:02d}", "M") + 1
    return int(month.astype("datetime64[D]").astype(np.int64)) - 1


def quarter_of(days: Ints) -> Ints:
    """Quarter (year × 4 + q) in which each day lies."""
    months: Ints = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return 1970 * 4 + months // 3


def chances(exit_quarter: Ints, found: NDArray[np.float64], gone_from: Ints) -> NDArray[np.float64]:
    """Chance of work in each of the 24 quarters: .55 up to the award, ``found`` after, none once gone.

    Parameters
    ----------
    exit_quarter, gone_from
        Quarters, shape (n,); ``gone_from`` is far in the future for those who stay.
    found
        Chance after the award, given that the person works in the region at all.
    """
    quarters = plan.FIRST_QUARTER + np.arange(plan.N_QUARTERS)
    before = quarters[None, :] <= exit_quarter[:, None]
    chance = np.where(before, 0.55, found[:, None])
    chance[quarters[None, :] >= gone_from[:, None]] = 0.0
    return chance


def levels(exit_quarter: Ints, median: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median wage in each of the 24 quarters: 55 % of the pathway's before the award, growing after."""
    quarters = plan.FIRST_QUARTER + np.arange(plan.N_QUARTERS)
    since = np.maximum(quarters[None, :] - exit_quarter[:, None] - 4, -4)
    level: NDArray[np.float64] = median[:, None] * np.where(
        quarters[None, :] <= exit_quarter[:, None], 0.55, 1 + 0.007 * since
    )
    return level
