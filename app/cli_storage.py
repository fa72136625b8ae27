"""``cohortlink storage``: the blobs."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli_options import AsJson, Data, opened, show

app = typer.Typer(no_args_is_help=True, help="Blobs: sweep away what no row names.")


@app.command()
def sweep(
    data: Data = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove blobs that no row names, as workers do every hour; safe while everything runs."""
    from app.flows.sweep_blobs import sweep_blobs

    with opened(data) as service:
        found = sweep_blobs(service, remove=not dry_run)
    show(found | {"removed": not dry_run}, as_json=as_json)


@app.callback()
def _group() -> None:
    """One command would otherwise be the program itself."""
