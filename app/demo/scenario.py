"""The demo's data: five agencies' files about one fictitious region, and the truth beside them.

``python -m app.demo.scenario --out DIR --scale .05 --seed 1`` writes, for each agency, a folder with
``people.csv`` (names and numbers in clear: this is what an agency holds and never sends) and one file of
facts under the closed schema, with the agency's own id in place of the record_ref; and ``truth.csv`` and
``outcomes.csv``, which no agency holds and the service never reads.

One seed and scale give the same bytes on every platform.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from app.demo import noise, plan, population, work
from app.demo.graduates import CIP_CODES, EXCLUSIONS, Awards, age_bands, make_awards
from app.demo.population import Ints, Objects, Persons, pick

FOREVER = 9999 * 4


class ScaleError(ValueError):
    """The scale is one for which no region can be made."""


@dataclass(frozen=True)
class Feed:
    """What one agency holds after generation.

    Attributes
    ----------
    agency : plan.Agency
    folder : Path
        Holds ``people.csv`` and ``<facts_kind>.csv``.
    persons, facts : int
        Rows of the two files.
    noise : dict
        How many records each kind of noise struck.
    """

    agency: plan.Agency
    folder: Path
    persons: int
    facts: int
    noise: dict[str, int]

    @property
    def people_file(self) -> Path:
        """Names and numbers in clear."""
        return self.folder / "people.csv"

    @property
    def facts_file(self) -> Path:
        """Facts under the closed schema."""
        return self.folder / f"{self.agency.facts_kind}.csv"


@dataclass(frozen=True)
class Scenario:
    """A generated region: the feeds in the order of `plan.AGENCIES`, and where the truth lies."""

    out: Path
    scale: float
    seed: int
    feeds: tuple[Feed, ...]

    @property
    def truth_file(self) -> Path:
        """``person, source, id``: which agency ids are the same person."""
        return self.out / "truth.csv"

    @property
    def outcomes_file(self) -> Path:
        """One row a live award with what truly became of the person."""
        return self.out / "outcomes.csv"


@dataclass(frozen=True)
class _Region:
    """Everybody, before any agency writes anything down: graduates, then workers, then the rest."""

    awards: Awards
    persons: Persons
    home: Ints
    work: work.Histories
    excluded_reason: Objects
    excluded_day: Ints
    nonprofit: Ints


def generate(out: Path, *, scale: float = 1.0, seed: int = 2026) -> Scenario:
    """Write the files of all agencies and the truth below ``out``.

    Parameters
    ----------
    out
        Folder; created where missing, files of an earlier run are overwritten.
    scale
        1.0 for 8,400 awards a year and 85,000 workers; at least 0.01.
    seed
        Seed of all chance.

    Raises
    ------
    ScaleError
        If the scale is below 0.01 or above 50.
    """
    if not 0.01 <= scale <= 50:
        raise ScaleError("The scale must be between 0.01 and 50.")
    region = _make_region(scale, seed)
    employers = work.make_employers(scale, np.random.default_rng([seed, 3]))
    truth: list[pa.Table] = []
    feeds: list[Feed] = []
    for number, agency in enumerate(plan.AGENCIES):
        rng = np.random.default_rng([seed, 10 + number])
        members = _members(region, agency)
        members = members[np.argsort(rng.random(len(members)), kind="stable")]
        ids = _own_ids(len(members), rng)
        facts = _facts(region, agency, members, ids, employers, rng)
        folder = out / agency.slug
        folder.mkdir(parents=True, exist_ok=True)
        records, counts = _records(region, agency, members, rng)
        people = pa.table({agency.id_column: pa.array(ids, pa.string())} | _as_columns(records))
        feed = Feed(agency, folder, people.num_rows, facts.num_rows, counts)
        pa_csv.write_csv(people, feed.people_file)
        pa_csv.write_csv(facts, feed.facts_file)
        truth.append(
            pa.table({"person": members, "source": [agency.slug] * len(members), "id": ids.astype(str)})
        )
        feeds.append(feed)
    scenario = Scenario(out, scale, seed, tuple(feeds))
    pa_csv.write_csv(pa.concat_tables(truth), scenario.truth_file)
    pa_csv.write_csv(_outcomes(region), scenario.outcomes_file)
    (out / "scenario.json").write_text(json.dumps(_summary(scenario), indent=1) + "\n", encoding="utf-8")
    return scenario


def _make_region(scale: float, seed: int) -> _Region:
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
    return _Region(awards, persons, all_home, history, reason, excluded, members)


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


def _members(region: _Region, agency: plan.Agency) -> Ints:
    """Persons of whom the agency has a record, ascending."""
    if agency.kind == "education":
        members: Ints = np.unique(region.awards.person[region.awards.state == agency.state])
        return members
    if agency.kind == "workforce":
        return np.flatnonzero(region.work.works[:, :, agency.state].any(axis=1)).astype(np.int64)
    return np.sort(region.nonprofit)


def _own_ids(n: int, rng: np.random.Generator) -> Objects:
    """Seven-digit ids of an agency, in no order and related to nothing."""
    drawn = np.unique(rng.integers(1_000_000, 10_000_000, size=int(n * 1.2) + 32))
    drawn = drawn[np.argsort(rng.random(len(drawn)), kind="stable")][:n]
    return drawn.astype(str).astype(object)


def _records(
    region: _Region, agency: plan.Agency, members: Ints, rng: np.random.Generator
) -> tuple[noise.Records, noise.Counts]:
    persons = region.persons.take(members)
    home = region.home[members]
    n = len(members)
    if agency.kind == "nonprofit":
        population.move(persons, rng.random(n) < 0.25, home, rng)
    elif agency.kind == "education":
        # Who studied in two states lived at two addresses more often than not.
        population.move(
            persons, (home != agency.state) & (rng.random(n) < 0.6), np.full(n, agency.state), rng
        )
    pathway = np.full(len(region.home), -1, dtype=np.int64)
    pathway[region.awards.person] = region.awards.pathway
    return noise.as_held(persons, agency.kind, pathway[members] == 0, rng)


def _as_columns(records: noise.Records) -> dict[str, pa.Array]:
    return {name: pa.array(values, pa.string()) for name, values in records.items()}


def _facts(
    region: _Region,
    agency: plan.Agency,
    members: Ints,
    ids: Objects,
    employers: work.Employers,
    rng: np.random.Generator,
) -> pa.Table:
    if agency.kind == "workforce":
        return work.wage_table(region.work, members, ids, agency.state, agency.id_column, employers, rng)
    if agency.kind == "education":
        return _completions(region, agency, members, ids, rng)
    return _participations(region, agency, members, ids, rng)


def _demography(region: _Region, persons: Ints, day: Ints) -> dict[str, pa.Array]:
    """County, race, ethnicity, sex and age band as facts hold them, at a day."""
    labels = np.array([label for label, _, _ in plan.RACES], dtype=object)[region.persons.race[persons]]
    # Many Hispanic persons leave the question of race unanswered.
    race = np.where(labels == "Hispanic", np.where(persons % 3 == 0, "", "White"), labels)
    race = np.where(race == "TwoOrMoreRaces", "BlackOrAfricanAmerican;White", race)
    excluded = np.full(len(region.home), -1, dtype=np.int64)
    excluded[: len(region.excluded_day)] = region.excluded_day
    reason = np.full(len(region.home), "", dtype=object)
    reason[: len(region.excluded_reason)] = region.excluded_reason
    out = excluded[persons]
    return {
        "county_fips": pa.array(region.persons.county[persons], pa.string()),
        "race": _text(race),
        "hispanic": pa.array(np.where(labels == "Hispanic", "Yes", "No"), pa.string()),
        "sex": pa.array(np.where(region.persons.female[persons], "Female", "Male"), pa.string()),
        "age_band": pa.array(age_bands((day - region.persons.born[persons]) / 365.25), pa.string()),
        "exclusion_reason": _text(reason[persons]),
        "exclusion_date": pa.array(out.astype("datetime64[D]"), mask=out < 0),
    }


def _text(values: NDArray[np.object_]) -> pa.Array:
    return pa.array(values, pa.string(), mask=np.asarray(values == "", dtype=np.bool_))


def _completions(
    region: _Region, agency: plan.Agency, members: Ints, ids: Objects, rng: np.random.Generator
) -> pa.Table:
    """Awards of one state; a few corrected (version 2), a few reported in error and deleted."""
    awards = region.awards
    mine = np.flatnonzero(awards.state == agency.state)
    id_of = np.full(len(region.home), "", dtype=object)
    id_of[members] = ids
    corrected = rng.random(len(mine)) < 0.004
    at = np.concatenate([mine, mine[corrected]])
    version = np.concatenate([np.ones(len(mine), dtype=np.int64), np.full(int(corrected.sum()), 2)])
    # The first version of a corrected award carried a date some days off, within the same month.
    wrong = np.concatenate([corrected, np.zeros(int(corrected.sum()), dtype=np.bool_)])
    month_start = (
        awards.day[at]
        .astype("datetime64[D]")
        .astype("datetime64[M]")
        .astype("datetime64[D]")
        .astype(np.int64)
    )
    day = np.where(wrong, month_start, awards.day[at])
    pathway = awards.pathway[at]
    columns: dict[str, pa.Array] = {
        agency.id_column: pa.array(id_of[awards.person[at]], pa.string()),
        "completion_id": pa.array([f"{'OK'[agency.state]}{i:07d}" for i in at]),
        "version": pa.array(version),
        "is_deleted": pa.array(np.full(len(at), "false"), pa.string()),
    }
    for field in ("award_kind", "award_level", "credential_type", "hse_type"):
        values = np.array([getattr(p, field) for p in plan.PATHWAYS], dtype=object)
        columns[field] = _text(values[pathway])
    cip = [CIP_CODES[p.code] for p in plan.PATHWAYS]
    systems = np.array([p.id_system for p in plan.PATHWAYS], dtype=object)[pathway]
    columns |= {
        "award_date": pa.array(day.astype("datetime64[D]")),
        "cip_code": pa.array([cip[p][int(i) % len(cip[p])] for p, i in zip(pathway, at, strict=True)]),
        "cip_version": pa.array(np.full(len(at), "2020"), pa.string()),
        "institution_id": pa.array(
            [
                f"{agency.state + 1}{900 + p:03d}{int(i) * 31 % (9 if agency.state == 0 else 4):02d}"
                for p, i in zip(pathway, at, strict=True)
            ]
        ),
        "id_system": pa.array(systems, pa.string()),
    }
    columns |= _demography(region, awards.person[at], day)
    table = pa.table(columns)
    return table.take(pa.array(np.lexsort((version, np.argsort(np.argsort(rng.random(len(at))))))))


def _participations(
    region: _Region, agency: plan.Agency, members: Ints, ids: Objects, rng: np.random.Generator
) -> pa.Table:
    n = len(members)
    first = int(np.datetime64("2020-07-01").astype(np.int64))
    entry = first + rng.integers(0, 4 * 365 - 200, n)
    stay = 40 + rng.integers(0, 320, n)
    left = rng.random(n) < 0.93
    children = pick(rng.random(n), (0.62, 0.18, 0.14, 0.06))
    reasons = np.array(["COMPLETED", "WITHDREW", "MOVED", "OTHER"], dtype=object)[
        pick(rng.random(n), (0.68, 0.2, 0.07, 0.05))
    ]
    columns: dict[str, pa.Array] = {
        agency.id_column: pa.array(ids, pa.string()),
        "program_type": pa.array(
            np.array(["03", "07", "12"], dtype=object)[pick(rng.random(n), (0.5, 0.3, 0.2))]
        ),
        "provider_id": pa.array(
            np.array(["RB-1", "RB-2", "RB-3"], dtype=object)[pick(rng.random(n), (0.5, 0.3, 0.2))]
        ),
        "entry_date": pa.array(entry.astype("datetime64[D]")),
        "exit_date": pa.array((entry + stay).astype("datetime64[D]"), mask=~left),
        "exit_reason": pa.array(reasons, pa.string(), mask=~left),
        "family_type": pa.array([f"a1i0p{min(int(c), 2)}s{max(int(c) - 2, 0)}t0" for c in children]),
    }
    return pa.table(columns | _demography(region, members, entry))


def _outcomes(region: _Region) -> pa.Table:
    """What truly became of the person of each award (live awards only)."""
    awards = region.awards
    exit_quarter = work.quarter_of(awards.day)
    columns: dict[str, pa.Array] = {
        "person": pa.array(awards.person),
        "state": pa.array(np.array(plan.STATE_FIPS, dtype=object)[awards.state], pa.string()),
        "cohort_year": pa.array([f"{y}-{(y + 1) % 100:02d}" for y in awards.academic_year()]),
        "pathway": pa.array(
            np.array([p.code for p in plan.PATHWAYS], dtype=object)[awards.pathway], pa.string()
        ),
        "award_date": pa.array(awards.day.astype("datetime64[D]")),
    }
    for horizon in (2, 4):
        reference = exit_quarter + horizon
        works = region.work.works[awards.person, reference - plan.FIRST_QUARTER]
        gone = region.excluded_day[awards.person]
        ends = np.array([work.quarter_end(int(q)) for q in range(reference.min(), reference.max() + 1)])
        columns[f"excluded_q{horizon}"] = pa.array((gone >= 0) & (gone <= ends[reference - reference.min()]))
        columns[f"employed_q{horizon}"] = pa.array(works.any(axis=1))
    return pa.table(columns)


def _summary(scenario: Scenario) -> dict[str, object]:
    return {
        "format": "cohortlink-demo-scenario/1",
        "scale": str(scenario.scale),
        "seed": scenario.seed,
        "feeds": [
            {
                "agency": feed.agency.slug,
                "title": feed.agency.title,
                "kind": feed.agency.kind,
                "id_column": feed.agency.id_column,
                "persons": feed.persons,
                "facts_kind": feed.agency.facts_kind,
                "facts": feed.facts,
                "noise": feed.noise,
            }
            for feed in scenario.feeds
        ],
    }


def main() -> None:
    """Write a scenario from the command line."""
    parser = argparse.ArgumentParser(prog="python -m app.demo.scenario", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=2026)
    given = parser.parse_args()
    generate(given.out, scale=given.scale, seed=given.seed)


if __name__ == "__main__":
    main()
