"""What agencies report of the region's people: facts under the closed schemas, with the agency's own id."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.demo import plan, work
from app.demo.graduates import CIP_CODES, age_bands
from app.demo.population import Ints, Objects, pick
from app.demo.region import Region


def facts_of(
    region: Region,
    agency: plan.Agency,
    members: Ints,
    ids: Objects,
    employers: work.Employers,
    rng: np.random.Generator,
) -> pa.Table:
    """Facts of one agency about its ``members``, under its own ``ids`` (both of shape (n,), in its order)."""
    if agency.kind == "workforce":
        return work.wage_table(region.work, members, ids, agency.state, agency.id_column, employers, rng)
    if agency.kind == "education":
        return _completions(region, agency, members, ids, rng)
    return _participations(region, agency, members, ids, rng)


def _demography(region: Region, persons: Ints, day: Ints) -> dict[str, pa.Array]:
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
    region: Region, agency: plan.Agency, members: Ints, ids: Objects, rng: np.random.Generator
) -> pa.Table:
    """Awards of one state; a few of them corrected by a second version."""
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
    region: Region, agency: plan.Agency, members: Ints, ids: Objects, rng: np.random.Generator
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
