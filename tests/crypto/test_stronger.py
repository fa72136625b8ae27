"""Where a file is refused: the profile that would pass, and what it costs on this file."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from crypto.agency.encode import encode_package
from crypto.agency.profile_cmd import check_profile
from crypto.encoding import risk
from crypto.encoding.encode import Prepared, prepare
from crypto.encoding.profile import Profile, default_profile
from crypto.encoding.stronger import found_again, stronger
from crypto.errors import ProfileError
from tests.crypto.test_risk import SECRET, less_diffused, people, write


def leak(t: int, *by_t: float) -> risk.Leak:
    return risk.Leak(t, 8192, 2_000, tuple(by_t) + (0.0001,) * (16 - len(by_t)))


def with_t(profile: Profile) -> dict[str, int]:
    return {item.name: item.hardening.t for item in profile.filters if item.hardening}


def test_stronger_profile_raises_t_of_what_leaks_until_all_together_pass() -> None:
    falling = [0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.015, 0.006]
    found = stronger(less_diffused(), {"person": leak(5, *falling), "identity": leak(5)})
    assert found is not None
    assert with_t(found) == {"person": 7, "identity": 5}
    assert found.fingerprint != less_diffused().fingerprint


def test_stronger_profile_of_two_filters_that_leak_alike_counts_both() -> None:
    both = {name: leak(5, 0.5, 0.3, 0.2, 0.1, 0.015, 0.008) for name in ("person", "identity")}
    found = stronger(less_diffused(), both)
    assert found is not None
    assert with_t(found) == {"person": 6, "identity": 6}


def test_stronger_profile_where_no_t_is_enough_is_none_and_where_nothing_leaks_the_same() -> None:
    profile = less_diffused()
    endless = risk.Leak(5, 8192, 2_000, (0.5,) * 16)
    assert stronger(profile, {"person": endless}) is None
    assert stronger(profile, {"person": leak(5), "identity": leak(5)}) == profile


def prepared(count: int) -> Prepared:
    table = pa.table(people(count, count))
    return prepare(table, default_profile("record-hardened"))


def test_share_found_again_falls_with_the_damage_and_with_t() -> None:
    usual = less_diffused()
    views = replace(usual, filters=tuple(item for item in usual.filters if item.hardening))
    raised = stronger(views, {"person": leak(5, *[0.5] * 9)})
    assert raised is not None and with_t(raised)["person"] == 10
    shares = found_again(prepared(300), {"now": views, "stronger": raised})
    assert [set(each) for each in shares] == [{"now", "stronger"}] * 3
    assert shares[0]["now"] > shares[2]["now"]
    assert shares[0]["now"] > 0.9
    assert all(each["stronger"] <= each["now"] for each in shares)
    assert shares[1]["stronger"] < shares[1]["now"]


def test_share_found_again_counts_composite_keys_that_are_left() -> None:
    usual = default_profile("record-hardened")
    views = replace(usual, filters=tuple(item for item in usual.filters if item.hardening))
    people = prepared(300)
    with_keys, without = (found_again(people, {"now": profile})[2]["now"] for profile in (usual, views))
    assert with_keys > without


def test_profile_check_of_families_writes_a_profile_with_which_the_same_file_is_encoded(
    tmp_path: Path,
) -> None:
    usual, families = less_diffused(), people(1_200, 400)
    file = write(tmp_path / "people.csv", families)
    found = check_profile(usual, file, stronger_out=tmp_path / "stronger.json")
    told = found["stronger"]
    assert found["leak_snr"] > risk.MOST_LEAK_SNR >= told["leak_snr"]
    assert told["file"] == str(tmp_path / "stronger.json")
    assert any("of your persons are told from strangers" in line for line in found["warnings"])
    other = Profile.load(tmp_path / "stronger.json")
    assert other.fingerprint == told["fingerprint"]
    about = {
        "secret": SECRET,
        "people_file": file,
        "id_column": "id",
        "facts_files": {},
        "today": date(2026, 11, 22),
    }
    with pytest.raises(ProfileError, match="--stronger"):
        encode_package(profile=usual, out=tmp_path / "refused", **about)
    encode_package(profile=other, out=tmp_path / "made", **about)
    assert (tmp_path / "made" / "manifest.json").exists()


def test_profile_check_of_strangers_proposes_nothing_and_writes_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "people.csv", people(300, 300))
    found = check_profile(default_profile("record-hardened"), file, stronger_out=tmp_path / "stronger.json")
    assert found["stronger"] is None
    assert not (tmp_path / "stronger.json").exists()
    assert json.dumps(found)  # a report, not an object
    assert np.isfinite(found["leak_snr"])
