"""``cohortlink-agency``: what an agency runs on its own machine.

Exit codes: 0 done, 1 refused or failed with a reason on standard error, 2 wrong usage. Secrets come from
files, never from an argument. With ``--json`` the result, or the refusal, is one JSON document on standard
output. Commands import their work when they run, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from crypto import __version__
from crypto.agency import cli_clk, statement
from crypto.agency.console import run, say, table, warn
from crypto.agency.options import (
    Delimiter,
    Encoding,
    FactsOption,
    Json,
    LogKey,
    facts_files,
    line_of,
    today,
)
from crypto.errors import CohortlinkError, InputError

app = typer.Typer(
    name="cohortlink-agency",
    help="Encode persons on your own machine, submit what cannot be read back, verify what was done with it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
secret_app = typer.Typer(help="The secret that the agencies of an agreement share.", no_args_is_help=True)
keys_app = typer.Typer(help="Your agency's signing key.", no_args_is_help=True)
profile_app = typer.Typer(help="The linkage profile that an agreement fixes.", no_args_is_help=True)
receipt_app = typer.Typer(help="Receipts of submissions.", no_args_is_help=True)
log_app = typer.Typer(help="The service's public log.", no_args_is_help=True)
for name, group in {
    "secret": secret_app,
    "keys": keys_app,
    "profile": profile_app,
    "receipt": receipt_app,
    "log": log_app,
    "agreement": statement.app,
}.items():
    app.add_typer(group, name=name)
cli_clk.register(app)

WitnessOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--witness", help="File with the key of a witness who must have cosigned; repeat for several."
    ),
]


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except CohortlinkError as error:
        # A refusal outside of a command's own handling: still one line, still no value.
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


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


@profile_app.command("new")
def profile_new(
    family: Annotated[str, typer.Option(help="record-hardened, field-level or clkhash.")],
    out: Annotated[Path, typer.Option(help="File to make.")],
    schema: Annotated[Path | None, typer.Option(help="For clkhash: its linkage schema.")] = None,
    as_json: Json = False,
) -> None:
    """Write a family's profile, with its measured risk."""
    if (schema is None) == (family == "clkhash"):
        raise typer.BadParameter("--schema goes with --family clkhash", param_hint="--schema")

    def work() -> Mapping[str, Any]:
        from crypto.agency.profile_cmd import new_profile

        return new_profile(family, out, schema)

    run(as_json, work, lambda r: say(f"profile written to {r['file']}", *_profile_lines(r)))


def _profile_lines(result: Mapping[str, Any]) -> list[str]:
    return [
        f"family       {result['family']}",
        f"fingerprint  {result['fingerprint']}",
        f"risk         {result['risk']}: {result['risk_statement']}",
    ]


@profile_app.command("show")
def profile_show(
    profile: Annotated[str, typer.Argument(metavar="[FILE|FAMILY]")] = "record-hardened",
    as_json: Json = False,
) -> None:
    """Show a profile: fields, filters, fingerprint, risk."""

    def work() -> Mapping[str, Any]:
        from crypto.agency.profile_cmd import find_profile, summary

        found = find_profile(profile)
        return {**summary(found), "profile": found.to_document()}

    def show(result: Mapping[str, Any]) -> None:
        document = result["profile"]
        say(*_profile_lines(result), f"link         {document['link']['mode']}")
        rows = [
            [f["name"], ", ".join(f["columns"]), f["normaliser"], f["tokens"]["kind"], f["group"]]
            for f in document["fields"]
        ]
        table("fields", ["field", "columns", "normaliser", "tokens", "key group"], rows)
        rows = [
            [f["name"], " + ".join(f["fields"]), f["width"], _hardening(f["hardening"])]
            for f in document["filters"]
        ]
        table("filters", ["filter", "fields", "bits", "hardening"], rows)

    run(as_json, work, show)


def _hardening(value: Mapping[str, Any]) -> str:
    return f"diffusion t={value['t']}" if value["kind"] == "diffusion" else "none"


