"""One page on an agreement, out of its entries alone: submitted, linked, released, refused, destroyed.

Everything here is in the log already, so that an auditor with a copy makes the same page as the service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from crypto.log.entry import Entry

FORMAT: Final = "cohortlink-log-summary/1"


def summarize(agreement: str, entries: Iterable[Entry]) -> dict[str, Any]:
    """Return the summary of an agreement; entries of others are passed over.

    Returns
    -------
    dict
        JSON-able; every item names the entry (``entry``) that says so.
    """
    page: dict[str, Any] = {
        "format": FORMAT,
        "agreement": agreement,
        "entries": 0,
        "first_at": None,
        "last_at": None,
        "versions": [],
        "statements": [],
        "batches": [],
        "runs": [],
        "releases": [],
        "previews": [],
        "ledger": {"questions": 0, "tables": 0},
        "destruction": [],
    }
    batches: dict[str, dict[str, Any]] = {}
    runs: dict[str, dict[str, Any]] = {}
    releases: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.agreement != agreement:
            continue
        page["entries"] += 1
        page["first_at"], page["last_at"] = page["first_at"] or entry.at, entry.at
        body: Mapping[str, Any] = entry.body
        group, _, what = entry.kind.partition(".")
        if entry.kind == "agreement.proposed":
            page["versions"].append(_said(entry, version=body["version"], hash=body["hash"]))
        elif group == "agreement":
            page["statements"].append(_said(entry, what=what, version=body["version"]))
        elif group == "batch":
            found = batches.setdefault(body["batch"], _said(entry, batch=body["batch"], rows=None))
            found["state"] = what
            if what == "accepted":
                found["rows"] = {file["name"]: file["rows"] for file in body["files"]}
        elif group == "run":
            run = runs.setdefault(body["run"], _said(entry, run=body["run"]))
            _add_run(run, what, body)
        elif entry.kind == "release.previewed":
            page["previews"].append(_said(entry, indicator=body["indicator"], cohort=body["cohort"]))
        elif group == "release":
            release = releases.setdefault(body["release"], _said(entry, release=body["release"]))
            _add_release(release, what, body)
        elif entry.kind == "ledger.charged":
            page["ledger"] = {"questions": page["ledger"]["questions"] + 1, "tables": body["total"]}
        elif group == "destruction":
            page["destruction"].append(_said(entry, what=what))
    page["batches"], page["runs"] = list(batches.values()), list(runs.values())
    page["releases"] = list(releases.values())
    page["cells"] = dict(sum((Counter(each.get("cells") or {}) for each in page["releases"]), Counter()))
    page["refusals"] = dict(Counter(each["code"] for each in page["releases"] if each.get("code")))
    return page


def _said(entry: Entry, **what: object) -> dict[str, Any]:
    return {"entry": entry.index, "at": entry.at, "by": entry.actor, **what}


def _add_run(run: dict[str, Any], what: str, body: Mapping[str, Any]) -> None:
    if what == "replayed":
        run["replayed"] = "same" if body["same"] else "DIFFERENT"
        return
    run["state"] = what
    if "inputs" in body:
        run["batches"] = [each["batch"] for each in body["inputs"]]
    if "code" in body:
        run["code"] = body["code"]
    if what == "finished":
        run["persons_sha256"] = body["persons_sha256"]
        run["software"] = body["parameters"]["software"]


def _add_release(release: dict[str, Any], what: str, body: Mapping[str, Any]) -> None:
    if what in ("approved", "objected", "reviewed"):
        release["review"] = what
        return
    release["state"] = what
    for name in ("question", "code", "cells", "table_sha256"):
        if name in body:
            release[name] = body[name]


def to_text(page: Mapping[str, Any]) -> str:
    """Return the summary as lines for a person."""
    lines = [
        f"Agreement {page['agreement']}: {page['entries']} entries, {page['first_at']} to {page['last_at']}",
        "",
        "Agreed",
        *(
            f"  #{v['entry']:<6} {v['at']}  {v['by']} proposed version {v['version']}"
            for v in page["versions"]
        ),
        *(
            f"  #{s['entry']:<6} {s['at']}  {s['by']}: {s['what']}, version {s['version']}"
            for s in page["statements"]
        ),
        "Submitted",
        *(
            f"  #{b['entry']:<6} {b['at']}  {b['by']}: {b['batch']} {b['state']}"
            + "".join(f", {name} {rows} rows" for name, rows in (b["rows"] or {}).items())
            for b in page["batches"]
        ),
        "Linked",
        *(
            f"  #{r['entry']:<6} {r['at']}  {r['run']} {r.get('state', '')} {r.get('code', '')}".rstrip()
            + (f", replayed: {r['replayed']}" if "replayed" in r else "")
            for r in page["runs"]
        ),
        *(
            f"  #{v['entry']:<6} {v['at']}  {v['by']} previewed {v['indicator']} of {v['cohort']}"
            for v in page["previews"]
        ),
        "Asked",
        *(
            f"  #{r['entry']:<6} {r['at']}  {r['by']}: {_question(r.get('question'))} "
            f"{r['state']}{' ' + r['code'] if r.get('code') else ''}{_cells(r.get('cells'))}"
            + (f", {r['review']}" if "review" in r else "")
            for r in page["releases"]
        ),
        _ledger(page),
        "Destroyed",
        *(f"  #{d['entry']:<6} {d['at']}  {d['by']}: {d['what']}" for d in page["destruction"]),
    ]
    if not page["destruction"]:
        lines.append("  nothing")
    return "\n".join(lines) + "\n"


def _ledger(page: Mapping[str, Any]) -> str:
    ledger = page["ledger"]
    decided = f"{ledger['questions']} questions decided, {ledger['tables']} tables"
    return f"  ledger: {decided}{_cells(page['cells'])}"


def _question(question: Mapping[str, Any] | None) -> str:
    if question is None:
        return "?"
    by = ", ".join(question["by"])
    return f"{question['indicator']} of {question['cohort']}" + (f" by {by}" if by else "")


def _cells(cells: Mapping[str, int] | None) -> str:
    return f" ({', '.join(f'{n} {status}' for status, n in sorted(cells.items()))})" if cells else ""
