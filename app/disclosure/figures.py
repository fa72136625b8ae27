"""Figures that are no shares of persons: percentiles, bands, flows, contributions, before protection.

Guarded like tables; the one way out is :mod:`app.disclosure.protect_figures`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from app.disclosure.table import Cell, Description, Employers, Guarded


class QuantileCell(Guarded):
    """Percentiles of one group.

    Parameters
    ----------
    n : int
        Persons with a value.
    without : array of int
        Whoever of the group has none, by numbers as of ``members``.
    values : mapping of str to tuple of (Decimal, int, int)
        By name (``p25`` …): the value in dollars, persons below it, persons above it.
    members : array of int
        Whose values they are: the same number stands for the same award of the same person in every group.
    paid : mapping of str to Decimal
        Dollars of these values by employer.
    """

    __slots__ = ("members", "n", "paid", "values", "without")

    def __init__(
        self,
        n: int,
        without: NDArray[np.int64],
        values: Mapping[str, tuple[Decimal, int, int]],
        members: NDArray[np.int64],
        paid: Mapping[str, Decimal],
    ) -> None:
        self.n = n
        self.without = without
        self.values = dict(values)
        self.members = members
        self.paid = dict(paid)

    @classmethod
    def empty(cls) -> QuantileCell:
        """A group of nobody."""
        nobody = np.zeros(0, np.int64)
        return cls(0, nobody, {}, nobody, {})

    @property
    def others(self) -> int:
        """How many have no value."""
        return len(self.without)


class Quantiles(Guarded):
    """Percentiles over a full grid; shapes as in :class:`Table`."""

    __slots__ = ("about", "by", "cells", "keys", "labels", "names", "total")

    def __init__(
        self,
        about: Description,
        by: tuple[str, ...],
        *,
        names: tuple[str, ...],
        keys: tuple[tuple[str, ...], ...],
        labels: tuple[str, ...],
        cells: tuple[QuantileCell, ...],
        total: QuantileCell,
    ) -> None:
        self.about = about
        self.by = by
        self.names = names
        self.keys = keys
        self.labels = labels
        self.cells = cells
        self.total = total


class Bands(Guarded):
    """Persons of the total by band; ``codes`` and ``labels`` in code-list order."""

    __slots__ = ("about", "codes", "counts", "labels")

    def __init__(
        self, about: Description, codes: tuple[str, ...], labels: tuple[str, ...], counts: tuple[int, ...]
    ) -> None:
        self.about = about
        self.codes = codes
        self.labels = labels
        self.counts = counts


class FlowCell(Guarded):
    """Persons of one flow, and dollars that their employers paid them."""

    __slots__ = ("n", "paid")

    def __init__(self, n: int, paid: Mapping[str, Decimal]) -> None:
        self.n = n
        self.paid = dict(paid)

    @property
    def employers(self) -> Employers:
        """Who paid them."""
        return Employers.of(self.paid)


class Flows(Guarded):
    """Where a cohort works: a partition of its persons by industry and state, and those without wages."""

    __slots__ = ("about", "cells", "keys", "labels", "not_in_data")

    def __init__(
        self,
        about: Description,
        keys: tuple[tuple[str, str], ...],
        labels: tuple[str, ...],
        cells: tuple[FlowCell, ...],
        not_in_data: int,
    ) -> None:
        self.about = about
        self.keys = keys
        self.labels = labels
        self.cells = cells
        self.not_in_data = not_in_data


class Contribution(Guarded):
    """Participants against the standardised rest.

    Parameters
    ----------
    about : Description
    participants : Cell
        Those with a counterpart (on common support).
    comparison : Cell
        Counterparts.
    population : Cell
        The whole cohort, participants included.
    standardised : Fraction
        The comparison group's rate, weighted by the participants' strata.
    """

    __slots__ = ("about", "comparison", "participants", "population", "standardised")

    def __init__(
        self,
        about: Description,
        participants: Cell,
        comparison: Cell,
        population: Cell,
        standardised: Fraction,
    ) -> None:
        self.about = about
        self.participants = participants
        self.comparison = comparison
        self.population = population
        self.standardised = standardised

    @property
    def rest(self) -> Cell:
        """Whoever is not among the participants that are shown."""
        return Cell(self.population.n - self.participants.n, self.population.found - self.participants.found)

    @property
    def difference(self) -> Fraction:
        """Participants' rate minus the standardised one, as a share."""
        return Fraction(self.participants.found, self.participants.n) - self.standardised

    @property
    def points(self) -> Fraction:
        """Share of the population's rate that the difference makes up: difference × participants' share."""
        return self.difference * Fraction(self.participants.n, self.population.n)
