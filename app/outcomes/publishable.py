"""Every document of one indicator's plan for one cohort: protected, with coverage and linkage error beside.

The one place that knows which treatment leads to which figures. What comes out may be published as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.disclosure.policy import Policy
from app.disclosure.protect import WITHHELD, protect
from app.disclosure.protect_figures import (
    protect_bands,
    protect_contribution,
    protect_flows,
    protect_quantiles,
)
from app.disclosure.table import Rows, Table
from app.outcomes.dimensions import DIMENSIONS, OF_PROGRAMS
from app.outcomes.errors import OutcomesError
from app.outcomes.figures import Source, bands, contribution, flows, quantiles
from app.outcomes.indicators import INDICATORS, Indicator
from app.outcomes.linkage_error import Rates, annotate, model_rates
from app.outcomes.match_rates import OF_ALL, published_matches, with_matches
from app.outcomes.measures import Earnings, FoundInQuarter
from app.outcomes.medians import rate_withheld
from app.outcomes.tabulate import tabulate_plan
from app.outcomes.truth import truth_rates

Document = dict[str, Any]


def plan_documents(
    indicator: str,
    cohort: str,
    dimensions: Sequence[str],
    source: Source,
    policy: Policy,
    *,
    permitted: Sequence[str] = (),
    quality: Mapping[str, Any] | None = None,
    published: Sequence[Sequence[Mapping[str, Any]]] = (),
    shares: Sequence[Document] = (),
    matches: Sequence[Document] = (),
) -> list[Document]:
    """Documents of the plan: the total's first, then one per dimension, or whatever ``shares`` hold.

    Parameters
    ----------
    indicator, cohort : str
    dimensions : sequence of str
        The agreement's dimensions that the indicator has.
    source : Source
    policy : Policy
    permitted : sequence of str
        All dimensions of the agreement: a contribution is not published beside tables by program.
    quality : mapping, optional
        The run's coarse report, for model-based rates of linkage where there are no pairs of known truth.
    published : sequence of sequence of mapping
        Documents of the cohort's other indicators that are published already, one sequence for each.
    shares : sequence of mapping
        Tables of shares, protected as one cube; what stands beside them is added here.
    matches : sequence of mapping
        Match rates that were protected beside these.

    Raises
    ------
    OutcomesError
        As :func:`tabulate`; ``NOT_IN_PLAN``: not beside what is
        published; ``OTHER_TREATMENT`` for gap and trend, which are made from published tables;
        ``NOT_WITH_PROGRAMS``.
    DisclosureError
        As :func:`protect`.
    """
    declared = INDICATORS.get(indicator)
    if declared is None:
        raise OutcomesError("UNKNOWN_INDICATOR", "There is no such indicator.")
    match declared.disclosure:
        case "proportion" | "bands":
            return _rates(declared, cohort, source, policy, quality, published, shares, matches)
        case "quantiles":
            withheld = (
                rate_withheld(indicator, cohort, published) if policy.figures_by_persons else frozenset()
            )
            documents = _quantiles(declared, cohort, dimensions, source, policy, withheld)
            return with_matches(documents, published_matches(published), note=OF_ALL)
        case "contribution":
            if OF_PROGRAMS & set(permitted):
                raise OutcomesError(
                    "NOT_WITH_PROGRAMS",
                    "A contribution is not published under an agreement that has tables by program.",
                )
            figure = protect_contribution(contribution(cohort, source), policy)
            return with_matches([figure.to_document()], published_matches(published), note=OF_ALL)
        case _:
            raise OutcomesError("OTHER_TREATMENT", "This is made from tables that are published already.")


def _rates(
    declared: Indicator,
    cohort: str,
    source: Source,
    policy: Policy,
    quality: Mapping[str, Any] | None,
    published: Sequence[Sequence[Mapping[str, Any]]],
    shares: Sequence[Document],
    matches: Sequence[Document],
) -> list[Document]:
    documents = [dict(document) for document in shares]
    if "matched" in declared.within:
        documents = with_matches(documents, published_matches(published) or matches)
    if declared.disclosure == "bands":
        figure = protect_bands(bands(declared.id, cohort, source), policy).to_document()
        if documents[0]["total"]["found"] is None:
            # The first band is the total's numerator, and the others together are a difference from it.
            empty = {"status": WITHHELD, "n": None, "share": None}
            figure["rows"] = [{**row, **empty} for row in figure["rows"]]
        documents[0]["bands"] = figure["rows"]
    if isinstance(declared.measure, FoundInQuarter):
        documents = with_linkage_error(documents, source, policy, quality)
    return documents


def one_way(
    indicator: str, cohort: str, dimensions: Sequence[str], source: Source, policy: Policy
) -> list[Document]:
    """Tables of shares of one dimension each, by themselves: the total's first."""
    cube = protect(_tables(INDICATORS[indicator], cohort, dimensions, source), policy)
    return [_with_rules(cube.table(by).to_document()) for by in cube.plan]


def _with_rules(document: Document) -> Document:
    """What decides in which row somebody stands, where that is no matter of course."""
    rules = [DIMENSIONS[name].rule for name in document["by"] if DIMENSIONS[name].rule]
    return {**document, "notes": [*document["notes"], *rules]}


def _tables(declared: Indicator, cohort: str, dimensions: Sequence[str], source: Source) -> list[Table]:
    return list(
        tabulate_plan(
            declared,
            cohort,
            dimensions,
            persons=source.persons,
            facts=source.facts,
            as_of=source.as_of,
            owners=source.owners,
            coverage=source.coverage,
            code_lists=source.code_lists,
            thresholds=source.thresholds,
        )
    )


def with_linkage_error(
    documents: Sequence[Mapping[str, Any]],
    source: Source,
    policy: Policy,
    quality: Mapping[str, Any] | None,
) -> list[Document]:
    """Adjusted rates beside the published ones: by truth pairs, else by the model, else nothing is added."""
    overall, groups = truth_rates(source.persons, source.facts, policy.min_cell)
    if overall is None and quality is not None:
        left, right = (
            frozenset(batch for batch, _ in source.facts.get(kind, ())) for kind in ("completion", "wage")
        )
        overall = model_rates(quality, left, right)
    if overall is None:
        return [dict(document) for document in documents]

    def own(document: Mapping[str, Any]) -> Mapping[str, Rates]:
        return groups.get(document["by"][0], {}) if len(document["by"]) == 1 else {}

    # Rows by place ask whether somebody was found there: the rates of the whole region do not apply to them.
    return [
        dict(document) if is_by_place(document) else annotate(document, overall, own(document))
        for document in documents
    ]


def is_by_place(document: Mapping[str, Any]) -> bool:
    """Whether the rows of a table are places, and no parts of the cohort."""
    return any(DIMENSIONS[name].rows is Rows.PLACES for name in document["by"])


def _quantiles(
    declared: Indicator,
    cohort: str,
    dimensions: Sequence[str],
    source: Source,
    policy: Policy,
    withheld: frozenset[tuple[str, str]],
) -> list[Document]:
    plan: list[tuple[str, ...]] = [(), *((name,) for name in dict.fromkeys(dimensions))]
    documents = [
        figure.to_document()
        for figure in protect_quantiles(
            [quantiles(declared.id, cohort, by, source) for by in plan], policy, withheld
        )
    ]
    if isinstance(declared.measure, Earnings) and declared.measure.years is not None:
        told = protect_flows(flows(declared.id, cohort, source), policy).to_document()
        documents[0]["flows"] = told["rows"]
    return documents
