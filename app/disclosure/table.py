"""Tables before protection. They can be computed with, and cannot leave the process by accident.

Whatever turns objects into bytes or text (pickle, copy, json, ``repr``, ``str``, ``format``, a log line, a
traceback that prints locals) is refused or shown a constant. The one way out is
:func:`app.disclosure.protect.protect`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, NoReturn, SupportsIndex

#: A cell by industry or place needs so many employers, none of which pays more than this share of its wages.
MIN_EMPLOYERS = 3
MAX_SHARE = Fraction(4, 5)
#: Said beside groups that name a place.
PLACES_RULE = (
    "The rate of a group that names a place is shown only where at least 3 employers paid those found in the "
    "quarters that it looks at, and none above 80 per cent of their wages."
)

#: A dimension, and a code of it.
Place = tuple[str, str]


class Rows(StrEnum):
    """How the rows of a table relate to its total.

    ``PARTITION``: each person of the total in exactly one row. ``OVERLAPPING``: a person is in each row where
    she has an award, and that row looks at the award's own reference quarter. ``PLACES``: every row has the
    whole cohort as its denominator and counts those found there (a state, an industry); a person may be found
    in several.
    """

    PARTITION = "partition"
    OVERLAPPING = "overlapping"
    PLACES = "places"


class Guarded:
    """An object that holds unprotected counts and therefore has no text and no bytes."""

    __slots__ = ()

    def _refuse(self) -> NoReturn:
        raise TypeError("An unprotected table cannot be serialised; protect() it first.")

    def __reduce__(self) -> NoReturn:
        self._refuse()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        self._refuse()

    def __getstate__(self) -> NoReturn:
        self._refuse()

    def __copy__(self) -> NoReturn:
        self._refuse()

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self._refuse()

    def __iter__(self) -> NoReturn:
        self._refuse()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: unprotected, not shown>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)


class Cell(Guarded):
    """Counts of one group.

    Parameters
    ----------
    n : int
        Persons in the denominator.
    found : int
        Of these, persons found with the outcome; ``0 <= found <= n``.
    """

    __slots__ = ("found", "n")

    def __init__(self, n: int, found: int) -> None:
        if not 0 <= found <= n:
            raise ValueError("A cell counts no more persons found than persons.")
        self.n = n
        self.found = found

    @property
    def not_found(self) -> int:
        """Persons in the denominator who were not found."""
        return self.n - self.found


class Employers(Guarded):
    """Who paid the persons of a cell.

    Parameters
    ----------
    number : int
        Employers.
    top_share : Fraction
        The largest one's share of the wages that they paid.
    paid : mapping of str to Decimal, optional
        What each paid, in dollars above zero.
    """

    __slots__ = ("number", "paid", "top_share")

    def __init__(self, number: int, top_share: Fraction, paid: Mapping[str, Decimal] | None = None) -> None:
        self.number = number
        self.top_share = top_share
        self.paid = dict(paid or {})

    @classmethod
    def of(cls, *paid: Mapping[str, Decimal]) -> Employers:
        """Those of several cells together, by what each paid, in dollars above zero."""
        sums: dict[str, Decimal] = {}
        for cell in paid:
            for token, amount in cell.items():
                sums[token] = sums.get(token, Decimal(0)) + amount
        whole = sum(sums.values(), Decimal(0))
        share = Fraction(max(sums.values())) / Fraction(whole) if whole else Fraction(0)
        return cls(len(sums), share, sums)

    @property
    def protected(self) -> bool:
        """Whether no employer can be read off (20 CFR 603: they are protected too)."""
        return self.number >= MIN_EMPLOYERS and self.top_share <= MAX_SHARE


@dataclass(frozen=True)
class Coverage:
    """What the figures do not cover, and how well persons could be linked.

    Attributes
    ----------
    text : str
        The note that stands beside every figure.
    encodable, strong_identifier : str or None
        Whole per cent of the cohort's persons who could be encoded and who had a strong identifier, at
        least.
    """

    text: str
    encodable: str | None = None
    strong_identifier: str | None = None


@dataclass(frozen=True)
class Description:
    """What a table is about; all of it may be published.

    Attributes
    ----------
    indicator, title, definition, cohort : str
    vintage : {"PRELIMINARY", "FINAL"}
    coverage : Coverage
    notes : tuple of str
    contributors : tuple of str
        Organizations whose awards, and states whose wage records the figures are made of.
    breaks : tuple of str
        Cohort years whose contributors are not those of the year before.
    """

    indicator: str
    title: str
    definition: str
    cohort: str
    vintage: str
    coverage: Coverage
    notes: tuple[str, ...] = ()
    contributors: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()


class Table(Guarded):
    """Counts over a full grid of codes, in code-list order, with their total.

    Parameters
    ----------
    about : Description
    by : tuple of str
        Dimensions; empty for the total alone.
    keys : tuple of tuple of str
        One tuple of codes (as long as ``by``) per row; every code of the lists, present in the data or not.
    labels : tuple of str
        Words for each row.
    cells : tuple of Cell
        Counts of each row.
    total : Cell
        Each person once.
    rows : Rows
        How rows relate to the total.
    parents : mapping of str to str, optional
        Where codes refine the codes of another dimension: own code to the other's.
    parent_dimension : str, optional
        That other dimension.
    places : mapping of frozenset of Place to int, optional
        For ``Rows.PLACES``: persons found by the exact set of places they were found in, in all dimensions of
        this kind that the plan has.
    employers : mapping of str to Employers, optional
        By code, where no row may be shown that tells of an employer; a code that is missing has none.
    """

    __slots__ = (
        "about",
        "by",
        "cells",
        "employers",
        "keys",
        "labels",
        "parent_dimension",
        "parents",
        "places",
        "rows",
        "total",
    )

    def __init__(
        self,
        about: Description,
        by: tuple[str, ...],
        *,
        keys: tuple[tuple[str, ...], ...],
        labels: tuple[str, ...],
        cells: tuple[Cell, ...],
        total: Cell,
        rows: Rows = Rows.PARTITION,
        parents: Mapping[str, str] | None = None,
        parent_dimension: str | None = None,
        places: Mapping[frozenset[Place], int] | None = None,
        employers: Mapping[str, Employers] | None = None,
    ) -> None:
        if not len(keys) == len(labels) == len(cells) or len(set(keys)) != len(keys):
            raise ValueError("A grid has one label and one cell for each distinct key.")
        if by and rows is Rows.PARTITION:
            n, found = sum(cell.n for cell in cells), sum(cell.found for cell in cells)
            if (n, found) != (total.n, total.found):
                raise ValueError("The rows of a partition add up to its total.")
        self.about = about
        self.by = by
        self.keys = keys
        self.labels = labels
        self.cells = cells
        self.total = total
        self.rows = rows
        self.parents = dict(parents or {})
        self.parent_dimension = parent_dimension
        self.places = dict(places or {})
        self.employers = None if employers is None else dict(employers)

    @property
    def additive(self) -> bool:
        """Whether the rows add up to the total by their definition."""
        return self.rows is Rows.PARTITION

    def cell(self, *codes: str) -> Cell:
        """Counts of the row with these codes."""
        return self.cells[self.keys.index(codes)]
