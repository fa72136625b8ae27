"""``cohortlink-agency``: what an agency runs on its own machine.

Exit codes: 0 done, 1 refused or failed with a reason on standard error, 2 wrong usage. Secrets come from
files, never from an argument. With ``--json`` the result, or the refusal, is one JSON document on standard
output. Commands import their work when they run, so that ``--help`` is quick.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from crypto import __version__
from crypto.agency import cli_clk, cli_log, cli_package, cli_profile, statement
from crypto.agency.console import run, say
from crypto.agency.options import Json
from crypto.errors import CohortlinkError

app = typer.Typer(
    name="cohortlink-agency",
    help="Encode persons on your own machine, submit what cannot be read back, verify what was done with it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
secret_app = typer.Typer(help="The secret that the agencies of an agreement share.", no_args_is_help=True)
keys_app = typer.Typer(help="Your agency's signing key.", no_args_is_help=True)
for name, group in {
    "secret": secret_app,
    "keys": keys_app,
    "profile": cli_profile.app,
    "agreement": statement.app,
}.items():
    app.add_typer(group, name=name)
for commands in (cli_package, cli_clk, cli_log):
    commands.register(app)


def main() -> None:
    """Entry point of the console script."""
    _stop_in_order()
    try:
        app()
    except CohortlinkError as error:
        # A refusal outside of a command's own handling: still one line, still no value.
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


def _stop_in_order() -> None:
    """Let a scheduler's or closing terminal's signal end the program as Ctrl-C does: nothing is left behind.

    What somebody chose to ignore, as ``nohup`` does, stays ignored.
    """
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _version(value: bool) -> None:
    if value:
        say(f"cohortlink-agency {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Encode persons on your own machine, submit what cannot be read back, verify what was done with it."""


@secret_app.command("new")
def secret_new(
    out: Annotated[Path, typer.Option(help="File to make; never overwritten.")],
    agreement: Annotated[str, typer.Option(help="Id of the agreement; it salts every key.")] = "",
    epoch: Annotated[int, typer.Option(min=1, help="Raised when the agencies start anew.")] = 1,
    as_json: Json = False,
) -> None:
    """Make the secret that all agencies of an agreement share. Never give it to the service."""

    def work() -> Mapping[str, Any]:
        from crypto.encoding.keys import Secret

        Secret.generate(agreement, epoch).save(out)
        return {"file": str(out), "agreement": agreement, "epoch": epoch}

    run(as_json, work, lambda result: say(f"secret written to {result['file']}; keep it among the agencies"))


@keys_app.command("new")
def keys_new(
    out: Annotated[Path, typer.Option(help="File to make; FILE.pub gets the public key.")],
    as_json: Json = False,
) -> None:
    """Make your agency's Ed25519 signing key."""

    def work() -> Mapping[str, Any]:
        from crypto.errors import KeyMaterialError
        from crypto.signatures import SigningKey

        public_file = Path(f"{out}.pub")
        if public_file.exists():
            raise KeyMaterialError("KEY_FILE_EXISTS", f"{public_file} exists and is never overwritten")
        key = SigningKey.generate()
        key.save(out)
        public_file.write_text(key.public.to_text() + "\n", "utf-8")
        return {
            "file": str(out),
            "public_file": str(public_file),
            "public_key": key.public.to_text(),
            "fingerprint": key.public.fingerprint,
        }

    run(
        as_json,
        work,
        lambda result: say(
            f"signing key written to {result['file']}, public key to {result['public_file']}",
            f"public key   {result['public_key']}",
            f"fingerprint  {result['fingerprint']}",
        ),
    )
