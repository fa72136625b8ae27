"""A further indicator of a published cohort: protected beside it, else refused, and replayed so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.flows.publish_release import request_release
from app.flows.replay_run import replay_run
from app.flows.service import Service
from app.store import runs
from tests.flows.linkage_world import AGREEMENT, COHORTS, Packages, populate
from tests.flows.test_release import Question, ask, link_once, newest

K = 10


def rows(documents: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    named = {"total": documents[0]["total"]}
    for each in documents:
        named |= {f"{each['by']} {row['key']}": row for row in each["rows"]}
    return named


def test_further_indicator_within_a_published_one_is_made_beside_it_and_replays_to_the_same_bytes(
    service: Service, packages: Packages
) -> None:
    region = populate(service, packages, indicators=["employed_q4", "attached_erdc"])
    link_once(region)
    for by in ("pathway", "sex", "cohort_year"):
        wide = rows([ask(region, by)["table"]])
        narrow = rows([ask(region, by, indicator="attached_erdc")["table"]])
        for name, row in wide.items():
            assert row["n"] is not None or narrow[name]["n"] is None
            if None not in (row["found"], narrow[name]["found"]):
                assert row["found"] - narrow[name]["found"] >= K
    with service.store.reading() as tx:
        run = runs.latest_succeeded(tx, AGREEMENT)
    assert run is not None
    replayed = replay_run(service, run.id)
    assert not [check["what"] for check in replayed["checks"] if not check["same"]]


def test_filter_of_a_question_stands_in_the_log(service: Service, packages: Packages) -> None:
    region = populate(service, packages)
    link_once(region)
    question = Question("employed_q4", COHORTS, (), {"sex": "F"})
    request_release(service, region.partnership, AGREEMENT, question)
    assert newest(region).body["question"]["where"] in ({"sex": "F"}, {"sex": None})
