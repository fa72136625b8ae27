"""The way out for figures that are no shares of persons.

Each is published for itself, by primary rules that leave nothing to subtract:

- percentiles carry no counts, are rounded, and what is shown of groups is chosen together (`percentiles`);
- bands partition the total alone, each with at least k, or none is shown;
- flows are a partition, protected as a table of persons whose outcome is never shown;
- a contribution splits the cohort in two, each part with k of both outcomes, and is proven beside all that is
  out (`app.outcomes.contributed`). Tables *by program* would be crossed with it, so no agreement gets both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from app.disclosure.figures import Bands, Contribution, Flows, QuantileCell, Quantiles
from app.disclosure.percentiles import TOTAL, shown_groups
from app.disclosure.policy import Policy
from app.disclosure.protect import PUBLISHED, WITHHELD, protect
from app.disclosure.rounding import per_cent
from app.disclosure.small_cells import shows_found
from app.disclosure.table import Cell, Description, Employers, Table

#: Dollars to which percentiles are rounded.
ROUND_TO = 100


@dataclass(frozen=True)
class ProtectedFigure:
    """A figure that may be published; its document has the head of every answer."""

    about: Description
    policy: Mapping[str, object]
    body: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form; the same data, policy and secret give the same document."""
        coverage = self.about.coverage
        return {
            "indicator": self.about.indicator,
            "title": self.about.title,
            "definition": self.about.definition,
            "cohort": self.about.cohort,
            **self.body,
            "coverage": {
                "text": coverage.text,
                "encodable": coverage.encodable,
                "strong_identifier": coverage.strong_identifier,
            },
            "contributors": list(self.about.contributors),
            "breaks": list(self.about.breaks),
            "vintage": self.about.vintage,
            "policy": dict(self.policy),
            "notes": [*self.about.notes, *self.notes],
        }


def dollars(value: Decimal) -> str:
    """Round to :data:`ROUND_TO` dollars, half up."""
    return str((value / ROUND_TO).quantize(Decimal(1), ROUND_HALF_UP) * ROUND_TO)


def protect_quantiles(
    figures: Sequence[Quantiles], policy: Policy, withheld: frozenset[tuple[str, str]] = frozenset()
) -> list[ProtectedFigure]:
    """Show percentiles where they tell of no few persons and of no employer, all tables together.

    Parameters
    ----------
    figures : sequence of Quantiles
        Every table of the plan.
    policy : Policy
    withheld : frozenset of (str, str), optional
        Rows, by dimension and code, that are not shown whatever they hold.
    """
    shown = shown_groups(figures, policy, withheld)
    about = {**policy.to_document(), "rounded_to": ROUND_TO}
    note = f"Percentiles are rounded to {ROUND_TO} dollars and do not add up."
    return [
        ProtectedFigure(
            figure.about,
            about,
            {
                "by": list(figure.by),
                "rows": [
                    _quantile_row(figure, key, label, cell, shown=(at, row) in shown)
                    for row, (key, label, cell) in enumerate(
                        zip(figure.keys, figure.labels, figure.cells, strict=True)
                    )
                ],
                "total": _quantile_row(figure, (), "Total", figure.total, shown=TOTAL in shown),
                "additive": False,
            },
            (note,),
        )
        for at, figure in enumerate(figures)
    ]


def _quantile_row(
    figure: Quantiles, key: tuple[str, ...], label: str, cell: QuantileCell, *, shown: bool
) -> dict[str, Any]:
    return {
        "key": dict(zip(figure.by, key, strict=False)),
        "label": label,
        "status": PUBLISHED if shown else WITHHELD,
        # Counts of those with wages are figures of another indicator, under its own protection.
        "n": None,
        "found": None,
        "rate": None,
        **{name: dollars(cell.values[name][0]) if shown else None for name in figure.names},
    }


