"""`cohortlink keys`: the keys at rest."""

from __future__ import annotations

import json

import typer

from app.cli_options import AsJson, Data, opened, out
from app.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Keys at rest: rotate them, list their ids.")


@app.command()
def rotate(data: Data = None, as_json: AsJson = False) -> None:
    """New master and agreement keys; data keys wrapped anew, old keys dropped, without stopping anything."""
    from app.flows.rotate_keys import rotate_keys

    with opened(data) as service:
        done = rotate_keys(service)
    if as_json:
        out(json.dumps(done))
        return
    for plane in done["planes"]:
        dropped = ", ".join(plane["dropped"]) or "none"
        out(f"{plane['plane']:12} current {plane['key_id']}, dropped {dropped}")
    out(f"{done['data_keys']} data keys wrapped anew. Back up the key folder now.")


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
        out(json.dumps(found))
        return
    for plane, ids in found.items():
        out(f"{plane:12} {', '.join(ids)}")
