"""Why a figure is not answered."""

from __future__ import annotations

from crypto.errors import CohortlinkError


class DisclosureError(CohortlinkError):
    """A refusal that is the same for everything outside the plan, so that it reveals nothing."""
