"""The coverage note: of the cohort's own persons, never of one of them, and the same for every figure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from app.disclosure.table import Coverage
from app.flows.cube_basis import Basis
from app.flows.make_cube import coverage_terms
from app.flows.presence import presence_of, strong_filters
from app.outcomes.coverage import CoverageTerms, Covered, coverage_note
from app.outcomes.measures import FoundInQuarter
from app.outcomes.tabulate import tabulate
from crypto.encoding.encode import encode_table
from crypto.encoding.keys import Keys, Secret
from crypto.encoding.profile import Profile, default_profile
from linkage.run import Source
from tests.app.outcomes.builders import completion, facts, persons, ref, wage

BATCHES = {"edu-1": "edu", "edu-2": "edu2", "oh-1": "39"}


def shares(
    people: Sequence[str],
    awards: Sequence[dict[str, object]],
    without: dict[str, Sequence[object]] | None = None,
    **more: Any,
) -> tuple[str | None, str | None]:
    """Shares of a cohort; ``without``: record_refs that are not encoded, or have no strong identifier."""
    linked, missing = persons(people, BATCHES), {"encoded": (), "strong": ()} | (without or {})
    refs = linked["record_ref"].to_pylist()
    for name in ("encoded", "strong"):
        flags = None if missing[name] is None else [ref not in set(missing[name]) for ref in refs]
        column = pa.nulls(len(refs), pa.bool_()) if flags is None else pa.array(flags)
        linked = linked.append_column(name, column)
    first = [row for row in awards if "second" not in row]
    second = [{k: v for k, v in row.items() if k != "second"} for row in awards if "second" in row]
    given = {
        "completion": [("edu-1", facts("completion", first)), ("edu-2", facts("completion", second))],
        "wage": [("oh-1", facts("wage", [wage(people[0], "39", "2023Q2", 10)]))],
    }
    about = tabulate(
        "employed_q4", "2021-22", (), persons=linked, facts=given, as_of=date(2026, 11, 22), **more
    ).about
    return about.coverage.encodable, about.coverage.strong_identifier


def refs_of(rows: Sequence[dict[str, object]]) -> list[object]:
    return [row["record_ref"] for row in rows]


@pytest.fixture(scope="module")
def cohort() -> tuple[list[str], list[dict[str, object]]]:
    people = [f"p{i}" for i in range(400)]
    return people, [completion(person) for person in people]


def test_shares_are_of_the_cohorts_own_persons_and_not_of_its_batch_or_of_wage_files(
    cohort: tuple[list[str], list[dict[str, object]]],
) -> None:
    people, awards = cohort
    # The same batch holds as many persons of another year, none of whom could be encoded.
    others = [f"q{i}" for i in range(400)]
    before = [completion(person, award_date="2020-05-01") for person in others]
    no_number = refs_of(awards[:100])
    told = shares(
        [*people, *others],
        [*awards, *before],
        {"encoded": refs_of(before), "strong": [*no_number, *refs_of(before)]},
    )
    assert told == ("88", "70")  # at least 375 and 300 of fewer than 425


def test_person_counts_by_any_record_of_her_awards_in_the_cohort(
    cohort: tuple[list[str], list[dict[str, object]]],
) -> None:
    people, awards = cohort
    no_number = refs_of(awards[:100])
    twice = [completion(p, record_ref=ref("edu2", p), second=True) for p in people[:100]]
    assert shares(people, [*awards, *twice], {"strong": no_number}) == ("88", "88")
    assert shares(people, awards, {"strong": no_number}) == ("88", "70")


def test_share_is_not_told_where_encodings_do_not_tell_or_the_cohort_is_small(
    cohort: tuple[list[str], list[dict[str, object]]],
) -> None:
    people, awards = cohort
    assert shares(people, awards, {"strong": None}) == ("88", None)  # type: ignore[dict-item]
    assert shares(people, awards[:99]) == (None, None)
    assert shares(people, awards[:100]) == ("60", "60")
    assert shares(people, awards[:100], coverage=CoverageTerms(step=50)) == (None, None)


def test_share_is_a_true_bound_and_never_singles_out_fewer_persons_than_a_step() -> None:
    for whole in range(100, 1101, 7):
        told: dict[str | None, list[int]] = {}
        for part in range(whole + 1):
            note = coverage_note(FoundInQuarter.after(4), ("39",), Covered(whole, part, None), None)
            assert note.encodable is not None
            assert int(note.encodable) * whole <= 100 * part
            told.setdefault(note.encodable, []).append(part)
        assert all(max(parts) - min(parts) >= 24 for parts in told.values())
        # Nobody reads off that all are in, or none.
        assert max(told[note.encodable]) == whole
        assert min(told["0"]) == 0


def test_share_does_not_tell_how_many_were_excluded() -> None:
    # 1,000 persons with an award, of whom 998 are published: 975, 976 … look like one another.
    told = {
        coverage_note(FoundInQuarter.after(4), (), Covered(whole, whole, whole), None).encodable
        for whole in range(1000, 1025)
    }
    assert len(told) == 1


class Charged(SimpleNamespace):
    """What `coverage_terms` reads of a ledger entry."""


def charged(run: str, cohort: str, encodable: str | None = "88") -> Any:
    coverage = {"text": "…", "encodable": encodable, "strong_identifier": encodable}
    return Charged(run_id=run, cohort=cohort, cube={"tables": [{"coverage": coverage}]})


def basis(**treatment: str) -> Basis:
    return Basis(1, [], 1, [], {"min_cell": 30}, [], "x", treatment=treatment)


def test_shares_once_told_of_a_cohort_are_repeated_by_later_figures_and_corrections() -> None:
    fresh = Covered(800, 800, 800)
    first = coverage_terms("2021-22", "run-1", basis(), [])
    assert (first.step, first.told) == (30, None)
    again = coverage_terms("2021-22", "run-1", basis(), [charged("run-1", "2021-22")])
    later = coverage_terms("2021-22", "run-2", basis(), [charged("run-1", "2021-22")])
    notes = [coverage_note(FoundInQuarter.after(2), ("39",), fresh, terms) for terms in (again, later)]
    assert [(note.encodable, note.strong_identifier) for note in notes] == [("88", "88")] * 2
    assert "as they were first published" not in notes[0].text
    assert "as they were first published" in notes[1].text
    # A year of its own under another agreement shares months with what is out: nothing is told of it.
    overlapping = coverage_terms("2021", "run-2", basis(), [charged("run-1", "2021-22")])
    assert coverage_note(FoundInQuarter.after(2), ("39",), fresh, overlapping).encodable is None
    assert coverage_terms("2021-22", "r", basis(), [charged("r", "2021-22", None)]).told is None


def test_shares_as_counted_do_not_stand_beside_noise() -> None:
    terms = coverage_terms("2021-22", "run-1", basis(method="differential_privacy"), [])
    assert terms.told == Coverage("")


def test_strong_identifier_is_read_from_filters_that_nobody_has_without_one() -> None:
    assert strong_filters(default_profile("record-hardened")) == {"identity"}
    assert strong_filters(default_profile("field-level")) == {"ssn"}
    document = default_profile("record-hardened").to_document()
    for item in document["filters"]:
        if item["name"] == "identity":
            item["require"] = ["ssn|id_surname"]
    assert strong_filters(Profile.from_document(document)) is None


def test_presence_of_each_record_is_what_its_agency_held() -> None:
    profile = default_profile("record-hardened")
    keys = Keys(Secret("a", 1, hashlib.sha256(b"a test").digest()), profile)
    table = pa.table(
        {
            "first_name": ["Ada", "Ben", "", "Eve"],
            "last_name": ["Lovelace", "Bitdiddle", "", "Adams"],
            "date_of_birth": ["1990-01-01", "1991-02-02", "", ""],
            "ssn": ["123-45-6780", "", "", "000-00-0000"],
        }
    )
    made = encode_table(table, profile, keys)
    source = Source("b", made)
    size = len(made)
    order = np.random.default_rng(1).permutation(size)
    run = pa.table(
        {
            "person": pa.array(range(size), pa.int64()),
            "batch": ["b"] * size,
            "record_ref": made.record_refs[order].tolist(),
        }
    )
    told = presence_of(run, [source], profile)
    assert told.column_names == ["encoded", "strong"]
    at = {ref: i for i, ref in enumerate(made.record_refs.tolist())}
    for ref_, row in zip(run["record_ref"].to_pylist(), told.to_pylist(), strict=True):
        held = {name for name, column in made.filters.items() if column.present[at[ref_]]}
        assert (row["encoded"], row["strong"]) == (bool(held), "identity" in held)
    assert sorted(told["strong"].to_pylist()) == [False, False, False, True]
    assert sorted(told["encoded"].to_pylist()).count(False) >= 1
