"""What may be asked: the declared indicators; and figures that are made from a published table alone."""

from __future__ import annotations

from typing import Any

from app.auth import Caller
from app.errors import ConflictError, ForbiddenError, RefusedError
from app.flows.publish_release import show_release
from app.flows.service import Service
from app.flows.sign_agreement import standing
from app.outcomes.derived import gap, trend
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.errors import OutcomesError
from app.outcomes.indicators import INDICATORS
from app.store import agreements


def list_indicators() -> list[dict[str, object]]:
    """Every indicator as it is declared."""
    return [indicator.to_document() for indicator in INDICATORS.values()]


def dimension_labels() -> dict[str, str]:
    """What every dimension is called, by its name."""
    return {name: dimension.label for name, dimension in DIMENSIONS.items()}


def state_names() -> dict[str, str]:
    """Names of states by their FIPS codes."""
    return dict(DIMENSIONS["state_of_work"].grid(None))


def show_gap(service: Service, caller: Caller, release_id: str, reference: str) -> dict[str, Any]:
    """Gaps of a published table's groups to one of them; withheld where either rate is.

    Raises
    ------
    NotFoundError
        ``RELEASE_UNKNOWN``.
    ForbiddenError
        ``INDICATOR_NOT_PERMITTED``: the agreement does not permit gaps.
    RefusedError
        ``NOT_A_RATE``, ``UNKNOWN_CODE``.
    """
    return _derive(service, caller, release_id, "gap", lambda table: gap(table, reference))


def show_trend(service: Service, caller: Caller, release_id: str) -> dict[str, Any]:
    """The points of a published table by cohort year, flagged where the series breaks; errors as above."""
    return _derive(service, caller, release_id, "trend", lambda table: trend([table]))


def _derive(service: Service, caller: Caller, release_id: str, indicator: str, make: Any) -> dict[str, Any]:
    release = show_release(service, caller, release_id)
    with service.store.reading("permitted indicators") as tx:
        agreement = agreements.find(tx, release["agreement"])
        assert agreement is not None
        permitted = standing(tx, agreement, service.now()).terms.indicators
    if indicator not in permitted:
        raise ForbiddenError("The agreement does not permit this indicator.", "INDICATOR_NOT_PERMITTED")
    if release["table"] is None:
        raise ConflictError("NO_TABLE", "This release has no table, or none yet.")
    try:
        figure: dict[str, Any] = make(release["table"])
    except OutcomesError as error:
        raise RefusedError(error.code, error.detail) from None
    return {"release": release_id, "agreement": release["agreement"], **figure}
