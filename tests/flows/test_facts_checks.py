"""Facts are checked a piece at a time; what only the whole file can tell is told all the same."""

from __future__ import annotations

import io
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.errors import RefusedError
from app.flows import facts_checks
from app.flows.agreement_terms import Dataset
from app.flows.facts_checks import FactsCheck, check_facts
from app.flows.references import References
from tests.world import completion_table, make_refs

EVERYTHING = Dataset(organization="a", kind="completion", fields=["*"], periods=["*"])
TODAY = date(2026, 11, 22)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_checks, "PIECE", 7)


def known(refs: list[str]) -> References:
    found = References(3)
    for at in range(0, len(refs), 10):
        found.add(refs[at : at + 10])
    return found


def checked(table: pa.Table, refs: list[str], dataset: Dataset = EVERYTHING) -> np.ndarray:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    spoken = np.zeros(len(refs), np.bool_)
    check = FactsCheck("completion", dataset, known(refs), spoken, TODAY, table.num_rows)
    check_facts(pa.BufferReader(sink.getvalue()), check, "facts.parquet", table.num_rows)
    return spoken


def refusal(table: pa.Table, refs: list[str], dataset: Dataset = EVERYTHING) -> tuple[str, list[tuple]]:
    with pytest.raises(RefusedError) as caught:
        checked(table, refs, dataset)
    return caught.value.code, [(each.code, each.row, each.column) for each in caught.value.problems]


def test_references_are_found_in_their_rows_and_strangers_in_none() -> None:
    refs = make_refs(2_000)
    found = known(refs)
    assert found.rows(refs[::-1]).tolist() == list(range(1_999, -1, -1))
    beginning_alike = [ref[:16] + "0" * 16 for ref in refs]
    assert (found.rows(beginning_alike) == -1).mean() > 0.99
    assert set(found.rows(make_refs(2_000, seed=2)).tolist()) == {-1}
    assert References().rows(refs[:2]).tolist() == [-1, -1]


def test_a_file_of_many_pieces_that_is_right_speaks_of_those_that_it_names() -> None:
    refs = make_refs(40)
    spoken = checked(completion_table(refs[5:]), refs)
    assert np.flatnonzero(~spoken).tolist() == [0, 1, 2, 3, 4]


def test_a_key_that_comes_again_pieces_later_is_refused_in_its_row() -> None:
    refs = make_refs(40)
    table = completion_table(refs, completion_id=[f"c{at % 38}" for at in range(40)])
    assert refusal(table, refs) == (
        "FACTS_INVALID",
        [("DUPLICATE_KEY", 39, "completion_id"), ("DUPLICATE_KEY", 40, "completion_id")],
    )


def test_rows_of_later_pieces_are_named_by_their_place_in_the_file() -> None:
    refs = make_refs(40)
    dates = ["2022-05-15"] * 39 + ["2022-13-01"]
    assert refusal(completion_table(refs, award_date=dates), refs)[1][0][1] == 40
    strangers = completion_table([*refs[:-2], *make_refs(2, seed=9)])
    assert refusal(strangers, refs) == (
        "FACTS_INVALID",
        [("RECORD_REF_UNKNOWN", 39, "record_ref"), ("RECORD_REF_UNKNOWN", 40, "record_ref")],
    )
    later = Dataset(organization="a", kind="completion", fields=["*"], periods=["2022-23"])
    dates = ["2023-05-15"] * 30 + ["2022-05-15"] * 10
    code, problems = refusal(completion_table(refs, award_date=dates), refs, later)
    assert (code, problems[0], len(problems)) == (
        "PERIOD_NOT_PERMITTED",
        ("PERIOD_NOT_PERMITTED", 31, "award_date"),
        10,
    )


def test_a_field_that_is_not_permitted_is_refused_if_any_piece_has_a_value_in_it() -> None:
    refs = make_refs(40)
    narrow = Dataset(
        organization="a",
        kind="completion",
        fields=["completion_id", "version", "award_kind", "award_level", "award_date"],
        periods=["*"],
    )
    empty = completion_table(refs).append_column("cip_code", pa.array([None] * 40, pa.string()))
    assert checked(empty, refs, narrow).all()
    filled = pa.array([None] * 39 + ["52.0201"], pa.string())
    table = completion_table(refs).append_column("cip_code", filled)
    table = table.append_column("cip_version", pa.array([None] * 39 + ["2020"], pa.string()))
    code, problems = refusal(table, refs, narrow)
    assert (code, {column for _, _, column in problems}) == (
        "FIELD_NOT_PERMITTED",
        {"cip_code", "cip_version"},
    )
