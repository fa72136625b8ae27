"""Facts larger than a piece and than the memory given to them: the same package, and the same refusals."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crypto.agency import facts as facts_module
from crypto.agency.encode import encode_package
from crypto.encoding.keys import Secret
from crypto.encoding.profile import default_profile
from crypto.errors import InputError
from crypto.facts import validate_facts

PERSONS, TODAY = 300, date(2026, 11, 1)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_module, "PIECE", 97)
    monkeypatch.setattr(facts_module, "_BUDGET_BYTES", 20_000)


def people(folder: Path) -> Path:
    path = folder / "people.csv"
    rows = [f"{at},Ada{at % 17},Quill{at % 13},19{60 + at % 40}-02-03" for at in range(PERSONS)]
    path.write_text("\n".join(["id,first_name,last_name,birth_date", *rows]) + "\n")
    return path


def wages(folder: Path, rows: list[str]) -> Path:
    path = folder / "wages.csv"
    path.write_text("\n".join(["id,state_fips,quarter,employer_token,wages", *rows]) + "\n")
    return path


def wage(person: int | str, quarter: int, amount: str = "5000.00") -> str:
    return f"{person},39,2023Q{quarter},{'ab' * 32},{amount}"


def encode(folder: Path, kind: str, path: Path, leave_out: bool = False) -> Path:
    out = folder / "package"
    encode_package(
        profile=default_profile("field-level"),
        secret=Secret.generate("cin"),
        people_file=people(folder),
        id_column="id",
        facts_files={kind: path},
        out=out,
        today=TODAY,
        leave_out=leave_out,
    )
    return out


def refusal(folder: Path, kind: str, path: Path) -> InputError:
    with pytest.raises(InputError) as error:
        encode(folder, kind, path)
    assert not (folder / "package").exists()
    assert not [item for item in folder.iterdir() if item.is_dir()]
    return error.value


ROWS = [wage(at, quarter) for quarter in (1, 2, 3, 4) for at in range(PERSONS)]


def test_facts_of_many_pieces_when_encoded_are_whole_in_order_and_valid_again(tmp_path: Path) -> None:
    out = encode(tmp_path, "wage", wages(tmp_path, ROWS))
    table = pq.read_table(out / "facts-wage.parquet")
    refs = table["record_ref"].to_pylist()
    assert (len(refs), len(set(refs))) == (len(ROWS), PERSONS)
    assert refs == sorted(refs)
    assert validate_facts("wage", table, submitted_on=TODAY).equals(table)
    per_person = table.group_by("record_ref").aggregate([("quarter", "count_distinct")])
    assert set(per_person["quarter_count_distinct"].to_pylist()) == {4}
    assert not (out / "spill").exists()


def test_key_that_repeats_in_another_piece_when_encoded_is_refused_by_its_row(tmp_path: Path) -> None:
    error = refusal(tmp_path, "wage", wages(tmp_path, [*ROWS, wage(7, 2, "1.00")]))
    assert (error.code, error.row) == ("INVALID_ROWS", len(ROWS) + 1)
    assert [problem.code for problem in error.problems] == ["DUPLICATE_KEY"]


def test_facts_about_nobody_when_encoded_are_refused_by_their_rows(tmp_path: Path) -> None:
    rows = [*ROWS[:500], wage("stranger", 1), *ROWS[500:], wage("other", 1)]
    error = refusal(tmp_path, "wage", wages(tmp_path, rows))
    assert (error.code, [problem.row for problem in error.problems]) == ("FACT_ID_UNKNOWN", [501, len(rows)])
    assert "stranger" not in str(error)


@pytest.mark.parametrize("leave_out", [False, True])
def test_persons_of_whom_no_fact_speaks_when_encoded_are_counted_and_left_out_if_asked(
    tmp_path: Path, leave_out: bool
) -> None:
    rows = [row for row in ROWS if row.split(",")[0] not in ("5", "299")]
    out = encode(tmp_path, "wage", wages(tmp_path, rows), leave_out=leave_out)
    told = json.loads((out / "report.json").read_text())
    expected = (PERSONS - 2, 2, 0) if leave_out else (PERSONS, 0, 2)
    assert (told["persons"], told["left_out"], told["without_facts"]) == expected
    assert told["merged"] == 0
    ids = {line.split(",")[0] for line in (out / "crosswalk.csv").read_text().splitlines()[1:]}
    assert ({"5", "299"} & ids == set()) is leave_out
    assert pq.read_table(out / "encodings.parquet").num_rows == told["persons"] == len(ids)


def test_rows_that_are_wrong_in_several_pieces_when_encoded_are_all_told(tmp_path: Path) -> None:
    rows: list[Any] = list(ROWS)
    for at in (3, 400, 1100):
        rows[at] = wage(at % PERSONS, 9)
    error = refusal(tmp_path, "wage", wages(tmp_path, rows))
    assert [problem.row for problem in error.problems] == [4, 401, 1101]
    assert error.detail.startswith("3 problem(s)")


def test_award_number_that_repeats_on_another_person_when_encoded_is_refused(tmp_path: Path) -> None:
    head = "id,completion_id,version,award_kind,award_level,award_date"
    rows = [f"{at},c{at},1,POSTSEC,05,2022-05-15" for at in range(PERSONS)]
    rows[250] = "250,c3,1,POSTSEC,05,2022-05-15"
    path = tmp_path / "awards.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    error = refusal(tmp_path, "completion", path)
    assert [(problem.row, problem.code) for problem in error.problems] == [(251, "DUPLICATE_KEY")]
