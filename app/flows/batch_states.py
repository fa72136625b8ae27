"""What can happen to a batch, and to whom it belongs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from app.auth import Caller, Role
from app.errors import ConflictError, NotFoundError
from app.store import Tx, batches
from app.store.keystore import PlaneName
from app.store.models import Batch, BatchFile, BatchState

State = BatchState


class Action(StrEnum):
    """What can happen to a batch."""

    UPLOAD = "receive parts"
    ACCEPT = "be accepted"
    REJECT = "be rejected"
    WITHDRAW = "be withdrawn"
    SUPERSEDE = "be superseded"
    DESTROY = "be destroyed"


# (state, action) → state afterwards. What is not in here is refused.
TRANSITIONS: Mapping[tuple[State, Action], State] = {
    (State.UPLOADING, Action.UPLOAD): State.UPLOADING,
    (State.UPLOADING, Action.ACCEPT): State.ACCEPTED,
    (State.UPLOADING, Action.REJECT): State.REJECTED,
    (State.UPLOADING, Action.WITHDRAW): State.WITHDRAWN,
    (State.ACCEPTED, Action.SUPERSEDE): State.SUPERSEDED,
    (State.ACCEPTED, Action.WITHDRAW): State.WITHDRAWN,
    (State.SUPERSEDED, Action.WITHDRAW): State.WITHDRAWN,
    (State.UPLOADING, Action.DESTROY): State.DESTROYED,
    (State.ACCEPTED, Action.DESTROY): State.DESTROYED,
    (State.SUPERSEDED, Action.DESTROY): State.DESTROYED,
}


def step(batch: Batch, action: Action) -> State:
    """The state after an action; ConflictError (`BATCH_STATE`) where it may not be."""
    after = TRANSITIONS.get((State(batch.state), action))
    if after is None:
        raise ConflictError("BATCH_STATE", f"A batch that is {batch.state} cannot {action}.")
    return after


def part_count(file: BatchFile, batch: Batch) -> int:
    """Parts that a file of a batch is sent in."""
    return -(-file.size // batch.part_size)


def part_length(file: BatchFile, batch: Batch, number: int) -> int:
    """Bytes of one of them, counted from 0."""
    return min(batch.part_size, file.size - number * batch.part_size)


def plane_of(kind: str) -> PlaneName:
    """The plane in which files of a kind lie."""
    return "encodings" if kind == "encodings" else "facts"


def own(tx: Tx, caller: Caller, batch_id: str) -> Batch:
    """A batch of the caller's organization; whatever else is unknown to it."""
    caller.require(Role.AGENCY)
    batch = batches.find(tx, batch_id)
    if batch is None or not is_own(caller, batch):
        raise unknown()
    return batch


def is_own(caller: Caller, batch: Batch) -> bool:
    """Whether it is an agency's own."""
    return caller.role is Role.AGENCY and batch.organization_id == caller.organization


def unknown() -> NotFoundError:
    """The refusal where there is no such batch."""
    return NotFoundError("BATCH_UNKNOWN", "There is no such batch.")
