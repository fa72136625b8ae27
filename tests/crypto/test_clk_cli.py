"""``cohortlink-agency clk``: clkhash's files, blocks, raw bytes, bit orders; nothing told, nothing left."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import InputError
from crypto.interop.clk_file import parse_clks, read_clks, write_clks
from tests.crypto.test_agency_cli import failed, run
from tests.crypto.test_clkhash import example

FIRST = "AhNABwoSSws="
PEOPLE = "id,name,dob,n\n1,Ann,2001-02-03,25\n2,,1999-12-31,-7\n3,Zoë Müller,1960-01-01,0\n"


class Clk:
    """A folder with a schema, a secret and persons."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "schema.json").write_text(json.dumps(example("blakeHash")))
        (folder / "secret").write_text("horse\n")
        (folder / "people.csv").write_text(PEOPLE, "utf-8")

    def arguments(self, out: str = "clks.json", people: str = "people.csv", *more: object) -> list[object]:
        f = self.folder
        plain = ["--schema", f / "schema.json", "--secret-file", f / "secret", "--out", f / out]
        return ["clk", f / people, *plain, *more]


@pytest.fixture
def clk(tmp_path: Path) -> Clk:
    return Clk(tmp_path)


def test_clks_when_written_are_clkhashs_file_and_rated_weak(clk: Clk) -> None:
    result = run(*clk.arguments())
    assert result.exit_code == 0, result.output
    assert "weak" in result.output
    found = json.loads((clk.folder / "clks.json").read_text())
    assert list(found) == ["clks"]
    assert len(found["clks"]) == 3
    assert found["clks"][0] == FIRST
    report = json.loads(run(*clk.arguments("again.json"), "--json").stdout)
    assert (report["family"], report["risk"], report["records"], report["bits"]) == ("clkhash", "weak", 3, 64)
    assert (clk.folder / "again.json").read_bytes() == (clk.folder / "clks.json").read_bytes()
    assert failed(*clk.arguments())["code"] == "OUT_EXISTS"


def test_clks_of_parquet_and_of_other_dialects_are_the_same(clk: Clk) -> None:
    assert run(*clk.arguments("a")).exit_code == 0
    rows = [line.split(",") for line in PEOPLE.splitlines()]
    columns = {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}
    pq.write_table(pa.table(columns), clk.folder / "people.parquet")
    (clk.folder / "people.txt").write_bytes(PEOPLE.replace(",", ";").encode("latin-1"))
    dialect = ("--delimiter", ";", "--encoding", "latin-1")
    assert run(*clk.arguments("b", "people.parquet")).exit_code == 0
    assert run(*clk.arguments("c", "people.txt", *dialect)).exit_code == 0
    assert len({(clk.folder / name).read_bytes() for name in "abc"}) == 1


def test_clks_with_blocks_or_raw_hold_the_same_bits_and_convert_into_each_other(clk: Clk) -> None:
    f = clk.folder
    (f / "blocks.json").write_text(json.dumps({"blocks": {"0": ["001", "211"], "2": ["7"]}}))
    assert run(*clk.arguments("a.json")).exit_code == 0
    more = ("--format", "clknblocks", "--blocks", f / "blocks.json")
    assert run(*clk.arguments("b.json", "people.csv", *more)).exit_code == 0
    assert run(*clk.arguments("c.bin", "people.csv", "--format", "raw")).exit_code == 0
    blocks = json.loads((f / "b.json").read_text())["clknblocks"]
    assert blocks[0] == [FIRST, "001", "211"]
    assert [item[1:] for item in blocks] == [["001", "211"], [], ["7"]]
    assert (f / "c.bin").read_bytes()[:8] == base64.b64decode(FIRST)
    back = ("--raw-bits", "64", "--out", f / "d.json")
    assert run("clk-convert", f / "c.bin", *back).exit_code == 0
    assert (f / "d.json").read_bytes() == (f / "a.json").read_bytes()
    assert run("clk-convert", f / "b.json", "--out", f / "e.json", "--format", "clknblocks").exit_code == 0
    assert (f / "e.json").read_bytes() == (f / "b.json").read_bytes()


