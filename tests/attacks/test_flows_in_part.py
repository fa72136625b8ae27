"""Flows in numbers alone beside a rate: who was excluded between the two, who is found in one of them only.

The attacker knows definitions, dates and what data there are. The stronger one also knows how many were
excluded between the quarter of the rate and the end of the year of the flows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Any

import pytest

from app.disclosure import asked
from app.disclosure.beside import Beside
from app.disclosure.policy import Policy
from app.disclosure.treatment import Treatment
from app.outcomes import union
from app.outcomes.figures import Source
from app.outcomes.plan import Out, Plan, plan_cube
from tests.app.outcomes.builders import completion, facts, persons, token, wage

K = 10
COHORT, AS_OF = "2021-22", date(2026, 11, 22)
POLICY = Policy(K, b"a secret of the tests, 32 bytes..")
FLOWS, RATE, CORRECTED = "earnings_percentiles_y1", "employed_q4", "employed_q4 corrected"
#: Industries of three employers each.
INDUSTRIES = ("236220", "622110", "722511")
#: Quarters in which somebody of a sort is paid.
PAID = {
    "both": ("2023Q1", "2023Q2", "2023Q4"),
    "year": ("2023Q4",),
    "past": ("2019Q3",),
    "gone_found": ("2023Q2",),
}


@dataclass(frozen=True)
class People:
    """How many of each sort; whoever is excluded is so late in the year of the flows.

    Attributes
    ----------
    both : int
        Work in the quarter of the rate, and so in the year of the flows.
    year : int
        Work in that year, and not in the quarter.
    past : int
        Linked, for wages of long ago.
    never : int
    gone_found, gone : int
        Excluded: those who worked in the quarter, and others.
    late : int
        Of those excluded, whose wages of the quarter come for the correction.
    """

    both: int = 90
    year: int = 30
    past: int = 15
    never: int = 40
    gone_found: int = 0
    gone: int = 0
    late: int = 0

    @property
    def excluded(self) -> int:
        return self.gone_found + self.gone


def source(people: People, *, corrected: bool = False) -> Source:
    awards, wages, names = [], [], []
    for sort in ("both", "year", "past", "never", "gone_found", "gone"):
        for at in range(getattr(people, sort)):
            name = f"{sort}-{at}"
            names.append(name)
            gone = {"exclusion_reason": "DECEASED", "exclusion_date": "2023-11-02"} if "gone" in sort else {}
            awards.append(completion(name, award_date="2022-05-14", sex=("Female", "Male")[at % 2], **gone))
            paid = PAID.get(sort, ())
            if corrected and sort == "gone" and at < people.late:
                paid = ("2023Q2",)
            job = {"employer_token": token(at % 9), "naics": INDUSTRIES[at % 3]}
            wages += [wage(name, "39", quarter, 9000, **job) for quarter in paid]
    given = {
        "completion": [("edu-1", facts("completion", awards))],
        "wage": [("oh-1", facts("wage", wages))],
    }
    rows = persons(names, {"edu-1": "edu", "oh-1": "39"}).to_pylist()
    linked = {row["record_ref"] for row in wages}
    # Who has no wages has no record in a wage file that she could be linked with.
    kept = [row for row in rows if row["batch"] == "edu-1" or row["record_ref"] in linked]
    table = persons([], {"edu-1": "edu"}).from_pylist(kept, schema=persons([], {"edu-1": "edu"}).schema)
    return Source(table, given, AS_OF, owners={"edu-1": "oh-education"})


@cache
def protected(people: People, order: Sequence[str]) -> dict[str, Any]:
    """The same with nothing off: several tests look at it."""
    return answers(people, order)


def answers(people: People, order: Sequence[str], policy: Policy = POLICY) -> dict[str, Any]:
    """The total's document of each, one made beside the others."""
    first, data = source(people), source(people, corrected=True) if people.late else None
    out: list[Out] = []
    made: dict[str, Any] = {}
    for name in order:
        now = data if name == CORRECTED else first
        assert now is not None
        before = [
            replace(each, source=None if (asked_as == CORRECTED) is (name == CORRECTED) else lambda: first)
            for asked_as, each in zip(made, out, strict=True)
        ]
        plan = Plan(name.partition(" ")[0], COHORT, ("sex",), depth=1)
        documents = plan_cube(
            plan, now, policy, Treatment(), quality=None, published=before, progress=lambda *_: None
        ).documents
        made[name] = documents[0]
        out.append(Out(plan.indicator, COHORT, documents, None, same_agreement=True))
    return made


