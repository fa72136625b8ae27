"""A region for the adversary: the whole service over HTTP, about persons whose truth the test knows.

Agreements, batches, releases and everything that is attacked go through the interface. Linkage is no part of
these attacks, so the tables of persons are those of a linker that makes no errors.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from app.flows import run_linkage
from app.flows.link_inputs import table_bytes
from app.settings import Settings
from tests.world import EDUCATION, WORKFORCE, Clock, Member, Package, World, make_package, make_refs

K = 10
COHORT = "2021-22"
#: Quarters that `employed_q2` and `employed_q4` look at for awards of spring 2022.
Q2, Q4 = "2022Q4", "2023Q2"
#: The first full calendar year after them.
YEAR = ("2023Q1", "2023Q2", "2023Q3", "2023Q4")
REPORT: dict[str, Any] = {
    "counts_rounded_down_to": K,
    "sources": [],
    "persons": 0,
    "links": 0,
    "pairs": [],
    "doubts": [],
}

#: Codes from which random persons are drawn, by dimension.
CODES: Mapping[str, tuple[str, ...]] = {
    "sex": ("Female", "Male"),
    "race_ethnicity": ("White", "Black", "Asian", "AmericanIndian"),
    "age_band": ("<20", "20-24", "25-34"),
    "institution": ("201885", "204024", "205470", "206084"),
    "county": ("39061", "39017", "39165", "21037"),
}
_RACES = {
    "White": "White",
    "Black": "BlackOrAfricanAmerican",
    "Asian": "Asian",
    "AmericanIndian": "AmericanIndianOrAlaskaNative",
    # Drawn by nobody: for small groups that a test makes by hand.
    "Hawaiian": "NativeHawaiianOrOtherPacificIslander",
}


@dataclass(frozen=True)
class Someone:
    """A graduate: her codes, and wages by quarter, state and employer.

    Attributes
    ----------
    name : str
        The agency's own number of her award.
    wages : tuple of (quarter, state, employer, dollars)
    more : tuple of (award level, institution)
        Further awards of the cohort.
    """

    name: str
    codes: Mapping[str, str]
    wages: tuple[tuple[str, str, str, str], ...] = ()
    level: str = "05"
    date: str = "2022-05-15"
    more: tuple[str, ...] = ()
    since: str | None = None

    def working(
        self, quarter: str = Q4, state: str = "39", employer: str = "", paid: str = "9000.00"
    ) -> Someone:
        """The same, with wages more; from an employer of her own if none is named."""
        return replace(self, wages=(*self.wages, (quarter, state, employer or self.name, paid)))

    def all_year(self, employer: str, paid: str) -> Someone:
        """The same, with wages in every quarter of her first full year and in `Q2`."""
        someone = self
        for quarter in YEAR:
            someone = someone.working(quarter, employer=employer, paid=paid)
        return someone.working(Q2, employer=employer, paid=paid)

    def works(self, quarter: str = Q4) -> bool:
        return any(each[0] == quarter for each in self.wages)


def random_people(
    seed: int,
    count: int,
    *,
    rate: float = 0.7,
    skew: float = 1.0,
    dimensions: Sequence[str] = tuple(CODES),
    name: str = "p",
) -> list[Someone]:
    """Graduates drawn at random; ``skew`` makes some groups small."""
    rng = np.random.default_rng(seed)
    people = []
    shares = {}
    for dimension in dimensions:
        weights = np.arange(1, len(CODES[dimension]) + 1) ** -skew
        shares[dimension] = rng.permutation(weights) / weights.sum()
    for at in range(count):
        codes = {each: str(rng.choice(CODES[each], p=shares[each])) for each in dimensions}
        someone = Someone(f"{name}{at}", codes)
        for quarter in (Q2, Q4):
            if rng.random() < rate:
                someone = someone.working(quarter, employer=f"e{rng.integers(30)}")
        people.append(someone)
    return people


def _completions(people: Sequence[Someone], refs: Sequence[str]) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for someone, ref in zip(people, refs, strict=True):
        codes = someone.codes
        row = {
            "record_ref": ref,
            "completion_id": someone.name,
            "version": "1",
            "award_kind": "POSTSEC",
            "award_level": someone.level,
            "award_date": someone.date,
            "sex": codes.get("sex"),
            "race": _RACES.get(codes.get("race_ethnicity", "")),
            "age_band": codes.get("age_band"),
            "county_fips": codes.get("county"),
            "institution_id": codes.get("institution"),
            "id_system": "UNITID" if codes.get("institution") else None,
            "exclusion_reason": "DECEASED" if someone.since else None,
            "exclusion_date": someone.since,
        }
        rows.append(row)
        rows += [
            row | {"completion_id": f"{someone.name}+{at}", "award_level": level}
            for at, level in enumerate(someone.more)
        ]
    names = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    return pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in names})


def _wages(people: Sequence[Someone], refs: Sequence[str]) -> pa.Table:
    rows = [
        {
            "record_ref": ref,
            "state_fips": state,
            "quarter": quarter,
            "employer_token": hashlib.sha256(employer.encode()).hexdigest(),
            "account_token": hashlib.sha256(f"{employer} in {state}".encode()).hexdigest(),
            "wages": paid,
            # An employer is in the industry that her name ends with.
            "naics": employer.partition("@")[2] or None,
        }
        for someone, ref in zip(people, refs, strict=True)
        for quarter, state, employer, paid in someone.wages
    ]
    table = pa.Table.from_pylist(rows)
    return table if table["naics"].null_count < len(rows) else table.drop_columns("naics")


class Region(World):
    """The world of `tests.world` with people in it."""

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, migrated: Path) -> Iterator[Region]:
        """A fresh region in a folder of its own."""
        settings = Settings.for_data(folder / "data")
        settings.data.mkdir(parents=True)
        shutil.copy(migrated, settings.data)
        with cls(settings, Clock()) as region:
            yield region

    def permit(self, identifier: str = "cincinnati-nky", **changes: Any) -> str:
        """An agreement in force: two dimensions crossed, unless something is changed."""
        terms: dict[str, Any] = {
            "id": identifier,
            "indicators": ["employed_q4"],
            "dimensions": ["sex", "race_ethnicity", "age_band"],
            "max_dimensions": 2,
            "min_cell": {EDUCATION: K, WORKFORCE: K},
        }
        return self.agree(**(terms | changes))

    def enter(self, agreement: str, people: Sequence[Someone], *, draw: int = 1) -> list[str]:
        """Both agencies submit what they know of these people; ids of the batches."""
        batches, self_told = [], {}
        for member, kind, some, seed in (
            (self.education, "completion", list(people), 2 * draw),
            (self.workforce, "wage", [each for each in people if each.wages], 2 * draw + 1),
        ):
            if not some:
                continue
            refs = make_refs(len(some), seed)
            table = {"completion": _completions, "wage": _wages}[kind](some, refs)
            batch = self.send(member, make_package(agreement, kind, count=len(some), seed=seed, facts=table))
            self_told[batch] = {ref: each.name for ref, each in zip(refs, some, strict=True)}
            batches.append(batch)
        self.told: dict[str, dict[str, str]] = getattr(self, "told", {}) | self_told
        return batches

    def late_wages(self, agreement: str, people: Sequence[Someone], *, draw: int) -> str:
        """One more batch of wages; its id."""
        refs = make_refs(len(people), 2 * draw + 1)
        seed = 2 * draw + 1
        package = make_package(agreement, "wage", count=len(people), seed=seed, facts=_wages(people, refs))
        batch = self.send(self.workforce, package)
        self.told[batch] = {ref: each.name for ref, each in zip(refs, people, strict=True)}
        return batch

    def send(self, member: Member, package: Package) -> str:
        """Submit a package; the batch's id."""
        answer = self.submit(member, package)
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["id"] if "id" in answer.json() else answer.json()["batch"]["id"])

    def link(self, agreement: str) -> str:
        """A run over what is accepted, by a linker without errors, a minute after what was before."""
        self.clock.advance(minutes=1)
        answer = self.operator.post(f"/agreements/{agreement}/runs", {"allow_missing": [WORKFORCE]})
        assert answer.status_code == 202, answer.text
        run = str(answer.json()["id"])
        owner = run_linkage.begin(self.service, run, "w")
        assert owner is not None
        links = self.service.plane("links")
        with self.service.store.transaction("links of a run") as tx:
            links.create_key(tx, run, agreement, self.service.now())
        names = sorted({name for told in self.told.values() for name in told.values()})
        number = {name: at for at, name in enumerate(names)}
        used = [batch for batch in self.told if self._accepted(batch, agreement)]
        rows = [(number[name], batch, ref) for batch in used for ref, name in self.told[batch].items()]
        table = pa.table(
            {
                "person": pa.array([row[0] for row in rows], pa.int64()),
                "batch": [row[1] for row in rows],
                "record_ref": [row[2] for row in rows],
                "probability": [1.0] * len(rows),
            }
        )
        flags = {name: pa.array([True] * len(rows), pa.bool_()) for name in ("encoded", "strong")}

        def stored(name: str, content: pa.Table) -> dict[str, str]:
            data = table_bytes(content)
            return {"path": links.write(run, name, [data]), "sha256": hashlib.sha256(data).hexdigest()}

        persons = stored("persons", table)
        presence = stored("presence", pa.table(flags))
        produced = dict.fromkeys(("persons", "links", "learned"), persons)
        produced |= {"presence": presence, "report": REPORT}
        run_linkage.finish(self.service, run, owner, produced)
        return run

    def _accepted(self, batch: str, agreement: str) -> bool:
        for member in (self.education, self.workforce):
            answer = member.get(f"/batches/{batch}")
            if answer.status_code == 200:
                shown = answer.json()
                return bool(shown["agreement"] == agreement and shown["state"] == "ACCEPTED")
        return False


