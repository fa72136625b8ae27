"""Rows by place of one cube: by themselves, beside its total, and beside every table by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.disclosure.errors import DisclosureError
from app.disclosure.policy import Policy
from app.disclosure.protect import COUNT_ONLY, WITHHELD
from app.disclosure.table import Place, Rows
from app.outcomes.dimensions import DIMENSIONS, OF_PROGRAMS
from app.outcomes.entries import entries
from app.outcomes.figures import Source
from app.outcomes.indicators import INDICATORS
from app.outcomes.publishable import is_by_place, one_way

if TYPE_CHECKING:
    from app.disclosure.along import Layer
    from app.disclosure.beside_groups import BesideGroups
    from app.disclosure.goals import Work
    from app.disclosure.suppression import Progress, Suppression
    from app.outcomes.plan import Made, Out, Plan

Document = dict[str, Any]


def by_place(
    plan: Plan,
    names: Sequence[str],
    source: Source,
    policy: Policy,
    published: Sequence[Out],
    progress: Progress,
    tables: Sequence[Document],
    decided: Sequence[Suppression],
    made: Made,
) -> list[Document]:
    """Rows by place, whose numerators are shown only beside the cube's total, and only once.

    Nobody proves two versions of them (a correction, another agreement) beside each other. What both they
    and groups tell is proven, those of the cube's tables and others, and given up here where it is of few.

    Parameters
    ----------
    names : sequence of str
        Dimensions of rows by place.
    tables : sequence of mapping
        The cube's tables by group, the total's first.
    decided : sequence of Suppression
        What is shown of them; empty where there is nobody.
    """
    total = tables[0]["total"]
    documents = one_way(plan.indicator, plan.cohort, names, source, policy)[1:]
    again = any(
        out.indicator == plan.indicator and any(is_by_place(each) for each in out.documents)
        for out in published
    )
    if total["found"] is None or again:
        documents = _without(documents, frozenset(), total)
    elif policy.places_beside_groups:
        shown = _proven(plan, source, policy, published, progress, [*tables, *documents], decided, made)
        documents = _without(documents, shown, total)
    # The total is the cube's: by themselves, rows by place may have shown more of it.
    return [{**document, "total": dict(total)} for document in documents]


def _without(
    documents: Sequence[Document], kept: frozenset[Place], total: Mapping[str, Any]
) -> list[Document]:
    """Withhold all rows but those that are kept."""
    status = WITHHELD if total["n"] is None else COUNT_ONLY
    closed = {"status": status, "n": total["n"], "found": None, "rate": None}
    return [
        {
            **document,
            "rows": [
                row if kept & set(row["key"].items()) else {**row, **closed} for row in document["rows"]
            ],
        }
        for document in documents
    ]


def _proven(
    plan: Plan,
    source: Source,
    policy: Policy,
    published: Sequence[Out],
    progress: Progress,
    documents: Sequence[Document],
    decided: Sequence[Suppression],
    made: Made,
) -> frozenset[Place]:
    """Places that may be shown beside all groups of the indicator; none if that is not proven."""
    from app.disclosure.beside_groups import ROUNDS, budget

    places = [
        (name, row["key"][name])
        for document in documents
        if is_by_place(document)
        for name in document["by"]
        for row in document["rows"]
        if row["found"] is not None
    ]
    if not places or not decided:
        return frozenset()
    work = budget(decided[0])
    try:
        unions = _unions(plan, source, policy, published, progress, documents, decided[0], work)
    except DisclosureError:
        return frozenset()
    made.proof["places"] = unions[0][0].statistics
    # What is hidden beside some groups stays open beside the others as well.
    settled: dict[int, list[Place]] = {}
    for at in [*range(len(unions))] * ROUNDS:
        if settled.get(at) != places:
            union, told = unions[at]
            shown = union.shown(places, told, work)
            places = settled[at] = [place for place in places if place in shown]
    return frozenset(places if all(each == places for each in settled.values()) else ())


def _unions(
    plan: Plan,
    source: Source,
    policy: Policy,
    published: Sequence[Out],
    progress: Progress,
    documents: Sequence[Document],
    decided: Suppression,
    work: Work,
) -> list[tuple[BesideGroups, Suppression]]:
    """Beside which groups rows by place are proven, and what is shown of these: the cube's own first.

    Then, one dimension at a time, groups that the agreement does not permit: whoever knows how many they are,
    and where nobody of them works, needs no table of them; and another agreement may permit them one day.
    And what else is out of these persons, each indicator along each dimension.

    Raises
    ------
    DisclosureError
        As `Beside`.
    """
    from app.disclosure.along import along, shown_of, told_along
    from app.disclosure.beside_groups import BesideGroups
    from app.disclosure.standardised import is_standardised
    from app.outcomes.union import published_layers, rows_by_place

    names = list(dict.fromkeys(rows_by_place(documents)))
    indicator, groups = INDICATORS[plan.indicator], [each for each in documents if not is_by_place(each)]
    same = [out for out in published if out.indicator == plan.indicator]
    layers = published_layers(source, same, policy)
    new = entries(indicator, plan.cohort, plan.dimensions, source, by_place=names)
    unions = [(BesideGroups(layers, new, groups, policy, progress), decided)]
    if not policy.places_beside_all_groups:
        return unions
    every = [name for name, dimension in DIMENSIONS.items() if dimension.rows is not Rows.PLACES]
    # Spells in programs split awards: not where awards are known again in what else is out.
    of_awards, of_spells = (
        entries(indicator, plan.cohort, some, source, by_place=names)
        for some in ([name for name in every if name not in OF_PROGRAMS], sorted(OF_PROGRAMS))
    )

    def add(out: Sequence[Layer], name: str) -> None:
        whole = of_spells if name in OF_PROGRAMS and not out else of_awards
        one, tables = along((whole, groups), name)
        told = shown_of(one, tables, 1, work)
        unions.append((BesideGroups(out, one, tables, policy, progress), told))

    for name in every:
        if name not in plan.dimensions:
            add([] if name in OF_PROGRAMS else layers, name)
    others = [out for out in published if out.indicator != plan.indicator]
    for layer in published_layers(source, others, policy):
        for name in told_along(layer) if not is_standardised(layer[0]) else ():
            add([along(layer, name)], name)
    return unions