def shares_tell(rows: Sequence[Any]) -> set[int] | None:
    """Of how many the shares may be, if there are any."""
    told = [(row["n"], float(row["share"])) for row in rows if row["share"] is not None]
    if not told:
        return None
    return {
        whole for whole in range(1, 1000) if all(abs(100 * n / whole - share) <= 0.0501 for n, share in told)
    }


def subtracted(people: People, made: Mapping[str, Any], *, knows_excluded: bool) -> list[str]:
    """Groups of fewer than the minimum that follow from flows and each version of the rate."""
    flows = made[FLOWS]["flows"]
    numbers = [row["n"] for row in flows[:-1] if row["n"] is not None]
    if len(numbers) < len(INDUSTRIES):
        # She does not know how many are in the others.
        return []
    hits = []
    whole = shares_tell(flows)
    if flows[-1]["n"] is not None:
        whole = {sum(numbers) + flows[-1]["n"]}
    for name in (each for each in (RATE, CORRECTED) if each in made):
        total = made[name]["total"]
        excluded = {people.excluded} if knows_excluded else None
        if whole is not None and total["n"] is not None:
            excluded = {total["n"] - each for each in whole}
            if excluded and min(excluded) > 0 and max(excluded) < K:
                hits.append(f"{name}: {sorted(excluded)} excluded")
        linked = (total.get("matched") or {}).get("found")
        if linked is not None and 0 < linked - sum(numbers) < K:
            hits.append(f"{name}: {linked - sum(numbers)} linked, and without wages in the year")
        if total["found"] is None or excluded is None:
            continue
        # Who works in the year alone, less those of the excluded who worked in the quarter.
        step, most = sum(numbers) - total["found"], max(excluded)
        if people.year and step + most < K:
            hits.append(f"{name}: {max(step, 0)} to {step + most} work in the year alone")
        least = max(0, -step)
        if 0 < most < K and most - least < most / 2:
            hits.append(f"{name}: {least} to {most} of {most} excluded worked")
    both = [made[name]["total"]["found"] for name in (RATE, CORRECTED) if name in made]
    if len(both) == 2 and None not in both and 0 < abs(both[0] - both[1]) < K:
        hits.append(f"{both} found")
    return hits


#: What tells the cohort's flows and its rate apart.
SITUATIONS: dict[str, People] = {
    "few excluded": People(gone=3, gone_found=5),
    "few work in the year alone": People(year=4),
    "few of either": People(year=4, gone=2, gone_found=1),
    "few linked besides": People(past=4, gone=3, gone_found=1),
    "all excluded had worked": People(year=0, gone_found=9),
    "many excluded": People(gone=20, gone_found=24),
    "nobody excluded": People(),
}
ORDERS = [(FLOWS, RATE), (RATE, FLOWS)]


def all_shown(made: Mapping[str, Any]) -> tuple[bool, ...]:
    """Whether there are numbers of flows, shares of them, and a rate, if that was asked for."""
    flows = made[FLOWS]["flows"]
    numbers, shares = (any(row[name] is not None for row in flows) for name in ("n", "share"))
    return numbers, shares, *(made[name]["total"]["rate"] is not None for name in (RATE,) if name in made)


@pytest.mark.parametrize("order", ORDERS)
def test_flows_are_given_in_numbers_beside_a_rate_of_nearly_the_same_persons_whichever_is_first(
    order: Sequence[str],
) -> None:
    made = protected(SITUATIONS["few excluded"], order)
    assert all_shown(made) == (True, False, True)
    rows = made[FLOWS]["flows"]
    assert {row["status"] for row in rows} == {"count_only", "withheld"}
    assert (rows[-1]["key"]["naics_sector"], rows[-1]["n"]) == ("NOT_IN_DATA", None)
    assert union.FLOWS_IN_PART in made[FLOWS]["notes"]
    assert union.told_by_flows(made[FLOWS]) == {"found"}
    assert sum(row["n"] or 0 for row in rows) == 120


