"""The table of attacks says what is played and by which tests: none is missing, and each one is there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: Attacks on what is published, in the words of the table's first column.
ATTACKS = (
    "margin subtraction",
    "trackers",
    "overlapping queries",
    "complements",
    "0 % and 100 %",
    "rates solved for counts",
    "joint intervals",
    "every denominator known",
    "empty cells known",
    "whole numbers",
    "persons more, a batch more, late wages, one less",
    "withdrawn batch",
    "cohort year against calendar year",
    "institution left out",
    "two partnerships pooling",
    "two agreements with different k",
    "rows by state against the region",
    "rows by pathway that overlap",
    "gap and ratio against rates",
    "medians and percentiles stepped through",
    "dominance by one employer",
    "ordering, length, headers and codes",
    "time of withheld, absent, unknown",
    "csv and workbooks",
    "pages, workbook, drawings",
    "metrics, log entries, audit statistics",
    "encodings",
)


def rows() -> list[tuple[str, str]]:
    """Attack and what plays it, of each row."""
    lines = [line for line in (HERE / "README.md").read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(cell[0], cell[1]) for cell in cells[1:]]


def test_every_attack_has_a_row_and_every_row_names_what_is_there() -> None:
    told = rows()
    source = "".join(path.read_text() for path in HERE.glob("*.py"))
    listed = " ".join(attack for attack, _ in told).lower()
    assert [attack for attack in ATTACKS if attack not in listed] == []
    for attack, by in told:
        names = re.findall(r"`([^`]+)`", by)
        assert names or by.startswith(("the same", "always")), attack
        files = [name for name in names if name.endswith(".py")]
        missing = [name for name in files if not any((folder / name).exists() for folder in (HERE, ROOT))]
        assert missing == [], attack
        played = [name.removeprefix("adversary.") for name in names if "/" not in name and name not in files]
        assert [name for name in played if not re.search(rf"\b{name}\b", source)] == []


def test_every_file_of_attacks_is_in_the_table() -> None:
    text = (HERE / "README.md").read_text()
    there = {path.name for path in HERE.glob("test_*.py")} - {Path(__file__).name, "test_campaign.py"}
    assert sorted(name for name in there if f"`{name}`" not in text) == []
