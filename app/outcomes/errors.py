"""Why a table cannot be made."""

from __future__ import annotations

from crypto.errors import CohortlinkError


class OutcomesError(CohortlinkError):
    """A question or its data do not admit a table; ``code`` says which rule, the detail never a value."""
