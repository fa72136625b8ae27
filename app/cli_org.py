"""``cohortlink org``: organizations and their credentials."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from app.cli_http import ServiceClient
from app.cli_options import DEFAULT_URL, AsJson, Data, Id, KeyFile, NewKeyFile, Url, opened, show
from app.errors import ServiceError

app = typer.Typer(no_args_is_help=True, help="Organizations and their credentials.")


@app.command()
def bootstrap(
    name: Annotated[str, typer.Option(help="Name of the operator's organization.")],
    key_file: NewKeyFile,
    id_: Annotated[str, typer.Option("--id", help="Id of the operator's organization.")] = "operator",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make the first operator and its API key."""
    from app.flows.organizations import bootstrap as make

    with opened(data) as service:
        handle = _new_private_file(key_file)
        try:
            organization, _ = make(service, id_, name, keep=lambda api_key: _write_key(handle, api_key))
        except BaseException:
            key_file.unlink()
            raise
        finally:
            os.close(handle)
    show({"organization": organization, "key_file": str(key_file)}, as_json=as_json)


@app.command("add")
def add_organization(
    id_: Id,
    name: Annotated[str, typer.Option(help="Name.")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Register an organization."""
    with ServiceClient(url, api_key_file) as client:
        show(client.post("/organizations", {"id": id_, "name": name}), as_json=as_json)


@app.command("list")
def list_organizations(api_key_file: KeyFile, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Organizations that you may see."""
    with ServiceClient(url, api_key_file) as client:
        show(client.get("/organizations"), as_json=as_json)


@app.command("show")
def show_organization(
    id_: Id,
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """An organization and its credentials."""
    with ServiceClient(url, api_key_file) as client:
        show(client.get(f"/organizations/{id_}"), as_json=as_json)


@app.command("new-key")
def new_api_key(
    id_: Id,
    role: Annotated[str, typer.Option(help="operator, agency, partnership or auditor.")],
    key_file: NewKeyFile,
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Make an API key for an organization; it is written to a file and never shown."""
    handle = _new_private_file(key_file)
    try:
        with ServiceClient(url, api_key_file) as client:
            made = client.post(f"/organizations/{id_}/credentials", {"kind": "api_key", "role": role})
        _write_key(handle, made.pop("api_key"))
    except BaseException:
        key_file.unlink()
        raise
    finally:
        os.close(handle)
    show(made | {"key_file": str(key_file)}, as_json=as_json)


@app.command("register-key")
def register_public_key(
    id_: Id,
    public_key: Annotated[str, typer.Option(help="Ed25519 public key, base64.")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Register an organization's Ed25519 public key."""
    body = {"kind": "ed25519", "public_key": public_key}
    with ServiceClient(url, api_key_file) as client:
        show(client.post(f"/organizations/{id_}/credentials", body), as_json=as_json)


def _new_private_file(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ServiceError("FILE_EXISTS", 409, f"{path} exists and is never overwritten.") from None
    except OSError as error:
        raise ServiceError("FILE_UNWRITABLE", 409, f"{path}: {error.strerror}.") from None


def _write_key(handle: int, api_key: str) -> None:
    os.write(handle, api_key.encode() + b"\n")
    os.fsync(handle)
