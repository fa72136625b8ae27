"""What rules beside those for small groups cost, and what stands beside what is out: losses and time.

Random cohorts of the demo's kind (its pathways, counties and groups), with small counties added, some of
which live off one employer. Every figure is made as the service makes it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.demo import plan
from app.disclosure.alternatives import finest
from app.disclosure.beside import Beside
from app.disclosure.cube import protect_cube
from app.disclosure.finest import Axis
from app.disclosure.goals import Work
from app.disclosure.groups import Groups, plan_margins
from app.disclosure.joint import Entries
from app.disclosure.paid import Paid
from app.disclosure.policy import Policy
from app.disclosure.standardised import COMPARED, OTHER, ROLE, ROLES, STRATUM, TAKES_PART
from app.disclosure.suppression import Suppression
from app.disclosure.table import Coverage, Description
from app.disclosure.telling import telling_figures
from app.outcomes.contributed import MOST_WORK
from benchmarks.results import table, versions, write_section

K = 10
POLICY = Policy(K, b"a secret for benchmarks")
#: Small counties of each state, the share of graduates who live in them, and every which of them has a mill.
_SMALL, _SHARE, _MILL = 8, 0.12, 3
#: Who of a county of a mill work there, and who of any other county for one of its own.
_IN_MILL, _AT_HOME = 0.93, 0.6
#: Institutions, age bands and fields that tell the strata of a contribution apart.
_STRATA = (6, 4, 10)
_TAKES_PART = 0.06

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Layer = tuple[Entries, list[dict[str, Any]]]


@dataclass(frozen=True, eq=False)
class Graduates:
    """Graduates of a year: codes, who is linked, who is found then and later, who pays them."""

    axes: tuple[Axis, ...]
    codes: Ints
    linked: Flags
    employed: Flags
    attached: Flags
    late: Flags
    paid: Paid
    stratum: Ints
    takes_part: Flags

    def layer(
        self, indicator: str, found: Flags, within: tuple[str, ...] = (), *, paid: bool = False
    ) -> Entries:
        """Figures of everybody."""
        size = len(self.codes)
        return Entries(
            indicator,
            self.axes,
            keys=[f"p{at}" for at in range(size)],
            codes=self.codes,
            masks={frozenset(): np.ones(size, np.bool_)},
            found=found,
            counted=np.ones(size, np.bool_),
            within=within,
            persons=[f"p{at}" for at in range(size)],
            about=_about(indicator),
            paid=self.paid if paid else None,
        )

    def only(self, names: Sequence[str]) -> Graduates:
        """The same by fewer dimensions."""
        kept = [at for at, axis in enumerate(self.axes) if axis.name in names]
        return replace(self, axes=tuple(self.axes[at] for at in kept), codes=self.codes[:, kept])

    def rates(self, *, paid: bool = False) -> Entries:
        """Who is employed."""
        return self.layer("employed_q4", self.employed, ("matched",), paid=paid)

    def contribution(self) -> Entries:
        """Who takes part in a program, who stands against them, by stratum."""
        both = np.intersect1d(self.stratum[self.takes_part], self.stratum[~self.takes_part])
        inside = np.isin(self.stratum, both)
        role = np.where(inside, np.where(self.takes_part, TAKES_PART, COMPARED), OTHER)
        places = np.array([ROLES.index(each) for each in role])
        names = tuple(str(each) for each in range(int(np.prod(_STRATA))))
        made = self.rates()
        made.axes = (Axis(ROLE, ROLES, ROLES), Axis(STRATUM, names, names))
        made.codes = np.column_stack([places, self.stratum]).astype(np.int64)
        return made


def _about(indicator: str) -> Description:
    return Description(indicator, "", "", "2021-22", "FINAL", Coverage(""))


def graduates(persons: int, seed: int) -> Graduates:
    """Draw graduates."""
    rng = np.random.default_rng(seed)
    axes, shares = _grid()
    codes = np.stack([rng.choice(len(share), persons, p=share) for share in shares], axis=1)
    by_name = {axis.name: at for at, axis in enumerate(axes)}
    county = codes[:, by_name["county"]]
    codes[:, by_name["state"]] = _states()[county]
    chance = np.array([pathway.found_q4 for pathway in plan.PATHWAYS])[codes[:, by_name["pathway"]]]
    linked = rng.random(persons) < np.minimum(chance + 0.12, 0.98)
    employed = linked & (rng.random(persons) < chance / np.minimum(chance + 0.12, 0.98))
    parts = [rng.integers(0, size, persons) for size in _STRATA]
    return Graduates(
        axes,
        codes,
        linked,
        employed,
        employed & (rng.random(persons) < 0.8),
        ~employed & (rng.random(persons) < 0.02),
        _pay(county, employed, rng),
        np.ravel_multi_index(parts, _STRATA),
        rng.random(persons) < _TAKES_PART,
    )


def _grid() -> tuple[tuple[Axis, ...], list[NDArray[np.float64]]]:
    """The demo's dimensions, and how common their codes are."""
    small = _SHARE / np.arange(1, _SMALL + 1) / (1 / np.arange(1, _SMALL + 1)).sum()
    counties: list[str] = []
    shares: list[float] = []
    for state, of_state in enumerate(plan.COUNTIES):
        part = plan.COMPLETIONS_A_YEAR[state] / sum(plan.COMPLETIONS_A_YEAR)
        counties += [code for code, _ in of_state] + [
            f"{plan.STATE_FIPS[state]}9{at}" for at in range(_SMALL)
        ]
        shares += [part * share * (1 - _SHARE) for _, share in of_state] + [*(part * small)]
    races: dict[str, float] = {}
    for name, share, _ in plan.RACES:
        races[name] = races.get(name, 0.0) + share
    pathways = tuple(pathway.code for pathway in plan.PATHWAYS)

    def axis(name: str, codes: Sequence[str], **more: Any) -> Axis:
        return Axis(name, tuple(codes), tuple(codes), **more)

    axes = (
        axis("state", plan.STATE_FIPS, places=frozenset(plan.STATE_FIPS)),
        axis("county", counties, parent="state", places=frozenset(counties)),
        axis("pathway", pathways),
        axis("sex", ("female", "male")),
        axis("race", tuple(races)),
    )
    given = (
        [0.5, 0.5],
        shares,
        [pathway.share for pathway in plan.PATHWAYS],
        [0.52, 0.48],
        [*races.values()],
    )
    return axes, [np.array(each) / sum(each) for each in given]


