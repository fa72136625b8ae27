"""``cohortlink release``: ask a service for a protected table, or look at one again."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.cli_http import ServiceClient
from app.cli_run import DEFAULT_URL, AsJson, KeyFile, Url

app = typer.Typer(no_args_is_help=True, help="Protected tables (partnership).")

# What is not shown has one look, whatever the reason.
NOT_SHOWN = "–"


@app.command("request")
def request(
    agreement: Annotated[str, typer.Argument(help="Agreement id.")],
    indicator: Annotated[str, typer.Option(help="Such as employed_q4.")],
    cohort: Annotated[str, typer.Option(help="Such as 2022-23, or 2020-21..2023-24.")],
    api_key_file: KeyFile,
    by: Annotated[list[str] | None, typer.Option(help="Dimension to group by.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only within one group: DIMENSION=CODE.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Ask for an indicator of a cohort; the answer is protected, and recorded before it is given."""
    filters = [item.partition("=") for item in where or []]
    if any(not mark for _, mark, _ in filters):
        raise typer.BadParameter("A filter is written DIMENSION=CODE.", param_hint="--where")
    if len({name for name, _, _ in filters}) < len(filters):
        raise typer.BadParameter("A dimension is filtered by one code.", param_hint="--where")
    question = {
        "indicator": indicator,
        "cohort": cohort,
        "by": by or [],
        "where": {name: code for name, _, code in filters},
    }
    with ServiceClient(url, api_key_file) as client:
        release = client.post(f"/agreements/{agreement}/releases", question)
    _show(release, as_json=as_json)


@app.command("show")
def show(
    release: Annotated[str, typer.Argument(help="Release id.")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a release again; it never changes."""
    with ServiceClient(url, api_key_file) as client:
        if csv:
            typer.echo(client.get_text(f"/releases/{release}", "text/csv"), nl=False)
            return
        document = client.get(f"/releases/{release}")
    _show(document, as_json=as_json)


def _show(release: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(release))
        return
    table = release["table"]
    typer.echo(f"release {release['id']}: {release['status']}")
    shown = Table(title=f"{table['indicator']}, {table['cohort']}, {table['vintage']}")
    shown.add_column(", ".join(table["by"]) or "all")
    for heading in ("persons", "found", "rate %"):
        shown.add_column(heading, justify="right")
    for row in [*table["rows"], table["total"]]:
        shown.add_row(row["label"], *(_cell(row[key]) for key in ("n", "found", "rate")))
    Console().print(shown)
    typer.echo(table["definition"])
    typer.echo(table["coverage"]["text"])
    for note in table["notes"]:
        typer.echo(note)


def _cell(value: object) -> str:
    return NOT_SHOWN if value is None else str(value)
