"""Percentages to 0.1, half up, in whole numbers: no binary fraction ever decides a published digit."""

from __future__ import annotations


def per_cent(part: int, whole: int) -> str:
    """Return ``100 * part / whole`` to one decimal; ``whole`` is positive, ``part`` is not negative."""
    tenths = (2000 * part + whole) // (2 * whole)
    return f"{tenths // 10}.{tenths % 10}"
