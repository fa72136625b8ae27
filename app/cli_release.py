"""``cohortlink release``: ask a service for a protected table, or look at one again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.cli_http import ServiceClient
from app.cli_options import DEFAULT_URL, AsJson, KeyFile, Url
from app.errors import ServiceError
from crypto.agency.progress import open_progress

app = typer.Typer(no_args_is_help=True, help="Protected tables (partnership).")

# What is not shown has one look, whatever the reason.
NOT_SHOWN = "–"

PREPARING: Final = "PREPARING"
LOOK_SECONDS: Final = 0.5


@app.command("request")
def request(
    agreement: Annotated[str, typer.Argument(help="Agreement id.")],
    indicator: Annotated[str, typer.Option(help="Such as employed_q4.")],
    cohort: Annotated[str, typer.Option(help="Such as 2022-23, or 2020-21..2023-24.")],
    api_key_file: KeyFile,
    by: Annotated[list[str] | None, typer.Option(help="Dimension to group by.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only within one group: DIMENSION=CODE.")] = None,
    min_cell: Annotated[int | None, typer.Option(help="A minimum cell above the agreement's.")] = None,
    correction: Annotated[
        bool, typer.Option("--correction", help="Make a frozen cohort again from the newest run, if planned.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait for an answer that must be prepared first.")] = True,
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
        "min_cell": min_cell,
        "correction": correction,
    }
    with ServiceClient(url, api_key_file) as client:
        # Not longer: from then on we show how far it is.
        headers = {"Prefer": "wait=2"}
        release = client.post(f"/agreements/{agreement}/releases", question, headers)
        if wait and release["status"] == PREPARING:
            release = _await(client, release["id"], silent=as_json)
    _show(release, as_json=as_json)


def _await(client: ServiceClient, release: str, *, silent: bool) -> dict[str, Any]:
    """Follow the preparation of an answer until it is there."""
    with open_progress(silent=silent) as progress:
        while (document := client.get(f"/releases/{release}"))["status"] == PREPARING:
            how_far = document["progress"]
            progress(how_far["stage"], how_far["done"], how_far["total"])
            time.sleep(LOOK_SECONDS)
    if document["status"] == "REFUSED":
        raise ServiceError(document["code"], 422, f"Release {release} was refused.")
    return document


@app.command("cancel")
def cancel(
    release: Annotated[str, typer.Argument(help="Release id.")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Stop preparing an answer; nothing of it is kept."""
    with ServiceClient(url, api_key_file) as client:
        document = client.post(f"/releases/{release}/cancellation")
    _show(document, as_json=as_json)


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


@app.command("preview")
def preview(
    agreement: Annotated[str, typer.Argument(help="Agreement id.")],
    indicator: Annotated[str, typer.Option(help="Such as employed_q4.")],
    cohort: Annotated[str, typer.Option(help="Such as 2022-23, or 2020-21..2023-24.")],
    dimension: Annotated[
        list[str] | None, typer.Option(help="Instead of the agreement's dimensions.")
    ] = None,
    min_cell: Annotated[list[int] | None, typer.Option(help="Minimum cell; repeat to compare.")] = None,
    depth: Annotated[list[int] | None, typer.Option(help="Dimensions crossed; repeat to compare.")] = None,
    data: Annotated[Path | None, typer.Option(help="Data folder; default: COHORTLINK_DATA.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the owners of the data, before they approve, what share of it policies would publish.

    Works on the service's own data folder; nothing is published, and the log says that it was looked at.
    """
    from app.flows.preview_release import preview_release
    from app.flows.service import open_service
    from app.settings import Settings

    service = open_service(Settings.from_env(data=data))
    try:
        with open_progress(silent=as_json) as progress:
            found = preview_release(
                service,
                agreement,
                indicator,
                cohort,
                dimensions=dimension or (),
                min_cells=min_cell or (),
                depths=depth or (),
                progress=progress,
            )
    finally:
        service.close()
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _show_preview(found)


def _show_preview(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from app.flows.preview_release import interval_in_words

    shown = Table(title=f"{found['indicator']}, {found['cohort']}: what would be published")
    for heading in (
        "k",
        "depth",
        "tables by",
        "cells",
        "rates %",
        "of persons %",
        "counts %",
        "of persons %",
    ):
        shown.add_column(heading, justify="right")
    shares = ("rates_of_cells", "rates_of_persons", "counts_of_cells", "counts_of_persons")
    for policy in found["policies"]:
        for row in policy["tables"]:
            what = (policy["min_cell"], policy["depth"], row["dimensions"], row["cells"])
            shown.add_row(*map(str, what), *(_cell(row[name]) for name in shares))
    Console().print(shown)
    for policy in found["policies"]:
        where = f"k {policy['min_cell']}, depth {policy['depth']}"
        changed = interval_in_words(policy)
        if changed is not None:
            typer.echo(f"{where}: {changed}")
        for table in policy["dropped"]:
            typer.echo(f"{where}: the table by {' × '.join(table)} could not be proven")


def _show(release: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(release))
        return
    from rich.console import Console
    from rich.table import Table

    table = release["table"]
    typer.echo(f"release {release['id']}: {release['status']}")
    if table is None:
        return
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
