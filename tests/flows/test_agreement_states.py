"""Every state × every action × every part, against a second statement of the rules; then the clock."""

from __future__ import annotations

from datetime import date
from itertools import chain, combinations, product

import pytest

from app.errors import ServiceError
from app.flows.agreement_states import NOT_IN_FORCE, TRANSITIONS, Action, State, Who, after, by_the_clock

# Said a second time, in another shape: per action, who, and from where to where.
RULES = {
    Action.EDIT: ("proposer data_owner", "DRAFT>DRAFT REVIEW>DRAFT APPROVED>DRAFT ACTIVE>DRAFT"),
    Action.REVIEW: ("proposer data_owner", "DRAFT>REVIEW"),
    Action.APPROVE: ("data_owner", "REVIEW>REVIEW"),
    Action.COMPLETE: ("service", "REVIEW>APPROVED"),
    Action.SUSPEND: (
        "data_owner operator",
        "APPROVED>SUSPENDED ACTIVE>SUSPENDED SUSPENDED>SUSPENDED",
    ),
    Action.RELEASE_HOLD: ("data_owner operator", "SUSPENDED>SUSPENDED"),
    Action.RESUME: ("data_owner operator", "SUSPENDED>APPROVED"),
    Action.REVOKE: (
        "data_owner",
        "DRAFT>REVOKED REVIEW>REVOKED APPROVED>REVOKED ACTIVE>REVOKED SUSPENDED>REVOKED",
    ),
    Action.REQUEST_DESTRUCTION: (
        "data_owner operator",
        "EXPIRED>DESTRUCTION_DUE REVOKED>DESTRUCTION_DUE",
    ),
    Action.DESTROY: ("data_owner operator", "DESTRUCTION_DUE>DESTROYED"),
}
PARTS = [frozenset(some) for some in chain.from_iterable(combinations(Who, n) for n in range(len(Who) + 1))]


def expected(state: State, action: Action, parts: frozenset[Who]) -> str:
    who, moves = RULES[action]
    if not parts & {Who(name) for name in who.split()}:
        return "FORBIDDEN"
    return next(
        (to for origin, to in (move.split(">") for move in moves.split()) if origin == state),
        "AGREEMENT_STATE",
    )


def test_every_state_action_and_part_gives_what_the_rules_say() -> None:
    tried = 0
    for state, action, parts in product(State, Action, PARTS):
        try:
            found: str = after(state, action, parts)
        except ServiceError as refusal:
            found = refusal.code
        assert found == expected(state, action, parts), (state, action, set(parts))
        tried += 1
    assert tried == len(State) * len(Action) * 2 ** len(Who) == 1440


def test_the_clock_never_stores_a_state_and_no_action_leads_out_of_destruction() -> None:
    targets = {to for to, _ in TRANSITIONS.values()}
    assert targets == set(State) - {State.ACTIVE, State.EXPIRED}
    assert not any(state is State.DESTROYED for state, _ in TRANSITIONS)
    ended = {State.REVOKED, State.EXPIRED, State.DESTRUCTION_DUE, State.DESTROYED}
    assert all(to in ended for (state, _), (to, _) in TRANSITIONS.items() if state in ended)


def test_only_an_active_agreement_permits_anything() -> None:
    assert set(State) - set(NOT_IN_FORCE) == {State.ACTIVE}


@pytest.mark.parametrize("stored", list(State))
def test_the_clock_turns_what_is_approved_and_nothing_else(stored: State) -> None:
    first, last = date(2026, 1, 1), date(2027, 1, 1)
    days = [date(2025, 12, 31), first, date(2026, 12, 31), last]
    seen = [by_the_clock(stored, first, last, day) for day in days]
    if stored is State.APPROVED:
        assert seen == [State.APPROVED, State.ACTIVE, State.ACTIVE, State.EXPIRED]
    elif stored is State.SUSPENDED:
        assert seen == [State.SUSPENDED] * 3 + [State.EXPIRED]
    else:
        assert seen == [stored] * 4
