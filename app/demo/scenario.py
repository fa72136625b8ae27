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

from app.demo import noise, plan, population, work
from app.demo.facts import facts_of
from app.demo.population import Ints, Objects
from app.demo.region import Region, make_region


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
    region = make_region(scale, seed)
    employers = work.make_employers(scale, np.random.default_rng([seed, 3]))
    truth: list[pa.Table] = []
    feeds: list[Feed] = []
    for number, agency in enumerate(plan.AGENCIES):
        rng = np.random.default_rng([seed, 10 + number])
        members = _members(region, agency)
        members = members[np.argsort(rng.random(len(members)), kind="stable")]
        ids = _own_ids(len(members), rng)
        reported = facts_of(region, agency, members, ids, employers, rng)
        folder = out / agency.slug
        folder.mkdir(parents=True, exist_ok=True)
        records, counts = _records(region, agency, members, rng)
        people = pa.table({agency.id_column: pa.array(ids, pa.string())} | _as_columns(records))
        feed = Feed(agency, folder, people.num_rows, reported.num_rows, counts)
        pa_csv.write_csv(people, feed.people_file)
        pa_csv.write_csv(reported, feed.facts_file)
        truth.append(
            pa.table({"person": members, "source": [agency.slug] * len(members), "id": ids.astype(str)})
        )
        feeds.append(feed)
    scenario = Scenario(out, scale, seed, tuple(feeds))
    pa_csv.write_csv(pa.concat_tables(truth), scenario.truth_file)
    pa_csv.write_csv(_outcomes(region), scenario.outcomes_file)
    (out / "scenario.json").write_text(json.dumps(_summary(scenario), indent=1) + "\n", encoding="utf-8")
    return scenario


def _members(region: Region, agency: plan.Agency) -> Ints:
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
    region: Region, agency: plan.Agency, members: Ints, rng: np.random.Generator
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


def _outcomes(region: Region) -> pa.Table:
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
