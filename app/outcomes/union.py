"""What is out about the persons of a new cube, as layers of one system (`app.disclosure.beside`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.disclosure.alternatives import finest
from app.disclosure.beside import Beside
from app.disclosure.cube import protect_cube
from app.disclosure.errors import DisclosureError
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from app.disclosure.protect import WITHHELD
from app.outcomes.entries import entries
from app.outcomes.figures import Source
from app.outcomes.indicators import IN_BANDS, INDICATORS, Indicator
from app.outcomes.match_rates import matched_beside, published_matches
from app.outcomes.question import RATES

if TYPE_CHECKING:
    from app.disclosure.suppression import Progress
    from app.outcomes.plan import Out, Plan

Document = dict[str, Any]
Layer = tuple[Entries, Sequence[Mapping[str, Any]]]

#: Whoever is in no band has no wages in the quarters that the bands look at.
_NOT_FOUND = "NOT_FOUND"


def published_layers(source: Source, published: Sequence[Out]) -> list[Layer]:
    """Each table of shares that is out, and what else stands in it: match rates, who is in a band.

    Match rates are counted with the figure beside which they were made, the oldest. Later figures repeat
    them, and may have another denominator, over which they could not be counted again.
    """
    layers: list[Layer] = []
    matched = False
    for out in published:
        indicator = INDICATORS[out.indicator]
        if indicator.disclosure not in RATES:
            continue
        names = [name for document in out.documents for name in document["by"]]
        data = source if out.source is None else out.source()
        layers.append((entries(indicator, out.cohort, names, data), out.documents))
        matches = [] if matched else published_matches([out.documents])
        if matches:
            matched = True
            layers.append((entries(matched_beside(indicator), out.cohort, names, data), matches))
        told = _told_by_bands(out.documents[0])
        if told:
            layers.append((_in_bands(indicator, out.cohort, names, data), told))
    return layers


def _in_bands(indicator: Indicator, cohort: str, names: Sequence[str], source: Source) -> Entries:
    """Who of an indicator's denominator is in any of its bands but the last."""
    found = entries(indicator, cohort, names, source, found=f"band <> '{_NOT_FOUND}'")
    found.indicator, found.within = IN_BANDS, ("matched",)
    if found.about is not None and found.about.vintage != "FINAL":
        # Provisional bands look at the fourth quarter alone, as the rate of employment does.
        found.within = ("matched", "employed_q4")
    return found


def _told_by_bands(document: Mapping[str, Any]) -> list[Document]:
    """How many are in a band, as the total of a table."""
    rows = {row["key"]["band"]: row["n"] for row in document.get("bands", ())}
    missed, n = rows.get(_NOT_FOUND), document["total"]["n"]
    if missed is None or n is None:
        return []
    return [{"by": [], "rows": [], "total": {"key": {}, "n": n, "found": n - missed}}]


def union(
    plan: Plan, source: Source, policy: Policy, published: Sequence[Out], progress: Progress
) -> Beside | None:
    """The new cube together with every table of shares that is out; None where there is none.

    Raises
    ------
    DisclosureError
        As `Beside`.
    """
    layers = published_layers(source, published)
    if not layers:
        return None
    new = entries(INDICATORS[plan.indicator], plan.cohort, plan.dimensions, source)
    return Beside(layers, new, policy, progress)


def hide_bands(
    documents: Sequence[Document],
    plan: Plan,
    source: Source,
    policy: Policy,
    published: Sequence[Out],
    progress: Progress,
) -> None:
    """Withhold the bands of a total where how many are in one gives something away beside all tables."""
    first = documents[0]
    if not _told_by_bands(first):
        return
    indicator = INDICATORS[plan.indicator]
    names = list(dict.fromkeys(plan.dimensions))
    counted = _in_bands(indicator, plan.cohort, names, source)
    counted_as = entries(indicator, plan.cohort, names, source)
    assert counted.about is not None
    layers = [*published_layers(source, published), (counted_as, documents)]
    try:
        beside = Beside(layers, counted, policy, progress)
        cells = finest(counted, counted.about)
        shown = protect_cube(cells, policy, 0, progress=progress, beside=beside.hide).table(()).total
    except DisclosureError:
        shown = None
    if shown is None or shown.found is None:
        empty = {"status": WITHHELD, "n": None, "share": None}
        first["bands"] = [{**row, **empty} for row in first["bands"]]
