"""`cohortlink`: the operator's program.

Exit codes: 0 done, 1 refused or failed with a reason on stderr, 2 wrong usage. Secrets come from files or
the environment, never from an argument. Heavy rooms are imported by the command that needs them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from app import (
    cli_agreement,
    cli_doctor,
    cli_evaluate,
    cli_keys,
    cli_link,
    cli_log,
    cli_org,
    cli_release,
    cli_run,
    cli_storage,
    cli_thresholds,
)
from app.cli_options import AsJson, Data, show
from app.errors import ServiceError
from app.settings import Settings
from crypto.errors import CohortlinkError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Link encoded records; release protected aggregates only.",
)
app.add_typer(cli_org.app, name="org")
app.add_typer(cli_agreement.app, name="agreement")
app.add_typer(cli_log.app, name="log")
app.add_typer(cli_run.app, name="run")
app.add_typer(cli_release.app, name="release")
app.add_typer(cli_keys.app, name="keys")
app.add_typer(cli_storage.app, name="storage")
app.command("doctor")(cli_doctor.doctor)
app.command("link")(cli_link.link_command)
app.command("evaluate")(cli_evaluate.evaluate_command)
app.command("thresholds")(cli_thresholds.load_command)


@app.command()
def serve(
    data: Data = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
    worker: Annotated[bool, typer.Option(help="Run a worker as a child process.")] = True,
) -> None:
    """Serve the API and the pages; migrates the embedded database first."""
    import uvicorn

    from app import memory, tracing
    from app.logs import configure
    from app.main import create_app
    from app.worker import start_worker_process

    configure()
    memory.stay_small()
    settings = Settings.from_env(data=data)
    tracing.configure(settings.traces, "cohortlink-api")
    application = create_app(settings, workers=True)
    child = start_worker_process(settings) if worker else None
    try:
        # The access log of uvicorn would print query strings; ours does not.
        uvicorn.run(
            application, host=host, port=port, loop="uvloop", access_log=False, log_config=None,
            server_header=False, timeout_graceful_shutdown=10,
            # Whoever is believed says whether TLS is spoken, and whose attempts to sign in are counted.
            forwarded_allow_ips=list(settings.trusted_proxies),
        )  # fmt: skip
    finally:
        if child is not None:
            child.terminate()
            child.wait()


@app.command()
def worker(data: Data = None) -> None:
    """Run linkage runs until stopped."""
    from app.logs import configure
    from app.worker import serve_runs

    configure()
    serve_runs(Settings.from_env(data=data))


@app.command()
def migrate(
    data: Data = None,
    revision: Annotated[str, typer.Option(help="Revision to reach; an older one migrates down.")] = "head",
    as_json: AsJson = False,
) -> None:
    """Bring the database's schema up to date (or to a revision)."""
    from app.store import schema
    from app.store.engine import create_engine

    settings = Settings.from_env(data=data)
    engine = create_engine(settings)
    try:
        before = schema.current(engine)
        schema.migrate(engine, revision)
        after = schema.current(engine)
    finally:
        engine.dispose()
    show({"before": before, "after": after}, as_json=as_json)


@app.command()
def demo(
    data: Annotated[Path, typer.Option(help="Folder for the demo's data.")] = Path("demo-data"),
    scale: Annotated[float, typer.Option(help="1 is the whole scenario.", min=0.01, max=50)] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the generator.", min=0)] = 2026,
) -> None:
    """Two states' rosters in, a protected table and a verified log out."""
    from app.demo.story import run_demo

    raise typer.Exit(run_demo(data, scale, seed))


def _fail(error: ServiceError | CohortlinkError) -> NoReturn:
    sys.stderr.write(f"{error}\n")
    for problem in getattr(error, "problems", ()):
        place = ", ".join(
            text
            for text in (
                f"row {problem.row}" if problem.row is not None else "",
                f"column {problem.column}" if problem.column is not None else "",
            )
            if text
        )
        sys.stderr.write(f"  {place + ': ' if place else ''}{problem.code}: {problem.detail}\n")
    raise SystemExit(1)


def main() -> None:
    """Entry point: refusals become a reason on stderr and exit code 1."""
    try:
        app()
    except (ServiceError, CohortlinkError) as error:
        _fail(error)


if __name__ == "__main__":
    main()
