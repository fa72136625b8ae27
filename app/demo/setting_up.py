"""Chapters 1 and 2 of the demo's story: the region, and the agreement under which everything happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from app.demo import plan
from app.demo.scenario import Scenario
from app.demo.stage import Caller, DemoError, Stage, write_secret

AGREEMENT = "cincinnati-nky"
OPERATOR, PARTNERSHIP, AUDITOR = "river-data-trust", "cradle-to-career", "public-auditor"
TITLES = {
    OPERATOR: "River Data Trust, the neutral operator",
    PARTNERSHIP: "Cradle to Career, the partnership",
    AUDITOR: "The public auditor",
}
COHORT = "2020-21..2023-24"
INDICATOR = "employed_q4"
DIMENSIONS = ("pathway", "cohort_year")
#: What the agreement permits beyond the tables above.
FURTHER_INDICATORS = ("self_sufficient", "gap", "contribution", "trend", "earnings_percentiles_y1")
FURTHER_DIMENSIONS = ("race_ethnicity",)
FAMILY = "field-level"

_KNOWS = {
    "education": "names, birth dates; awards",
    "workforce": "SSNs, short names; wages",
    "nonprofit": "names, birth dates; programs",
}


@dataclass(frozen=True)
class Parties:
    """Who takes part: the service's address and where each organization keeps its keys."""

    url: str
    api_keys: Mapping[str, Path]
    signing_keys: Mapping[str, Path]
    log_key: Path

    def caller(self, stage: Stage, organization: str) -> Caller:
        """An organization's HTTP client."""
        return Caller(stage, self.url, self.api_keys[organization].read_text(encoding="utf-8").strip())


def region(stage: Stage, make: Callable[[], Scenario]) -> Scenario:
    """Generate the files and show what an agency holds."""
    stage.chapter(
        1,
        "Five agencies, two states, one labour market",
        "Ohio and Kentucky each have an education agency (who earned which credential, and when) and a "
        "workforce "
        "agency (who was paid wages in which quarter); a nonprofit program knows its participants. As in "
        "life, "
        "names are misspelt, shortened, swapped and changed by marriage, and identity numbers are missing.",
    )
    scenario = make()
    table = Table(box=None, padding=(0, 2))
    table.add_column("agency")
    table.add_column("persons", justify="right")
    table.add_column("facts", justify="right")
    table.add_column("knows")
    for feed in scenario.feeds:
        table.add_row(feed.agency.title, f"{feed.persons:,}", f"{feed.facts:,}", _KNOWS[feed.agency.kind])
    stage.console.print(table)
    feed = scenario.feeds[0]
    stage.say(
        f"What the {feed.agency.title} holds (invented people; this file never leaves the agency's folder):"
    )
    with feed.people_file.open(encoding="utf-8") as stream:
        for _ in range(3):
            line = stream.readline().rstrip().replace('"', "")
            stage.console.print(f"    {line}", style="yellow", markup=False, soft_wrap=True)
    return scenario


def bootstrap(stage: Stage) -> Path:
    """Make the first operator, before the service runs; returns the file of its API key."""
    key = stage.space.operator / "api-key"
    command = ["cohortlink", "org", "bootstrap", "--id", OPERATOR, "--name", TITLES[OPERATOR]]
    stage.program([*command, "--key-file", key, "--data", stage.space.data], command=False, output=False)
    return key


def agreement(stage: Stage, url: str, operator_key: Path) -> Parties:
    """Register everybody, draft the agreement, have every data owner sign it."""
    stage.chapter(
        2,
        "A neutral service, and an agreement that every data owner signs",
        "A neutral operator runs the service. The partnership drafts the agreement: who submits what, "
        "which figures "
        "may be asked for, that no figure is about fewer persons than the minimum cell, and until when. "
        "It binds "
        "nobody until all five data owners have signed exactly this text, each with its own key. Until "
        "then the "
        "service accepts no data, links nothing and answers nothing.",
    )
    stage.say(f"`cohortlink serve` runs as a process of its own and answers at {url}.")
    parties = _register(stage, url, operator_key)
    profile = stage.space.operator / "profile.json"
    made = stage.answer(
        ["cohortlink-agency", "profile", "new", "--family", FAMILY, "--out", profile], command=False
    )
    stage.say(
        f"Linkage profile: {made['family']}, risk rating [bold]{made['risk']}[/bold]. "
        f"{made['risk_statement']}"
    )
    draft_file = stage.space.partnership / "agreement.json"
    document = draft(json.loads(profile.read_text(encoding="utf-8")), made["fingerprint"])
    draft_file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    partnership = parties.caller(stage, PARTNERSHIP)
    proposed = partnership.call("POST", "/agreements", document)
    partnership.call("POST", f"/agreements/{AGREEMENT}/review")
    stage.say(
        f"{PARTNERSHIP} proposes {AGREEMENT!r}, SHA-256 {proposed['hash'][:16]}…, minimum cell "
        f"{proposed['effective_min_cell']} (the largest that any party asks for)."
    )
    for number, agency in enumerate(plan.AGENCIES):
        stage.program(
            ["cohortlink", "agreement", "approve", AGREEMENT, "--organization", agency.slug,
             "--url", url, "--signing-key", parties.signing_keys[agency.slug],
             "--api-key-file", parties.api_keys[agency.slug]],
            command=number == 0, output=False,
        )  # fmt: skip
    state = partnership.call("GET", f"/agreements/{AGREEMENT}")
    for approval in state["approvals"]:
        stage.say(f"  signed by {approval['organization']:<20} with key {approval['key_id'][:16]}…")
    if state["state"] != "ACTIVE":
        raise DemoError(f"The agreement is {state['state']}, not ACTIVE.")
    stage.say("With the fifth signature the agreement is [bold]ACTIVE[/bold].")
    return parties


