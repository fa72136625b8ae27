"""Rows by place beside tables by group: where those found work, entry by entry.

Whoever knows in which groups nobody works at which place takes both kinds of rows for one table. So columns
of a union are split by the places of those found (`joint`), as persons really have them, and both kinds of
rows are sums of the same columns.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.disclosure.finest import Ints
from app.disclosure.table import Guarded, Place


@dataclass(frozen=True, eq=False, repr=False)
class Worked(Guarded):
    """Where the entries of a layer were found.

    Attributes
    ----------
    sets : tuple of frozenset of Place
        Exact sets of places that somebody has.
    number : array, shape (n_entries,)
        Which set, from one; 0 for whoever stands in no row by place.
    telling : frozenset of Place
        Places whose numerators would tell of an employer.
    """

    sets: tuple[frozenset[Place], ...]
    number: Ints
    telling: frozenset[Place]

    @property
    def places(self) -> list[Place]:
        """All places where somebody was found."""
        return sorted(frozenset().union(*self.sets))
