"""Options that commands share, each declared once; and how answers are shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.settings import Settings

if TYPE_CHECKING:
    from app.flows.service import Service

DEFAULT_URL: Final = "http://127.0.0.1:8000"

Data = Annotated[Path | None, typer.Option(help="Data folder; default COHORTLINK_DATA or ./cohortlink-data.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
Url = Annotated[str, typer.Option(help="Address of the service.")]
KeyFile = Annotated[Path, typer.Option("--api-key-file", help="File with your API key.")]
Id = Annotated[str, typer.Argument(metavar="ID")]
AgreementId = Annotated[str, typer.Argument(metavar="AGREEMENT", help="Agreement id.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Run id.")]
NewKeyFile = Annotated[Path, typer.Option("--key-file", help="New file for the API key (mode 0600).")]
Organization = Annotated[str, typer.Option(help="Your organization's id.")]
SigningKeyFile = Annotated[Path, typer.Option(help="Your Ed25519 key file.")]


@contextmanager
def opened(data: Path | None) -> Iterator[Service]:
    """The service over a data folder, in this process; flows are loaded by commands that need them."""
    from app.flows.service import open_service

    service = open_service(Settings.from_env(data=data))
    try:
        yield service
    finally:
        service.close()


def show(document: dict[str, Any], *, as_json: bool) -> None:
    """An answer, line by line or as JSON."""
    if as_json:
        out(json.dumps(document, ensure_ascii=False))
        return
    for name, value in document.items():
        shown = json.dumps(value, ensure_ascii=False, indent=2) if isinstance(value, dict | list) else value
        out(f"{name}: {shown}")


def out(text: str) -> None:
    """A line on standard output."""
    sys.stdout.write(text + "\n")
