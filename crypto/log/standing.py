"""What the entries so far say of one agreement: the state that :mod:`crypto.log.rules` judges by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Standing:
    """An agreement as its entries leave it."""

    version: int
    terms: Mapping[str, Any]
    in_review: bool = False
    approved: set[str] = field(default_factory=set)
    revoked: bool = False
    holds: set[str] = field(default_factory=set)  # organizations that suspend it
    due_by: str | None = None
    destroyed: bool = False
    batches: dict[str, tuple[str, str]] = field(default_factory=dict)  # id → organization, manifest
    withdrawn: set[str] = field(default_factory=set)  # batches
    started: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # run → body
    finished: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # run → body
    requested: dict[str, str] = field(default_factory=dict)  # release → who
    granted: dict[str, bytes] = field(default_factory=dict)  # release → question
    said: dict[tuple[str, bytes], set[str]] = field(default_factory=dict)  # what, of a question → by whom
    reviewed: set[str] = field(default_factory=set)
    ledger: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    questions: set[tuple[str, str, int]] = field(default_factory=set)
    charged: int = 0

    def is_approved(self) -> bool:
        return (
            self.in_review
            and not self.revoked
            and self.due_by is None
            and self.approved >= set(self.terms["data_owners"])
        )

    def in_force(self, at: str) -> bool:
        """From the beginning of ``effective`` until the beginning of ``expires``, UTC."""
        in_time = bool(self.terms["effective"] <= at[:10] < self.terms["expires"])
        return in_time and not self.holds and self.is_approved()

    def has_ended(self, at: str) -> bool:
        return self.revoked or (self.is_approved() and at[:10] >= self.terms["expires"])
