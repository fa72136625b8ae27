"""A cube that is made in the process that was asked: its maker goes on saying that it is alive."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from app.flows import cube_here
from app.store import run_ownership
from tests.world import World


def test_a_sign_of_life_that_fails_is_not_the_last(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, again = [], threading.Event()

    def beat(_tx: Any, owners: list[str], *_: Any) -> None:
        given.append(owners)
        if len(given) == 1:
            raise OSError("the disk is full")
        again.set()

    monkeypatch.setattr(run_ownership, "beat", beat)
    monkeypatch.setattr(cube_here, "BEAT_SECONDS", 0.01)
    with cube_here._alive(sqlite_world.service, "owner#1"):
        assert again.wait(30)
    assert given[:2] == [["owner#1"], ["owner#1"]]
