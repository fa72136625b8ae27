"""``cohortlink agreement``: proposed, reviewed, approved, revoked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli_http import ServiceClient
from app.cli_options import DEFAULT_URL, AsJson, Id, KeyFile, Organization, SigningKeyFile, Url, show
from app.errors import ServiceError

app = typer.Typer(no_args_is_help=True, help="Agreements.")


@app.command("propose")
def propose(
    file: Annotated[Path, typer.Argument(help="The agreement's document (JSON).")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Propose an agreement."""
    with ServiceClient(url, api_key_file) as client:
        show(client.post("/agreements", _read_json(file)), as_json=as_json)


@app.command("review")
def review(
    id_: Id,
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Put a draft before its data owners."""
    with ServiceClient(url, api_key_file) as client:
        show(client.post(f"/agreements/{id_}/review"), as_json=as_json)


@app.command("show")
def show_agreement(
    id_: Id,
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """State, approvals and document of an agreement."""
    with ServiceClient(url, api_key_file) as client:
        show(client.get(f"/agreements/{id_}"), as_json=as_json)


@app.command("list")
def list_agreements(api_key_file: KeyFile, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Agreements that you may see."""
    with ServiceClient(url, api_key_file) as client:
        show(client.get("/agreements"), as_json=as_json)


@app.command("approve")
def approve(
    id_: Id,
    organization: Organization,
    signing_key: SigningKeyFile,
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Approve the current version with your signature, as a data owner."""
    _state(id_, organization, signing_key, api_key_file, url, "approval", as_json=as_json)


@app.command("revoke")
def revoke(
    id_: Id,
    organization: Organization,
    signing_key: SigningKeyFile,
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Revoke an agreement with your signature, as a data owner: effective at once."""
    _state(id_, organization, signing_key, api_key_file, url, "revocation", as_json=as_json)


def _state(
    id_: str, organization: str, signing_key: Path, api_key_file: Path, url: str, what: str, *, as_json: bool
) -> None:
    from crypto.canonical import digest_of
    from crypto.signatures import SigningKey

    key = SigningKey.load(signing_key)
    with ServiceClient(url, api_key_file) as client:
        current = client.get(f"/agreements/{id_}")
        # What is signed is the hash of the document that is shown here, not the one that is claimed.
        statement = {
            "agreement": id_,
            "version": current["version"],
            "hash": digest_of(current["document"]),
            "organization": organization,
        }
        body = {"document": statement, "signature": key.sign(f"agreement-{what}", statement)}
        show(client.post(f"/agreements/{id_}/{what}s", body), as_json=as_json)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ServiceError("FILE_UNREADABLE", 400, f"{path} is not a readable JSON file.") from None
    if not isinstance(document, dict):
        raise ServiceError("FILE_UNREADABLE", 400, f"{path} does not hold a JSON object.")
    return document
