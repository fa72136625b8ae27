"""Leakage on own data: exact figures, all of t at once, and a refusal that says what to do."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from crypto.agency.encode import encode_package
from crypto.encoding import risk
from crypto.encoding.encode import Encoder, prepare
from crypto.encoding.keys import Keys, Secret
from crypto.encoding.profile import Profile, default_profile
from crypto.errors import ProfileError

SECRET = Secret("cincinnati-nky", 1, np.random.default_rng(9).bytes(32))


def test_leak_of_random_filters_when_counted_pair_by_pair_is_the_same() -> None:
    filters = np.random.default_rng(3).integers(0, 256, (700, 16), dtype=np.uint8)
    filters[1] = filters[0]
    leak = risk.leak_of(filters, 3, 64)
    bits = np.unpackbits(filters, axis=1)
    left, right = np.triu_indices(len(filters), 1)
    part = (bits[left] != bits[right]).mean(axis=1)
    expected = ((1 - 2 * part) ** 3).std() * np.sqrt(64)
    assert leak.snr == pytest.approx(expected, rel=1e-9)
    assert leak.by_t[0] > leak.by_t[2]


def test_advice_names_a_filter_only_where_all_filters_together_leak_too_much() -> None:
    strong, weak = (risk.Leak(5, 4096, 2_000, (0.9,) * 4 + (snr, 0.001)) for snr in (0.017, 0.003))
    assert risk.advice({"one": strong, "other": weak}) == {}
    assert risk.advice({"one": strong, "other": strong}) == {"one": 6, "other": 6}


def test_leak_of_one_or_no_record_when_measured_is_zero() -> None:
    assert risk.leak_of(np.zeros((1, 8), np.uint8), 5, 64).snr == 0.0
    assert risk.leak_of(np.zeros((0, 8), np.uint8), 5, 64).persons == 0


def test_needed_t_when_the_bound_falls_rises_and_is_none_where_identical_persons_leak_at_any_t() -> None:
    filters = np.random.default_rng(4).integers(0, 256, (300, 64), dtype=np.uint8)
    filters[1, :40] = filters[0, :40]
    leak = risk.leak_of(filters, 2, 512)
    found = [leak.needed_t(bound) for bound in (0.1, 0.02, 0.004)]
    assert None not in found
    assert found == sorted(found, key=lambda t: t or 0)
    filters[1] = filters[0]
    assert risk.leak_of(filters, 2, 512).needed_t(0.02) is None


def less_diffused() -> Profile:
    """The hardened default with t = 5 of the person's view, by which families are given away."""
    profile = default_profile("record-hardened")
    first, *others = profile.filters
    assert first.hardening
    return replace(profile, filters=(replace(first, hardening=replace(first.hardening, t=5)), *others))


def people(count: int, streets: int) -> dict[str, list[str]]:
    """``streets`` of them: how many families with one surname at one address they are."""
    rng = np.random.default_rng(8)
    letters = np.array(list("abcdefghiklmnoprstuvwyz"))

    def words(number: int, length: int) -> list[str]:
        return ["".join(rng.choice(letters, length)) for _ in range(number)]

    home = np.arange(count) % streets
    surnames, roads, cities = words(streets, 7), words(streets, 9), words(streets, 8)
    return {
        "id": [str(i) for i in range(count)],
        "first_name": words(count, 6),
        "last_name": [surnames[i] for i in home],
        "date_of_birth": [
            f"{1950 + rng.integers(55)}-{1 + rng.integers(12)}-{1 + i % 28}" for i in range(count)
        ],
        "street": [roads[i] for i in home],
        "house_number": [str(10 + i) for i in home],
        "city": [cities[i] for i in home],
        "zip": [f"{10000 + i}" for i in home],
    }


def write(path: Path, columns: dict[str, list[str]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def test_repeated_rows_of_one_person_when_assessed_are_no_pair_of_persons() -> None:
    profile, columns = default_profile("record-hardened"), people(200, 200)
    once, twice = pa.table(columns), pa.concat_tables([pa.table(columns)] * 2)
    leaks = []
    for table in (once, twice):
        encoder = Encoder(prepare(table, profile), profile, Keys(SECRET, profile))
        leaks.append(risk.assess(encoder, profile, np.arange(table.num_rows)))
    assert leaks[0] == leaks[1]


def test_file_of_large_families_when_encoded_is_refused_with_the_t_that_would_do_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    file = write(tmp_path / "people.csv", people(1200, 100))
    with pytest.raises(ProfileError) as caught:
        encode_package(
            profile=less_diffused(),
            secret=SECRET,
            people_file=file,
            id_column="id",
            facts_files={},
            out=tmp_path / "out",
            today=date(2026, 11, 22),
        )
    assert caught.value.code == "LEAK_TOO_HIGH"
    assert "person needs t = " in caught.value.detail
    assert [path.name for path in tmp_path.iterdir()] == ["people.csv"]


def test_file_of_unrelated_persons_when_encoded_is_accepted(tmp_path: Path) -> None:
    file = write(tmp_path / "people.csv", people(1200, 1200))
    told = encode_package(
        profile=default_profile("record-hardened"),
        secret=SECRET,
        people_file=file,
        id_column="id",
        facts_files={},
        out=tmp_path / "out",
        today=date(2026, 11, 22),
    )
    person = next(item for item in told["filters"] if item["filter"] == "person")
    assert person["leak_snr"] < risk.MOST_LEAK_SNR
    assert person["needed_t"] is None


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"last_name": "Ito", "date_of_birth": "1990-01-02"}, True),
        ({"last_name": "Ito", "zip": "45202"}, True),
        ({"last_name": "Ito", "street": "Main St"}, False),
    ],
)
def test_filter_that_requires_one_of_two_fields_when_either_is_there_is_made(
    columns: dict[str, str], expected: bool
) -> None:
    profile = default_profile("record-hardened")
    table = pa.table({name: [value] for name, value in columns.items()})
    encoder = Encoder(prepare(table, profile), profile, Keys(SECRET, profile))
    assert encoder.plain(np.arange(1))["person"][1].tolist() == [expected]


def test_shared_keys_of_twins_and_namesakes_in_a_sample_are_foreseen_for_the_whole_file() -> None:
    profile = default_profile("record-hardened")
    table = people(2_000, 2_000)
    for column in ("last_name", "date_of_birth", "street"):
        table[column][1::100] = table[column][0::100]  # twenty pairs of twins
    prepared = prepare(pa.table(table), profile)
    encoder = Encoder(prepared, profile, Keys(SECRET, profile))
    rows = np.arange(2_000)
    assert risk.shared_keys(encoder, profile, rows, 2_000) == pytest.approx(0.02, abs=0.002)
    assert risk.shared_keys(encoder, profile, rows, 8_000) == pytest.approx(0.08, abs=0.008)
    risk.refuse_shared_keys(0.02, 2_000)
    risk.refuse_shared_keys(0.5, 999)
    with pytest.raises(ProfileError) as caught:
        risk.refuse_shared_keys(0.2, 8_000)
    assert caught.value.code == "LEAK_TOO_HIGH"
