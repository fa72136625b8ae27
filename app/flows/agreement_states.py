"""The whole life of an agreement, as one table. Pure: no clock, no database.

ACTIVE and EXPIRED are not stored: an APPROVED agreement is one or the other by the clock, so there is no
job that could be late. SUSPENDED is stored, and stands while any owner or the operator holds the agreement.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Final

from app.errors import ConflictError, ForbiddenError
from app.store.models import AgreementState

State = AgreementState


class Action(StrEnum):
    """What can be done to an agreement, and under it."""

    EDIT = "edit"
    REVIEW = "review"
    APPROVE = "approve"
    COMPLETE = "complete"  # the last missing approval has arrived
    SUSPEND = "suspend"
    RESUME = "resume"
    RELEASE_HOLD = "release hold"  # lift one hold of several
    REVOKE = "revoke"
    REQUEST_DESTRUCTION = "request destruction"
    DESTROY = "destroy"


class Who(StrEnum):
    """As what somebody acts."""

    PROPOSER = "proposer"
    DATA_OWNER = "data_owner"
    OPERATOR = "operator"
    SERVICE = "service"


_EDITORS: Final = frozenset({Who.PROPOSER, Who.DATA_OWNER})
_OWNERS: Final = frozenset({Who.DATA_OWNER})
_STOPPERS: Final = frozenset({Who.DATA_OWNER, Who.OPERATOR})
_SERVICE: Final = frozenset({Who.SERVICE})

#: (state, action) → (state afterwards, who may). What is not in here is refused.
TRANSITIONS: Final[Mapping[tuple[State, Action], tuple[State, frozenset[Who]]]] = {
    (State.DRAFT, Action.EDIT): (State.DRAFT, _EDITORS),
    (State.DRAFT, Action.REVIEW): (State.REVIEW, _EDITORS),
    # A draft may follow a version that was in force: its data must not be out of reach of a revocation.
    (State.DRAFT, Action.REVOKE): (State.REVOKED, _OWNERS),
    (State.REVIEW, Action.EDIT): (State.DRAFT, _EDITORS),
    (State.REVIEW, Action.APPROVE): (State.REVIEW, _OWNERS),
    (State.REVIEW, Action.COMPLETE): (State.APPROVED, _SERVICE),
    (State.REVIEW, Action.REVOKE): (State.REVOKED, _OWNERS),
    (State.APPROVED, Action.EDIT): (State.DRAFT, _EDITORS),
    (State.APPROVED, Action.SUSPEND): (State.SUSPENDED, _STOPPERS),
    (State.APPROVED, Action.REVOKE): (State.REVOKED, _OWNERS),
    (State.ACTIVE, Action.EDIT): (State.DRAFT, _EDITORS),
    (State.ACTIVE, Action.SUSPEND): (State.SUSPENDED, _STOPPERS),
    (State.ACTIVE, Action.REVOKE): (State.REVOKED, _OWNERS),
    (State.SUSPENDED, Action.SUSPEND): (State.SUSPENDED, _STOPPERS),
    (State.SUSPENDED, Action.RELEASE_HOLD): (State.SUSPENDED, _STOPPERS),
    # The last hold is lifted: what was approved is approved still.
    (State.SUSPENDED, Action.RESUME): (State.APPROVED, _STOPPERS),
    (State.SUSPENDED, Action.REVOKE): (State.REVOKED, _OWNERS),
    (State.EXPIRED, Action.REQUEST_DESTRUCTION): (State.DESTRUCTION_DUE, _STOPPERS),
    (State.REVOKED, Action.REQUEST_DESTRUCTION): (State.DESTRUCTION_DUE, _STOPPERS),
    (State.DESTRUCTION_DUE, Action.DESTROY): (State.DESTROYED, _STOPPERS),
}

#: Why nothing may be submitted, run or released in a state that is not ACTIVE.
NOT_IN_FORCE: Final[Mapping[State, tuple[str, str]]] = {
    State.DRAFT: ("AGREEMENT_NOT_ACTIVE", "The agreement is a draft."),
    State.REVIEW: ("AGREEMENT_NOT_ACTIVE", "Not every data owner has approved this version."),
    State.APPROVED: ("AGREEMENT_NOT_ACTIVE", "The agreement is not in force yet."),
    State.SUSPENDED: ("AGREEMENT_SUSPENDED", "The agreement is suspended."),
    State.EXPIRED: ("AGREEMENT_EXPIRED", "The agreement has expired."),
    State.REVOKED: ("AGREEMENT_REVOKED", "A data owner has revoked the agreement."),
    State.DESTRUCTION_DUE: ("AGREEMENT_REVOKED", "The data of this agreement are about to be destroyed."),
    State.DESTROYED: ("AGREEMENT_REVOKED", "The data of this agreement are destroyed."),
}


def by_the_clock(stored: State, effective: date, expires: date, today: date) -> State:
    """The state as of a day (UTC): in force from the beginning of `effective` to that of `expires`."""
    if stored in (State.APPROVED, State.SUSPENDED) and today >= expires:
        # Also while suspended, or a forgotten hold would keep the data for ever.
        return State.EXPIRED
    if stored is State.APPROVED and today >= effective:
        return State.ACTIVE
    return stored


def after(state: State, action: Action, parts: frozenset[Who]) -> State:
    """The state after an action by somebody who has these parts in the agreement.

    Raises
    ------
    ForbiddenError
        `FORBIDDEN` if nobody with these parts does this in any state, or not in this one.
    ConflictError
        `AGREEMENT_STATE` if the action is not possible in this state.
    """
    if not any(parts & who for (_, each), (_, who) in TRANSITIONS.items() if each is action):
        # Told before the state: who may never do this learns nothing of when it could be done.
        raise ForbiddenError("Your part in this agreement does not include this.")
    entry = TRANSITIONS.get((state, action))
    if entry is None:
        raise ConflictError("AGREEMENT_STATE", f"An agreement that is {state} cannot {action}.")
    to, allowed = entry
    if not allowed & parts:
        raise ForbiddenError("Your part in this agreement does not include this.")
    return to
