"""A small region, ready to be linked: agencies, an active agreement, accepted batches. All parts are real."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from app.auth import Caller, Role
from app.demo.scenario import Scenario, generate
from app.flows import organizations, sign_agreement, submit_batch
from app.flows.organizations import authenticate
from app.flows.queries import get_agreement
from app.flows.receive_parts import receive_part
from app.flows.service import Service
from crypto.agency.encode import encode_package
from crypto.canonical import digest_of
from crypto.encoding.keys import Secret
from crypto.encoding.profile import Profile, default_profile
from crypto.signatures import SigningKey
from crypto.wire import read_manifest

AGREEMENT = "small-region"
PARTNERSHIP = "partnership"
COHORTS = "2020-21..2023-24"


@dataclass(frozen=True)
class Packages:
    """What the agencies made on their own premises."""

    scenario: Scenario
    profile: Profile
    folders: dict[str, Path]


def make_packages(out: Path, *, scale: float = 0.01, seed: int = 7) -> Packages:
    """Generate a region and encode it, each agency for itself."""
    scenario = generate(out / "raw", scale=scale, seed=seed)
    profile, secret = default_profile("field-level"), Secret.generate(AGREEMENT)
    folders = {}
    for feed in scenario.feeds:
        folders[feed.agency.slug] = out / "packages" / feed.agency.slug
        encode_package(
            profile=profile,
            secret=secret,
            people_file=feed.people_file,
            id_column=feed.agency.id_column,
            facts_files={feed.agency.facts_kind: feed.facts_file},
            out=folders[feed.agency.slug],
            today=date(2026, 11, 1),
        )
    return Packages(scenario, profile, folders)


@dataclass
class World:
    """A service with everybody in it."""

    service: Service
    packages: Packages
    operator_key: str
    partnership_key: str
    callers: dict[str, Caller] = field(default_factory=dict)
    signers: dict[str, SigningKey] = field(default_factory=dict)
    batches: dict[str, str] = field(default_factory=dict)

    @property
    def operator(self) -> Caller:
        return self.callers["operator"]

    @property
    def partnership(self) -> Caller:
        return self.callers[PARTNERSHIP]

    def statement(self, organization: str) -> dict[str, Any]:
        """What a data owner signs to approve or revoke."""
        found = get_agreement(self.service, self.operator, AGREEMENT)
        return {
            "agreement": AGREEMENT,
            "version": found["version"],
            "hash": found["hash"],
            "organization": organization,
        }

    def revoke(self, organization: str) -> None:
        document = self.statement(organization)
        signature = self.signers[organization].sign("agreement-revocation", document)
        sign_agreement.revoke(self.service, self.callers[organization], AGREEMENT, document, signature)

    def submit(self, organization: str, supersedes: str | None = None) -> str:
        """Submit an agency's package through the flows, also in the place of another; the batch's id."""
        folder, caller = self.packages.folders[organization], self.callers[organization]
        document = read_manifest(folder).to_document()
        if supersedes is not None:
            document["software"] = "cohortlink-agency/0.0.1"  # the same manifest is the same batch
        signature = self.signers[organization].sign("batch-manifest", document)
        batch, _ = submit_batch.begin(self.service, caller, AGREEMENT, document, signature, supersedes)
        for file in batch["files"]:
            data = (folder / file["name"]).read_bytes()
            for number in range(file["parts"]):
                part = data[number * batch["part_size"] :][: batch["part_size"]]
                digest = base64.b64encode(hashlib.sha256(part).digest()).decode()
                receive_part(
                    self.service, caller, batch["id"], file["name"], number, f"sha-256=:{digest}:", [part]
                )
        submit_batch.complete(self.service, caller, batch["id"])
        self.batches[organization] = batch["id"]
        return str(batch["id"])


def agreement_document(packages: Packages, **changes: Any) -> dict[str, Any]:
    """The agreement of the small region; ``changes`` replace members."""
    owners = [feed.agency for feed in packages.scenario.feeds]
    document = {
        "id": AGREEMENT,
        "parties": [{"organization": agency.slug, "role": "data_owner"} for agency in owners]
        + [{"organization": PARTNERSHIP, "role": "recipient"}],
        "purpose": "To learn how many graduates find work.",
        "datasets": [{"organization": agency.slug, "kind": agency.facts_kind} for agency in owners],
        "recipients": [PARTNERSHIP],
        "indicators": ["employed_q4", "employed_q2"],
        "dimensions": ["pathway", "cohort_year", "sex"],
        "min_cell": 10,
        "effective": "2020-01-01",
        "expires": "2036-01-01",
        "linkage_profile": packages.profile.to_document(),
        "linkage_profile_hash": packages.profile.fingerprint,
    }
    return document | changes


def populate(service: Service, packages: Packages, *, submit: bool = True, **changes: Any) -> World:
    """Register everybody, bring the agreement into force, and submit every package."""
    _, operator_key = organizations.bootstrap(service, "operator", "The operator")
    operator = authenticate(service, f"Bearer {operator_key}")
    organizations.create_organization(service, operator, PARTNERSHIP, "The partnership")
    made = organizations.create_api_key(service, operator, PARTNERSHIP, Role.PARTNERSHIP, None)
    world = World(service, packages, operator_key, made["api_key"], {"operator": operator})
    world.callers[PARTNERSHIP] = authenticate(service, f"Bearer {made['api_key']}")
    for slug in packages.folders:
        organizations.create_organization(service, operator, slug, slug)
        key = organizations.create_api_key(service, operator, slug, Role.AGENCY, None)["api_key"]
        world.callers[slug] = authenticate(service, f"Bearer {key}")
        world.signers[slug] = SigningKey.generate()
        organizations.register_public_key(service, operator, slug, world.signers[slug].public.to_text())
    document = agreement_document(packages, **changes)
    sign_agreement.propose(service, world.partnership, document)
    sign_agreement.review(service, world.partnership, AGREEMENT)
    for slug in packages.folders:
        statement = {
            "agreement": AGREEMENT,
            "version": 1,
            "hash": digest_of(document),
            "organization": slug,
        }
        signature = world.signers[slug].sign("agreement-approval", statement)
        sign_agreement.approve(service, world.callers[slug], AGREEMENT, statement, signature)
    if submit:
        for slug in packages.folders:
            world.submit(slug)
    return world
