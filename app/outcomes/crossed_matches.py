"""Match rates beside a cube over finest cells: of its total and single dimensions, proven beside all of it.

Crossed groups have none: they would be one more layer of every later figure of these persons, in each of
their cells, and later figures would be shown less for it. So every answer of such a cube carries the match
rates of its single dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.disclosure.along import hide_along
from app.disclosure.alternatives import finest
from app.disclosure.beside import Beside
from app.disclosure.cube import protect_cube
from app.disclosure.errors import DisclosureError
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from app.outcomes.entries import entries
from app.outcomes.figures import Source
from app.outcomes.indicators import INDICATORS
from app.outcomes.match_rates import matched_beside

if TYPE_CHECKING:
    from app.disclosure.suppression import Progress, Suppression

Document = dict[str, Any]
Layer = tuple[Entries, Sequence[Mapping[str, Any]]]

#: Larger unions take minutes, many times the cube itself: their answers say that match rates are not given.
MOST_COLUMNS = 20_000


def crossed_matches(
    indicator: str,
    cohort: str,
    shares: Sequence[Mapping[str, Any]],
    out: Sequence[Layer],
    source: Source,
    policy: Policy,
    progress: Progress,
    places: Sequence[Layer] = (),
) -> tuple[list[Document], dict[str, Any]]:
    """Documents of match rates, the total's first, and statistics of their proof; none if it fails.

    Parameters
    ----------
    indicator, cohort : str
        Of the cube beside which they stand.
    shares : sequence of mapping
        Its documents.
    out : sequence of (Entries, documents)
        What is published of these persons already.
    source : Source
    policy : Policy
    progress : callable
    places : sequence of (Entries, documents), optional
        What of all this, and of the cube, has rows by place: beside these, match rates are proven first.
    """
    declared = INDICATORS[indicator]
    names = list(dict.fromkeys(name for document in shares for name in document["by"]))
    matched = entries(matched_beside(declared), cohort, names, source)
    assert matched.about is not None

    def hide(state: Suppression) -> None:
        for layer in places:
            hide_along(state, matched, layer, policy, progress)
        beside.hide(state)

    layers = [*out, (entries(declared, cohort, names, source), shares)]
    try:
        beside = Beside(layers, matched, policy, progress)
        if beside.statistics["columns"] > MOST_COLUMNS:
            return [], {}
        cube = protect_cube(finest(matched, matched.about), policy, 1, progress=progress, beside=hide)
    except DisclosureError:
        return [], {}
    if cube.table(()).total.found is None:
        # Nothing tells of how many were linked where not even the whole does.
        return [], {}
    return [cube.table(by).to_document() for by in cube.plan], dict(beside.statistics)
