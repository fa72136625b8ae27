"""Code lists as versioned data files; each file names its source and version in its first two lines.

Lists are data so that a new edition is a new file with a diff that a domain expert can read, and because the
grid of every published table follows the order of the list, never the order or presence of anybody's data.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class CodeList:
    """One list: where it comes from, and its rows in order.

    Attributes
    ----------
    name, source, version : str
    rows : tuple of dict
        Column name to text; the first column is the code.
    """

    name: str
    source: str
    version: str
    rows: tuple[dict[str, str], ...]

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes in list order, the order of every published grid."""
        return tuple(next(iter(row.values())) for row in self.rows)

    @property
    def labels(self) -> dict[str, str]:
        """Code to the words shown beside it."""
        return {next(iter(row.values())): row["label"] for row in self.rows}

    def groups(self, column: str) -> dict[str, str]:
        """Code to label by another column, of which several rows may hold the same code."""
        return {row[column]: row["label"] for row in self.rows}


@cache
def code_list(name: str) -> CodeList:
    """Read the list ``name`` from its file beside this module (cached: files never change at run time)."""
    lines = files(__package__).joinpath(f"{name}.csv").read_text(encoding="utf-8").splitlines()
    source = lines[0].removeprefix("# source: ")
    version = lines[1].removeprefix("# version: ")
    return CodeList(name, source, version, tuple(csv.DictReader(lines[2:])))
