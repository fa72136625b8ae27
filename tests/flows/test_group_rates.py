"""Match rates by group on a run's page: what recipients were answered, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.errors import ForbiddenError, NotFoundError
from app.flows.group_rates import group_rates
from app.flows.organizations import authenticate
from app.flows.publish_release import GRANTED
from app.store import releases, runs
from crypto.canonical import digest_of
from tests.world import PARTNERSHIP, Clock, World

ID = "cincinnati-nky"
RATE = {"status": "published", "n": 120, "found": 90, "rate": "75.0"}
HIDDEN = {"status": "withheld", "n": None, "found": None, "rate": None}


def table(by: list[str], **changes: Any) -> dict[str, Any]:
    rows = [
        {"key": {by[0]: code}, "label": label, "matched": rate}
        for code, label, rate in (("Female", "Women", RATE), ("Male", "Men", HIDDEN))
        if by
    ]
    total = {"key": {}, "label": "Total", "matched": RATE}
    return {"indicator": "employed_q4", "cohort": "2021-22", "by": by, "rows": rows, "total": total} | changes


def grant(world: World, name: str, document: dict[str, Any], *, run: str = "run-1", days: int = 0) -> None:
    now, query = world.service.now(), {"cohort": document["cohort"], "by": document["by"], "name": name}
    with world.service.store.transaction() as tx:
        releases.add(
            tx, name, ID, 1, PARTNERSHIP, GRANTED, query, digest_of(query), now, run_id=run,
            document=document, document_sha256=digest_of(document), visible_at=now + timedelta(days=days),
        )  # fmt: skip


@pytest.fixture
def world(sqlite_world: World) -> World:
    sqlite_world.agree(review_days=7)
    now = sqlite_world.service.now()
    with sqlite_world.service.store.transaction() as tx:
        for name in ("run-1", "run-2"):
            runs.add(tx, name, ID, 1, "operator", [], {}, now).state = "SUCCEEDED"
    return sqlite_world


def seen(world: World, member: str = "auditor", run: str = "run-1") -> list[tuple[str, str, str]]:
    caller = authenticate(world.service, f"Bearer {getattr(world, member).api_key}")
    return [(each.cohort, each.label, each.release) for each in group_rates(world.service, caller, run)]


def test_run_shows_each_cohort_and_dimension_once_with_the_figures_of_the_answer(world: World) -> None:
    grant(world, "rel-1", table([]))
    assert seen(world) == [("2021-22", "", "rel-1")]
    grant(world, "rel-2", table(["sex"]))
    grant(world, "rel-3", table(["sex"], indicator="employed_q2"))
    grant(world, "rel-4", table(["sex"], cohort="2022-23"), run="run-2")
    assert seen(world) == [("2021-22", "Sex", "rel-2")]
    caller = authenticate(world.service, f"Bearer {world.auditor.api_key}")
    (found,) = group_rates(world.service, caller, "run-1")
    assert found.rows == [{"label": "Women"} | RATE, {"label": "Men"} | HIDDEN, {"label": "Total"} | RATE]


def test_answers_in_review_objected_to_filtered_or_crossed_show_nothing(world: World, clock: Clock) -> None:
    grant(world, "rel-1", table(["sex"]), days=7)
    grant(world, "rel-2", table(["sex"], where={"pathway": "ASSOCIATE"}))
    grant(world, "rel-3", table(["pathway", "sex"]))
    assert seen(world) == []
    beside = {
        "by": ["sex"],
        "rows": [{"key": {}, "label": "Women", **RATE}],
        "total": {"label": "All", **RATE},
    }
    grant(world, "rel-3a", table(["pathway", "sex"], match_rates=[beside]), run="run-2")
    assert seen(world, run="run-2") == [("2021-22", "Sex", "rel-3a")]
    without = table(["race_ethnicity"])
    del without["total"]["matched"]
    grant(world, "rel-4", without)
    assert seen(world) == []
    answer = world.workforce.post("/releases/rel-1/objections")
    assert answer.status_code == 201
    clock.advance(days=8)
    assert seen(world) == []
    grant(world, "rel-5", table(["sex"]))
    assert seen(world) == [("2021-22", "Sex", "rel-5")]


def test_match_rates_are_for_auditors_and_reading_them_is_on_the_log(world: World) -> None:
    for member in ("operator", "partnership", "education"):
        with pytest.raises(ForbiddenError):
            seen(world, member)
    with pytest.raises(NotFoundError, match="RUN_UNKNOWN"):
        seen(world, run="run-9")
    assert '"log.read"' in world.auditor.get("/log/entries").text
