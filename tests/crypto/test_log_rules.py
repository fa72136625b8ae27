"""The rules that a log's entries keep among themselves: an honest story holds, each broken rule is named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crypto.errors import LogError
from crypto.log.entry import Entry
from crypto.log.kinds import KINDS, check_body
from crypto.log.rules import RULES, Rules

H = {
    name: f"{number:064x}"
    for number, name in enumerate(["agreement", "profile", "a", "b", "p", "l", "c", "t"])
}
KEY_A, KEY_B = "a" * 64, "b" * 64
AGREEMENT = "region"

Row = dict[str, Any]


AT = "2026-11-22T09:00:00Z"


def row(what: str, who: str, under: str | None, /, **body: Any) -> Row:
    return {"kind": what, "actor": who, "agreement": under, "at": AT, "body": body}


def story() -> list[Row]:
    """Everything that an honest log tells, once."""
    version = {"version": 1, "hash": H["agreement"]}
    inputs = [
        {"batch": "b_a", "organization": "a", "manifest_sha256": H["a"]},
        {"batch": "b_b", "organization": "b", "manifest_sha256": H["b"]},
    ]
    run = {"run": "run-1", "agreement_version": 1, "inputs": inputs}
    parameters = {"profile": H["profile"], "software": "cohortlink/0.1.0"}
    question = {"indicator": "employed_q4", "cohort": "2022", "by": ["sex"]}
    cube = {"ledger": "led-1", "run": "run-1", "min_cell": 10, "cube_sha256": H["c"]}

    def batch(who: str, key: str) -> Row:
        return row(
            "batch.accepted",
            who,
            AGREEMENT,
            batch=f"b_{who}",
            manifest_sha256=H[who],
            agreement_version=1,
            key_id=key,
            epoch=1,
            profile=H["profile"],
            coverage={"persons": 3},
            files=[{"name": "encodings.parquet", "sha256": H["t"], "rows": 3}],
        )

    def key(who: str, key_id: str, kind: str = "ed25519") -> Row:
        return row(
            "credential.created",
            "op",
            None,
            organization=who,
            credential=f"cred_{key_id[:4]}",
            kind=kind,
            role=None,
            key_id=key_id,
        )

    return [
        row("organization.created", "service", None, organization="op", name="Operator"),
        *(row("organization.created", "op", None, organization=o, name=o) for o in ("a", "b", "desk")),
        key("a", KEY_A),
        key("b", KEY_B),
        row(
            "agreement.proposed",
            "desk",
            AGREEMENT,
            **version,
            profile=H["profile"],
            min_cell=10,
            data_owners=["a", "b"],
            recipients=["desk"],
            effective="2026-01-01",
            expires="2028-01-01",
        ),
        row("agreement.review", "desk", AGREEMENT, **version),
        row("agreement.approved", "a", AGREEMENT, **version, key_id=KEY_A),
        row("agreement.approved", "b", AGREEMENT, **version, key_id=KEY_B),
        batch("a", KEY_A),
        batch("b", KEY_B),
        row("run.started", "op", AGREEMENT, **run, parameters=parameters),
        row(
            "run.finished",
            "service",
            AGREEMENT,
            **run,
            parameters=parameters,
            persons_sha256=H["p"],
            links_sha256=H["l"],
            quality={},
        ),
        row("release.requested", "desk", AGREEMENT, release="rel-1", question=question),
        row(
            "ledger.charged",
            "desk",
            AGREEMENT,
            **cube,
            indicator="employed_q4",
            cohort="2022",
            charged=4,
            total=4,
        ),
        row(
            "release.granted",
            "desk",
            AGREEMENT,
            **cube,
            release="rel-1",
            question=question,
            table_sha256=H["t"],
            cells={"published": 2},
        ),
        row("release.approved", "a", AGREEMENT, release="rel-1"),
        row("release.reviewed", "service", AGREEMENT, release="rel-1", approved_by=["a"]),
        row("agreement.revoked", "a", AGREEMENT, **version, key_id=KEY_A),
        row("destruction.due", "a", AGREEMENT),
        row(
            "destruction.done",
            "op",
            AGREEMENT,
            type="cohortlink-certificate/1",
            agreement=AGREEMENT,
            method="m",
            datasets=[{"batch": "b_a"}, {"batch": "b_b"}],
            runs=["run-1"],
            derivatives=[],
            keys=[],
            remains={},
            requested_by="a",
            executed_by="op",
            executed_at="2026-11-22T09:00:00Z",
        ),
    ]


def judge(rows: list[Row]) -> dict[str, tuple[int, str]]:
    rules = Rules()
    for index, each in enumerate(rows):
        rules.feed(Entry(index, each["kind"], each["at"], each["actor"], each["agreement"], each["body"]))
    return rules.broken


def place(rows: list[Row], kind: str, number: int = 0) -> int:
    return [index for index, each in enumerate(rows) if each["kind"] == kind][number]


def test_an_honest_story_breaks_no_rule() -> None:
    assert judge(story()) == {}


def test_every_kind_is_known_to_a_rule_or_tells_nothing_to_check() -> None:
    silent = {"batch.rejected", "keys.rotated", "log.read", "thresholds.loaded"}
    assert set(Rules()._dispatch) == set(KINDS) - silent


Change = Callable[[list[Row]], int]


def change(
    what: str, number: int = 0, /, *, at: str | None = None, actor: str | None = None, **body: Any
) -> Change:
    """Change the body, time or actor of an entry; returns its place."""

    def apply(rows: list[Row]) -> int:
        index = place(rows, what, number)
        rows[index]["body"] |= body
        rows[index]["at"] = at or rows[index]["at"]
        rows[index]["actor"] = actor or rows[index]["actor"]
        return index

    return apply


def drop(kind: str, blamed: str, number: int = 0, blamed_number: int = 0) -> Change:
    """Leave an entry out; the first that relied on it is blamed."""

    def apply(rows: list[Row]) -> int:
        del rows[place(rows, kind, number)]
        return place(rows, blamed, blamed_number)

    return apply


def insert_before(kind: str, *new: Row, blamed: str | None = None) -> Change:
    def apply(rows: list[Row]) -> int:
        index = place(rows, kind)
        rows[index:index] = copy.deepcopy(list(new))
        return place(rows, blamed or kind)

    return apply


def insert_last(new: Row) -> Change:
    """Before the second batch, whose key it is."""

    def apply(rows: list[Row]) -> int:
        index = place(rows, "batch.accepted", 1)
        rows.insert(index, copy.deepcopy(new))
        return index + 1

    return apply


WITHDRAWAL = row("batch.withdrawn", "b", AGREEMENT, batch="b_b", manifest_sha256=H["b"])
HOLD = row("agreement.suspended", "b", AGREEMENT, version=1)
REVOKED = row("agreement.revoked", "b", AGREEMENT, version=1, hash=H["agreement"], key_id=KEY_B)
OBJECTION = row("release.objected", "b", AGREEMENT, release="rel-1")
LOST_KEY = row(
    "credential.revoked", "op", None, organization="b", credential="cred_bbbb", kind="ed25519", key_id=KEY_B
)


@pytest.mark.parametrize(
    ("rule", "crime"),
    [
        ("bodies", change("run.started", surprise=7)),
        ("bodies", change("release.granted", cells={"published": -1})),
        ("organizations", change("release.requested", actor="nobody")),
        ("organizations", change("agreement.approved", key_id=KEY_B)),
        ("organizations", insert_last(LOST_KEY)),
        ("agreements", change("agreement.proposed", version=2)),
        ("agreements", change("agreement.approved", 1, hash=H["t"])),
        ("agreements", drop("agreement.review", "agreement.approved")),
        ("agreements", change("agreement.approved", 1, actor="a", key_id=KEY_A)),
        ("batches", drop("agreement.approved", "batch.accepted")),
        ("batches", change("batch.accepted", 1, profile=H["t"])),
        ("batches", insert_before("batch.accepted", HOLD)),
        ("runs", change("run.started", at="2028-01-01T00:00:00Z")),
        ("runs", change("run.started", at="2025-12-31T23:59:59Z")),
        ("runs", drop("batch.accepted", "run.started")),
        ("runs", insert_before("run.started", WITHDRAWAL)),
        ("runs", insert_before("run.finished", WITHDRAWAL)),
        ("runs", insert_before("run.started", REVOKED)),
        ("runs", insert_before("run.finished", HOLD)),
        ("runs", drop("run.started", "run.finished")),
        ("releases", drop("run.finished", "ledger.charged")),
        ("releases", drop("release.requested", "release.granted")),
        ("releases", insert_before("release.granted", REVOKED)),
        ("releases", change("release.granted", min_cell=5)),
        ("releases", change("release.granted", actor="a")),
        ("releases", change("release.granted", run="run-2")),
        ("releases", insert_before("release.requested", REVOKED, blamed="release.granted")),
        ("releases", change("release.approved", actor="desk")),
        ("releases", change("release.approved", release="rel-2")),
        ("releases", change("release.reviewed", approved_by=["a", "b"])),
        ("releases", change("release.reviewed", release="rel-2")),
        ("releases", insert_before("release.reviewed", OBJECTION)),
        ("ledger", change("ledger.charged", total=5)),
        ("ledger", insert_before("ledger.charged", REVOKED)),
        ("ledger", drop("ledger.charged", "release.granted")),
        ("ledger", change("release.granted", cube_sha256=H["t"])),
        ("destruction", drop("agreement.revoked", "destruction.due")),
        ("destruction", change("destruction.done", actor="a", executed_by="a")),
        ("destruction", change("destruction.done", datasets=[{"batch": "b_a"}])),
    ],
)
def test_a_broken_rule_names_the_first_wrong_entry(rule: str, crime: Change) -> None:
    rows = story()
    index = crime(rows)
    broken = judge(rows)
    assert rule in broken, broken
    assert broken[rule][0] == index
    assert rule in RULES


def test_a_question_charged_twice_is_found_though_the_sums_add_up() -> None:
    rows = story()
    again = copy.deepcopy(rows[place(rows, "ledger.charged")])
    again["body"] |= {"ledger": "led-2", "total": 8}
    rows.insert(place(rows, "release.granted"), again)
    assert judge(rows)["ledger"][0] == place(rows, "ledger.charged", 1)


def test_a_replay_that_gave_other_bytes_breaks_the_rule_of_runs() -> None:
    rows = story()
    replayed = row(
        "run.replayed",
        "service",
        AGREEMENT,
        run="run-1",
        same=False,
        persons_sha256=H["p"],
        links_sha256=H["l"],
        cubes=[],
        software="cohortlink/0.1.0",
    )
    rows.insert(place(rows, "release.requested"), replayed)
    assert judge(rows)["runs"][0] == place(rows, "run.replayed")


@pytest.mark.parametrize(
    ("kind", "agreement", "body", "code"),
    [
        ("batch.counted", "x", {}, "ENTRY_KIND"),
        ("batch.withdrawn", "x", {"batch": "b", "manifest_sha256": "0" * 64, "persons": 4}, "ENTRY_BODY"),
        ("batch.withdrawn", "x", {"batch": "b"}, "ENTRY_BODY"),
        ("batch.withdrawn", "x", {"batch": "b", "manifest_sha256": "0" * 63}, "ENTRY_BODY"),
        ("batch.withdrawn", None, {"batch": "b", "manifest_sha256": "0" * 64}, "ENTRY_BODY"),
        ("organization.created", "x", {"organization": "o", "name": "n"}, "ENTRY_BODY"),
        ("log.read", None, {"credential": "c", "role": "auditor", "start": True}, "ENTRY_BODY"),
    ],
)
def test_a_body_that_its_kind_does_not_declare_is_refused_without_its_value(
    kind: str, agreement: str | None, body: Row, code: str
) -> None:
    with pytest.raises(LogError) as refusal:
        check_body(kind, agreement, body)
    assert refusal.value.code == code
    assert "0000" not in str(refusal.value)


def test_every_kind_is_described_in_the_data_model() -> None:
    words = (Path(__file__).parent.parent.parent / "docs" / "data-model.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in words] == []
