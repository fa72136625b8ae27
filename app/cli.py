"""`cohortlink`: the operator's program.

Exit codes: 0 done, 1 refused or failed with a reason on stderr, 2 wrong usage. Secrets come from files or
the environment, never from an argument. Heavy rooms are imported by the command that needs them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from app import cli_doctor, cli_keys, cli_link, cli_release, cli_run, cli_thresholds
from app.cli_http import ServiceClient
from app.errors import ServiceError
from app.settings import Settings
from crypto.errors import CohortlinkError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Link encoded records; release protected aggregates only.",
)
org = typer.Typer(no_args_is_help=True, help="Organizations and their credentials.")
agreement = typer.Typer(no_args_is_help=True, help="Agreements.")
log = typer.Typer(no_args_is_help=True, help="The tamper-evident log.")
app.add_typer(org, name="org")
app.add_typer(agreement, name="agreement")
app.add_typer(log, name="log")
app.add_typer(cli_run.app, name="run")
app.add_typer(cli_release.app, name="release")
app.add_typer(cli_keys.app, name="keys")
app.command("doctor")(cli_doctor.doctor)
app.command("link")(cli_link.link_command)
app.command("evaluate")(cli_link.evaluate_command)
app.command("thresholds")(cli_thresholds.load_command)

DEFAULT_URL = "http://127.0.0.1:8000"

Data = Annotated[Path | None, typer.Option(help="Data folder; default COHORTLINK_DATA or ./cohortlink-data.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
Url = Annotated[str, typer.Option(help="Address of the service.")]
KeyFile = Annotated[Path, typer.Option("--api-key-file", help="File with your API key.")]


@app.command()
def serve(
    data: Data = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
    worker: Annotated[bool, typer.Option(help="Run a worker as a child process.")] = True,
) -> None:
    """Serve the API and the pages; migrates the embedded database first."""
    import uvicorn

    from app.logs import configure
    from app.main import create_app
    from app.worker import start_worker_process

    configure()
    settings = Settings.from_env(data=data)
    application = create_app(settings, workers=True)
    child = start_worker_process(settings) if worker else None
    try:
        # The access log of uvicorn would print query strings; ours does not.
        uvicorn.run(
            application, host=host, port=port, loop="uvloop", access_log=False, log_config=None,
            server_header=False, timeout_graceful_shutdown=10,
        )  # fmt: skip
    finally:
        if child is not None:
            child.terminate()
            child.wait()


@app.command()
def worker(data: Data = None) -> None:
    """Run linkage runs until stopped."""
    from app.logs import configure
    from app.worker import serve_runs

    configure()
    serve_runs(Settings.from_env(data=data))


@app.command()
def migrate(
    data: Data = None,
    revision: Annotated[str, typer.Option(help="Revision to reach; an older one migrates down.")] = "head",
    as_json: AsJson = False,
) -> None:
    """Bring the database's schema up to date (or to a revision)."""
    from app.store import schema
    from app.store.engine import create_engine

    settings = Settings.from_env(data=data)
    engine = create_engine(settings)
    try:
        before = schema.current(engine)
        schema.migrate(engine, revision)
        after = schema.current(engine)
    finally:
        engine.dispose()
    _show({"before": before, "after": after}, as_json=as_json)


@app.command()
def demo(
    data: Annotated[Path, typer.Option(help="Folder for the demo's data.")] = Path("demo-data"),
    scale: Annotated[float, typer.Option(help="1 is the whole scenario.", min=0.01, max=50)] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the generator.", min=0)] = 2026,
) -> None:
    """Two states' rosters in, a protected table and a verified log out."""
    from app.demo.story import run_demo

    raise typer.Exit(run_demo(data, scale, seed))


