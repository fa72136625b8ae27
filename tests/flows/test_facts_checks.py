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
from app.flows.facts_checks import FactsCheck, Hashed, check_facts
from app.flows.references import OutOfOrderError, PassingReferences, References
from tests.world import World, completion_table, make_package, make_refs, wage_table

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


def checked(
    table: pa.Table, refs: list[str], dataset: Dataset = EVERYTHING, *, in_order: bool = True
) -> np.ndarray:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    spoken = np.zeros(len(refs), np.bool_)
    check = FactsCheck(dataset.kind, dataset, known(refs), spoken, TODAY, table.num_rows, in_order=in_order)
    check_facts(pa.BufferReader(sink.getvalue()), check, "facts.parquet", table.num_rows)
    return spoken


def refusal(
    table: pa.Table, refs: list[str], dataset: Dataset = EVERYTHING, *, in_order: bool = True
) -> tuple[str, list[tuple]]:
    with pytest.raises(RefusedError) as caught:
        checked(table, refs, dataset, in_order=in_order)
    return caught.value.code, [(each.code, each.row, each.column) for each in caught.value.problems]


def test_references_are_found_in_their_rows_and_strangers_in_none() -> None:
    refs = make_refs(2_000)
    found = known(refs)
    assert found.rows(refs[::-1]).tolist() == list(range(1_999, -1, -1))
    beginning_alike = [ref[:16] + "0" * 16 for ref in refs]
    assert (found.rows(beginning_alike) == -1).mean() > 0.99
    assert set(found.rows(make_refs(2_000, seed=2)).tolist()) == {-1}
    assert References().rows(refs[:2]).tolist() == [-1, -1]


def test_references_that_pass_by_are_found_as_all_are_while_a_piece_is_held() -> None:
    refs, every = make_refs(200), known(make_refs(200))
    passing = PassingReferences(iter([refs[at : at + 10] for at in range(0, 200, 10)]))
    asked = sorted([*refs[3:150:4], *refs[3:150:7], *make_refs(50, seed=2), *refs[199:], *refs[199:]])
    found = np.concatenate([passing.rows(asked[at : at + 6]) for at in range(0, len(asked), 6)])
    assert found.tolist() == every.rows(asked).tolist()
    assert len(passing._begins) == 10
    assert passing.rows([]).tolist() == []
    assert passing.rows(["f" * 32]).tolist() == [-1]
    assert PassingReferences(iter([])).rows(refs[:2]).tolist() == [-1, -1]


@pytest.mark.parametrize("then", [[0], [9, 8]])
def test_references_that_passed_by_are_not_found_again(then: list[int]) -> None:
    refs = make_refs(40)
    passing = PassingReferences(iter([refs[:20], refs[20:]]))
    passing.rows(refs[5:7])
    with pytest.raises(OutOfOrderError):
        passing.rows([refs[at] for at in then])


def test_hashes_that_come_again_are_found_in_slices_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 300, 500).astype(np.uint64)
    places = []
    for slices in (1, 16):
        monkeypatch.setattr(facts_checks, "_SLICES", slices)
        held = Hashed()
        held.keep(hashes)
        places.append(held.repeated().tolist())
    seen: set[int] = set()
    assert places[0] == places[1] == [at for at, h in enumerate(hashes.tolist()) if h in seen or seen.add(h)]


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


WAGES = Dataset(organization="a", kind="wage", fields=["*"], periods=["*"])


@pytest.mark.parametrize("in_order", [True, False])
def test_wages_that_come_again_are_refused_in_their_rows_also_where_a_person_spans_pieces(
    in_order: bool,
) -> None:
    refs = make_refs(4)
    # 1, 17, 1 and 4 quarters; the last three of the second person repeat earlier ones of it.
    quarters = [f"{2018 + at // 4}Q{at % 4 + 1}" for at in range(14)]
    people = [refs[0]] + [refs[1]] * 17 + [refs[2]] + [refs[3]] * 4
    table = wage_table(people).set_column(
        2, "quarter", pa.array([quarters[0], *quarters, *quarters[2:5], quarters[0], *quarters[:4]])
    )
    code, problems = refusal(table, refs, WAGES, in_order=in_order)
    assert (code, problems) == (
        "FACTS_INVALID",
        [("DUPLICATE_KEY", row, "record_ref") for row in (16, 17, 18)],
    )
    once = pa.concat_tables([table[:15], table[18:]])
    assert checked(once, refs, WAGES, in_order=in_order).all()


def test_wages_out_of_order_ask_for_the_other_way() -> None:
    refs = make_refs(40)
    table = wage_table([*refs[20:], *refs[:20]])
    with pytest.raises(OutOfOrderError):
        checked(table, refs, WAGES)
    assert checked(table, refs, WAGES, in_order=False).all()


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


def test_a_batch_whose_facts_are_in_another_order_than_its_encodings_is_accepted(sqlite_world: World) -> None:
    refs = make_refs(60, seed=2)
    package = make_package(kind="wage", seed=2, facts=wage_table([*refs[30:], *refs[:30]]))
    sqlite_world.agree()
    answer = sqlite_world.submit(sqlite_world.workforce, package)
    assert answer.json()["state"] == "ACCEPTED", answer.text