def _states() -> Ints:
    """The state of each county."""
    return np.repeat(np.arange(len(plan.COUNTIES)), [len(each) + _SMALL for each in plan.COUNTIES])


def _pay(county: Ints, employed: Flags, rng: np.random.Generator) -> Paid:
    """Cents: most by an employer of the county, in some small counties nearly all by one mill."""
    first = np.concatenate([np.arange(len(each) + _SMALL) - len(each) for each in plan.COUNTIES])
    mill = (first >= 0) & (first % _MILL == 0)
    amounts = []
    for at in np.flatnonzero(employed):
        here, chance = int(county[at]), rng.random()
        many = max(2, int((county == here).sum()) // 12)
        name = f"elsewhere {int(rng.zipf(1.3)) % 500}"
        if mill[here] and chance < _IN_MILL:
            name = f"mill {here}"
        elif chance < _AT_HOME:
            name = f"{here} {int(rng.zipf(1.6)) % many}"
        amounts.append((int(at), name, int(100 * rng.lognormal(9, 0.5))))
    return Paid(len(county), amounts)


@dataclass(frozen=True)
class Shown:
    """Rows with a rate and persons in them, of a cube; whether the total has one; processor time."""

    rows: int
    persons: int
    total: bool
    seconds: float
    documents: list[dict[str, Any]]
    statistics: dict[str, Any]


def protected(entries: Entries, policy: Policy, depth: int, before: Sequence[Layer] = ()) -> Shown:
    """Protect a cube beside what is out."""
    begun = time.process_time()
    beside = Beside(before, entries, policy, lambda *_: None) if before else None
    about = entries.about
    assert about is not None
    hide = beside.hide if beside else lambda state: None
    cube = protect_cube(finest(entries, about), policy, depth, beside=hide)
    seconds = time.process_time() - begun
    documents = [json.loads(json.dumps(cube.table(by).to_document())) for by in cube.plan]
    given = [row["n"] for document in documents for row in document["rows"] if row["found"] is not None]
    total = cube.table(()).total.found is not None
    return Shown(len(given), sum(given), total, seconds, documents, beside.statistics if beside else {})


def employers(persons: int, depth: int, draws: int) -> list[str]:
    """Rates with and without the rule for employers at places."""
    rows, people, seconds, telling, there = [0, 0], [0, 0], [0.0, 0.0], 0, [0, 0]
    for seed in range(draws):
        entries = graduates(persons, seed).rates(paid=True)
        about = entries.about
        assert about is not None
        cells = finest(entries, about)
        groups = Groups(cells, plan_margins(cells.axes, depth))
        large = np.minimum(groups.found, groups.n - groups.found) >= K
        telling += int((telling_figures(cells, groups, POLICY)[0] & large).sum())
        there[0] += int(large[1:].sum())
        there[1] += int(groups.n[1:][large[1:]].sum())
        for at, rule in enumerate((False, True)):
            shown = protected(entries, replace(POLICY, employers_of_places=rule), depth)
            rows[at] += shown.rows
            people[at] += shown.persons
            seconds[at] += shown.seconds
    shares = [f"{100 * part / there[0]:.1f} %" for part in rows] + [
        f"{100 * part / there[1]:.1f} %" for part in people
    ]
    times = [f"{each / draws:.2f}" for each in seconds]
    return [f"{persons:,} · {depth} · {draws}", f"{there[0]:,}", str(telling), *shares, *times]


def beside(persons: int, depth: int, names: Sequence[str]) -> list[list[str]]:
    """Match rates and a contribution beside rates that are out."""
    them = graduates(persons, 0).only(names)
    rates = them.rates()
    out: list[Layer] = [(rates, protected(rates, POLICY, depth).documents)]
    matched = them.layer("matched", them.linked)
    alone, shown = protected(matched, POLICY, 1), protected(matched, POLICY, 1, out)
    what = f"{persons:,} · {len(names)} · {depth}"
    given = f"{shown.rows} of {alone.rows} rows, total {'shown' if shown.total else 'withheld'}"
    report = [[what, "match rates", *_proof(shown.statistics), given, f"{shown.seconds:.1f}"]]
    out.append((matched, shown.documents))
    attached = them.layer("attached_uifirst", them.attached, ("employed_q4", "matched"))
    out.append((attached, protected(attached, POLICY, depth, out).documents))
    return [*report, [what, "contribution", *_contribution(them, out)]]


def _contribution(them: Graduates, out: Sequence[Layer]) -> list[str]:
    counted = them.contribution()
    begun = time.process_time()
    union = Beside(out, counted, POLICY, lambda *_: None)
    groups = Groups(finest(counted, _about("contribution")), [(ROLE,)])
    wanted = np.array([ROLES[int(key[0])] == TAKES_PART for key in groups.keys[0]])
    state = Suppression(groups, wanted.copy(), wanted.copy(), Work(MOST_WORK))
    union.hide(state, whole=True)
    seconds = time.process_time() - begun
    stands = bool(np.array_equal(state.found_shown, wanted))
    given = f"{'shown' if stands else 'withheld'}, {100 * state.work.spent / MOST_WORK:.0f} % of its budget"
    return [*_proof(union.statistics), given, f"{seconds:.1f}"]


def _proof(statistics: dict[str, Any]) -> list[str]:
    steps = [statistics.get(step, {}) for step in ("beside, unknown N", "beside, known N")]
    kinds = [f"{step['kinds']:,}" if "kinds" in step else "–" for step in steps]
    return [f"{statistics['published']:,}", f"{statistics['columns']:,}", *kinds]


def correction(persons: int, draws: int, late: float) -> list[str]:
    """One-way rates counted again after some wages came late, beside those and match rates that are out."""
    by_itself = corrected = totals = 0
    people, seconds, moved = [0, 0], 0.0, 0
    for seed in range(draws):
        them = graduates(persons, seed)
        rates, matched = them.rates(), them.layer("matched", them.linked)
        out: list[Layer] = [(rates, protected(rates, POLICY, 1).documents)]
        out.append((matched, protected(matched, POLICY, 1, out).documents))
        arrived = them.late & (np.random.default_rng(seed).random(persons) < late / 0.02)
        again = them.layer("employed_q4", them.employed | arrived, ("matched",))
        alone, shown = protected(again, POLICY, 1), protected(again, POLICY, 1, out)
        by_itself, corrected = by_itself + alone.rows, corrected + shown.rows
        people = [people[0] + alone.persons, people[1] + shown.persons]
        totals, seconds, moved = totals + shown.total, seconds + shown.seconds, moved + int(arrived.sum())
    return [
        f"{persons:,} · {100 * late:g} % · {draws}", f"{moved / draws:.0f}", f"{by_itself / draws:.1f}",
        f"{corrected / draws:.1f}", f"{100 * people[1] / max(people[0], 1):.1f} %", f"{totals} of {draws}",
        f"{seconds / draws:.2f}",
    ]  # fmt: skip


#: Graduates, depth of the tables, draws; dimensions of what is out.
_EMPLOYERS = (
    (400, 1, 5),
    (400, 2, 3),
    (2_000, 1, 3),
    (2_000, 2, 2),
    (8_400, 1, 3),
    (8_400, 2, 1),
    (20_000, 1, 1),
)
_FEW, _ALL = ("pathway", "sex"), ("state", "county", "pathway", "sex", "race")
_SOME = ("state", "pathway", "sex", "race")
_BESIDE = (
    (400, 1, _ALL),
    (2_000, 1, _ALL),
    (2_000, 2, _FEW),
    (8_400, 1, _FEW),
    (8_400, 1, _ALL),
    (20_000, 1, _FEW),
    (20_000, 1, _SOME),
    (20_000, 1, _ALL),
)
#: Graduates, draws, share of them whose wages come late.
_CORRECTIONS = ((400, 5, 0.005), (2_000, 3, 0.005), (2_000, 3, 0.02), (8_400, 2, 0.005), (8_400, 2, 0.02))


def run() -> None:
    """Write the section."""
    begun = time.process_time()
    first = table(
        [
            "graduates · depth · draws", "rates that pass R1", "tell of an employer",
            "shown without the rule", "with it", "persons without", "with it", "s without", "s with it",
        ],
        [employers(*each) for each in _EMPLOYERS],
    )  # fmt: skip
    second = table(
        [
            "graduates · dimensions · depth", "what comes beside it", "figures out", "columns",
            "kinds, N unknown", "kinds, N known", "shown", "s",
        ],
        [row for each in _BESIDE for row in beside(*each)],
    )  # fmt: skip
    third = table(
        [
            "graduates · late · draws", "persons who came late", "rates by itself", "rates of the correction",
            "persons of these", "totals shown", "s",
        ],
        [correction(*each) for each in _CORRECTIONS],
    )  # fmt: skip
    write_section(
        "Disclosure: employers at places, and what stands beside what is out",
        f"Random graduates of the demo's kind, k = t = {K}; s: processor seconds, mean of the draws.\n\n"
        "**No place tells of an employer.** Three small counties of each state live off one employer each.\n"
        "Shares are of the rates that pass R1, and of the persons in them, over all tables.\n\n"
        + first
        + "\n**Beside what is out.** Match rates beside rates of employment, a contribution beside both and\n"
        "attachment. *Columns* are what can be told apart; *kinds* what is left of them where those that\n"
        "stand in the same figures are one (– where it was withheld before that was asked).\n\n"
        + second
        + "\n**Corrections.** One-way rates counted again when some wages have come late, beside those that\n"
        "are out and their match rates. What differs by fewer than k persons is not shown again.\n\n"
        + third
        + f"\n{time.process_time() - begun:.0f} processor seconds in all.",
        command="python -m benchmarks.disclosure_beside",
        software=versions(["highspy", "numpy", "scipy"]),
    )


if __name__ == "__main__":
    run()