@profile_app.command("schema")
def profile_schema() -> None:
    """Print the JSON Schema of profiles, for editors and other programs."""
    import json

    from crypto.encoding.profile_schema import profile_schema as make

    say(json.dumps(make(), indent=2))


def _entropy(item: Mapping[str, Any]) -> str:
    return f"{'≥ ' if item['entropy_is_at_least'] else ''}{item['entropy']}"


@profile_app.command("check")
def profile_check(
    people: Annotated[Path, typer.Argument(help="CSV or Parquet, one row per person.")],
    profile: Annotated[str, typer.Option(metavar="FILE|FAMILY")] = "record-hardened",
    delimiter: Delimiter = ",",
    encoding: Encoding = "utf-8",
    as_json: Json = False,
) -> None:
    """Try a profile on your own data: fill rates, distinct values, leakage. Nothing is written or sent."""

    def work() -> Mapping[str, Any]:
        from crypto.agency.profile_cmd import check_profile, find_profile
        from crypto.agency.progress import open_progress

        with open_progress(silent=as_json) as progress:
            return check_profile(
                find_profile(profile), people, delimiter=delimiter, encoding=encoding, progress=progress
            )

    def show(result: Mapping[str, Any]) -> None:
        say(*_profile_lines(result), f"rows         {result['rows']}")
        rows = [
            [
                f["field"],
                f["column"],
                f"{f['share']:.1%}",
                f"{1 - f['share']:.1%}",
                f.get("distinct"),
                f.get("unusable"),
            ]
            for f in result["fields"]
        ]
        table("fields", ["field", "column", "filled", "missing", "distinct", "unusable"], rows)
        rows = [
            [f["filter"], f"{f['share']:.1%}", f["fill"], _entropy(f), f["leak_snr"]]
            for f in result["filters"]
        ]
        heads = ["filter", "persons", "fill", "entropy (bits)", "leak-SNR"]
        table(f"filters, on {result['sample']} rows", heads, rows)
        for line in result["warnings"]:
            warn(line)

    run(as_json, work, show)


@app.command("encode")
def encode(
    profile: Annotated[Path, typer.Option(help="Profile file that the agreement fixed.")],
    people: Annotated[Path, typer.Option(help="CSV or Parquet, one row per person.")],
    id_column: Annotated[str, typer.Option("--id", metavar="COLUMN", help="Your own id of a person.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make.")],
    secret: Annotated[
        Path | None,
        typer.Option(help="File of the agencies' secret; else COHORTLINK_AGENCY_SECRET, else asked."),
    ] = None,
    facts: FactsOption = None,
    agreement: Annotated[
        str | None, typer.Option(help="Agreement's id, where the secret file does not say it.")
    ] = None,
    leave_out: Annotated[
        bool, typer.Option("--only-with-facts", help="Leave out persons of whom no fact speaks.")
    ] = False,
    delimiter: Delimiter = ",",
    encoding: Encoding = "utf-8",
    as_json: Json = False,
) -> None:
    """Encode persons and facts into a package, with a private crosswalk that stays with you."""
    files = facts_files(facts)

    def work() -> Mapping[str, Any]:
        from crypto.agency.encode import encode_package
        from crypto.agency.progress import open_progress
        from crypto.agency.secret_source import load_secret
        from crypto.encoding.keys import exposed
        from crypto.encoding.profile import Profile

        found = Profile.load(profile)
        shared = load_secret(secret, agreement)
        if secret is not None and exposed(secret):
            warn(f"{secret} can be read by others on this machine; run: chmod 600 '{secret}'")
        with open_progress(silent=as_json) as progress:
            report = encode_package(
                profile=found,
                secret=shared,
                people_file=people,
                id_column=id_column,
                facts_files=files,
                out=out,
                today=today(),
                delimiter=delimiter,
                encoding=encoding,
                leave_out=leave_out,
                progress=progress,
            )
        return {"package": str(out), **report}

    run(as_json, work, _show_package)


