"""The commands for clkhash's CLKs: encode, convert, submit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from crypto.agency.console import run, say, warn
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

ClkForm = Literal["clks", "clknblocks", "raw"]
ClkOrder = Literal["msb", "lsb"]


def clk(
    people: Annotated[Path, typer.Argument(help="CSV or Parquet with the schema's columns, in its order.")],
    schema: Annotated[Path, typer.Option(help="clkhash's linkage schema, version 1, 2 or 3.")],
    out: Annotated[Path, typer.Option(help="File to make; never overwritten.")],
    secret_file: Annotated[
        Path | None,
        typer.Option(help="File with clkhash's secret; else COHORTLINK_CLK_SECRET, else asked."),
    ] = None,
    form: Annotated[ClkForm, typer.Option("--format", help="JSON list, with blocks, or raw bytes.")] = "clks",
    blocks: Annotated[Path | None, typer.Option(help="blocklib's file, for clknblocks.")] = None,
    bit_order: Annotated[ClkOrder, typer.Option(help="msb: as clkhash. lsb: as Java's BitSet.")] = "msb",
    delimiter: Delimiter = ",",
    encoding: Encoding = "utf-8",
    as_json: Json = False,
) -> None:
    """Encode as clkhash does, bit for bit, for tools that read nothing else. Weak: see the risk it prints."""
    if (blocks is None) != (form != "clknblocks"):
        raise typer.BadParameter("--blocks goes with --format clknblocks", param_hint="--blocks")

    def work() -> Mapping[str, Any]:
        from crypto.agency.clk import encode_clks
        from crypto.agency.progress import open_progress
        from crypto.agency.secret_source import load_clk_secret
        from crypto.interop.clk_schema import ClkSchema

        found = ClkSchema.load(schema)
        with open_progress(silent=as_json) as progress:
            return encode_clks(
                found,
                load_clk_secret(secret_file),
                people,
                out,
                form=form,
                blocks=blocks,
                order=bit_order,
                delimiter=delimiter,
                encoding=encoding,
                progress=progress,
            )

    def show(result: Mapping[str, Any]) -> None:
        say(
            f"CLKs         {result['file']}",
            f"records      {result['records']}, {result['bits']} bits each, {result['empty']} empty",
            f"risk         {result['risk']}: {result['risk_statement']}",
        )
        for line in result["warnings"]:
            warn(line)

    run(as_json, work, show)


def clk_convert(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="CLKs, as JSON or raw bytes.")],
    out: Annotated[Path, typer.Option(help="File to make; never overwritten.")],
    form: Annotated[ClkForm, typer.Option("--format", help="Of the file to make.")] = "clks",
    raw_bits: Annotated[int | None, typer.Option(min=1, help="FILE is raw, with so many bits a CLK.")] = None,
    from_order: Annotated[ClkOrder, typer.Option("--from-bit-order", help="Of FILE.")] = "msb",
    to_order: Annotated[ClkOrder, typer.Option("--to-bit-order", help="Of the file to make.")] = "msb",
    as_json: Json = False,
) -> None:
    """Convert CLKs between {"clks": …}, {"clknblocks": …}, raw bytes and bit orders."""

    def work() -> Mapping[str, Any]:
        from crypto.agency.clk import convert_clks

        return convert_clks(
            source, out, raw_bits=raw_bits, from_order=from_order, form=form, to_order=to_order
        )

    run(as_json, work, lambda r: say(f"{r['records']} CLKs of {r['bits']} bits written to {r['file']}"))


def clk_submit(
    clks: Annotated[Path, typer.Argument(metavar="CLKS", help="JSON as clkhash writes it.")],
    people: Annotated[Path, typer.Option(help="The file of persons; only its ids are read.")],
    id_column: Annotated[str, typer.Option("--id", help="Column of your own id.")],
    url: Annotated[str, typer.Option(help="Address of the service.")],
    agreement: Annotated[str, typer.Option(help="Id of the agreement.")],
    api_key_file: Annotated[Path, typer.Option(help="File with your API key.")],
    out: Annotated[Path, typer.Option(help="Folder to make, for receipt and private crosswalk.")],
    facts: FactsOption = None,
    log_key: LogKey = None,
    delimiter: Delimiter = ",",
    encoding: Encoding = "utf-8",
    as_json: Json = False,
) -> None:
    """Send CLKs with facts in one call, where the agreement's profile is clkhash's."""
    files = facts_files(facts)

    def work() -> Mapping[str, Any]:
        from crypto.agency.clk_submit import submit_clks
        from crypto.agency.log_key import default_file

        return submit_clks(
            clks,
            people,
            id_column,
            files,
            out,
            url=url,
            agreement=agreement,
            api_key=line_of(api_key_file),
            log_key=log_key or default_file(api_key_file, url),
            today=today(),
            delimiter=delimiter,
            encoding=encoding,
        )

    def show(result: Mapping[str, Any]) -> None:
        say(
            f"accepted as batch {result['batch']}: {result['records']} records; receipt in {out}",
            "crosswalk.csv leads back to persons: keep it, and never send it",
        )

    run(as_json, work, show)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("clk")(clk)
    app.command("clk-convert")(clk_convert)
    app.command("clk-submit")(clk_submit)
