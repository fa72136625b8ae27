"""Keys that several persons of a file share: moved to others, so that they tell nothing of relatives."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.agency import buckets, moved_keys
from crypto.agency import people as agency_people
from crypto.agency.encode import encode_package
from crypto.encoding import shared
from crypto.encoding.encode import Encoder, encode_table, prepare
from crypto.encoding.keys import Keys
from crypto.encoding.profile import Profile, default_profile
from tests.crypto.test_risk import SECRET, people, write

PROFILE = default_profile("record-hardened")
TWINS = [(at, at + 1) for at in range(0, 40, 2)]
Pair = tuple[int, int]


def with_twins(count: int) -> dict[str, list[str]]:
    """People of whom the first forty are twenty pairs of twins."""
    table = people(count, count)
    for column in ("last_name", "date_of_birth", "street", "house_number", "city", "zip"):
        for one, other in TWINS:
            table[column][other] = table[column][one]
    return table


def sharing(keys: Mapping[str, list[bytes | None]]) -> dict[Pair, frozenset[str]]:
    """Pairs of rows with a key in common, and which."""
    found: dict[Pair, set[str]] = {}
    for name, values in keys.items():
        rows: dict[bytes, list[int]] = {}
        for row, value in enumerate(values):
            if value is not None:
                rows.setdefault(value, []).append(row)
        for held in rows.values():
            for pair in combinations(held, 2):
                found.setdefault(pair, set()).add(name)
    return {pair: frozenset(names) for pair, names in found.items()}


def keys_of(table: Mapping[str, list[str]], profile: Profile = PROFILE) -> dict[str, list[bytes | None]]:
    """Each person's keys as the specification has them, before any is moved."""
    encoder = Encoder(prepare(pa.table(dict(table)), profile), profile, Keys(SECRET, profile))
    made = encoder.plain(np.arange(len(table["id"])))
    return {
        name: [
            bytes(row) if has else None
            for row, has in zip(made[name][0], made[name][1].tolist(), strict=True)
        ]
        for name in (item.name for item in profile.filters if item.composite)
    }


def packed(folder: Path, table: Mapping[str, list[str]]) -> dict[str, list[bytes | None]]:
    """Each person's keys in a package, by the order of ``table``; None also where she is not in it."""
    with (folder / "crosswalk.csv").open(newline="") as stream:
        refs = {row["id"]: row["record_ref"] for row in csv.DictReader(stream)}
    found = pq.read_table(folder / "encodings.parquet").to_pylist()
    by_ref = {row["record_ref"]: row for row in found}
    return {
        name: [by_ref.get(refs.get(one, ""), {}).get(name) for one in table["id"]]
        for name in PROFILE.moved_keys
    }


