"""The commands for packages: encode, validate, submit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from crypto.agency.console import SHOWN, run, say, warn
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
        f"relatives    {result['sharing_keys']} persons shared a key with somebody; such keys were moved",
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
        rows = ", ".join(map(str, result["not_encodable_rows"][:SHOWN]))
        more = ", …" if result["not_encodable"] > SHOWN else ""
        warn(
            f"{result['not_encodable']} persons have nothing to encode (rows {rows}{more}); they count, but "
            "cannot be linked"
        )
    say("crosswalk.csv leads back to persons: keep it, and never send it")


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


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("encode")(encode)
    app.command("validate")(validate)
    app.command("submit")(submit)