@pytest.mark.parametrize(
    ("situation", "order"), [("many excluded", (FLOWS, RATE)), ("nobody excluded", (RATE, FLOWS))]
)
def test_flows_have_shares_beside_a_rate_of_the_same_persons_or_of_many_others(
    situation: str, order: Sequence[str]
) -> None:
    made = protected(SITUATIONS[situation], order)
    assert all_shown(made) == (True, True, True)
    assert union.FLOWS_IN_PART not in made[FLOWS]["notes"]


def test_flows_without_shares_do_not_tell_that_few_were_excluded() -> None:
    people = People(both=60, year=20, gone=15, gone_found=5)
    secrets = (bytes([at]) * 32 for at in range(2))
    states = {all_shown(answers(people, (FLOWS,), Policy(K, secret))) for secret in secrets}
    assert states == {(True, True), (True, False)}


def test_flows_that_were_withheld_before_numbers_could_stand_alone_are_made_again_withheld() -> None:
    before = Policy.thaw({"min_cell": K}, POLICY.secret)
    assert not before.flows_in_part
    assert all_shown(answers(SITUATIONS["few excluded"], (RATE, FLOWS), before)) == (False, False, True)


@pytest.mark.parametrize(
    ("situation", "order"),
    [
        *(("few excluded", order) for order in ORDERS),
        *(("few of either", order) for order in ORDERS),
        ("few work in the year alone", (FLOWS, RATE)),
        ("few linked besides", (RATE, FLOWS)),
        ("many excluded", (FLOWS, RATE)),
        ("nobody excluded", (RATE, FLOWS)),
    ],
)
def test_nothing_of_few_follows_from_flows_beside_a_rate(situation: str, order: Sequence[str]) -> None:
    people = SITUATIONS[situation]
    made = protected(people, order)
    for knows in (False, True):
        assert not subtracted(people, made, knows_excluded=knows)


def unprotected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows are shown as if nothing else were out, and are no layer of what comes later."""
    monkeypatch.setattr(union, "told_by_flows", lambda _: frozenset())


def found_unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers stand wherever shares do not."""
    monkeypatch.setattr(union, "_found_stands_beside", lambda *_: True)


def not_proven_without_denominators(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof of those found alone ends before it begins."""
    prove = Beside._prove

    def only_with_n(self: Beside, state: Any, *rest: Any, **more: Any) -> None:
        if state.n_shown.any():
            prove(self, state, *rest, **more)

    monkeypatch.setattr(Beside, "_prove", only_with_n)
    monkeypatch.setattr(Beside, "_hide_contained", lambda *_: None)


def excluded_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked about who knows how many were excluded."""
    monkeypatch.setattr(asked, "_found_alone", lambda _: iter(()))


@pytest.mark.parametrize(
    ("off", "situation", "order", "knows"),
    [
        (unprotected, "few excluded", (RATE, FLOWS), False),
        (unprotected, "few work in the year alone", (FLOWS, RATE), False),
        (found_unproven, "few linked besides", (RATE, FLOWS), False),
        (not_proven_without_denominators, "few of either", (RATE, FLOWS), True),
        (excluded_unasked, "few of either", (RATE, FLOWS), True),
        (excluded_unasked, "all excluded had worked", (RATE, FLOWS), True),
    ],
)
def test_few_are_told_apart_where_a_part_of_the_protection_is_off(
    monkeypatch: pytest.MonkeyPatch,
    off: Callable[[pytest.MonkeyPatch], None],
    situation: str,
    order: Sequence[str],
    knows: bool,
) -> None:
    off(monkeypatch)
    people = SITUATIONS[situation]
    assert subtracted(people, answers(people, order), knows_excluded=knows)


#: A correction for which wages of some who are excluded have come.
VINTAGES = [(RATE, FLOWS, CORRECTED), (FLOWS, RATE, CORRECTED)]


@pytest.mark.parametrize("order", VINTAGES)
def test_nothing_of_few_follows_from_flows_and_two_vintages_of_a_rate(order: Sequence[str]) -> None:
    people = People(gone=5, gone_found=2, late=4)
    made = answers(people, order)
    assert any(row["n"] is not None for row in made[FLOWS]["flows"])
    for knows in (False, True):
        assert not subtracted(people, made, knows_excluded=knows)