def test_bit_order_of_other_tools_when_asked_for_turns_every_byte_and_back(clk: Clk) -> None:
    f = clk.folder
    assert (
        run(*clk.arguments("lsb.bin", "people.csv", "--format", "raw", "--bit-order", "lsb")).exit_code == 0
    )
    first = base64.b64decode(FIRST)
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in first)
    assert (f / "lsb.bin").read_bytes()[:8] == turned != first
    back = ("--raw-bits", "64", "--from-bit-order", "lsb", "--out", f / "back.json")
    assert run("clk-convert", f / "lsb.bin", *back).exit_code == 0
    assert json.loads((f / "back.json").read_text())["clks"][0] == FIRST


@pytest.mark.parametrize(
    ("people", "code", "row", "column"),
    [
        (PEOPLE.replace("dob", "born"), "HEADER_MISMATCH", None, "dob"),
        ("id,name\n1,Ann\n", "HEADER_MISMATCH", None, None),
        (PEOPLE.replace("1999-12-31", "1999-02-29"), "CELL_INVALID", 2, "dob"),
        (PEOPLE.replace(",0\n", ",none\n"), "CELL_INVALID", 3, "n"),
        (PEOPLE.replace("Ann", "A\0n"), "NUL_BYTE", 1, "name"),
    ],
)
def test_persons_that_do_not_fit_the_schema_are_refused_by_place_and_leave_nothing(
    clk: Clk, people: str, code: str, row: int | None, column: str | None
) -> None:
    (clk.folder / "people.csv").write_text(people, "utf-8")
    before = sorted(clk.folder.iterdir())
    found = failed(*clk.arguments())
    assert (found["code"], found["row"], found["column"]) == (code, row, column)
    assert sorted(clk.folder.iterdir()) == before


def test_secret_of_clkhash_when_not_in_a_file_comes_from_the_environment(
    clk: Clk, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [a for a in clk.arguments() if a not in ("--secret-file", clk.folder / "secret")]
    assert failed(*arguments)["code"] == "SECRET_MISSING"
    monkeypatch.setenv("COHORTLINK_CLK_SECRET", "horse")
    assert run(*arguments).exit_code == 0
    assert json.loads((clk.folder / "clks.json").read_text())["clks"][0] == FIRST


def test_file_without_rows_gives_an_empty_list(clk: Clk) -> None:
    (clk.folder / "people.csv").write_text("id,name,dob,n\n")
    assert run(*clk.arguments()).exit_code == 0
    assert json.loads((clk.folder / "clks.json").read_text()) == {"clks": []}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.lists(st.binary(min_size=40, max_size=40), max_size=5))
def test_clks_of_any_length_when_written_are_read_back(size: int, rows: list[bytes]) -> None:
    packed = np.array([list(row[:size]) for row in rows], np.uint8).reshape(len(rows), size)
    stream = io.BytesIO()
    assert write_clks(stream, [packed[:2], packed[2:]], "clks") == len(rows)
    document = json.loads(stream.getvalue())
    assert document["clks"] == [base64.b64encode(row[:size]).decode() for row in rows]
    assert np.array_equal(parse_clks(document, "it").packed.reshape(-1, size), packed)


@pytest.mark.parametrize(
    ("document", "row"),
    [
        ([], None),
        ({"clks": "AA=="}, None),
        ({"clks": [], "clknblocks": []}, None),
        ({"clks": ["AAA=", "AA=="]}, 2),
        ({"clks": ["AAA=", "A!A="]}, 2),
        ({"clks": ["AAA=", 7]}, 2),
        ({"clks": [""]}, 1),
        ({"clknblocks": [["AAA="], []]}, 2),
        ({"clknblocks": [["AAA=", {}]]}, 1),
    ],
)
def test_document_that_holds_no_clks_is_refused_by_row(document: object, row: int | None) -> None:
    with pytest.raises(InputError) as caught:
        parse_clks(document, "it")
    assert (caught.value.code, caught.value.row) == ("CLKS_INVALID", row)


def test_clk_with_bits_beyond_its_length_or_a_cut_raw_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        parse_clks({"clks": ["AAE="]}, "it", bits=12)
    assert len(parse_clks({"clks": ["ABA="]}, "it", bits=12).packed) == 1
    (tmp_path / "raw").write_bytes(bytes(15))
    with pytest.raises(InputError):
        read_clks(tmp_path / "raw", raw_bits=64)
