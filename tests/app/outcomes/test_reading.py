"""Wage files read a piece at a time: what is kept gives the same figures, and every row is still checked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.outcomes import reading
from app.outcomes.errors import OutcomesError
from app.outcomes.reading import persons_with_awards, read_facts, read_wages, records_of
from app.outcomes.tabulate import tabulate
from tests.app.outcomes.builders import completion, facts, persons, wage

BATCHES = {"edu-1": "edu", "oh-1": "39"}
PEOPLE = [f"p{i}" for i in range(40)]
#: Thirty graduates; ten more work and never graduated here.
AWARDS = facts("completion", [completion(person) for person in PEOPLE[:30]])
WAGES = facts(
    "wage",
    [
        wage(person, "39", quarter, 10 * at, source="UI" if at % 3 else "SWIS")
        for at, person in enumerate(PEOPLE)
        for quarter in ("2023Q1", "2023Q2")
    ],
)


def linked() -> pa.Table:
    every = persons(PEOPLE, BATCHES)
    # Whoever never graduated has no record in the education file.
    kept = [row["batch"] == "oh-1" or row["person"] < 30 for row in every.to_pylist()]
    return every.filter(pa.array(kept))


def written(folder: Path, table: pa.Table, **options: object) -> str:
    pq.write_table(table, folder / "wage.parquet", **options)
    return str(folder / "wage.parquet")


def read(path: str) -> reading.WageReports:
    known = linked()
    return read_wages(path, records_of(known, "oh-1", persons_with_awards(known, ["edu-1"])))


def rate(wages: object, by: Sequence[str] = ()) -> list[tuple[int, int]]:
    table = tabulate(
        "employed_q4",
        "2021-22",
        tuple(by),
        persons=linked(),
        facts={"completion": [("edu-1", AWARDS)], "wage": [("oh-1", wages)]},
        as_of=date(2026, 11, 22),
    )
    return [(cell.n, cell.found) for cell in (*table.cells, table.total)]


@pytest.mark.parametrize("options", [{}, {"row_group_size": 7}, {"use_dictionary": False}])
def test_figures_of_a_file_read_in_pieces_are_those_of_the_whole_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    monkeypatch.setattr(reading, "PIECE", 9)
    found = read(written(tmp_path, WAGES, **options))
    assert found.table.num_rows == 60
    # The state is a contributor by reports of whoever it may be.
    assert found.reported == {("39", "2023Q1"), ("39", "2023Q2")}
    for by in ((), ("state_of_work",), ("naics_sector",)):
        assert rate(found, by) == rate(WAGES, by)


def test_file_as_it_was_submitted_in_texts_gives_the_same(tmp_path: Path) -> None:
    texts = pa.table({name: WAGES[name].cast(pa.string()) for name in ("record_ref", "state_fips", "quarter",
                     "employer_token", "wages")})  # fmt: skip
    found = read(written(tmp_path, texts))
    assert (found.table.num_rows, rate(found)) == (60, rate(WAGES))


def test_report_of_a_record_that_no_person_has_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    for strange in ("0" * 32, "short"):
        refs = WAGES["record_ref"].to_pylist()
        refs[-1] = strange
        path = written(tmp_path, WAGES.set_column(0, "record_ref", pa.array(refs)))
        with pytest.raises(OutcomesError) as caught:
            read(path)
        assert caught.value.code == "FACTS_WITHOUT_PERSON"


def test_text_that_a_dictionary_holds_and_no_row_has_is_nobody_s_report(tmp_path: Path) -> None:
    texts = WAGES["record_ref"].combine_chunks().dictionary_encode()
    held = pa.concat_arrays([texts.dictionary, pa.array(["f" * 32])])
    column = pa.DictionaryArray.from_arrays(texts.indices, held)
    found = read(written(tmp_path, WAGES.set_column(0, "record_ref", column)))
    assert rate(found) == rate(WAGES)


def test_two_references_that_begin_alike_are_told_apart_by_their_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_begins", lambda words: words[:, 0] * 0)
    assert rate(read(written(tmp_path, WAGES))) == rate(WAGES)


def test_completions_without_columns_that_no_figure_looks_at_give_the_same(tmp_path: Path) -> None:
    pq.write_table(AWARDS, tmp_path / "completion.parquet")
    found = read_facts("completion", str(tmp_path / "completion.parquet"))
    assert "hse_type" not in found.column_names
    assert found.num_rows == AWARDS.num_rows
