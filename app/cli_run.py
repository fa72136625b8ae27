"""``cohortlink run``: start a linkage run at a service, look at it, follow it, stop it."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Final

import typer

from app.cli_http import ServiceClient
from app.cli_options import DEFAULT_URL, AgreementId, AsJson, Data, KeyFile, RunId, Url, opened
from app.errors import ServiceError

app = typer.Typer(no_args_is_help=True, help="Linkage runs of an agreement (operator).")

ENDED: Final = {"SUCCEEDED", "FAILED", "CANCELLED"}


@app.command("start")
def start(
    agreement: AgreementId,
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    allow_missing: Annotated[
        list[str] | None,
        typer.Option(help="Organization whose encodings may be absent; repeat for several."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Earlier run to go on from: only pairs with a new batch are compared."),
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option(help="Probability from which two records count as one person; default: 0.5."),
    ] = None,
    follow: Annotated[bool, typer.Option("--watch", help="Follow the run until it ends.")] = False,
    as_json: AsJson = False,
) -> None:
    """Freeze the accepted batches of an agreement and link them."""
    more = {"since": since, "threshold": threshold}
    asked = {"allow_missing": allow_missing or []} | {name: each for name, each in more.items() if each}
    with ServiceClient(url, api_key_file) as client:
        run = client.post(f"/agreements/{agreement}/runs", asked)
        if follow:
            run = _follow(client, run["id"])
    _show(run, as_json=as_json)


@app.command("show")
def show(
    run: RunId,
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    quality: Annotated[bool, typer.Option("--quality", help="Also the figures of quality.")] = False,
    as_json: AsJson = False,
) -> None:
    """State and progress of a run."""
    with ServiceClient(url, api_key_file) as client:
        document = client.get(f"/runs/{run}")
        if quality:
            document["quality"] = client.get(f"/runs/{run}/quality")
    _show(document, as_json=as_json)


@app.command("watch")
def watch(
    run: RunId,
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Follow a run until it ends; exit code 1 unless it succeeds."""
    with ServiceClient(url, api_key_file) as client:
        document = _follow(client, run)
    _show(document, as_json=as_json)


@app.command("cancel")
def cancel(
    run: RunId,
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Ask a run to stop; nothing of it is kept."""
    with ServiceClient(url, api_key_file) as client:
        document = client.post(f"/runs/{run}/cancellation")
    _show(document, as_json=as_json)


@app.command("replay")
def replay(
    run: RunId,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Repeat a run and its releases here, from the frozen inputs, and compare digests bit for bit."""
    from app.flows.replay_run import replay_run
    from crypto.agency.progress import open_progress

    with opened(data) as service, open_progress(silent=as_json) as progress:
        result = replay_run(service, run, progress=progress)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        for check in result["checks"]:
            typer.echo(f"{'same     ' if check['same'] else 'DIFFERENT'} {check['what']}  {check['found']}")
    if not result["same"]:
        then, now = result["software"]["then"], result["software"]["now"]
        typer.echo(f"error: REPLAY_DIFFERS: made by {then}, repeated by {now}", err=True)
        raise typer.Exit(1)


def _follow(client: ServiceClient, run: str) -> dict[str, Any]:
    """Follow the stream; where it breaks (a proxy, a restart of the service), take it up again."""
    from crypto.agency.progress import open_progress

    silent_until = time.monotonic() + 60.0
    with open_progress() as progress:
        while True:
            try:
                for event in client.events(f"/runs/{run}/events"):
                    silent_until = time.monotonic() + 60.0
                    progress(event["stage"] or event["state"].lower(), event["done"], event["total"])
                    if event["state"] in ENDED:
                        return client.get(f"/runs/{run}")
            except ServiceError as error:
                # A refusal is final; only silence is waited out, for a minute.
                if error.code != "SERVICE_UNREACHABLE" or time.monotonic() > silent_until:
                    raise
            time.sleep(0.5)


def _show(run: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(run))
    else:
        state = run["state"]
        if state == "RUNNING" and run.get("stage"):
            state += f" ({run['stage']}, {run['done']} of {run['total']})"
        typer.echo(f"run {run['id']}: {state}")
        if run.get("error"):
            typer.echo(f"  {run['error']['code']}: {run['error']['detail']}")
        if run.get("since"):
            typer.echo(f"  goes on from {run['since']}")
        for pair in (run.get("quality") or {}).get("pairs", []):
            typer.echo(
                f"  {' × '.join(pair['batches'])}: about {pair['matches']} matched, "
                f"rate {pair['match_rate'] or 'too few to say'}"
                f"{', taken over' if pair.get('taken_over') else ''}"
            )
    if run["state"] in {"FAILED", "CANCELLED"}:
        raise typer.Exit(1)
