"""How a command tells its result or refusal: one place for exit codes, ``--json`` and what is not shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crypto.errors import CohortlinkError, InputError

#: Row problems shown on a terminal; ``--json`` lists all that were collected.
SHOWN: Final = 20


def run(
    as_json: bool, work: Callable[[], Mapping[str, Any]], show: Callable[[Mapping[str, Any]], None]
) -> None:
    """Do the work and show its result; a failure ends the program with exit code 1.

    What is not expected is told by its type alone: its message could quote a cell of the agency's file.
    """
    try:
        result = work()
    except CohortlinkError as error:
        _fail(as_json, error)
    except KeyboardInterrupt:
        _fail(as_json, CohortlinkError("INTERRUPTED", "interrupted; nothing was left behind"))
    except MemoryError:
        _fail(as_json, CohortlinkError("OUT_OF_MEMORY", "this machine has too little memory for the file"))
    except OSError as error:
        _fail(as_json, CohortlinkError("SYSTEM_ERROR", error.strerror or type(error).__name__))
    except Exception as error:  # noqa: BLE001 - the last net, so that no traceback shows a value
        _fail(as_json, CohortlinkError("INTERNAL", f"unexpected {type(error).__name__}; please report it"))
    if as_json:
        typer.echo(json.dumps(result, indent=1))
    else:
        show(result)


def _fail(as_json: bool, error: CohortlinkError) -> NoReturn:
    problems = error.problems if isinstance(error, InputError) else ()
    if as_json:
        document = {
            "status": "failed",
            "code": error.code,
            "detail": error.detail,
            "row": error.row,
            "column": error.column,
            "problems": [
                {"row": item.row, "column": item.column, "code": item.code, "detail": item.detail}
                for item in problems
            ],
        }
        typer.echo(json.dumps(document, indent=1))
    typer.echo(f"error: {error}", err=True)
    if not as_json:
        for item in problems[1:SHOWN]:
            one = CohortlinkError(item.code, item.detail, row=item.row, column=item.column)
            typer.echo(f"       {one}", err=True)
        if len(problems) > SHOWN:
            typer.echo(f"       … and {len(problems) - SHOWN} more; --json lists them", err=True)
    raise typer.Exit(1)


def say(*lines: str) -> None:
    for line in lines:
        typer.echo(line)


def warn(line: str) -> None:
    typer.echo(f"warning: {line}", err=True)


def table(title: str, columns: list[str], rows: list[list[object]]) -> None:
    shown = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        shown.add_column(column, justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        shown.add_row(*("–" if cell is None else escape(str(cell)) for cell in row))
    Console().print(shown)
