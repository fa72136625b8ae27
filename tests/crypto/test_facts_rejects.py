"""The rejects file: all problems by row number, nothing of the file's content."""

from __future__ import annotations

import csv
import stat
from datetime import date
from pathlib import Path

import pytest

from crypto.agency.validate import validate_facts_files
from crypto.errors import InputError
from crypto.facts import MAX_PROBLEMS

TODAY = date(2026, 11, 22)


def write(path: Path, rows: int, quarter: str) -> Path:
    token = "ab" * 32
    lines = [f"id{i},39,{quarter},{token},{i},5000" for i in range(rows)]
    header = "id,state_fips,quarter,employer_token,report_version,wages"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def check(files: dict[str, Path], rejects: Path) -> None:
    validate_facts_files(files, "id", TODAY, delimiter=",", encoding="utf-8", rejects=rejects)


def test_rejects_file_lists_every_problem_beyond_what_is_shown(tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.csv"
    with pytest.raises(InputError):
        check({"wage": write(tmp_path / "wage.csv", 3 * MAX_PROBLEMS, "2023Q5")}, rejects)
    rows = list(csv.DictReader(rejects.read_text(encoding="utf-8").splitlines()))
    quarters = [row for row in rows if row["column"] == "quarter"]
    assert [int(row["row"]) for row in quarters] == list(range(1, 3 * MAX_PROBLEMS + 1))
    assert {row["code"] for row in quarters} == {"BAD_VALUE"}
    # Version 0 of the first row is wrong as well.
    assert [row["column"] for row in rows[:2]] == ["quarter", "report_version"]
    assert "2023Q5" not in rejects.read_text(encoding="utf-8")
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600


def test_all_files_are_checked_though_the_first_is_refused(tmp_path: Path) -> None:
    wage = write(tmp_path / "wage.csv", 2, "2023Q5")
    truth = tmp_path / "truth.csv"
    truth.write_text("id,other_record_ref,same_person\n1,zz,true\n", encoding="utf-8")
    rejects = tmp_path / "rejects.csv"
    with pytest.raises(InputError):
        check({"wage": wage, "truth": truth}, rejects)
    kinds = {row["kind"] for row in csv.DictReader(rejects.read_text(encoding="utf-8").splitlines())}
    assert kinds == {"wage", "truth"}


def test_rejects_file_of_a_good_file_has_its_header_alone(tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.csv"
    source = write(tmp_path / "wage.csv", 1, "2023Q4")
    source.write_text(source.read_text(encoding="utf-8").replace(",0,5000", ",1,5000"), encoding="utf-8")
    check({"wage": source}, rejects)
    assert rejects.read_text(encoding="utf-8") == "kind,row,column,code,detail\n"
