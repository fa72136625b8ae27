"""Two services with other protected persons of figures that are no rates: nothing that is read differs.

Each cohort differs in something: a wage, who works, where, how many were excluded, who takes part, in which
band somebody is. Whatever is published of the cohorts is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from app.disclosure import protect_figures
from app.flows.service import Service
from app.outcomes import contributed, publishable, union
from tests.attacks import twin
from tests.attacks.region import Analyst, Region, Someone
from tests.attacks.sweep import observed, things_of
from tests.world import EDUCATION, WORKFORCE, make_package, make_refs

MEDIAN, YEARLY = "median_earnings_q2", "earnings_percentiles_y1"
BANDS, CONTRIBUTION = "self_sufficient", "contribution"
Q2 = "employed_q2"
RACE = ("race_ethnicity",)
OWNERS = {"completion": EDUCATION, "participation": EDUCATION, "wage": WORKFORCE}
TERMS: dict[str, Any] = {
    "indicators": [MEDIAN, YEARLY, BANDS, CONTRIBUTION, Q2, "gap", "trend"],
    "dimensions": list(RACE),
    "max_dimensions": 1,
    "datasets": [
        {"organization": owner, "kind": kind, "fields": ["*"], "periods": ["*"]}
        for kind, owner in OWNERS.items()
    ],
}
COUNTY = "39061"
THRESHOLDS = "\n".join(
    [
        "source,version,county_fips,family_type,year,annual_amount,licence_note",
        *(f"invented,1,{COUNTY},a1i0p0s0t0,{year},8000,none" for year in (2016, 2017)),
    ]
)
#: Wages of a year in each band, against 8,000.
PAID = {"SELF_SUFFICIENT": "9000.00", "ON_PATH": "5000.00", "BELOW": "1000.00"}
#: Wages of a quarter, and how many have them: their percentiles are the same with one more in the middle.
WAGES = {4000: 15, 5000: 20, 7000: 15, 9000: 20, 11000: 15}
#: Where somebody has to say what she asks for.
ASKING = {"/v1/releases/{release}/gap": "?reference=White"}


def graduate(year: int, number: int, **codes: str) -> Someone:
    return Someone(f"of{year}-{number}", codes, date=f"{year}-05-15")


def employed(someone: Someone, year: int, employer: str, paid: int) -> Someone:
    """With wages from the second quarter after an award of that spring to the end of the next year."""
    for quarter in (f"{year}Q4", *(f"{year + 1}Q{at}" for at in range(1, 5))):
        someone = someone.working(quarter, employer=employer, paid=f"{paid}.00")
    return someone


def by_race(world: int) -> list[Someone]:
    """Percentiles of two groups are shown; of two others, who works differs, and what the richest has.

    Some of these work where few do. How many left after the quarter of the rate differs as well.
    """
    year, left = 2018, 3 + world
    few = {
        "Asian": [(12000, 40000)[world], *[7000] * (7 + world), *[0] * (8 - world)],
        "AmericanIndian": [*[7000] * (8 - world), *[0] * (8 + world)],
    }
    people = []
    for race in ("White", "Black"):
        paid = [wage for wage, n in WAGES.items() for _ in range(n)]
        for at, wage in enumerate(paid):
            someone = graduate(year, len(people), race_ethnicity=race)
            people.append(employed(someone, year, f"clinic{at % 7}@621111", wage))
        # Some left late, some worked long ago, some worked between the quarter of the rate and the year.
        for at in range(40):
            someone = graduate(year, len(people), race_ethnicity=race)
            if at < left and race == "White":
                someone = replace(someone, since=f"{year + 1}-10-05")
            elif at >= 12:
                quarter = "2014Q1" if at < 24 else f"{year + 1}Q1"
                someone = someone.working(quarter, employer=f"shop{at % 7}@445110")
            people.append(someone)
    for race, wages in few.items():
        for at, wage in enumerate(wages):
            someone = graduate(year, len(people), race_ethnicity=race)
            employer = f"clinic{at % 7}@621111"
            if race == "Asian" and 0 < at < 8:
                employer = f"mill{at}@311811" if at < 4 and not world else f"site{at}@236115"
            people.append(employed(someone, year, employer, wage) if wage else someone)
    return people


def by_age(world: int) -> list[Someone]:
    """Graduates of two ages, and how many of them work; whoever works first, then some who worked long ago.

    Of those who work thirty do not earn enough; of these few at least half of it.
    """
    year, people = 2016, list[Someone]()
    for age, n, found in (("20-24", 140, 97), ("25-34", 44, 27)):
        for at in range(n):
            someone = graduate(year, len(people), age_band=age, county=COUNTY)
            if at < found:
                band = "BELOW" if age == "20-24" and at < 30 else "SELF_SUFFICIENT"
                paid = PAID["ON_PATH" if band == "BELOW" and at < 4 + world else band]
                someone = someone.working(f"{year + 1}Q2", employer=f"e{at % 7}", paid=paid)
            elif at < found + 11:
                someone = someone.working("2014Q1", employer=f"e{at % 7}")
            people.append(someone)
    return people


def numbers(*starts: tuple[int, int]) -> set[int]:
    """So many from each of some numbers on."""
    return {at for start, n in starts for at in range(start, start + n)}


@dataclass(frozen=True)
class Differing:
    """A cohort of either service.

    Attributes
    ----------
    year : int
        Of the awards.
    asked : sequence of (str, tuple of str)
        Indicators and dimensions.
    people : callable
        In the first or second service.
    takes_part : callable, optional
        Numbers of those who do.
    """

    year: int
    asked: Sequence[tuple[str, tuple[str, ...]]]
    people: Callable[[int], list[Someone]]
    takes_part: Callable[[int], set[int]] = lambda _: set()


#: Too few take part; or forty of each of two ages, and of the older four are left to be compared with.
FEW, MANY = numbers((0, 4), (100, 4)), numbers((0, 25), (100, 15), (140, 26), (170, 14))
COHORTS = (
    Differing(2016, ((BANDS, ()), (CONTRIBUTION, ())), by_age, lambda world: (FEW, MANY)[world]),
    Differing(2018, ((Q2, RACE), (MEDIAN, RACE), (YEARLY, RACE), (YEARLY, ())), by_race),
)
#: A release that has it, of each part that has files of its own.
PARTS = {"bands": 0, "gap": 2, "flows": 5}


def participating(region: Region, agreement: str, world: int) -> None:
    """As many spells in both services; of whoever takes no part they begin after the award."""
    listed = [
        (each.name, f"{cohort.year + (-1 if at in cohort.takes_part(world) else 1)}-10-01")
        for cohort in COHORTS
        if cohort.takes_part(world)
        for at, each in enumerate(cohort.people(world))
    ]
    refs = make_refs(len(listed), 77)
    program = {"program_type": "03", "provider_id": "RB-1"}
    rows = [
        {"record_ref": ref, "entry_date": entry} | program
        for ref, (_, entry) in zip(refs, listed, strict=True)
    ]
    facts = pa.Table.from_pylist(rows)
    package = make_package(agreement, "participation", count=len(rows), seed=77, facts=facts)
    batch = region.send(region.education, package)
    region.told[batch] = {ref: name for ref, (name, _) in zip(refs, listed, strict=True)}


def answered(
    folder: Path, migrated: Path, world: int, *, whole: bool
) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Every table of a service, and what the partnership reads; not ``whole``: of releases, as programs."""
    with Region.opened(folder / str(world), migrated) as region:
        assert region.operator.post("/thresholds", {"csv": THRESHOLDS}).status_code == 201
        agreement = region.permit(**TERMS)
        region.enter(agreement, [each for cohort in COHORTS for each in cohort.people(world)])
        participating(region, agreement, world)
        region.link(agreement)
        analyst, tables = Analyst(region.partnership), {}
        for cohort in COHORTS:
            name = f"{cohort.year - 1}-{cohort.year % 100}"
            for indicator, by in cohort.asked:
                if indicator == MEDIAN and not whole:
                    continue
                tables[indicator, by] = analyst.ask(by, indicator=indicator, cohort=name)
                region.clock.advance(seconds=1)
        assert not analyst.refusals
        return tables, read(region, whole=whole)


