"""The offline verifier: whatever is done to a copy is found, and the first wrong entry is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.log.checkpoint import Checkpoint, vkey
from crypto.log.entry import Entry
from crypto.log.rules import RULES
from crypto.log.tree import leaf_hash, root
from crypto.log.verify import Anchor, LogCopy, VerificationReport, verify_copy
from crypto.signatures import SigningKey

ORIGIN = "log.cohortlink.example"
KEY = SigningKey(bytes(range(32)))
THIEF = SigningKey(bytes(range(1, 33)))
VKEY = vkey(ORIGIN, KEY.public)


def entry(index: int, note: str = "") -> bytes:
    body = {"organization": f"o{index}{note}", "name": "An organization"}
    return Entry(index, "organization.created", "2026-11-22T09:00:00Z", "service", None, body).leaf()


LEAVES = [entry(index) for index in range(20)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


def note(leaves: list[bytes], key: SigningKey = KEY, origin: str = ORIGIN) -> str:
    return Checkpoint(origin, len(leaves), root(map(leaf_hash, leaves))).sign(key, origin)


def check(
    leaves: list[bytes],
    *,
    signed: list[bytes] = LEAVES,
    hashes: list[bytes] | None = None,
    earlier: list[Anchor] | None = None,
    key: str | None = VKEY,
) -> VerificationReport:
    """Verify ``leaves`` against a checkpoint over ``signed``."""
    copy = LogCopy(Anchor("the checkpoint", note(signed), hashes), iter(leaves), VKEY, earlier or [])
    return verify_copy(copy, key=key)


def failed(report: VerificationReport) -> list[str]:
    return [item.name for item in report.checks if not item.ok]


def test_verify_copy_untouched_log_holds_and_says_what_was_checked():
    report = check(LEAVES, earlier=[Anchor("the remembered checkpoint", note(LEAVES[:7]))])
    assert report.ok
    assert report.first_wrong_entry is None
    assert [item.name for item in report.checks] == [
        "key",
        "signature of the checkpoint",
        "signature of the remembered checkpoint",
        "entries",
        "entries reach the remembered checkpoint",
        "entries reach the checkpoint",
        "log keys",
        *(f"rule {rule}" for rule in RULES),
    ]
    document = json.loads(json.dumps(report.to_document()))
    assert document["ok"] is True
    assert document["size"] == 20
    assert document["checkpoint"] == note(LEAVES)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_verify_copy_short_log_holds(size):
    assert check(LEAVES[:size], signed=LEAVES[:size]).ok


def test_verify_copy_key_from_the_log_itself_is_said_to_be_unproven():
    report = check(LEAVES, key=None)
    assert report.ok
    assert "compare it" in report.checks[0].detail


@given(st.integers(0, 19))
def test_verify_copy_changed_entry_is_found_and_named_where_hashes_were_kept(place):
    changed = [*LEAVES[:place], entry(place, "forged"), *LEAVES[place + 1 :]]
    report = check(changed, hashes=HASHES)
    assert failed(report) == ["entries reach the checkpoint"]
    assert report.first_wrong_entry == place


@given(st.integers(0, 19))
def test_verify_copy_changed_entry_is_narrowed_down_by_earlier_checkpoints(place):
    changed = [*LEAVES[:place], entry(place, "forged"), *LEAVES[place + 1 :]]
    every = [Anchor(str(size), note(LEAVES[:size])) for size in range(1, 20)]
    assert check(changed, earlier=every).first_wrong_entry == place
    report = check(changed)
    assert not report.ok
    assert report.first_wrong_entry is None
    assert "an entry of 0 to 19" in next(item.detail for item in report.checks if not item.ok)


@given(st.integers(0, 19))
def test_verify_copy_dropped_entry_is_named(place):
    report = check(LEAVES[:place] + LEAVES[place + 1 :])
    assert "entries" in failed(report)
    assert report.first_wrong_entry == place


@given(st.integers(0, 19))
def test_verify_copy_duplicated_entry_is_named(place):
    report = check([*LEAVES[: place + 1], LEAVES[place], *LEAVES[place + 1 :]])
    assert "entries" in failed(report)
    assert report.first_wrong_entry == place + 1


@settings(max_examples=40)
@given(st.permutations(range(20)))
def test_verify_copy_reordered_entries_are_named_at_the_first_that_moved(order):
    report = check([LEAVES[index] for index in order])
    moved = [place for place, index in enumerate(order) if place != index]
    assert report.ok is not bool(moved)
    assert report.first_wrong_entry == min(moved, default=None)


@pytest.mark.parametrize("kept", range(20))
def test_verify_copy_truncated_log_names_the_first_missing_entry(kept):
    report = check(LEAVES[:kept])
    assert report.first_wrong_entry == kept
    assert "entries reach the checkpoint" in failed(report)


def test_verify_copy_entries_beyond_the_checkpoint_are_named():
    report = check([*LEAVES, entry(20)])
    assert failed(report) == ["entries"]
    assert report.first_wrong_entry == 20


@pytest.mark.parametrize(
    "leaf", [b"", b"{}", b"not json", LEAVES[5] + b" ", LEAVES[5].replace(b'"version":1', b'"version":2')]
)
def test_verify_copy_entry_that_is_no_entry_is_named(leaf):
    report = check([*LEAVES[:5], leaf, *LEAVES[6:]])
    assert report.first_wrong_entry == 5
    assert "entries" in failed(report)


def test_verify_copy_malformed_entry_is_named_even_if_the_log_signed_it():
    leaves = [*LEAVES[:5], b'{"version":1}', *LEAVES[6:]]
    report = check(leaves, signed=leaves)
    assert failed(report) == ["entries"]
    assert report.first_wrong_entry == 5


def test_verify_copy_rewritten_history_signed_with_the_right_key_is_caught_by_a_remembered_checkpoint():
    rewritten = [*LEAVES[:4], entry(4, "forged"), *LEAVES[5:]]
    assert check(rewritten, signed=rewritten).ok, "without memory a rewritten log looks like any other"
    remembered = Anchor("the remembered checkpoint", note(LEAVES[:10]))
    report = check(rewritten, signed=rewritten, earlier=[remembered])
    assert failed(report) == ["entries reach the remembered checkpoint"]
    assert "an entry of 0 to 9" in next(item.detail for item in report.checks if not item.ok)
    whole = Anchor("the remembered checkpoint", note(LEAVES[:10]), HASHES[:10])
    assert check(rewritten, signed=rewritten, earlier=[whole]).first_wrong_entry == 4


def test_verify_copy_fork_of_the_same_size_is_caught():
    fork = [*LEAVES[:19], entry(19, "other reader")]
    report = check(fork, signed=fork, earlier=[Anchor("the remembered checkpoint", note(LEAVES))])
    assert failed(report) == ["entries reach the remembered checkpoint"]
    assert "an entry of 0 to 19" in next(item for item in report.checks if not item.ok).detail


def test_verify_copy_quiet_change_before_a_plain_one_is_not_hidden_by_it():
    """Entry 2 is changed so that only the root shows it; entry 7 is dropped, which shows at once."""
    leaves = [*LEAVES[:2], entry(2, "forged"), *LEAVES[3:7], *LEAVES[8:]]
    assert check(leaves, hashes=HASHES).first_wrong_entry == 2
    report = check(leaves, earlier=[Anchor("the remembered checkpoint", note(LEAVES[:5]))])
    assert report.first_wrong_entry is None
    assert any("an entry of 0 to 4" in item.detail for item in report.checks)


def test_verify_copy_log_that_shrank_is_caught():
    report = check(
        LEAVES[:5], signed=LEAVES[:5], earlier=[Anchor("the remembered checkpoint", note(LEAVES[:10]))]
    )
    assert failed(report) == ["entries reach the remembered checkpoint"]
    assert "there are 5" in next(item.detail for item in report.checks if not item.ok)


def test_verify_copy_kept_hashes_that_do_not_belong_to_the_checkpoint_name_nothing():
    changed = [*LEAVES[:4], entry(4, "forged"), *LEAVES[5:]]
    for lies in ([leaf_hash(leaf) for leaf in changed], HASHES[:-1], [], HASHES[::-1]):
        report = check(changed, hashes=lies)
        assert not report.ok
        assert report.first_wrong_entry is None


def test_verify_copy_checkpoint_signed_by_another_key_is_refused_before_anything_else():
    for earlier in ([], [Anchor("the remembered checkpoint", note(LEAVES))]):
        copy = LogCopy(Anchor("the checkpoint", note(LEAVES, THIEF)), iter(LEAVES), VKEY, earlier)
        report = verify_copy(copy, key=VKEY)
        assert "signature of the checkpoint" in failed(report)
        assert report.checkpoint is None
        assert not report.ok


def test_verify_copy_forger_with_his_own_key_beside_his_forgery_is_caught_by_a_trusted_key():
    forged = vkey(ORIGIN, THIEF.public)
    copy = LogCopy(Anchor("the checkpoint", note(LEAVES, THIEF)), iter(LEAVES), forged)
    report = verify_copy(copy, key=VKEY)
    assert failed(report) == ["key"]


def test_verify_copy_remembered_checkpoint_of_another_log_is_refused():
    other = Anchor("the remembered checkpoint", note(LEAVES[:3], origin="other.example"))
    assert failed(check(LEAVES, earlier=[other])) == ["signature of the remembered checkpoint"]


@pytest.mark.parametrize("key", ["", "nonsense", VKEY[:-1]])
def test_verify_copy_malformed_key_is_reported_not_raised(key):
    assert failed(check(LEAVES, key=key)) == ["key"]
    report = verify_copy(LogCopy(Anchor("the checkpoint", note(LEAVES)), iter(LEAVES), key))
    assert failed(report) == ["key"]


def test_verify_copy_progress_ends_with_all_entries():
    seen: list[tuple[str, int, int]] = []
    copy = LogCopy(Anchor("the checkpoint", note(LEAVES)), iter(LEAVES), VKEY)
    verify_copy(copy, progress=lambda *step: seen.append(step))
    assert seen[-1] == ("verify", 20, 20)