def _show_package(result: Mapping[str, Any]) -> None:
    say(
        f"package      {result['package']}",
        f"persons      {result['persons']} ({result['merged']} repeated rows merged)",
        f"encodable    {result['encodable']}, with a strong identifier {result['strong_identifier']}",
        *(f"facts        {kind}: {rows} rows" for kind, rows in result["facts"].items()),
        f"profile      {result['profile']} ({result['family']}, risk {result['risk']})",
        f"check value  {result['kcv']} (the other agencies must see the same)",
    )
    for line in result["warnings"]:
        warn(line)
    if result["cleaned"]:
        warn(f"removed {result['cleaned']} unfinished folders that runs which were killed had left behind")
    if result["without_facts"]:
        warn(
            f"no fact speaks of {result['without_facts']} persons, and a service will refuse the package; "
            "--only-with-facts leaves them out"
        )
    if result["not_encodable"]:
        warn(f"{result['not_encodable']} persons have nothing to encode; they count, but cannot be linked")
    say("crosswalk.csv leads back to persons: keep it, and never send it")


@app.command("validate")
def validate(
    package: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="A package.")] = None,
    facts: FactsOption = None,
    id_column: Annotated[str | None, typer.Option("--id", metavar="COLUMN")] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Profile that the agreement fixed; default: the one in the package.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="File to write with every refused row of --facts, by number.")
    ] = None,
    delimiter: Delimiter = ",",
    encoding: Encoding = "utf-8",
    as_json: Json = False,
) -> None:
    """Check a package, or files of facts before they are encoded."""
    files = facts_files(facts)
    if (package is None) == (not files):
        raise typer.BadParameter("give either a package or --facts KIND=FILE")
    if files and id_column is None:
        raise typer.BadParameter("--facts needs --id COLUMN", param_hint="--id")

    def work() -> Mapping[str, Any]:
        from crypto.agency.validate import validate_facts_files, validate_package

        if package is not None:
            return validate_package(package, profile, today())
        return validate_facts_files(
            files, id_column or "", today(), delimiter=delimiter, encoding=encoding, rejects=rejects
        )

    def show(result: Mapping[str, Any]) -> None:
        if "persons" in result:
            say(f"valid: {result['persons']} persons, profile {result['profile']}, risk {result['risk']}")
        say(*(f"valid: {rows} rows of {kind}" for kind, rows in result["facts"].items()))
        if result.get("without_facts"):
            warn(f"no fact speaks of {result['without_facts']} persons: a service will refuse the package")

    run(as_json, work, show)


@app.command("submit")
def submit(
    package: Annotated[Path, typer.Argument(metavar="DIR", help="A package.")],
    url: Annotated[str, typer.Option(help="Address of the service.")],
    agreement: Annotated[str, typer.Option(help="Id of the agreement.")],
    api_key_file: Annotated[Path, typer.Option(help="File with your API key.")],
    signing_key: Annotated[Path, typer.Option(help="Your signing key.")],
    supersedes: Annotated[
        str | None,
        typer.Option(metavar="BATCH", help="An earlier batch of yours, whose place this one takes."),
    ] = None,
    log_key: LogKey = None,
    as_json: Json = False,
) -> None:
    """Send a package, in parts that can be resumed, and keep the signed receipt."""

    def work() -> Mapping[str, Any]:
        from crypto.agency.log_key import default_file
        from crypto.agency.progress import open_progress
        from crypto.agency.submit import submit as send
        from crypto.signatures import SigningKey

        key, known = SigningKey.load(signing_key), log_key or default_file(signing_key, url)
        with open_progress(silent=as_json, unit="bytes") as progress:
            api_key = line_of(api_key_file)
            return send(package, url, agreement, api_key, key, progress, log_key=known, supersedes=supersedes)

    def show(result: Mapping[str, Any]) -> None:
        document = result["document"]
        say(
            f"accepted as batch {document['batch']} at {document['accepted_at']}, "
            f"log entry {document['log_index']}; receipt in {package / 'receipt.json'}"
        )

    run(as_json, work, show)


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


@app.command("witness")
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