@org.command()
def bootstrap(
    name: Annotated[str, typer.Option(help="Name of the operator's organization.")],
    key_file: Annotated[Path, typer.Option(help="New file for the API key (mode 0600).")],
    id_: Annotated[str, typer.Option("--id", help="Id of the operator's organization.")] = "operator",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make the first operator and its API key."""
    from app.flows.organizations import bootstrap as make
    from app.flows.service import open_service

    service = open_service(Settings.from_env(data=data))
    try:
        handle = _new_private_file(key_file)
        try:
            organization, _ = make(service, id_, name, keep=lambda api_key: _write_key(handle, api_key))
        except BaseException:
            key_file.unlink()
            raise
        finally:
            os.close(handle)
    finally:
        service.close()
    _show({"organization": organization, "key_file": str(key_file)}, as_json=as_json)


@org.command("add")
def add_organization(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    name: Annotated[str, typer.Option(help="Name.")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Register an organization."""
    with ServiceClient(url, api_key_file) as client:
        _show(client.post("/organizations", {"id": id_, "name": name}), as_json=as_json)


@org.command("list")
def list_organizations(api_key_file: KeyFile, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Organizations that you may see."""
    with ServiceClient(url, api_key_file) as client:
        _show(client.get("/organizations"), as_json=as_json)


@org.command("show")
def show_organization(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """An organization and its credentials."""
    with ServiceClient(url, api_key_file) as client:
        _show(client.get(f"/organizations/{id_}"), as_json=as_json)


@org.command("new-key")
def new_api_key(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    role: Annotated[str, typer.Option(help="operator, agency, partnership or auditor.")],
    key_file: Annotated[Path, typer.Option(help="New file for the API key (mode 0600).")],
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
    _show(made | {"key_file": str(key_file)}, as_json=as_json)


@org.command("register-key")
def register_public_key(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    public_key: Annotated[str, typer.Option(help="Ed25519 public key, base64.")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Register an organization's Ed25519 public key."""
    body = {"kind": "ed25519", "public_key": public_key}
    with ServiceClient(url, api_key_file) as client:
        _show(client.post(f"/organizations/{id_}/credentials", body), as_json=as_json)


@agreement.command("propose")
def propose(
    file: Annotated[Path, typer.Argument(help="The agreement's document (JSON).")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Propose an agreement."""
    with ServiceClient(url, api_key_file) as client:
        _show(client.post("/agreements", _read_json(file)), as_json=as_json)


@agreement.command("review")
def review(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Put a draft before its data owners."""
    with ServiceClient(url, api_key_file) as client:
        _show(client.post(f"/agreements/{id_}/review"), as_json=as_json)


@agreement.command("show")
def show_agreement(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """State, approvals and document of an agreement."""
    with ServiceClient(url, api_key_file) as client:
        _show(client.get(f"/agreements/{id_}"), as_json=as_json)


@agreement.command("list")
def list_agreements(api_key_file: KeyFile, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Agreements that you may see."""
    with ServiceClient(url, api_key_file) as client:
        _show(client.get("/agreements"), as_json=as_json)


@agreement.command("approve")
def approve(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    organization: Annotated[str, typer.Option(help="Your organization's id.")],
    signing_key: Annotated[Path, typer.Option(help="Your Ed25519 key file.")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Approve the current version with your signature, as a data owner."""
    _state(id_, organization, signing_key, api_key_file, url, "approval", as_json=as_json)


@agreement.command("revoke")
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    organization: Annotated[str, typer.Option(help="Your organization's id.")],
    signing_key: Annotated[Path, typer.Option(help="Your Ed25519 key file.")],
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
        _show(client.post(f"/agreements/{id_}/{what}s", body), as_json=as_json)


@log.command("key")
def log_key(data: Data = None, as_json: AsJson = False) -> None:
    """The log's verifier key (C2SP vkey), to give to agencies and auditors."""
    from app.flows.seal_log import verifier_key
    from app.flows.service import open_service

    service = open_service(Settings.from_env(data=data))
    try:
        text = verifier_key(service)
    finally:
        service.close()
    if as_json:
        _show({"key": text}, as_json=True)
    else:
        _print(text)


@log.command("seal")
def log_seal(data: Data = None, as_json: AsJson = False) -> None:
    """Sign a checkpoint over all entries, if the newest one does not cover them."""
    from app.flows.seal_log import seal
    from app.flows.service import open_service

    service = open_service(Settings.from_env(data=data))
    try:
        note = seal(service)
    finally:
        service.close()
    if as_json:
        _show({"checkpoint": note}, as_json=True)
    else:
        _print((note or "The log is empty.").rstrip("\n"))


@log.command("rotate-key")
def log_rotate_key(data: Data = None, as_json: AsJson = False) -> None:
    """A new signing key, named by the old one in the log; whoever knows the old one can follow."""
    from app.flows.rekey_log import rekey_log
    from app.flows.service import open_service

    service = open_service(Settings.from_env(data=data))
    try:
        done = rekey_log(service)
    finally:
        service.close()
    if as_json:
        _show(done, as_json=True)
    else:
        _print(f"entry {done['index']} names the new key: {done['new']}")
        _print("Back up the key folder now. Readers follow with: cohortlink-agency log key")


@log.command("check")
def log_check(data: Data = None, as_json: AsJson = False) -> None:
    """Check the stored log against itself, every checkpoint, and what this node remembers to have signed."""
    from app.flows.check_log import check_log
    from app.flows.service import open_service

    service = open_service(Settings.from_env(data=data))
    try:
        report = check_log(service)
    finally:
        service.close()
    if as_json:
        _show(report.to_document(), as_json=True)
    else:
        for check in report.checks:
            _print(f"{'ok    ' if check.ok else 'WRONG '} {check.name}: {check.detail}")
    if not report.ok:
        place = report.first_wrong_entry
        known = "" if place is None else f", from entry {place} on"
        raise ServiceError("LOG_INVALID", 500, f"The stored log does not hold{known}.")


@log.command("summary")
def log_summary(
    agreement: Annotated[str, typer.Argument(metavar="AGREEMENT")],
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """One page on an agreement out of the log: submitted, linked, released, refused, destroyed."""
    from crypto.log.summary import to_text

    with ServiceClient(url, api_key_file) as client:
        page = client.get(f"/log/summary/{agreement}")
    if as_json:
        _show(page, as_json=True)
    else:
        _print(to_text(page).rstrip("\n"))


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


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ServiceError("FILE_UNREADABLE", 400, f"{path} is not a readable JSON file.") from None
    if not isinstance(document, dict):
        raise ServiceError("FILE_UNREADABLE", 400, f"{path} does not hold a JSON object.")
    return document


def _show(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        _print(json.dumps(document, ensure_ascii=False))
        return
    for name, value in document.items():
        shown = json.dumps(value, ensure_ascii=False, indent=2) if isinstance(value, dict | list) else value
        _print(f"{name}: {shown}")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _fail(error: ServiceError | CohortlinkError) -> NoReturn:
    sys.stderr.write(f"{error}\n")
    for problem in getattr(error, "problems", ()):
        place = ", ".join(
            text
            for text in (
                f"row {problem.row}" if problem.row is not None else "",
                f"column {problem.column}" if problem.column is not None else "",
            )
            if text
        )
        sys.stderr.write(f"  {place + ': ' if place else ''}{problem.code}: {problem.detail}\n")
    raise SystemExit(1)


def main() -> None:
    """Entry point: refusals become a reason on stderr and exit code 1."""
    try:
        app()
    except (ServiceError, CohortlinkError) as error:
        _fail(error)


if __name__ == "__main__":
    main()
