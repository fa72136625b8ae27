"""Holds: a data owner or the operator suspends an agreement, and lifts its own hold again.

While any hold stands the agreement is SUSPENDED: nothing is submitted, run or released, and a run in
progress stops at its next sign of progress. What was approved stays approved. Holds need no signature:
they only ever stop, and lifting the last one restores no more than what the owners had signed.
"""

from __future__ import annotations

import secrets
from typing import Any

from app.auth import Caller
from app.errors import ConflictError
from app.flows.seal_log import append, seal
from app.flows.service import Service
from app.flows.sign_agreement import Action, describe, standing, step, visible
from app.store import holds


def suspend(service: Service, caller: Caller, agreement_id: str) -> dict[str, Any]:
    """Hold the agreement; an organization that holds it already changes nothing.

    Raises
    ------
    NotFoundError, ForbiddenError
    ConflictError
        `AGREEMENT_STATE`.
    """
    now = service.now()
    with service.store.transaction("suspend agreement") as tx:
        agreement = visible(tx, caller, agreement_id, lock=True)
        to = step(tx, standing(tx, agreement, now), Action.SUSPEND, caller)
        if all(hold.organization_id != caller.organization for hold in holds.standing(tx, agreement_id)):
            holds.add(tx, "hold_" + secrets.token_hex(8), agreement_id, caller.organization, now)
            agreement.state, agreement.changed_at = to, now
            body = {"version": agreement.version}
            append(tx, "agreement.suspended", agreement_id, caller.organization, body, now)
        result = describe(tx, agreement, now)
    seal(service)
    return result


def resume(service: Service, caller: Caller, agreement_id: str) -> dict[str, Any]:
    """Lift the caller's own hold; with the last one the agreement is in force again.

    Raises
    ------
    NotFoundError, ForbiddenError
    ConflictError
        `AGREEMENT_STATE`; `NOT_YOUR_HOLD` where only others hold the agreement.
    """
    now = service.now()
    with service.store.transaction("resume agreement") as tx:
        agreement = visible(tx, caller, agreement_id, lock=True)
        found = standing(tx, agreement, now)
        step(tx, found, Action.RELEASE_HOLD, caller)
        standing_holds = holds.standing(tx, agreement_id)
        own = [hold for hold in standing_holds if hold.organization_id == caller.organization]
        if not own:
            raise ConflictError("NOT_YOUR_HOLD", "Whoever suspended the agreement lifts its own hold.")
        for hold in own:
            hold.lifted_at = now
        action = Action.RESUME if len(own) == len(standing_holds) else Action.RELEASE_HOLD
        agreement.state, agreement.changed_at = step(tx, found, action, caller), now
        body = {"version": agreement.version, "state": str(agreement.state)}
        append(tx, "agreement.resumed", agreement_id, caller.organization, body, now)
        result = describe(tx, agreement, now)
    seal(service)
    return result
