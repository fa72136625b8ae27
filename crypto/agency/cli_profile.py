"""The commands for linkage profiles: new, show, schema, check."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from crypto.agency.console import run, say, table, warn
from crypto.agency.options import Delimiter, Encoding, Json

app = typer.Typer(help="The linkage profile that an agreement fixes.", no_args_is_help=True)


@app.command("new")
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


@app.command("show")
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
    return {"diffusion": f"diffusion t={value.get('t')}", "key": "composite key"}.get(value["kind"], "none")


@app.command("schema")
def profile_schema() -> None:
    """Print the JSON Schema of profiles, for editors and other programs."""
    import json

    from crypto.encoding.profile_schema import profile_schema as make

    say(json.dumps(make(), indent=2))


def _entropy(item: Mapping[str, Any]) -> str:
    return f"{'≥ ' if item['entropy_is_at_least'] else ''}{item['entropy']}"


@app.command("check")
def profile_check(
    people: Annotated[Path, typer.Argument(help="CSV or Parquet, one row per person.")],
    profile: Annotated[str, typer.Option(metavar="FILE|FAMILY")] = "record-hardened",
    stronger: Annotated[
        Path | None,
        typer.Option(help="New file: the profile that would pass, if this one leaks too much."),
    ] = None,
    delimiter: Delimiter = ",",
    encoding: Encoding = "utf-8",
    as_json: Json = False,
) -> None:
    """Try a profile on your own data: fill rates, distinct values, leakage. Nothing is sent."""

    def work() -> Mapping[str, Any]:
        from crypto.agency.profile_cmd import check_profile, find_profile
        from crypto.agency.progress import open_progress

        with open_progress(silent=as_json) as progress:
            return check_profile(
                find_profile(profile),
                people,
                delimiter=delimiter,
                encoding=encoding,
                stronger_out=stronger,
                progress=progress,
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
        if result["stronger"] and result["stronger"]["file"]:
            say(f"stronger profile written to {result['stronger']['file']}: propose it to the parties")

    run(as_json, work, show)
