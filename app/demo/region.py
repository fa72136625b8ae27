"""Everybody in the demo's region, before any agency writes anything down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.demo import plan, population, work
from app.demo.graduates import EXCLUSIONS, Awards, make_awards
from app.demo.population import Ints, Objects, Persons, pick

FOREVER = 9999 * 4


@dataclass(frozen=True)
class Region:
    """Everybody, before any agency writes anything down: graduates, then workers, then the rest."""

    awards: Awards
    persons: Persons
    home: Ints
    work: work.Histories
    excluded_reason: Objects
    excluded_day: Ints
    nonprofit: Ints


def make_region(scale: float, seed: int) -> Region:
    rng = np.random.default_rng([seed, 1])
    awards = make_awards(scale, rng)
    n = awards.n_persons
    last = awards.last_of_person()
    home = awards.state[last]
    reason, excluded = _exclusions(awards.day[last], rng)
    pathways = plan.PATHWAYS
    found = np.minimum(
        np.array([p.found_q4 for p in pathways])[awards.pathway[last]] / plan.SHARE_REACHABLE, 0.985
    )
    median = np.array([float(p.median_wage) for p in pathways])[awards.pathway[last]]
    exit_quarter = work.quarter_of(awards.day[last])
    gone = np.where(excluded < 0, FOREVER, work.quarter_of(np.maximum(excluded, 0)))
    place = _places_of_work(home, rng)
    graduates = work.histories(
        work.chances(exit_quarter, found, gone), work.levels(exit_quarter, median), place, rng
    )

    others, others_home = _other_workers(graduates, scale, rng)
    n_nonprofit = max(40, round(plan.NONPROFIT_PERSONS * scale))
    n_from_education = round(plan.NONPROFIT_IN_EDUCATION * n_nonprofit)
    n_strangers = (n_nonprofit - n_from_education) // 2
    strangers_home = np.full(n_strangers, plan.OHIO, dtype=np.int64)
    all_home = np.concatenate([home, others_home, strangers_home])
    born = np.concatenate([awards.born, _adult_birth_days(len(all_home) - n, rng)])
    nobody = work.Histories(
        np.zeros((n_strangers, plan.N_QUARTERS, 2), dtype=np.bool_), np.zeros((n_strangers, plan.N_QUARTERS))
    )
    parts = (graduates, others, nobody)
    history = work.Histories(
        np.concatenate([p.works for p in parts]), np.concatenate([p.level for p in parts])
    )
    # Participants: graduates, workers who never graduated here, and strangers to every other file.
    n_workers = n_nonprofit - n_from_education - n_strangers
    members = np.concatenate(
        [
            _sample(n, n_from_education, rng),
            n + _sample(len(others_home), n_workers, rng),
            np.arange(n + len(others_home), len(all_home)),
        ]
    )
    persons = population.make_persons(born, all_home, np.random.default_rng([seed, 2]))
    return Region(awards, persons, all_home, history, reason, excluded, members)


def _sample(n: int, k: int, rng: np.random.Generator) -> Ints:
    chosen: Ints = np.argsort(rng.random(n), kind="stable")[:k].astype(np.int64)
    return chosen


def _exclusions(award_day: Ints, rng: np.random.Generator) -> tuple[Objects, Ints]:
    """Reason (empty for most) and day (−1 for most) on which a person leaves every denominator."""
    n = len(award_day)
    shares = tuple(share for _, share in EXCLUSIONS)
    at = pick(rng.random(n), (*shares, 1 - sum(shares)))
    reasons = np.array([*(reason for reason, _ in EXCLUSIONS), ""], dtype=object)[at]
    day = award_day + 20 + rng.integers(0, 420, n)
    return reasons, np.where(reasons == "", -1, day)


def _places_of_work(home: Ints, rng: np.random.Generator) -> Ints:
    uniform = rng.random(len(home))
    place = np.zeros(len(home), dtype=np.int64)
    for state, shares in enumerate(plan.WORK_SHARES):
        place[home == state] = pick(uniform[home == state], shares)
    return place


def _other_workers(
    graduates: work.Histories, scale: float, rng: np.random.Generator
) -> tuple[work.Histories, Ints]:
    """Workers who never graduated here, so many that both wage files have their planned number of persons."""
    already = graduates.works.any(axis=1).sum(axis=0)
    wanted = [
        max(0, round(total * scale) - int(got)) for total, got in zip(plan.WAGE_PERSONS, already, strict=True)
    ]
    both = round(0.03 * min(wanted))
    place = np.repeat(np.array([0, 1, 2]), [wanted[0] - both, wanted[1] - both, both])
    n = len(place)
    chance = np.repeat((0.35 + 0.6 * rng.random(n))[:, None], plan.N_QUARTERS, axis=1)
    level = plan.NON_GRADUATE_MEDIAN * (1 + 0.006 * np.arange(plan.N_QUARTERS))
    found = work.histories(chance, np.repeat(level[None, :], n, axis=0), place, rng)
    work.ensure_some_work(found, place, rng)
    home = np.where(place == 2, np.where(rng.random(n) < 0.5, plan.OHIO, plan.KENTUCKY), place)
    return found, home.astype(np.int64)


def _adult_birth_days(n: int, rng: np.random.Generator) -> Ints:
    today = int(np.datetime64("2022-07-01").astype(np.int64))
    born: Ints = today - np.floor(365.25 * (18 + 45 * rng.random(n))).astype(np.int64)
    return born
