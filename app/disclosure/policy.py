"""What a cube is protected by."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

#: DOMAIN.md and PRIVACY.md: the default, settable upward by agreement.
DEFAULT_MIN_CELL = 10

#: Non-zeros of linear programs that a proof may solve, or as much: about half an hour on one core. Only cubes
#: that are very large, or cannot be proven, spend it.
DEFAULT_WORK = 600_000_000


@dataclass(frozen=True)
class Policy:
    """Parameters of protection.

    Attributes
    ----------
    min_cell : int
        k: fewest persons in a denominator, found, and not found of anything that is shown or derivable.
    secret : bytes
        At least 16 random bytes of the service. Which companion cells are hidden depends on it, so that
        knowing the algorithm does not tell why a cell is hidden. Same data, same secret, same cells.
    work : int
        Budget of the proof. Tables that are not proven within it are dropped. Not in seconds, so that the
        same data give the same tables on every machine.
    min_found : int, optional
        t: fewest persons found, and fewest not found, of a group whose rate is shown; ``min_cell`` if not
        given, and never less.
    employers_of_places : bool
        Whether a numerator whose key names a place tells of no employer (`app.disclosure.telling`). Cubes
        that were published before there was this rule are made again without it.
    sums_of_places : bool
        Whether that is asked of sums of several places as well (`app.disclosure.sets`). Before, it was not.
    flows_in_part : bool
        Whether flows whose denominator cannot be told are given as numbers alone. Before, they were withheld.
    places_beside_groups : bool
        Whether rows by place are proven beside the groups of their indicator. Before, beside its total alone.
    places_beside_all_groups : bool
        Whether that is asked of groups by dimensions too that the agreement does not permit, of groups of
        whom a row by place is the number, and of other indicators. Before, of the cube's other groups alone.
    programs_anew : bool
        Whether a program for which the solver has no answer is begun anew, by another method. Before, all of
        what it was asked for was withheld.
    figures_by_persons : bool
        Whether percentiles keep groups apart by all their persons, and points contributed count as telling
        how many there are in all. Before, percentiles did by those with a value, and points told nothing.
    awards_known_again : bool
        Whether awards that are numbered anew in later data are known again by all else that is known of them.
        Before, they were other persons' awards.
    """

    min_cell: int
    secret: bytes = field(repr=False)
    work: int = DEFAULT_WORK
    min_found: int | None = None
    employers_of_places: bool = True
    sums_of_places: bool = True
    flows_in_part: bool = True
    places_beside_groups: bool = True
    places_beside_all_groups: bool = True
    programs_anew: bool = True
    figures_by_persons: bool = True
    awards_known_again: bool = True

    def __post_init__(self) -> None:
        if self.min_cell < 2:
            raise ValueError("A minimum cell below 2 protects nobody.")
        if len(self.secret) < 16:
            raise ValueError("The secret of a policy has at least 16 bytes.")
        if self.min_found is not None and self.min_found < self.min_cell:
            raise ValueError("Whoever is found is a group as well: not fewer than the minimum cell.")

    @property
    def found_from(self) -> int:
        """From how many persons found, and not found, a numerator is shown."""
        return self.min_found or self.min_cell

    def chance(self, *parts: str) -> float:
        """Return a number in [0, 1) that only the secret's holder foresees, the same for the same parts."""
        message = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
        digest = hmac.digest(self.secret, b"cohortlink/suppression/1\n" + message, hashlib.sha256)
        return int.from_bytes(digest[:8], "big") / 2**64

    def frozen(self) -> dict[str, object]:
        """All parameters but the secret, to make the same cube again when defaults are others."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "secret"}

    @classmethod
    def thaw(cls, frozen: Mapping[str, Any], secret: bytes) -> Policy:
        """The policy of before; a parameter that did not exist then has its default, a rule does not hold."""
        rules = (
            "employers_of_places",
            "sums_of_places",
            "flows_in_part",
            "places_beside_groups",
            "places_beside_all_groups",
            "programs_anew",
            "figures_by_persons",
            "awards_known_again",
        )
        later = dict.fromkeys(rules, False)
        return cls(secret=secret, **{**later, **frozen})

    def to_document(self) -> dict[str, object]:
        """Public part, as it stands in every answer."""
        found = {} if self.min_found is None else {"min_found": self.min_found}
        return {"min_cell": self.min_cell, **found, "method": "suppression"}
