"""The cube of one question: every document of its plan, by the method that the parties chose.

Tables of shares are protected over finest cells, whatever they cross, together with all that is out about the
same persons; what cannot be proven within the budget is withheld.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.disclosure.policy import Policy
from app.disclosure.table import Rows
from app.disclosure.treatment import Treatment
from app.outcomes.dimensions import DIMENSIONS, OF_PROGRAMS
from app.outcomes.errors import OutcomesError
from app.outcomes.figures import Source
from app.outcomes.indicators import INDICATORS, Indicator
from app.outcomes.match_rates import matched_beside, published_matches, with_matches
from app.outcomes.publishable import is_by_place, plan_documents
from app.outcomes.question import RATES

if TYPE_CHECKING:
    from app.disclosure.finest import FinestCells
    from app.disclosure.suppression import Progress, Suppression

Document = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes
    ----------
    indicator, cohort : str
    dimensions : tuple of str
        The agreement's dimensions that the indicator has.
    depth : int
        Dimensions that tables of shares cross. Other figures have one-way tables only.
    named : tuple of tuple of str
        Deeper tables that the parties name.
    permitted : tuple of str
        All dimensions of the agreement.
    """

    indicator: str
    cohort: str
    dimensions: tuple[str, ...]
    depth: int = 1
    named: tuple[tuple[str, ...], ...] = ()
    permitted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Out:
    """A cube that is published about these persons.

    Attributes
    ----------
    indicator, cohort : str
    documents : sequence of mapping
    source : callable, optional
        The data that it was counted from; None if they are those of the new cube.
    same_agreement : bool
        Whether it was published under the agreement of the new cube.
    """

    indicator: str
    cohort: str
    documents: Sequence[Mapping[str, Any]]
    source: Callable[[], Source] | None
    same_agreement: bool


@dataclass
class Made:
    """The documents of a cube, the tables that were not proven, statistics of the proof."""

    documents: list[Document]
    dropped: tuple[tuple[str, ...], ...] = ()
    proof: dict[str, Any] = field(default_factory=dict)


def plan_cube(
    plan: Plan,
    source: Source,
    policy: Policy,
    treatment: Treatment,
    *,
    quality: Mapping[str, Any] | None,
    published: Sequence[Out],
    progress: Progress,
) -> Made:
    """Make every document of a plan, beside what is published of these persons.

    Parameters
    ----------
    quality : mapping, optional
        The run's coarse report, for model-based rates of linkage where there are no pairs of known truth.
    progress : callable
        ``(step, goals served, goals)``.

    Raises
    ------
    OutcomesError
        As `plan_documents`.
    DisclosureError
        As `protect_cube`.
    """
    declared = INDICATORS.get(plan.indicator)
    if declared is None:
        raise OutcomesError("UNKNOWN_INDICATOR", "There is no such indicator.")
    _require_first_of_its_kind(declared, plan, published)
    made = Made([])
    shares: list[Document] = []
    if treatment.method != "suppression":
        return _otherwise(declared, plan, source, policy, treatment)
    if declared.disclosure in RATES:
        shares = _shares(plan, source, policy, published, progress, made)
    matches = _matches(declared, plan, shares, source, policy, published, progress, made)
    made.documents = plan_documents(
        plan.indicator,
        plan.cohort,
        plan.dimensions,
        source,
        policy,
        permitted=plan.permitted,
        quality=quality,
        published=[out.documents for out in published],
        shares=shares,
        matches=matches,
    )
    if declared.disclosure == "bands":
        from app.outcomes.union import hide_bands

        hide_bands(made.documents, plan, source, policy, published, progress)
    if made.documents[0].get("flows"):
        from app.outcomes.union import hide_flows

        hide_flows(made.documents, plan, source, policy, published, progress)
    if declared.disclosure == "contribution":
        from app.outcomes.contributed import hide_contribution
        from app.outcomes.union import published_layers

        layers = published_layers(source, published, policy)
        hide_contribution(made.documents, plan.cohort, source, policy, layers, progress)
    for document in made.documents:
        document["protection"] = treatment.to_document()
    if made.dropped:
        told = ", ".join(" × ".join(margin) for margin in made.dropped)
        for document in made.documents:
            document["notes"] = [*document["notes"], f"Not proven within the budget, not published: {told}."]
    return made