def read(region: Region, *, whole: bool) -> dict[str, Any]:
    """What the partnership reads: of releases, as programs do; or everything."""
    things, member = things_of(region), region.partnership
    if not whole:
        return observed(region, member, things, under="/v1/releases/{release}", asking=ASKING)
    seen = observed(region, member, things, asking=ASKING)
    for name, at in PARTS.items():
        part = things | {"name": [name], "release": [things["release"][at]]}
        files = observed(region, member, part, under="/releases/{release}/{name}")
        assert all(told[0] == 200 for told in files.values())
        seen |= files
    return seen


def different(folder: Path, migrated: Path, *, whole: bool) -> tuple[dict[Any, Any], list[str]]:
    """Tables of the first service by indicator and dimensions; places at which the two are told apart."""
    (tables, one), (_, other) = (answered(folder, migrated, world, whole=whole) for world in range(2))
    assert one.keys() == other.keys()
    return tables, [name for name, told in one.items() if told != other[name]]


@pytest.fixture(autouse=True)
def one_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Companions are chosen by a secret, which differs from service to service."""
    monkeypatch.setattr(Service, "release_secret", lambda _: b"the secret of both services....!")


def test_nothing_that_can_be_read_tells_a_protected_person_of_percentiles_flows_bands_and_contributions(
    tmp_path: Path, migrated_sqlite: Path
) -> None:
    tables, apart = different(tmp_path, migrated_sqlite, whole=True)
    assert apart == []
    # Beside what is withheld, something is shown.
    assert tables[BANDS, ()]["total"]["matched"]["n"]
    assert {row["status"] for row in tables[BANDS, ()]["bands"]} == {"withheld"}
    assert tables[CONTRIBUTION, ()]["total"]["status"] == "withheld"
    for indicator in (MEDIAN, YEARLY):
        shown = [row["label"] for row in tables[indicator, RACE]["rows"] if row["p50"]]
        assert shown == ["Black or African American", "White"]
    assert {row["status"] for row in tables[YEARLY, ()]["flows"]} == {"count_only", "withheld"}


def show_all(patch: pytest.MonkeyPatch) -> None:
    """Figures of two persons and more, whatever they tell beside others."""

    def of_two(protect: Any) -> Any:
        return lambda figure, policy: protect(figure, replace(policy, min_cell=2))

    for name in ("protect_bands", "protect_flows", "protect_contribution"):
        patch.setattr(publishable, name, of_two(getattr(publishable, name)))
    for module, name in ((union, "hide_bands"), (union, "hide_flows"), (contributed, "hide_contribution")):
        patch.setattr(module, name, lambda *_, **__: None)

    def every(figures: Sequence[Any], *_: Any) -> frozenset[tuple[int, int]]:
        rows = [(at, row, cell) for at, figure in enumerate(figures) for row, cell in enumerate(figure.cells)]
        return frozenset([(-1, 0), *((at, row) for at, row, cell in rows if cell.n)])

    patch.setattr(protect_figures, "shown_groups", every)
    twin.show_everything(patch)


def test_two_services_are_told_apart_by_every_kind_of_figure_where_protection_is_off(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_all(monkeypatch)
    tables, apart = different(tmp_path, migrated_sqlite, whole=False)
    places = [f"application/json /v1/releases/release-{at}" for at in range(len(tables))]
    gap = f"{places[list(tables).index((Q2, RACE))]}/gap"
    assert [place for place in (*places, gap) if place not in apart] == []
