"""Every kind of entry has a sentence, and what the sentences say is what the entries say."""

from __future__ import annotations

from typing import Any

import pytest

from app.web.entry_words import _SENTENCES, GROUPS, filters, is_filter, tell
from crypto.log.entry import Entry
from crypto.log.kinds import KINDS

QUESTION = {"indicator": "employed_q4", "cohort": "2020-21..2023-24", "by": ["pathway", "sex"]}
BODIES: dict[str, dict[str, Any]] = {
    "release.requested": {"release": "rel-1", "question": QUESTION},
    "release.refused": {
        "release": "rel-1",
        "question": {"indicator": None, "cohort": None, "by": []},
        "code": "NOT_IN_PLAN",
    },
    "release.granted": {
        "release": "rel-1",
        "question": QUESTION | {"where": {"county": "39061"}},
        "cells": {"withheld": 2, "published": 7},
    },
    "run.started": {"run": "run-2", "inputs": [{}, {}], "parameters": {"since": {"run": "run-1"}}},
    "run.finished": {"run": "run-1", "quality": {"doubts": ["one"]}},
    "log.read": {"credential": "cred_1", "role": "auditor", "start": 0},
}


GRANTED = (
    "somebody got employed q4, 2020–21 to 2023–24, by pathway and sex, where county is 39061: "
    "7 published, 2 withheld"
)


def entry(kind: str, body: dict[str, Any]) -> Entry:
    return Entry(3, kind, "2026-11-22T12:00:00Z", "somebody", "region", body)


def test_every_kind_has_a_group_in_the_filters_and_a_sentence_of_its_own() -> None:
    assert _SENTENCES.keys() == KINDS.keys()
    assert {kind.partition(".")[0] + ".*" for kind in KINDS} <= GROUPS.keys()
    assert all(is_filter(kind) for kind in KINDS) and not is_filter("run.*'")
    assert dict(filters())[""] == "Everything"


@pytest.mark.parametrize(
    ("kind", "text", "href"),
    [
        (
            "release.requested",
            "somebody asked for employed q4, 2020–21 to 2023–24, by pathway and sex",
            "/auditor/releases/rel-1",
        ),
        (
            "release.refused",
            "somebody was refused an indicator that is not known here: NOT_IN_PLAN",
            "/auditor/releases/rel-1",
        ),
        (
            "release.granted",
            GRANTED,
            "/auditor/releases/rel-1",
        ),
        ("run.started", "Run run-2 began over 2 batches, going on from run-1", "/auditor/runs/run-2"),
        ("run.finished", "Run run-1 finished, with 1 doubt", "/auditor/runs/run-1"),
        ("log.read", "somebody read the log as auditor", "/auditor/agreements/region"),
    ],
)
def test_a_sentence_says_what_the_entry_says(kind: str, text: str, href: str) -> None:
    told = tell(entry(kind, BODIES[kind]))
    assert (told.text, told.href) == (text, href)


def test_a_kind_without_a_sentence_is_told_by_its_name() -> None:
    assert tell(entry("weather.changed", {})).text == "somebody: weather.changed"
