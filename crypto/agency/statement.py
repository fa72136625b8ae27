"""Statements on an agreement, signed where the key is: approvals and revocations, as a file to hand in.

What is signed is the hash of the document that lies here and was read, never one that somebody claims.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from crypto.agency.console import run, say
from crypto.canonical import digest_of
from crypto.errors import InputError

if TYPE_CHECKING:
    from crypto.signatures import SigningKey

Decision = Literal["approve", "revoke"]
PURPOSES: Final[Mapping[str, str]] = {"approve": "agreement-approval", "revoke": "agreement-revocation"}

_MAX_BYTES: Final = 4 << 20

app = typer.Typer(help="Agreements, as a data owner.", no_args_is_help=True)


@app.command("sign")
def sign_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A version, as the service gives it.")],
    decision: Annotated[Decision, typer.Option("--to", help="approve, or revoke: effective at once.")],
    organization: Annotated[str, typer.Option(help="Your organization's id.")],
    signing_key: Annotated[Path, typer.Option(help="Your signing key.")],
    out: Annotated[Path, typer.Option(help="File to make; never overwritten.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Sign your approval or revocation of a version that you have read; nothing is sent."""

    def work() -> Mapping[str, Any]:
        from crypto.signatures import SigningKey

        signed = sign_statement(read_version(file), decision, organization, SigningKey.load(signing_key))
        write_new(out, signed)
        return {"file": str(out), "to": decision, **signed["document"]}

    def show(result: Mapping[str, Any]) -> None:
        say(
            f"signed to {result['to']} version {result['version']} of {result['agreement']}",
            f"hash         {result['hash']}",
            f"statement    {result['file']}: hand it in on the agreement's page, or over the API",
        )

    run(as_json, work, show)


def read_version(path: Path) -> dict[str, Any]:
    """Read a version of an agreement as it was downloaded: ``{"version", "hash", "document", …}``.

    Raises
    ------
    InputError
        ``FILE_MISSING``, ``VERSION_MALFORMED``; ``HASH_MISMATCH`` where the document is not the one whose
        hash stands beside it.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            found = json.loads(stream.read(_MAX_BYTES))
    except OSError:
        raise InputError("FILE_MISSING", f"{path} cannot be read") from None
    except (ValueError, RecursionError):
        raise _malformed(path) from None
    if not isinstance(found, dict) or type(found.get("version")) is not int:
        raise _malformed(path)
    document = found.get("document")
    if not isinstance(document, dict) or not isinstance(document.get("id"), str):
        raise _malformed(path)
    if digest_of(document) != found.get("hash"):
        raise InputError("HASH_MISMATCH", f"the document in {path} does not have the hash beside it")
    return found


def sign_statement(
    version: Mapping[str, Any], decision: Decision, organization: str, key: SigningKey
) -> dict[str, Any]:
    """Return the signed statement ``{"document", "signature"}`` on a version."""
    statement = {
        "agreement": version["document"]["id"],
        "version": version["version"],
        "hash": digest_of(version["document"]),
        "organization": organization,
    }
    return {"document": statement, "signature": key.sign(PURPOSES[decision], statement)}


def write_new(path: Path, document: Mapping[str, Any]) -> None:
    """Write a file that must not be there yet.

    Raises
    ------
    InputError
        ``FILE_EXISTS``.
    """
    try:
        with path.open("x", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1)
            stream.write("\n")
    except FileExistsError:
        raise InputError("FILE_EXISTS", f"{path} exists and is never overwritten") from None


def _malformed(path: Path) -> InputError:
    return InputError("VERSION_MALFORMED", f"{path} is not a version of an agreement")
