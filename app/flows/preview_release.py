"""What a policy would publish, for the owners of the data, before they approve it. Never for those who ask.

Made where the data are, by the operator at the service's own folder or for an owner's page (`previews`), from
the newest run of the agreement and the terms that are before its owners. Nothing is published or charged; the
log says that it was looked at, by which parameters and without a figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.disclosure.errors import DisclosureError
from app.errors import ConflictError, RefusedError
from app.flows import load_thresholds, seal_log
from app.flows.agreement_terms import Terms
from app.flows.make_cube import silent, source_of_run
from app.flows.release_question import permitted_dimensions
from app.flows.service import Service
from app.flows.sign_agreement import standing, unknown
from app.outcomes.errors import OutcomesError
from app.outcomes.indicators import INDICATORS
from app.store import agreements, runs

if TYPE_CHECKING:
    from app.disclosure.groups import Groups
    from app.disclosure.suppression import Progress


def preview_release(
    service: Service,
    agreement_id: str,
    indicator: str,
    cohort: str,
    *,
    dimensions: Sequence[str] = (),
    min_cells: Sequence[int] = (),
    depths: Sequence[int] = (),
    progress: Progress = silent,
    actor: str = seal_log.SERVICE,
) -> dict[str, Any]:
    """Shares of persons and of cells that several policies would publish.

    Parameters
    ----------
    dimensions : sequence of str
        Instead of the agreement's.
    min_cells, depths : sequence of int
        Each with each; the agreement's own if not given.
    actor : str
        On whose behalf, as the log says it.

    Returns
    -------
    dict
        ``agreement``, ``run``, ``indicator``, ``cohort``, ``policies``: for each ``min_cell`` and ``depth``,
        by the number of dimensions of a table, the percentage of its populated cells and of its persons whose
        rate, and whose count at least, is published; ``dropped``: tables that were not proven;
        ``protection``: the method, what it means, and where it changes figures the ``interval`` within which
        the counted ones lie.

    Raises
    ------
    NotFoundError
        ``AGREEMENT_UNKNOWN``.
    ConflictError
        ``RUN_MISSING``, ``RUN_OUTDATED``.
    RefusedError
        ``MIN_CELL_TOO_SMALL``; as the release would be refused.
    """
    with service.store.reading("terms to preview") as tx:
        agreement = agreements.find(tx, agreement_id)
        if agreement is None:
            raise unknown()
        terms = standing(tx, agreement, service.now()).terms
        run = runs.latest_succeeded(tx, agreement_id)
    if run is None:
        raise ConflictError("RUN_MISSING", "No linkage run of this agreement has succeeded yet.")
    if indicator not in INDICATORS or INDICATORS[indicator].disclosure not in ("proportion", "bands"):
        raise RefusedError("OTHER_TREATMENT", "Only shares of persons are previewed.")
    ks = sorted({*min_cells} or {terms.min_cell})
    if ks[0] < terms.min_cell:
        raise RefusedError("MIN_CELL_TOO_SMALL", "The agreement's minimum cell is larger.")
    names = tuple(dimensions) or permitted_dimensions(terms, indicator)
    thresholds = load_thresholds.current(service)
    source = source_of_run(service, service.plane("facts"), service.plane("links"), run, thresholds)
    wanted = [(k, depth) for depth in sorted({*depths} or {terms.document.max_dimensions}) for k in ks]
    try:
        policies = [
            _policy(
                service, terms, indicator, cohort, names, source, k, depth, _of(progress, at, len(wanted))
            )
            for at, (k, depth) in enumerate(wanted, 1)
        ]
    except (OutcomesError, DisclosureError) as error:
        raise RefusedError(error.code, error.detail) from None
    body = {
        "run": run.id,
        "indicator": indicator,
        "cohort": cohort,
        "dimensions": list(names),
        "policies": [{"min_cell": k, "depth": depth} for k, depth in wanted],
    }
    with service.store.transaction("log preview") as tx:
        seal_log.append(tx, "release.previewed", agreement_id, actor, body, service.now())
    seal_log.seal(service)
    return {"agreement": agreement_id, **body, "policies": policies}


def _of(progress: Progress, at: int, count: int) -> Progress:
    """Say which of several policies a step belongs to."""
    return lambda step, done, total: progress(f"policy {at} of {count}, {step}", done, total)


def _policy(
    service: Service,
    terms: Terms,
    indicator: str,
    cohort: str,
    names: tuple[str, ...],
    source: Any,
    min_cell: int,
    depth: int,
    progress: Progress,
) -> dict[str, Any]:
    from app.disclosure.alternatives import finest
    from app.disclosure.groups import Groups, plan_margins
    from app.outcomes.entries import entries
    from app.outcomes.plan import Plan, plan_cube

    disclosure = terms.document.disclosure
    made = plan_cube(
        Plan(indicator, cohort, names, depth=depth, named=terms.named_tables, permitted=terms.dimensions),
        source,
        disclosure.policy(min_cell, service.release_secret()),
        disclosure.treatment(),
        quality=None,
        published=[],
        progress=progress,
    )
    counted = entries(INDICATORS[indicator], cohort, names, source)
    assert counted.about is not None
    groups = Groups(finest(counted, counted.about), plan_margins(counted.axes, depth, terms.named_tables))
    tables = {frozenset(document["by"]): document for document in made.documents}
    return {
        "min_cell": min_cell,
        "depth": depth,
        "tables": [_shares(groups, tables, size) for size in range(1, max(map(len, groups.margins)) + 1)],
        "dropped": [list(margin) for margin in made.dropped],
        "protection": dict(made.documents[0]["protection"]),
    }


def interval_in_words(policy: Mapping[str, Any]) -> str | None:
    """How far from what was counted the counts of a policy lie; None where they are as counted.

    Parameters
    ----------
    policy : mapping
        One of the ``policies`` of :func:`preview_release`.
    """
    interval = policy["protection"].get("interval")
    if interval is None:
        return None
    persons = interval["persons"]
    if interval["certain"]:
        return f"each count lies within {persons} persons of what was counted"
    if policy["protection"]["method"] == "controlled_rounding":
        return (
            f"each count lies within {persons} persons of what was counted, or a multiple of that where sums "
            "could not be kept otherwise"
        )
    return f"95 of 100 counts, found or not found, lie within {persons} persons of what was counted"


def _shares(groups: Groups, tables: Mapping[frozenset[str], Any], size: int) -> dict[str, Any]:
    """Of all tables of so many dimensions: how much of what is populated is published."""
    cells = persons = 0
    shown = {"rates": [0, 0], "counts": [0, 0]}
    for at, margin in enumerate(groups.margins):
        if len(margin) != size:
            continue
        n = groups.n[groups.starts[at] : groups.starts[at + 1]]
        cells, persons = cells + len(n), persons + int(n.sum())
        for row in tables[frozenset(margin)]["rows"]:
            for name, figure in (("rates", row["found"]), ("counts", row["n"])):
                if figure is not None:
                    shown[name][0] += 1
                    shown[name][1] += row["n"]
    return {
        "dimensions": size,
        "cells": cells,
        **{
            f"{name}_of_{what}": round(100 * value / whole, 1) if whole else None
            for name, both in shown.items()
            for what, value, whole in (("cells", both[0], cells), ("persons", both[1], persons))
        },
    }
