"""What parties agree on about disclosure beside the minimum cell: tables, method, budgets, corrections."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from app.disclosure.policy import DEFAULT_WORK, Policy
from app.disclosure.treatment import Method, Treatment

Word = Annotated[str, Field(min_length=1, max_length=80)]
Epsilon = Annotated[str, Field(pattern=r"^(?:0|[1-9]\d?)(?:\.\d{1,4})?$")]

#: Non-zeros of linear programs in one unit of an agreement's ``budget``.
BUDGET_UNIT: Final = 1_000_000


class Disclosure(BaseModel):
    """Terms of disclosure; the defaults are the strongest.

    Attributes
    ----------
    method : str
        How figures are protected. One population is protected by one method.
    tables : list of list of str
        Tables that are planned though they cross more dimensions than ``max_dimensions``.
    min_found : int, optional
        Fewest persons found, and not found, beside a rate (t); the minimum cell if not given, never less.
    budget : int, optional
        Millions of non-zeros of linear programs that a proof may solve; a table that is not proven within it
        is not published.
    corrections : int
        How often a frozen cohort may be made again from a later run, beside what is published.
    asked_min_cell : int
        The highest minimum cell that a recipient may ask for: the first answer freezes a cohort for all.
    rounding_base : int
        Of controlled rounding: figures are multiples of it.
    epsilon, total_epsilon : str
        Of differential privacy, as decimals: what one cube costs, and what all cubes over one population may.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    method: Method = "suppression"
    tables: list[Annotated[list[Word], Field(min_length=1, max_length=5)]] = Field(default=[], max_length=50)
    min_found: Annotated[int, Field(ge=10, le=100_000)] | None = None
    budget: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    corrections: Annotated[int, Field(ge=0, le=20)] = 0
    asked_min_cell: Annotated[int, Field(ge=10, le=1_000)] = 100
    rounding_base: Annotated[int, Field(ge=5, le=100)] = 10
    epsilon: Epsilon = "1"
    total_epsilon: Epsilon = "4"

    def problems(self, dimensions: Sequence[str], min_cell: int) -> list[tuple[str, str]]:
        """Places that contradict the rest of the agreement, and why."""
        found = []
        for at, table in enumerate(self.tables):
            if len(set(table)) < len(table):
                found.append((f"tables.{at}", "names a dimension twice"))
            if not set(table) <= set(dimensions):
                found.append((f"tables.{at}", "names a dimension that the agreement does not permit"))
        if self.min_found is not None and self.min_found < min_cell:
            found.append(("min_found", "is less than the minimum cell"))
        if not 0 < Decimal(self.epsilon) <= Decimal(self.total_epsilon):
            found.append(("epsilon", "is nothing, or more than total_epsilon"))
        return found

    def policy(self, min_cell: int, secret: bytes) -> Policy:
        """The policy of a cube at this minimum cell."""
        work = DEFAULT_WORK if self.budget is None else self.budget * BUDGET_UNIT
        found = None if self.min_found is None else max(self.min_found, min_cell)
        return Policy(min_cell, secret, work, found)

    def treatment(self) -> Treatment:
        """How figures are protected, with the parameters that this method has."""
        return Treatment(
            self.method,
            rounding_base=self.rounding_base if self.method == "controlled_rounding" else None,
            epsilon=self.epsilon if self.method == "differential_privacy" else None,
        )
