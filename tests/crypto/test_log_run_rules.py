"""What a log must say of a run that goes on from an earlier one; each lie is named where it stands."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from crypto.errors import LogError
from crypto.log.kinds import check_body
from tests.crypto.test_log_rules import AGREEMENT, H, Row, judge, place, row, story

LEARNED = "d" * 64
SINCE = {"run": "run-1", "links_sha256": H["l"], "learned_sha256": LEARNED}


def grown() -> list[Row]:
    """A first run, a new batch, and a run that goes on."""
    rows = story()[: place(story(), "run.finished") + 1]
    rows[-1]["body"]["learned_sha256"] = LEARNED
    batch = copy.deepcopy(rows[place(rows, "batch.accepted")])
    batch["body"] |= {"batch": "b_new", "manifest_sha256": "e" * 64}
    begun, ended = (copy.deepcopy(rows[place(rows, kind)]) for kind in ("run.started", "run.finished"))
    inputs = [*begun["body"]["inputs"], {"batch": "b_new", "organization": "a", "manifest_sha256": "e" * 64}]
    parameters = begun["body"]["parameters"] | {"since": SINCE}
    for each in (begun, ended):
        each["body"] |= {"run": "run-2", "inputs": inputs, "parameters": parameters}
    pairs = [
        {"batches": ["b_a", "b_b"], "taken_over": True},
        {"batches": ["b_b", "b_new"], "taken_over": False},
    ]
    ended["body"]["quality"] = {"pairs": pairs}
    return [*rows, batch, begun, ended]


def since(**changes: Any) -> Callable[[list[Row]], int]:
    """Both entries of the second run tell another story of the first."""

    def crime(rows: list[Row]) -> int:
        for each in rows[-2:]:
            each["body"] |= {"parameters": each["body"]["parameters"] | {"since": SINCE | changes}}
        return len(rows) - 2

    return crime


def gone(before: int) -> Callable[[list[Row]], int]:
    """A batch of the first run was replaced before the second, which does not read it; then withdrawn."""

    def crime(rows: list[Row]) -> int:
        body = {"batch": "b_b", "manifest_sha256": H["b"]}
        for each in rows[-2:]:
            each["body"]["inputs"] = [one for one in each["body"]["inputs"] if one["batch"] != "b_b"]
        rows[-1]["body"]["quality"] = {}
        rows.insert(len(rows) - before, row("batch.withdrawn", "b", AGREEMENT, **body))
        return len(rows) - before

    return crime


def swapped(rows: list[Row]) -> int:
    del rows[-2]["body"]["parameters"]["since"]
    rows[-1]["body"]["parameters"] = rows[-2]["body"]["parameters"] | {"since": SINCE}
    return len(rows) - 1


def profile(rows: list[Row]) -> int:
    for each in rows[-2:]:
        each["body"]["parameters"] = each["body"]["parameters"] | {"options": {"threshold": "0.9"}}
    return len(rows) - 2


def unread(rows: list[Row]) -> int:
    rows[-1]["body"]["quality"]["pairs"][1]["taken_over"] = True
    return len(rows) - 1


def malformed(rows: list[Row]) -> int:
    rows[-1]["body"]["quality"]["pairs"][0]["batches"] = 7
    return len(rows) - 1


def test_a_run_that_goes_on_from_what_an_earlier_one_left_breaks_no_rule() -> None:
    assert judge(grown()) == {}


@pytest.mark.parametrize(
    "crime",
    [
        since(run="run-0"),
        since(links_sha256=H["t"]),
        since(learned_sha256=H["t"]),
        gone(2),
        gone(1),
        swapped,
        profile,
        unread,
        malformed,
    ],
)
def test_a_lie_about_what_a_run_went_on_from_is_found_where_it_stands(
    crime: Callable[[list[Row]], int],
) -> None:
    rows = grown()
    index = crime(rows)
    broken = judge(rows)
    assert broken.keys() == {"runs"}
    assert broken["runs"][0] == index


def test_a_batch_that_was_only_replaced_may_be_carried_on_from() -> None:
    rows = grown()
    gone(2)(rows)
    rows[-3] = row("batch.superseded", "b", AGREEMENT, batch="b_b", manifest_sha256=H["b"], by="b_new")
    assert judge(rows) == {}


def test_what_a_run_goes_on_from_is_named_by_run_and_digests_or_is_no_entry() -> None:
    body = grown()[-2]["body"]
    check_body("run.started", AGREEMENT, body)
    body["parameters"]["since"] = {"run": "run-1"}
    with pytest.raises(LogError, match="parameters"):
        check_body("run.started", AGREEMENT, body)
