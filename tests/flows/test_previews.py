"""Previews on pages: for owners who receive nothing, one at a time, for an hour; errors say no value."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app.errors import ConflictError, ForbiddenError, NotFoundError, RefusedError
from app.flows import previews
from app.flows.organizations import authenticate
from app.flows.previews import OPEN, Preview, Previews
from tests.world import EDUCATION, PARTNERSHIP, Clock, World, agreement_document

ID = "cincinnati-nky"
ASKED: tuple[Any, ...] = (ID, "employed_q4", "2021-22", [15], [1])
FOUND = {"policies": []}


class Maker:
    """Stands for the long work: goes on when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.told: Any = None
        self.error: Exception | None = None
        self.asked: dict[str, Any] = {}

    def __call__(self, service: object, agreement: str, **asked: Any) -> dict[str, Any]:
        self.asked = asked
        asked["progress"]("policy 1 of 1, n", 1, 3)
        assert self.go.wait(30)
        asked["progress"]("policy 1 of 1, m", 0, 1)
        if self.error is not None:
            raise self.error
        return FOUND


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> Maker:
    made = Maker()
    monkeypatch.setattr(previews, "preview_release", made)
    return made


@pytest.fixture
def world(sqlite_world: World) -> World:
    sqlite_world.agree()
    return sqlite_world


def caller(world: World, member: str = "education") -> Any:
    return authenticate(world.service, f"Bearer {getattr(world, member).api_key}")


def until(held: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not held():
        assert time.monotonic() < end
        time.sleep(0.01)


def ended(kept: Previews, world: World, made: Preview) -> Preview:
    until(lambda: kept.show(caller(world), made.id).state not in OPEN)
    return kept.show(caller(world), made.id)


@pytest.fixture
def kept(world: World, maker: Maker) -> Any:
    made = Previews(world.service)
    yield made
    maker.go.set()
    made.close()


def test_owner_sees_how_far_it_is_in_hundredths_and_then_what_was_found(
    world: World, maker: Maker, kept: Previews
) -> None:
    made = kept.start(caller(world), *ASKED)
    until(lambda: kept.show(caller(world), made.id).percent == 33)
    with pytest.raises(ConflictError, match="PREVIEW_RUNNING"):
        kept.start(caller(world), *ASKED)
    maker.go.set()
    assert ended(kept, world, made).found == FOUND
    assert (maker.asked["actor"], maker.asked["min_cells"], maker.asked["depths"]) == (EDUCATION, [15], [1])


def test_preview_is_nobody_elses_and_is_forgotten_after_an_hour(
    world: World, clock: Clock, maker: Maker, kept: Previews
) -> None:
    maker.go.set()
    made = kept.start(caller(world), *ASKED)
    ended(kept, world, made)
    for member in ("workforce", "partnership", "operator", "auditor"):
        with pytest.raises(NotFoundError, match="PREVIEW_UNKNOWN"):
            kept.show(caller(world, member), made.id)
    clock.now += timedelta(minutes=59)
    assert kept.show(caller(world), made.id).found == FOUND
    clock.now += timedelta(minutes=2)
    with pytest.raises(NotFoundError, match="PREVIEW_UNKNOWN"):
        kept.show(caller(world), made.id)


def test_only_owners_preview_and_none_who_receives_the_figures(
    world: World, maker: Maker, kept: Previews
) -> None:
    for member in ("partnership", "operator", "auditor"):
        with pytest.raises(NotFoundError, match="AGREEMENT_UNKNOWN"):
            kept.start(caller(world, member), *ASKED)
    receives = {"organization": EDUCATION, "role": "recipient", "legal_basis": "", "signatory": "A"}
    parties = [*agreement_document()["parties"], receives]
    world.agree(id="both", parties=parties, recipients=[PARTNERSHIP, EDUCATION])
    with pytest.raises(ForbiddenError, match="PREVIEW_NOT_PERMITTED"):
        kept.start(caller(world), "both", *ASKED[1:])
    assert kept.start(caller(world, "workforce"), "both", *ASKED[1:]).organization == "oh-workforce"


@pytest.mark.parametrize(("cells", "depths"), [([], [1]), ([15], []), ([10], [1]), ([15], [9])])
def test_policies_that_the_agreement_does_not_allow_or_that_are_none_are_refused(
    world: World, maker: Maker, kept: Previews, cells: list[int], depths: list[int]
) -> None:
    with pytest.raises(RefusedError, match="PREVIEW_INVALID"):
        kept.start(caller(world), ID, "employed_q4", "2021-22", cells, depths)


def test_preview_that_fails_says_why_but_never_what_an_unexpected_error_said(
    world: World, maker: Maker, kept: Previews
) -> None:
    maker.go.set()
    for error, code in ((RefusedError("BAD_COHORT", "No."), "BAD_COHORT"), (ValueError("Ana"), "INTERNAL")):
        maker.error = error
        found = ended(kept, world, kept.start(caller(world), *ASKED))
        assert found.state == "FAILED"
        assert found.error is not None
        assert found.error.code == code
        assert "Ana" not in found.error.detail


def test_preview_that_is_cancelled_stops_at_its_next_step_and_makes_room(
    world: World, maker: Maker, kept: Previews
) -> None:
    made = kept.start(caller(world), *ASKED)
    kept.stop(caller(world), made.id)
    maker.go.set()
    assert ended(kept, world, made).state == "CANCELLED"
    assert ended(kept, world, kept.start(caller(world), *ASKED)).state == "SUCCEEDED"
