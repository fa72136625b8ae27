"""``cohortlink thresholds``: put a table of self-sufficiency thresholds in use at a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from app.cli_http import ServiceClient
from app.cli_options import DEFAULT_URL, AsJson, KeyFile, Url
from app.errors import ServiceError


def load_command(
    file: Annotated[Path, typer.Argument(help="CSV with the table.")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Check a table of self-sufficiency thresholds and put it in use: whole, or not at all."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ServiceError("FILE_UNREADABLE", 400, "The table cannot be read as UTF-8.") from None
    with ServiceClient(url, api_key_file) as client:
        answer = client.post("/thresholds", {"csv": text})
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        typer.echo(
            f"thresholds in use: {answer['source']}, version {answer['version']}, {answer['rows']} rows"
        )
