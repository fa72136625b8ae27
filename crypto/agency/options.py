"""Options that several commands share, and the reading of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from crypto.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def _delimiter(text: str) -> str:
    """A tab cannot be typed on every command line."""
    return "\t" if text in ("\\t", "tab") else text


Delimiter = Annotated[str, typer.Option(help="Of CSV files; tab for a tab.", callback=_delimiter)]
Encoding = Annotated[str, typer.Option(help="Text encoding of CSV files.")]
FactsOption = Annotated[
    list[str] | None, typer.Option("--facts", metavar="KIND=FILE", help="May be given several times.")
]
LogKey = Annotated[
    Path | None,
    typer.Option(
        help="File with the log's key; written the first time. By default beside your own key, by the "
        "service's host."
    ),
]


def today() -> date:
    """Return the day in UTC."""
    return datetime.now(UTC).date()


def facts_files(options: list[str] | None) -> dict[str, Path]:
    """Return the files of ``--facts KIND=FILE`` by kind."""
    found: dict[str, Path] = {}
    for option in options or []:
        kind, sign, file = option.partition("=")
        if not sign or not kind or not file:
            raise typer.BadParameter("facts are given as KIND=FILE", param_hint="--facts")
        if kind in found:
            raise typer.BadParameter(f"the kind {kind} is given twice", param_hint="--facts")
        found[kind] = Path(file)
    return found


def line_of(path: Path) -> str:
    """Return the one line of a small text file: an API key, or the log's key.

    Raises
    ------
    InputError
        ``FILE_MISSING``, without the file's name: what was given for one may be the key itself.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.read(1 << 16).strip()
    except (OSError, UnicodeError):
        detail = "a key's file cannot be read as text; keys are given as files, never as arguments"
        raise InputError("FILE_MISSING", detail) from None