def protect_bands(figure: Bands, policy: Policy) -> ProtectedFigure:
    """Show the bands of the total where every band holds k persons; else none of them."""
    total, shown = sum(figure.counts), min(figure.counts, default=0) >= policy.min_cell
    rows = [
        {
            "key": {"band": code},
            "label": label,
            "status": PUBLISHED if shown else WITHHELD,
            "n": count if shown else None,
            "share": per_cent(count, total) if shown else None,
        }
        for code, label, count in zip(figure.codes, figure.labels, figure.counts, strict=True)
    ]
    body = {"by": ["band"], "rows": rows, "additive": True}
    return ProtectedFigure(figure.about, policy.to_document(), body)


def protect_flows(figure: Flows, policy: Policy) -> ProtectedFigure:
    """Show flows with k persons and enough employers; what lacks employers is counted with other flows."""
    keep = _kept_flows(figure)
    counts = [cell.n if kept else 0 for cell, kept in zip(figure.cells, keep, strict=True)]
    folded = sum(cell.n for cell, kept in zip(figure.cells, keep, strict=True) if not kept)
    rows = [*counts, folded, figure.not_in_data]
    table = Table(
        figure.about,
        ("flow",),
        keys=tuple((f"{sector} {state}",) for sector, state in (*figure.keys, ("OTHER", ""), ("NONE", ""))),
        labels=(*figure.labels, "Other flows", "Not in the data"),
        cells=tuple(Cell(n, 0) for n in rows),
        total=Cell(sum(rows), 0),
    )
    ends = [Table(figure.about, (), keys=(), labels=(), cells=(), total=table.total), table]
    safe = protect(ends, policy).table(("flow",))
    keys = [*({"naics_sector": a, "state_of_work": b} for a, b in figure.keys), {"naics_sector": "OTHER"}]
    keys.append({"naics_sector": "NOT_IN_DATA"})
    total = safe.total.n
    body = {
        "by": ["naics_sector", "state_of_work"],
        "rows": [
            {
                "key": key,
                "label": row.label,
                "status": WITHHELD if row.n is None else PUBLISHED,
                "n": row.n,
                "share": None if row.n is None or total is None else per_cent(row.n, total),
            }
            for key, row in zip(keys, safe.rows, strict=True)
        ],
        "total": {"n": total},
        "additive": True,
    }
    return ProtectedFigure(figure.about, policy.to_document(), body)


def _kept_flows(figure: Flows) -> list[bool]:
    """Which flows have a row of their own: those whose employers cannot be read off, nor those of the rest.

    Which flows are folded may be guessed, so they are joined by the smallest others until together they tell
    of no employer either.
    """
    keep = [cell.employers.protected for cell in figure.cells]
    while True:
        folded = [cell.paid for cell, kept in zip(figure.cells, keep, strict=True) if not kept]
        left = [at for at, kept in enumerate(keep) if kept and figure.cells[at].n]
        if not left or not any(folded) or Employers.of(*folded).protected:
            return keep
        keep[min(left, key=lambda at: (figure.cells[at].n, at))] = False


def protect_contribution(figure: Contribution, policy: Policy) -> ProtectedFigure:
    """Show a contribution where participants, counterparts and the rest each have k of both outcomes."""
    k = policy.min_cell
    sides = (figure.participants, figure.comparison, figure.rest)
    shown = all(shows_found(cell, k) for cell in sides)
    n, found = figure.participants.n, figure.participants.found
    body: dict[str, Any] = {
        "by": [],
        "rows": [],
        "total": {
            "key": {},
            "label": "Participants with a counterpart",
            "status": PUBLISHED if shown else WITHHELD,
            "n": n if shown else None,
            "found": found if shown else None,
            "rate": per_cent(found, n) if shown else None,
            "standardised_rate": one_decimal(100 * figure.standardised) if shown else None,
            "difference_points": one_decimal(100 * figure.difference) if shown else None,
            "contributed_points": one_decimal(100 * figure.points) if shown else None,
        },
        "additive": False,
        "label": "association, not effect",
    }
    return ProtectedFigure(figure.about, policy.to_document(), body)


def one_decimal(value: Fraction) -> str:
    """Round a signed figure to 0.1, halves away from zero."""
    tenths = (abs(value) * 20 + 1) // 2
    sign = "-" if value < 0 and tenths else ""
    return f"{sign}{tenths // 10}.{tenths % 10}"
