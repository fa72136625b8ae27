"""The log's digest of what was proven: an auditor who counts again what others' groups would give.

The statistics of a proof are few numbers, and say how many groups hold somebody. Whoever runs the program
over every cohort that she holds possible has a list of them; a bare digest tells which it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.flows import prepare_cube
from app.store import releases
from crypto.canonical import digest_of
from tests.attacks.region import Analyst, Region, region_of
from tests.attacks.test_sweep import SMALL, people

AGREEMENT = "cincinnati-nky"
TERMS: dict[str, Any] = {"dimensions": ["race_ethnicity"], "max_dimensions": 1}


def statistics(region: Region) -> Mapping[str, Any]:
    """What a run of one's own over the same cohort would give."""
    with region.service.store.reading("a run of her own") as tx:
        (entry,) = releases.ledger_of_agreement(tx, AGREEMENT)
        return {name: value for name, value in (entry.proof or {}).items() if name != "salt"}


def told(region: Region) -> str:
    """The digest, as the auditor reads it."""
    entries = region.auditor.get("/log/search").json()["entries"]
    return str(next(each["body"]["proof_sha256"] for each in entries if each["kind"] == "ledger.charged"))


def populated(folder: Path, migrated: Path) -> list[int]:
    """How many groups hold somebody, if one of the cohorts that she holds possible has the digest."""
    with region_of(folder, migrated, people(SMALL[0]), **TERMS) as region:
        Analyst(region.partnership).ask(("race_ethnicity",))
        guess = statistics(region)
        return [guess["statistics"]["goals"]["denominators"]] if digest_of(guess) == told(region) else []


def test_digest_of_a_proof_does_not_tell_how_many_groups_hold_somebody(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert populated(tmp_path / "on", migrated_sqlite) == []
    monkeypatch.setattr(prepare_cube, "_salted", dict)
    # Two groups of them are published; whether the others are of few or of nobody, no answer tells.
    assert populated(tmp_path / "off", migrated_sqlite) == [6]
