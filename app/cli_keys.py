"""`cohortlink keys`: the keys at rest."""

from __future__ import annotations

import json
import sys

import typer

from app.cli_options import AsJson, Data
from app.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Keys at rest: rotate them, list their ids.")


@app.command()
def rotate(data: Data = None, as_json: AsJson = False) -> None:
    """New master and agreement keys; data keys wrapped anew, old keys dropped, without stopping anything."""
    from app.flows.rotate_keys import rotate_keys
    from app.flows.service import open_service

    service = open_service(Settings.from_env(data=data))
    try:
        done = rotate_keys(service)
    finally:
        service.close()
    if as_json:
        sys.stdout.write(json.dumps(done) + "\n")
        return
    for plane in done["planes"]:
        dropped = ", ".join(plane["dropped"]) or "none"
        sys.stdout.write(f"{plane['plane']:12} current {plane['key_id']}, dropped {dropped}\n")
    sys.stdout.write(f"{done['data_keys']} data keys wrapped anew. Back up the key folder now.\n")


@app.command("list")
def list_keys(data: Data = None, as_json: AsJson = False) -> None:
    """Ids of the master keys, the current one first; never a key."""
    from app.store.keystore import PLANES, KeyStore

    folder = Settings.from_env(data=data).keys
    found = {}
    for plane in PLANES:
        master = KeyStore(folder, plane).master()
        found[plane] = [master.current, *sorted(set(master.keys) - {master.current})]
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    for plane, ids in found.items():
        sys.stdout.write(f"{plane:12} {', '.join(ids)}\n")
