"""Which method protects a cube, with its parameters, and what that means for whoever reads an answer."""

from __future__ import annotations

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
        "counted, and rounded; percentages are made of changed counts. Small counts are withheld."
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

    def to_document(self) -> dict[str, Any]:
        """What stands in every answer beside the policy."""
        parameters = {name: value for name, value in self.frozen().items() if name != "method"}
        margins = "consistent" if self.consistent else "not consistent"
        meaning = _MEANING[self.method].format(**asdict(self))
        return {"method": self.method, **parameters, "margins": margins, "meaning": meaning}