@contextmanager
def region_of(folder: Path, migrated: Path, people: Sequence[Someone], **terms: Any) -> Iterator[Region]:
    """A region whose agreement is in force, with people in it, linked."""
    with Region.opened(folder, migrated) as region:
        agreement = region.permit(**terms)
        region.enter(agreement, people)
        region.link(agreement)
        yield region


def published_codes(someone: Someone, dimensions: Sequence[str]) -> dict[str, str]:
    """Her codes as tables name them."""
    spelled = dict(someone.codes)
    spelled["race_ethnicity"] = _RACES.get(spelled.get("race_ethnicity", ""), "RaceAndEthnicityUnknown")
    if not spelled.get("county", "").startswith("39"):
        spelled["county"] = "OTHER"
    return {name: spelled[name] for name in dimensions}


class Analyst:
    """Whoever holds a partnership's credential, and asks everything that there is to ask."""

    def __init__(self, member: Member, agreement: str = "cincinnati-nky") -> None:
        self.member, self.agreement = member, agreement
        self.refusals: list[str] = []

    def ask(self, by: Sequence[str] = (), where: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """The answer's table; None where it is refused."""
        body = {"indicator": "employed_q4", "cohort": COHORT, "by": list(by), "where": dict(where or {})}
        answer = self.member.post(f"/agreements/{self.agreement}/releases", body | more)
        if answer.status_code != 201:
            self.refusals.append(answer.json()["code"])
            return None
        return answer.json()["table"]

    def everything(
        self, dimensions: Sequence[str], depth: int = 2, *, filters: bool = False, **more: Any
    ) -> list[Any]:
        """Every table up to a depth; with ``filters`` also those within each code of another dimension."""
        margins = [m for size in range(depth + 1) for m in combinations(dimensions, size)]
        answers = [self.ask(by, **more) for by in margins]
        if filters:
            for one, other in permutations(dimensions, 2):
                listed = next((a for a in answers if a and a["by"] == [other]), None)
                codes = [row["key"][other] for row in listed["rows"]] if listed else []
                answers += [self.ask((one,), {other: code}, **more) for code in codes]
        return [answer for answer in answers if answer is not None]
