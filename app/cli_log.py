"""``cohortlink log``: the key, the seal, the check, the summary."""

from __future__ import annotations

import typer

from app.cli_http import ServiceClient
from app.cli_options import DEFAULT_URL, AgreementId, AsJson, Data, KeyFile, Url, opened, out, show
from app.errors import ServiceError

app = typer.Typer(no_args_is_help=True, help="The tamper-evident log.")


@app.command("key")
def log_key(data: Data = None, as_json: AsJson = False) -> None:
    """The log's verifier key (C2SP vkey), to give to agencies and auditors."""
    from app.flows.seal_log import verifier_key

    with opened(data) as service:
        text = verifier_key(service)
    if as_json:
        show({"key": text}, as_json=True)
    else:
        out(text)


@app.command("seal")
def log_seal(data: Data = None, as_json: AsJson = False) -> None:
    """Sign a checkpoint over all entries, if the newest one does not cover them."""
    from app.flows.seal_log import seal

    with opened(data) as service:
        note = seal(service)
    if as_json:
        show({"checkpoint": note}, as_json=True)
    else:
        out((note or "The log is empty.").rstrip("\n"))


@app.command("rotate-key")
def log_rotate_key(data: Data = None, as_json: AsJson = False) -> None:
    """A new signing key, named by the old one in the log; whoever knows the old one can follow."""
    from app.flows.rekey_log import rekey_log

    with opened(data) as service:
        done = rekey_log(service)
    if as_json:
        show(done, as_json=True)
    else:
        out(f"entry {done['index']} names the new key: {done['new']}")
        out("Back up the key folder now. Readers follow with: cohortlink-agency log key")


@app.command("check")
def log_check(data: Data = None, as_json: AsJson = False) -> None:
    """Check the stored log against itself, every checkpoint, and what this node remembers to have signed."""
    from app.flows.check_log import check_log

    with opened(data) as service:
        report = check_log(service)
    if as_json:
        show(report.to_document(), as_json=True)
    else:
        for check in report.checks:
            out(f"{'ok    ' if check.ok else 'WRONG '} {check.name}: {check.detail}")
    if not report.ok:
        place = report.first_wrong_entry
        known = "" if place is None else f", from entry {place} on"
        raise ServiceError("LOG_INVALID", 500, f"The stored log does not hold{known}.")


@app.command("summary")
def log_summary(
    agreement: AgreementId,
    api_key_file: KeyFile,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """One page on an agreement out of the log: submitted, linked, released, refused, destroyed."""
    from crypto.log.summary import to_text

    with ServiceClient(url, api_key_file) as client:
        page = client.get(f"/log/summary/{agreement}")
    if as_json:
        show(page, as_json=True)
    else:
        out(to_text(page).rstrip("\n"))