def _require_first_of_its_kind(declared: Indicator, plan: Plan, published: Sequence[Out]) -> None:
    """Refuse what is protected for itself alone where it would stand beside its like.

    Flows, percentiles and contributions are not proven together with a later vintage or another agreement's
    of the same persons: the two could be subtracted. A contribution is another way to tell who is in a
    program, also where another agreement has the tables by program.

    Raises
    ------
    OutcomesError
        ``NOT_IN_PLAN``, ``NOT_WITH_PROGRAMS``.
    """
    if declared.disclosure not in RATES and any(
        out.indicator == plan.indicator and (out.source is not None or not out.same_agreement)
        for out in published
    ):
        raise OutcomesError(
            "NOT_IN_PLAN", f"{plan.indicator} of these persons is published, and the two could be subtracted."
        )
    by_program = any(OF_PROGRAMS & set(document["by"]) for out in published for document in out.documents)
    beside = any(out.indicator == "contribution" for out in published)
    if (plan.indicator == "contribution" and by_program) or (beside and OF_PROGRAMS & set(plan.dimensions)):
        raise OutcomesError(
            "NOT_WITH_PROGRAMS", "A contribution and tables by program are not published of the same persons."
        )


def _otherwise(declared: Indicator, plan: Plan, source: Source, policy: Policy, treatment: Treatment) -> Made:
    """Tables of shares by another method, match rates by the same; nothing as counted stands beside them."""
    from app.disclosure.alternatives import protect_otherwise
    from app.outcomes.entries import entries

    if declared.disclosure not in RATES:
        raise OutcomesError("NOT_IN_PLAN", "The method of this agreement protects shares of persons alone.")
    counted = entries(declared, plan.cohort, plan.dimensions, source)
    names = {axis.name for axis in counted.axes}
    named = [table for table in plan.named if set(table) <= names]
    cube = protect_otherwise(counted, policy, treatment, plan.depth, named)
    documents: list[Document] = [cube.table(by).to_document() for by in cube.plan]
    if "matched" in declared.within:
        matches: list[Document] = []
        # Noise for one person must hide her in all counts: match rates would have to be paid for as well.
        if treatment.method != "differential_privacy":
            linked = entries(matched_beside(declared), plan.cohort, plan.dimensions, source)
            rates = protect_otherwise(linked, policy, treatment, min(plan.depth, 1))
            matches = [rates.table(by).to_document() for by in rates.plan]
        documents = with_matches(documents, matches)
    told = {"protection": treatment.to_document(len(cube.plan))}
    return Made([{**document, **told} for document in documents])


def _finest(plan: Plan, source: Source) -> FinestCells:
    """The cohort by all dimensions of the plan that have rows of persons."""
    from app.outcomes.finest import finest_cells

    return finest_cells(
        plan.indicator,
        plan.cohort,
        [name for name in plan.dimensions if DIMENSIONS[name].rows is not Rows.PLACES],
        persons=source.persons,
        facts=source.facts,
        as_of=source.as_of,
        owners=source.owners,
        coverage=source.coverage,
        code_lists=source.code_lists,
        thresholds=source.thresholds,
    )


def _shares(
    plan: Plan,
    source: Source,
    policy: Policy,
    published: Sequence[Out],
    progress: Progress,
    made: Made,
) -> list[Document]:
    """Tables of shares as one cube, beside all that is out.

    Rows by place are no parts of a cohort, and give way to all that are.
    """
    from app.disclosure.cube import protect_cube
    from app.outcomes.by_place import by_place
    from app.outcomes.union import union as union_of

    cells, union = _finest(plan, source), union_of(plan, source, policy, published, progress)
    places = [name for name in plan.dimensions if DIMENSIONS[name].rows is Rows.PLACES]
    named = [table for table in plan.named if not set(table) & set(places)]
    decided: list[Suppression] = []

    def hide(state: Suppression) -> None:
        if union is not None:
            union.hide(state)
        decided.append(state)

    cube = protect_cube(cells, policy, plan.depth, named=named, progress=progress, beside=hide)
    made.dropped, made.proof = cube.dropped, dict(cube.proof)
    if union is not None:
        made.proof["beside"] = union.statistics
    tables: list[Document] = [cube.table(by).to_document() for by in cube.plan]
    if not places:
        return tables
    return [*tables, *by_place(plan, places, source, policy, published, progress, tables, decided, made)]


def _matches(
    declared: Indicator,
    plan: Plan,
    shares: Sequence[Document],
    source: Source,
    policy: Policy,
    published: Sequence[Out],
    progress: Progress,
    made: Made,
) -> list[Document]:
    """Match rates beside a new cube, where none are out yet."""
    if not shares or "matched" not in declared.within:
        return []
    if published_matches([out.documents for out in published]):
        return []
    from app.outcomes.crossed_matches import crossed_matches
    from app.outcomes.union import layers_with_places, published_layers

    parts = [document for document in shares if not is_by_place(document)]
    layers = published_layers(source, published, policy)
    new = Out(plan.indicator, plan.cohort, shares, None, same_agreement=True)
    places = layers_with_places(source, [*published, new], policy)
    matches, proof = crossed_matches(
        plan.indicator, plan.cohort, parts, layers, source, policy, progress, places
    )
    if proof:
        made.proof["match rates"] = proof
    return matches