def package(file: Path, out: Path, profile: Profile = PROFILE, **more: object) -> dict[str, object]:
    return encode_package(
        profile=profile,
        secret=SECRET,
        people_file=file,
        id_column="id",
        facts_files={},
        out=out,
        today=date(2026, 11, 22),
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of hundreds of rows is treated like one of millions."""
    monkeypatch.setattr(agency_people, "PIECE", 64)
    monkeypatch.setattr(buckets, "_ROWS", 32)
    monkeypatch.setattr(moved_keys, "_STEP", 16)


def test_sharing_groups_equal_keys_and_leaves_out_those_who_have_none() -> None:
    persons, groups = shared.sharing(np.array([5, 7, 0, 5, 9, 7, 5, 0], np.uint64))
    held = {group: sorted(persons[groups == group].tolist()) for group in set(groups.tolist())}
    assert sorted(held.values()) == [[0, 3, 6], [1, 5]]
    assert sorted(held) == [0, 1]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 12), max_size=60), st.lists(st.integers(0, 12), max_size=60))
def test_moved_keys_of_any_file_share_no_more_than_before_and_are_nobody_s_who_had_none(
    one: list[int], other: list[int]
) -> None:
    size = min(len(one), len(other))
    before = {
        name: (np.array(values[:size], np.uint64).reshape(-1, 1), np.array(values[:size]) != 0)
        for name, values in (("one", one), ("other", other))
    }
    made = shared.without_sharers(before)
    for name, (words, present) in before.items():
        assert (made[name][~present] == words[~present]).all()
        sizes = [np.unique(values[present], return_counts=True)[1] for values in (words, made[name])]
        assert sum(sizes[1] * (sizes[1] - 1)) <= sum(sizes[0] * (sizes[0] - 1))
        alone = np.isin(words[:, 0], made[name][:, 0]) & present
        assert np.unique(words[alone], return_counts=True)[1].tolist() == [1] * int(alone.sum()), (
            "what is left of the keys as they were is nobody else's"
        )


def test_moved_keys_are_shared_by_as_many_pairs_in_the_same_way_and_by_other_persons() -> None:
    table = with_twins(2_000)
    before = keys_of(table)
    made = encode_table(pa.table(table), PROFILE, Keys(SECRET, PROFILE))
    after = {
        name: [
            word.tobytes() if has else None
            for word, has in zip(made.filters[name].words, made.filters[name].present.tolist(), strict=True)
        ]
        for name in before
    }
    assert set(sharing(before)) == set(TWINS)
    assert sorted(map(sorted, sharing(after).values())) == sorted(map(sorted, sharing(before).values()))


def test_package_of_a_file_with_twins_has_their_keys_on_strangers_and_all_others_as_specified(
    tmp_path: Path, pieces: None
) -> None:
    table = with_twins(600)
    told = package(write(tmp_path / "people.csv", table), tmp_path / "out")
    before, after = keys_of(table), packed(tmp_path / "out", table)
    assert told["sharing_keys"] == 2 * len(TWINS)
    assert not set(sharing(after)) & set(TWINS)
    assert sorted(map(sorted, sharing(after).values())) == sorted(map(sorted, sharing(before).values()))
    changed = {row for name in before for row in range(600) if before[name][row] != after[name][row]}
    drawn = {row for pair in sharing(after) for row in pair}
    assert changed == drawn | {row for pair in TWINS for row in pair}
    rewritten = {name for names in sharing(before).values() for name in names}
    assert all(before[name] == after[name] for name in before if name not in rewritten)
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"encodings.parquet", "manifest.json"}
    assert not (tmp_path / "out" / "spill").exists()


def test_package_of_a_file_that_repeats_a_person_s_rows_takes_her_for_no_relative_of_herself(
    tmp_path: Path, pieces: None
) -> None:
    table = people(200, 200)
    twice = {name: values + values[:50] for name, values in table.items()}
    told = package(write(tmp_path / "people.csv", twice), tmp_path / "out")
    assert (told["persons"], told["merged"], told["sharing_keys"]) == (200, 50, 0)
    assert packed(tmp_path / "out", table) == keys_of(table)


def test_package_by_a_profile_for_files_that_hold_a_person_several_times_keeps_all_keys(
    tmp_path: Path,
) -> None:
    table = with_twins(600)
    several = replace(PROFILE, mode="many-to-one")
    told = package(write(tmp_path / "people.csv", table), tmp_path / "out", several)
    assert told["sharing_keys"] == 0
    assert packed(tmp_path / "out", table) == keys_of(table, several)


def test_packages_of_one_file_have_the_same_keys_and_another_person_changes_few(tmp_path: Path) -> None:
    table = with_twins(600)
    stranger = {"id": "stranger"} | {
        name: values[700] for name, values in people(701, 701).items() if name != "id"
    }
    files = {
        "one": table,
        "two": table,
        "more": {name: [stranger[name], *values] for name, values in table.items()},
    }
    found = {}
    for name, content in files.items():
        package(write(tmp_path / f"{name}.csv", content), tmp_path / name)
        found[name] = packed(tmp_path / name, table)
    assert found["one"] == found["two"], "who compares packages sees nothing of who shares keys"
    one, more = found["one"], found["more"]
    assert len({row for key in one for row in range(600) if one[key][row] != more[key][row]}) <= 4
    assert len(sharing(found["one"])) == len(TWINS)


def test_draw_of_whoever_shares_is_a_lot_among_all_and_another_under_another_secret() -> None:
    numbers = np.random.default_rng(3).integers(1, 2**63, 400).astype(np.uint64)
    sharers = np.arange(400) < 300
    images = [shared.Draw(bytes([key]) * 32, numbers).others(sharers) for key in (1, 1, 2)]
    assert (images[0] == images[1]).all() and (images[0] != images[2]).any()
    for image in images:
        assert (image[300:] == -1).all()
        assert len(set(image[:300].tolist())) == 300
        assert set(image[:300].tolist()) <= set(range(400))
        assert 40 < (image[:300] >= 300).sum() < 95, "a quarter of all share nothing, and of those drawn"
    everybody = shared.Draw(bytes(32), numbers).others(np.ones(400, np.bool_))
    assert sorted(everybody.tolist()) == list(range(400))
