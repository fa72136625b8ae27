"""Many submitters and many who ask at once, on both databases: nothing locks up, nothing is charged twice.

A few by default; 64 with `FAULTS=full` (`make faults`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from app.flows import prepare_cube
from app.settings import Settings
from app.store import releases, runs
from app.store.models import Batch, RunState
from tests.world import OPERATOR, Clock, World, make_package

MANY = 64 if os.environ.get("FAULTS") == "full" else 8
ID = "cincinnati-nky"
COHORTS = ("2020-21", "2021-22")


@pytest.fixture
def crowd(settings: Settings, clock: Clock) -> Iterator[World]:
    with World(replace(settings, rate_limit=0), clock) as world:
        world.agree()
        yield world


def test_all_submitters_are_accepted_once_and_the_log_has_each(crowd: World) -> None:
    packages = [make_package(count=8, seed=number + 10) for number in range(MANY)]
    with ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(lambda package: crowd.submit(crowd.education, package), packages))
    assert [answer.json().get("state") for answer in answers] == ["ACCEPTED"] * MANY
    entries = _entries(crowd)
    assert entries.count('"kind":"batch.accepted"') == MANY
    indexes = {answer.json()["receipt"]["document"]["log_index"] for answer in answers}
    assert len(indexes) == MANY
    assert crowd.client.get("/readyz").json()["checks"]["log"] == "ok"


def test_all_who_ask_get_one_answer_and_the_ledger_is_charged_once_for_each_cohort(
    crowd: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = crowd.submit(crowd.education, make_package()).json()["id"]
    now = crowd.service.now()
    with crowd.service.store.transaction() as tx:
        run = runs.add(tx, "run-1", ID, 1, OPERATOR, [tx.session.get_one(Batch, batch)], {}, now)
        run.state, run.finished_at = RunState.SUCCEEDED, now
        crowd.service.plane("links").create_key(tx, "run-1", ID, now)
    # Tabulating is slow and has its own tests; here every request makes a cube, and one may stay.
    monkeypatch.setattr(prepare_cube, "make_cube", _cube)

    def ask(number: int) -> Any:
        body = {"indicator": "employed_q4", "cohort": COHORTS[number % 2], "by": []}
        return crowd.partnership.post(f"/agreements/{ID}/releases", body)

    with ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(ask, range(MANY)))
    assert [answer.status_code for answer in answers] == [201] * MANY, answers[0].text
    digests = {(answer.json()["question"]["cohort"], answer.json()["table_sha256"]) for answer in answers}
    assert len(digests) == len(COHORTS)
    with crowd.service.store.reading() as tx:
        assert len(releases.ledger_of_agreement(tx, ID)) == len(COHORTS)
        kept = {row.id for row in releases.of_agreement(tx, ID)}
    # Who asks while an own question waits for the same answer is told of that one.
    assert kept == {answer.json()["id"] for answer in answers}
    entries = _entries(crowd)
    assert entries.count('"kind":"ledger.charged"') == len(COHORTS)
    assert entries.count('"kind":"release.granted"') == len(kept)


_made = iter(range(1_000_000))


def _cube(_service: Any, _facts: Any, _links: Any, _run: Any, indicator: str, cohort: str, *_: Any) -> Any:
    """A cube that differs at each making, so that two that were kept would show."""
    row = {"key": {}, "label": "All", "status": "published", "n": 100, "found": next(_made), "rate": "1.0"}
    table = {"indicator": indicator, "cohort": cohort, "by": [], "rows": [], "total": row}
    return {"cube": {"tables": [table]}, "proof": {"dropped": []}}


def _entries(world: World) -> str:
    return "".join(world.auditor.get(f"/log/entries?start={start}").text for start in (0, 1000))