def _register(stage: Stage, url: str, operator_key: Path) -> Parties:
    """Every organization gets an API key file; the data owners make Ed25519 keys and hand over the public
    half.
    """
    operator = Caller(stage, url, operator_key.read_text(encoding="utf-8").strip())
    api_keys = {OPERATOR: operator_key}
    signing_keys: dict[str, Path] = {}
    homes = {PARTNERSHIP: ("partnership", stage.space.partnership), AUDITOR: ("auditor", stage.space.auditor)}
    homes |= {agency.slug: ("agency", stage.space.agencies / agency.slug) for agency in plan.AGENCIES}
    titles = TITLES | {agency.slug: agency.title for agency in plan.AGENCIES}
    for organization, (role, home) in homes.items():
        operator.call("POST", "/organizations", {"id": organization, "name": titles[organization]})
        credentials = f"/organizations/{organization}/credentials"
        made = operator.call("POST", credentials, {"kind": "api_key", "role": role})
        api_keys[organization] = write_secret(home / "api-key", made["api_key"])
        if role == "agency":
            signing_keys[organization] = home / "signing-key.json"
            key = stage.answer(
                ["cohortlink-agency", "keys", "new", "--out", signing_keys[organization]], command=False
            )
            operator.call("POST", credentials, {"kind": "ed25519", "public_key": key["public_key"]})
    log_key = stage.space.auditor / "log.vkey"
    log_key.write_text(operator.call("GET", "/log/key"), encoding="utf-8")
    return Parties(url, api_keys, signing_keys, log_key)


def draft(profile: Mapping[str, Any], fingerprint: str) -> dict[str, Any]:
    """The agreement's document, as the partnership proposes it."""
    owners = [agency.slug for agency in plan.AGENCIES]
    basis = {
        "education": "FERPA, audit or evaluation of a state-supported education program, 34 CFR 99.31, 99.35",
        "workforce": "UI confidentiality, disclosure to a public official for statistics, 20 CFR 603.5",
        "nonprofit": "written consent of the participants",
    }
    return {
        "id": AGREEMENT,
        "parties": [
            *(
                {
                    "organization": agency.slug,
                    "role": "data_owner",
                    "legal_basis": basis[agency.kind],
                    "signatory": "the data protection officer",
                }
                for agency in plan.AGENCIES
            ),
            {
                "organization": PARTNERSHIP,
                "role": "recipient",
                "legal_basis": "",
                "signatory": "the director",
            },
            {"organization": OPERATOR, "role": "operator", "legal_basis": "", "signatory": "the trustee"},
        ],
        "purpose": "How many graduates are employed one year after their award, and what helps them.",
        "evaluated_program": "Post-secondary credentials awarded in the region",
        "datasets": [{"organization": agency.slug, "kind": agency.facts_kind} for agency in plan.AGENCIES],
        "recipients": [PARTNERSHIP],
        "indicators": [INDICATOR, *FURTHER_INDICATORS],
        "dimensions": [*DIMENSIONS, *FURTHER_DIMENSIONS],
        "max_dimensions": 1,
        "min_cell": {owner: 12 if owner == "kentucky-workforce" else 10 for owner in owners},
        "geography_floor": "county",
        "effective": "2026-01-01",
        "expires": "2099-01-01",
        "retention_until": "2099-12-31",
        "destroy_within_days": 30,
        "review_days": 0,
        "audit_rights": "The public auditor may read the log at any time.",
        "linkage_profile": dict(profile),
        "linkage_profile_hash": fingerprint,
    }
