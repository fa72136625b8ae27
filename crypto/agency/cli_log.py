"""The commands for the public log: receipt verify, log key, verify, verify-export and summary, witness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from crypto.agency.console import run, say, warn
from crypto.agency.options import Json, line_of
from crypto.errors import InputError

receipt_app = typer.Typer(help="Receipts of submissions.", no_args_is_help=True)
log_app = typer.Typer(help="The service's public log.", no_args_is_help=True)

WitnessOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--witness", help="File with the key of a witness who must have cosigned; repeat for several."
    ),
]


@receipt_app.command("verify")
def receipt_verify(
    receipt: Annotated[Path, typer.Argument(metavar="FILE", help="receipt.json")],
    key: Annotated[Path, typer.Option(help="File with the log's key, from a source that you trust.")],
    witness: WitnessOption = None,
    as_json: Json = False,
) -> None:
    """Verify a receipt offline, its proof of inclusion, and that it is for the package that it lies in."""

    def work() -> Mapping[str, Any]:
        from crypto.agency.receipt import verify_receipt

        witnesses = [line_of(path) for path in witness or []]
        return {"status": "valid", "receipt": verify_receipt(receipt, line_of(key), witnesses)}

    def show(result: Mapping[str, Any]) -> None:
        document = result["receipt"]
        say(f"valid: batch {document['batch']} of {document['organization']}, {document['accepted_at']}")

    run(as_json, work, show)


@log_app.command("key")
def log_key_follow(
    url: Annotated[str, typer.Option(help="Address of the service.")],
    key: Annotated[Path, typer.Option(help="File with the key that you know; what follows it is added.")],
    as_json: Json = False,
) -> None:
    """Follow the log's key: each new one by a statement that the one before signed."""

    def work() -> Mapping[str, Any]:
        from crypto.agency.log_key import fetch_keys, read_keys, remember
        from crypto.agency.service import Service

        known = read_keys(key)
        with Service(url) as service:
            keys = fetch_keys(service, known)
        if keys != known:
            remember(key, keys)
        return {"key": keys[-1], "new": len(keys) - len(known)}

    run(as_json, work, lambda r: say(f"{r['new']} new keys; the log's key is {r['key']}"))


@log_app.command("verify")
def log_verify(
    url: Annotated[str | None, typer.Option(help="Address of the service.")] = None,
    copy: Annotated[Path | None, typer.Option(metavar="DIR", help="A copy of the log.")] = None,
    since: Annotated[
        Path | None, typer.Option(metavar="CHECKPOINT", help="A checkpoint, or a copy, from before.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="File with the log's key, from a source you trust.")
    ] = None,
    save: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the copy here.")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with your API key, where the service asks for one.")
    ] = None,
    witness: WitnessOption = None,
    as_json: Json = False,
) -> None:
    """Verify that nothing in the log was removed or rewritten, and that what it tells was allowed."""
    if (url is None) == (copy is None):
        raise typer.BadParameter("give either --url or --copy")
    if copy is not None and save is not None:
        raise typer.BadParameter("--save goes with --url", param_hint="--save")
    passed = True

    def work() -> Mapping[str, Any]:
        nonlocal passed
        from crypto.agency.log_verify import verify
        from crypto.agency.progress import open_progress

        api_key = line_of(api_key_file) if api_key_file else None
        with open_progress(silent=as_json) as progress:
            report = verify(
                url, copy, since, key, save, api_key=api_key, witnesses=witness or (), progress=progress
            )
        passed = report.ok
        return report.to_document()

    def show(result: Mapping[str, Any]) -> None:
        for check in result["checks"]:
            say(f"{'ok    ' if check['ok'] else 'WRONG '} {check['name']}: {check['detail']}")
        say("the log holds" if result["ok"] else "the log does NOT hold")

    run(as_json, work, show)
    if not passed:
        typer.echo("error: LOG_INVALID: the log does not verify", err=True)
        raise typer.Exit(1)


@log_app.command("verify-export")
def log_verify_export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines with proofs, from the service.")],
    key: Annotated[Path, typer.Option(help="File with the log's key, from a source that you trust.")],
    as_json: Json = False,
) -> None:
    """Verify selected entries offline: each is in the tree that the log signed."""

    def work() -> Mapping[str, Any]:
        from crypto.log.export import verify_export

        try:
            with file.open(encoding="utf-8") as lines:
                checkpoint, entries = verify_export(lines, line_of(key))
        except (OSError, UnicodeError):
            raise InputError("FILE_MISSING", f"{file} cannot be read as text") from None
        return {"status": "valid", "size": checkpoint.size, "entries": [entry.index for entry in entries]}

    run(as_json, work, lambda r: say(f"valid: {len(r['entries'])} entries of a log of {r['size']}"))


@log_app.command("summary")
def log_summary(
    agreement: Annotated[str, typer.Argument(help="Id of the agreement.")],
    copy: Annotated[Path, typer.Option(metavar="DIR", help="A copy of the log that was verified.")],
    as_json: Json = False,
) -> None:
    """One page on an agreement, out of your own copy: submitted, linked, released, refused, destroyed."""

    def work() -> Mapping[str, Any]:
        from crypto.agency.log_verify import read_copy
        from crypto.log.entry import Entry
        from crypto.log.summary import summarize

        return summarize(agreement, map(Entry.parse, read_copy(copy).entries))

    def show(result: Mapping[str, Any]) -> None:
        from crypto.log.summary import to_text

        say(to_text(result).rstrip())

    run(as_json, work, show)


def witness_log(
    url: Annotated[str, typer.Option(help="Address of the service.")],
    signing_key: Annotated[Path, typer.Option(help="Your signing key; its public half is registered there.")],
    state: Annotated[Path, typer.Option(metavar="FILE", help="What you saw last; keep it safe.")],
    api_key_file: Annotated[Path, typer.Option(help="File with your API key.")],
    key: Annotated[
        Path | None, typer.Option(help="File with the log's key, from a source you trust.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Cosign once instead of for ever.")] = False,
    interval: Annotated[float, typer.Option(min=1.0, help="Seconds between rounds.")] = 60.0,
    as_json: Json = False,
) -> None:
    """Cosign the log's checkpoints, each only if it extends all that you saw before."""

    def show(result: Mapping[str, Any]) -> None:
        say(f"cosigned {result['size']} entries of {result['origin']}")
        if result["first"]:
            say(f"others verify with --witness and this key: {result['vkey']}")

    def work() -> Mapping[str, Any]:
        from crypto.agency.log_key import read_keys
        from crypto.agency.service import Service
        from crypto.agency.witness import witness_for_ever, witness_once
        from crypto.signatures import SigningKey

        signer, log_key = SigningKey.load(signing_key), read_keys(key)[-1] if key else None
        with Service(url, line_of(api_key_file)) as service:

            def step() -> dict[str, Any]:
                return witness_once(service, signer, state, log_key=log_key)

            if not once:
                witness_for_ever(step, show, lambda error: warn(str(error)), interval=interval)
            return step()

    run(as_json, work, show)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(receipt_app, name="receipt")
    app.add_typer(log_app, name="log")
    app.command("witness")(witness_log)
