"""Primary rule: what a single cell may show of itself."""

from __future__ import annotations

from app.disclosure.table import Cell


def shows_n(cell: Cell, k: int) -> bool:
    """Return whether the denominator may be shown: at least ``k`` persons."""
    return cell.n >= k


def shows_found(cell: Cell, k: int) -> bool:
    """Return whether numerator and rate may be shown: ``k`` found, ``k`` not found; so never 0 % or 100 %."""
    return shows_n(cell, k) and cell.found >= k and cell.not_found >= k
