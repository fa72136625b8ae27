"""Entries of the log as sentences, and where each leads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.web.words import cohort, spaced
from crypto.log.entry import Entry
from crypto.log.kinds import KINDS

#: Groups of kinds that a filter offers, in the order in which things happen.
GROUPS: Final[Mapping[str, str]] = {
    "agreement.*": "Agreements",
    "batch.*": "Batches",
    "run.*": "Runs",
    "release.*": "Questions and answers",
    "ledger.*": "Ledger",
    "destruction.*": "Destruction",
    "organization.*": "Organizations",
    "credential.*": "Credentials",
    "keys.*": "Keys",
    "thresholds.*": "Thresholds",
    "log.*": "Reading of the log",
}


@dataclass(frozen=True)
class Told:
    """An entry in words.

    Attributes
    ----------
    text : str
    href : str or None
        A page about the thing itself, where there is one.
    tone : str
        ``bad`` for what was refused, failed or revoked; else empty.
    """

    text: str
    href: str | None = None
    tone: str = ""


def filters() -> list[tuple[str, str]]:
    """What a filter by kind offers: everything, groups, then single kinds."""
    known = {kind.partition(".")[0] + ".*" for kind in KINDS}
    groups = [(group, name) for group, name in GROUPS.items() if group in known]
    return [("", "Everything"), *groups, *((kind, kind) for kind in KINDS)]


def is_filter(kind: str) -> bool:
    """Whether a filter by kind is one of those offered."""
    return any(kind == value for value, _ in filters())


def tell(entry: Entry) -> Told:
    """Say what an entry says; a kind that has no sentence here is told by its name."""
    made = _SENTENCES.get(entry.kind)
    told = made(entry.actor, entry.body) if made else Told(f"{entry.actor}: {entry.kind}")
    href = told.href or _page_of(entry)
    return Told(told.text, href, told.tone)


def _page_of(entry: Entry) -> str | None:
    """Runs and releases have pages; all else under an agreement leads to its summary."""
    for name, page in (("release", "releases"), ("run", "runs")):
        if isinstance(entry.body.get(name), str):
            return f"/auditor/{page}/{entry.body[name]}"
    return f"/auditor/agreements/{entry.agreement}" if entry.agreement else None


def question(asked: Mapping[str, Any]) -> str:
    """A question in words; what was not known here is left out of the log, and of this."""
    text = spaced(asked["indicator"] or "an indicator that is not known here")
    if asked["cohort"]:
        text += f", {cohort(asked['cohort'])}"
    if asked["by"]:
        text += ", by " + " and ".join(map(spaced, asked["by"]))
    where = asked.get("where") or {}
    return text + "".join(f", where {spaced(name)} is {code}" for name, code in where.items())


def cells(counts: Mapping[str, int]) -> str:
    """``{"published": 7, "withheld": 2}`` as *7 published, 2 withheld*."""
    return ", ".join(f"{count} {spaced(status)}" for status, count in sorted(counts.items())) or "no cells"


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"


_KEYS: Final = {"api_key": "an API key", "ed25519": "a signing key", "oidc": "a sign-in"}


def _credential(verb: str) -> Callable[[str, Mapping[str, Any]], Told]:
    def made(actor: str, body: Mapping[str, Any]) -> Told:
        role = f" as {body['role']}" if body.get("role") else ""
        return Told(f"{actor} {verb} {_KEYS.get(body['kind'], body['kind'])} of {body['organization']}{role}")

    return made


def _simple(text: str, tone: str = "") -> Callable[[str, Mapping[str, Any]], Told]:
    return lambda actor, body: Told(text.format(actor=actor, **body), None, tone)


def _batch_accepted(actor: str, body: Mapping[str, Any]) -> Told:
    rows = ", ".join(f"{file['rows']:,} rows in {file['name']}" for file in body["files"])
    return Told(f"{actor} submitted batch {body['batch']}: {rows}")


def _run_started(actor: str, body: Mapping[str, Any]) -> Told:
    since = body["parameters"].get("since")
    over = f"Run {body['run']} began over {_many(len(body['inputs']), 'batch', 'batches')}"
    return Told(over + (f", going on from {since['run']}" if since else ""))


def _run_finished(actor: str, body: Mapping[str, Any]) -> Told:
    doubts = len(body["quality"].get("doubts") or [])
    return Told(f"Run {body['run']} finished" + (f", with {_many(doubts, 'doubt')}" if doubts else ""))


def _granted(actor: str, body: Mapping[str, Any]) -> Told:
    return Told(f"{actor} got {question(body['question'])}: {cells(body['cells'])}")


def _charged(actor: str, body: Mapping[str, Any]) -> Told:
    tables = _many(body["charged"], "table")
    return Told(f"{spaced(body['indicator'])}, {cohort(body['cohort'])}: decided for good, {tables}")


def _previewed(actor: str, body: Mapping[str, Any]) -> Told:
    tried = _many(len(body["policies"]), "policy", "policies")
    return Told(f"{actor} tried {spaced(body['indicator'])}, {cohort(body['cohort'])}, under {tried}")


def _reviewed(actor: str, body: Mapping[str, Any]) -> Told:
    by = ", ".join(body["approved_by"]) or "nobody in particular"
    return Told(f"The review of release {body['release']} ended; let out by {by}")


def _replayed(actor: str, body: Mapping[str, Any]) -> Told:
    outcome = "gave the same bytes" if body["same"] else "gave OTHER bytes"
    return Told(f"Run {body['run']} was repeated and {outcome}", None, "" if body["same"] else "bad")


_SENTENCES: Final[Mapping[str, Callable[[str, Mapping[str, Any]], Told]]] = {
    "organization.created": _simple("{actor} registered {organization}: {name}"),
    "credential.created": _credential("made"),
    "credential.revoked": _credential("revoked"),
    "agreement.proposed": _simple("{actor} proposed version {version}; minimum cell {min_cell}"),
    "agreement.review": _simple("{actor} put version {version} before its owners"),
    "agreement.approved": _simple("{actor} approved version {version}"),
    "agreement.revoked": _simple("{actor} revoked version {version}", "bad"),
    "agreement.suspended": _simple("{actor} holds version {version}", "bad"),
    "agreement.resumed": _simple("{actor} lifted its hold of version {version}"),
    "batch.accepted": _batch_accepted,
    "batch.rejected": _simple("A batch of {actor} was refused: {code}", "bad"),
    "batch.withdrawn": _simple("{actor} withdrew batch {batch}"),
    "batch.superseded": _simple("Batch {batch} of {actor} was replaced by {by}"),
    "run.started": _run_started,
    "run.finished": _run_finished,
    "run.failed": _simple("Run {run} failed: {code}", "bad"),
    "run.cancelled": _simple("Run {run} was cancelled"),
    "run.replayed": _replayed,
    "release.requested": lambda actor, body: Told(f"{actor} asked for {question(body['question'])}"),
    "release.granted": _granted,
    "release.refused": lambda actor, body: Told(
        f"{actor} was refused {question(body['question'])}: {body['code']}", None, "bad"
    ),
    "release.previewed": _previewed,
    "release.approved": _simple("{actor} let release {release} out before its review ended"),
    "release.reviewed": _reviewed,
    "release.objected": _simple("{actor} objected to release {release}", "bad"),
    "ledger.charged": _charged,
    "destruction.due": _simple("{actor} asked for destruction", "bad"),
    "destruction.done": _simple("{executed_by} destroyed the data; {requested_by} had asked for it", "bad"),
    "keys.rotated": lambda actor, body: Told(f"Keys rotated; {body['data_keys']} data keys wrapped anew"),
    "thresholds.loaded": _simple("{actor} loaded thresholds of {source}, {version}"),
    "log.rekeyed": _simple("The log has a new key from here on; the old one signed it"),
    "log.read": _simple("{actor} read the log as {role}"),
}
