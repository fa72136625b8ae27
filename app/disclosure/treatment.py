"""Which method protects a cube, with its parameters, and what that means for whoever reads an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Method = Literal["suppression", "cell_key", "controlled_rounding", "differential_privacy"]

_MEANING: Mapping[Method, str] = {
    "suppression": (
        "Figures that are shown are as counted. What is not shown cannot be worked out from all that is: "
        "small groups, and as many others as it takes, are withheld."
    ),
    "cell_key": (
        "Counts are changed by a few persons, by a secret that is the same wherever the same persons are "
        "counted; percentages are made of changed counts. Small counts are withheld."
    ),
    "controlled_rounding": (
        "Counts are multiples of {rounding_base}, near what was counted; percentages are made of rounded "
        "counts. Small counts are withheld."
    ),
    "differential_privacy": (
        "Counts carry random noise that hides whether any one person is among them (epsilon {epsilon} for "
        "all tables of this question together); percentages are made of noisy counts. Everybody counts "
        "once, with the highest award. Small counts are withheld."
    ),
}
_CERTAIN = "Whoever knows the method knows each count that is shown to within {persons} persons."
_ROUNDED = (
    "Whoever knows the method knows each count that is shown to within {persons} persons, or a multiple of "
    "that where sums could not be kept otherwise."
)
_LIKELY = (
    "Whoever knows the method knows 95 of 100 counts, found or not found, to within {persons} persons; of "
    "any one person she learns hardly more than without these figures."
)
#: The largest change by a cell key (`app.disclosure.cell_key`).
MOST_CHANGED = 8


def _laplace_95(scale: float) -> int:
    """Within how many persons discrete Laplace noise of a scale stays in 95 of 100 cases."""
    ratio, within = math.exp(-1 / scale), 0
    while 2 * ratio ** (within + 1) / (1 + ratio) > 0.05:
        within += 1
    return within


#: Whether published rows add up to published totals wherever the counts do.
_CONSISTENT: Mapping[Method, bool] = {
    "suppression": True,
    "cell_key": False,
    "controlled_rounding": True,
    "differential_privacy": False,
}


@dataclass(frozen=True)
class Treatment:
    """A method and its parameters.

    Attributes
    ----------
    method : str
    rounding_base : int, optional
        Of controlled rounding.
    epsilon : str, optional
        Of differential privacy: a decimal.
    """

    method: Method = "suppression"
    rounding_base: int | None = None
    epsilon: str | None = None

    def frozen(self) -> dict[str, Any]:
        """All parameters that are given; nothing for suppression, which was there first."""
        if self.method == "suppression":
            return {}
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def thaw(cls, frozen: Mapping[str, Any]) -> Treatment:
        """The treatment of before."""
        return cls(**frozen)

    @property
    def consistent(self) -> bool:
        """Whether margins agree with one another."""
        return _CONSISTENT[self.method]

    def interval(self, tables: int) -> dict[str, Any]:
        """How near whoever knows the method, and not the secret, comes to a count that is shown.

        Parameters
        ----------
        tables : int
            Of the question, which share a budget of privacy.

        Returns
        -------
        dict
            ``persons``: a count lies at most so far from what is shown; ``certain``, or in 95 of 100 cases.
        """
        if self.method == "cell_key":
            return {"persons": MOST_CHANGED, "certain": True}
        if self.method == "controlled_rounding":
            # Where sums cannot be kept otherwise, single counts move further.
            return {"persons": int(self.rounding_base or 1) - 1, "certain": False}
        return {"persons": _laplace_95(tables / float(self.epsilon or "nan")), "certain": False}

    def to_document(self, tables: int | None = None) -> dict[str, Any]:
        """What stands in every answer beside the policy.

        Parameters
        ----------
        tables : int, optional
            Of the question, where figures are changed: how near one comes to them is told too.
        """
        if tables is not None:
            interval = self.interval(tables)
            told = _CERTAIN if interval["certain"] else _ROUNDED if self.rounding_base else _LIKELY
            document = self.to_document()
            meaning = f"{document['meaning']} {told.format(**interval)}"
            return document | {"meaning": meaning, "interval": interval}
        parameters = {name: value for name, value in self.frozen().items() if name != "method"}
        margins = "consistent" if self.consistent else "not consistent"
        meaning = _MEANING[self.method].format(**asdict(self))
        return {"method": self.method, **parameters, "margins": margins, "meaning": meaning}
