"""A small world over HTTP: an operator, two agencies, a partnership, an auditor, one agreement.

Encodings are random bits of the right shape: the service cannot tell, and these tests do not link.
"""

from __future__ import annotations

import base64
import copy
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fastapi.testclient import TestClient

from app.auth import Role
from app.flows import organizations
from app.main import create_app
from app.settings import Settings
from crypto.canonical import digest_of
from crypto.encoding.profile import Profile, default_profile
from crypto.facts import SCHEMAS
from crypto.signatures import SigningKey
from crypto.wire import encodings_schema

EDUCATION, WORKFORCE, PARTNERSHIP, AUDITOR = "oh-education", "oh-workforce", "partnership", "auditor"
OPERATOR = "operator"
PROFILE = default_profile("field-level")
HARDENED = default_profile("record-hardened")
KCV = "ab" * 32


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **amount: float) -> None:
        self.now += timedelta(**amount)


@dataclass
class Member:
    """An organization with its API key and signing key, and calls in its name."""

    client: TestClient
    id: str
    api_key: str
    key: SigningKey = field(default_factory=SigningKey.generate)

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.api_key}"} | arguments.pop("headers", {})
        return self.client.request(method, "/v1" + path, headers=headers, **arguments)

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self.call("GET", path, **arguments)

    def post(self, path: str, json: Any = None, **arguments: Any) -> httpx.Response:
        return self.call("POST", path, json=json, **arguments)

    def signed(self, purpose: str, document: dict[str, Any]) -> dict[str, Any]:
        return {"document": document, "signature": self.key.sign(purpose, document)}

    def state(self, agreement: str, purpose: str, **changes: Any) -> dict[str, Any]:
        """A signed statement on the current version (approval or revocation)."""
        current = self.get(f"/agreements/{agreement}").json()
        statement = {
            "agreement": agreement,
            "version": current["version"],
            "hash": digest_of(current["document"]),
            "organization": self.id,
        }
        return self.signed(purpose, statement | changes)


@dataclass
class Package:
    """A batch package in memory: manifest and the bytes of its files."""

    manifest: dict[str, Any]
    files: dict[str, bytes]

    def reseal(self) -> Package:
        """Make sizes and digests those of the files again."""
        for entry in self.manifest["files"]:
            data = self.files[entry["name"]]
            entry["size"], entry["sha256"] = len(data), hashlib.sha256(data).hexdigest()
        return self


def make_refs(count: int, seed: int = 1) -> list[str]:
    rng = np.random.default_rng(seed)
    return sorted(rng.bytes(16).hex() for _ in range(count))


def encodings_bytes(refs: list[str], seed: int = 1, fill: float = 0.45) -> bytes:
    """Parquet of random encodings of the profile's shape."""
    rng = np.random.default_rng(seed)
    spec = PROFILE.link_spec()
    columns: dict[str, Any] = {"record_ref": refs}
    for item in spec.filters:
        bits = rng.random((len(refs), item.width)) < fill
        columns[item.name] = [row.tobytes() for row in np.packbits(bits, axis=1)]
    return parquet(pa.table(columns, schema=encodings_schema(spec)))


def completion_table(refs: list[str], **changes: Any) -> pa.Table:
    """One bachelor's degree each."""
    rows = len(refs)
    columns: dict[str, Any] = {
        "record_ref": refs,
        "completion_id": [f"c{at}" for at in range(rows)],
        "version": ["1"] * rows,
        "award_kind": ["POSTSEC"] * rows,
        "award_level": ["05"] * rows,
        "award_date": ["2022-05-15"] * rows,
    }
    return pa.table(columns | changes)


def wage_table(refs: list[str]) -> pa.Table:
    """Wages in one quarter each."""
    rows = len(refs)
    return pa.table(
        {
            "record_ref": refs,
            "state_fips": ["39"] * rows,
            "quarter": ["2023Q2"] * rows,
            "employer_token": [hashlib.sha256(ref.encode()).hexdigest() for ref in refs],
            "wages": ["5000.00"] * rows,
        }
    )


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def make_package(
    agreement: str = "cincinnati-nky",
    kind: str | None = "completion",
    *,
    count: int = 60,
    seed: int = 1,
    facts: pa.Table | None = None,
    encodings: bytes | None = None,
    kcv: str = KCV,
    epoch: int = 1,
) -> Package:
    """A package that the service accepts, unless something is changed."""
    refs = make_refs(count, seed)
    files = {"encodings.parquet": encodings if encodings is not None else encodings_bytes(refs, seed)}
    entries: list[dict[str, Any]] = [
        {"name": "encodings.parquet", "kind": "encodings", "facts": None, "rows": count}
    ]
    if kind is not None:
        table = (
            facts if facts is not None else {"completion": completion_table, "wage": wage_table}[kind](refs)
        )
        assert kind in SCHEMAS
        files[f"facts-{kind}.parquet"] = parquet(table)
        entries.append(
            {"name": f"facts-{kind}.parquet", "kind": "facts", "facts": kind, "rows": table.num_rows}
        )
    manifest = {
        "format": "cohortlink-batch/1",
        "agreement": agreement,
        "epoch": epoch,
        "profile": PROFILE.fingerprint,
        "kcv": kcv,
        "created_on": "2026-11-20",
        "persons": count,
        "files": entries,
        "coverage": {"persons": count, "encodable": count, "strong_identifier": count},
        "software": "cohortlink-agency/0.1.0",
    }
    return Package(manifest, files).reseal()


def keyed_package(secret: int, seed: int, count: int, kind: str = "wage") -> Package:
    """Persons with nothing but hardened encodings' composite keys, of a million values as a secret makes."""
    spec, rng = HARDENED.link_spec(), np.random.default_rng(seed)
    columns: dict[str, Any] = {"record_ref": make_refs(count, seed)}
    for at, item in enumerate(spec.filters):
        values = np.random.default_rng([secret, at]).integers(2**64, size=(1_000_000, 1), dtype=np.uint64)
        drawn = values[rng.integers(len(values), size=count)].view(np.uint8)
        columns[item.name] = [row.tobytes() if item.similarity == "key" else None for row in drawn]
    encodings = parquet(pa.table(columns, schema=encodings_schema(spec)))
    package = make_package(kind=kind, count=count, seed=seed, encodings=encodings)
    package.manifest["profile"] = HARDENED.fingerprint
    return package.reseal()


def under(profile: Profile) -> dict[str, Any]:
    """What an agreement under a profile says of it."""
    return {"linkage_profile": profile.to_document(), "linkage_profile_hash": profile.fingerprint}


def agreement_document(**changes: Any) -> dict[str, Any]:
    """The agreement of the small world."""
    document = {
        "id": "cincinnati-nky",
        "parties": [
            {
                "organization": EDUCATION,
                "role": "data_owner",
                "legal_basis": "34 CFR 99.35",
                "signatory": "A",
            },
            {
                "organization": WORKFORCE,
                "role": "data_owner",
                "legal_basis": "20 CFR 603.5",
                "signatory": "B",
            },
            {"organization": PARTNERSHIP, "role": "recipient", "legal_basis": "", "signatory": "C"},
        ],
        "purpose": "Employment of graduates one year after graduation",
        "evaluated_program": "Prepare",
        "datasets": [
            {"organization": EDUCATION, "kind": "completion", "fields": ["*"], "periods": ["*"]},
            {"organization": WORKFORCE, "kind": "wage", "fields": ["*"], "periods": ["*"]},
        ],
        "recipients": [PARTNERSHIP],
        "indicators": ["employed_q4"],
        "dimensions": ["pathway"],
        "max_dimensions": 1,
        "min_cell": {EDUCATION: 10, WORKFORCE: 15},
        "geography_floor": "county",
        "effective": "2026-01-01",
        "expires": "2028-01-01",
        "retention_until": "2028-06-30",
        "destroy_within_days": 30,
        "review_days": 0,
        "audit_rights": "The auditor reads the log.",
        **under(PROFILE),
    }
    return copy.deepcopy(document) | changes


class World:
    """The application with its members."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.app = create_app(settings, clock=clock)
        # Entered at once: one event loop for all requests, and the application's own shutdown at the end.
        self.client = TestClient(self.app, raise_server_exceptions=False).__enter__()
        self.service = self.app.state.service
        _, api_key = organizations.bootstrap(self.service, OPERATOR, "Operator")
        self.operator = Member(self.client, OPERATOR, api_key)
        self.education = self.join(EDUCATION, Role.AGENCY)
        self.workforce = self.join(WORKFORCE, Role.AGENCY)
        self.partnership = self.join(PARTNERSHIP, Role.PARTNERSHIP)
        self.auditor = self.join(AUDITOR, Role.AUDITOR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.__exit__(None, None, None)

    def join(self, organization: str, role: Role) -> Member:
        """Register an organization with an API key and a signing key."""
        made = self.operator.post("/organizations", {"id": organization, "name": organization.title()})
        assert made.status_code == 201, made.text
        path = f"/organizations/{organization}/credentials"
        answer = self.operator.post(path, {"kind": "api_key", "role": role})
        assert answer.status_code == 201, answer.text
        member = Member(self.client, organization, answer.json()["api_key"])
        public = {"kind": "ed25519", "public_key": member.key.public.to_text()}
        assert self.operator.post(path, public).status_code == 201
        return member

    def agree(self, **changes: Any) -> str:
        """Propose, review and have everybody approve; returns the agreement's id."""
        document = agreement_document(**changes)
        identifier = str(document["id"])
        answer = self.partnership.post("/agreements", document)
        assert answer.status_code == 201, answer.text
        assert self.partnership.post(f"/agreements/{identifier}/review").status_code == 200
        for owner in (self.education, self.workforce):
            body = owner.state(identifier, "agreement-approval")
            answer = owner.post(f"/agreements/{identifier}/approvals", body)
            assert answer.status_code == 201, answer.text
        return identifier

    def begin(self, member: Member, package: Package) -> httpx.Response:
        body = member.signed("batch-manifest", package.manifest)
        return member.post(f"/agreements/{package.manifest['agreement']}/batches", body)

    def put_part(self, member: Member, batch: str, name: str, number: int, data: bytes) -> httpx.Response:
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        return member.call(
            "PUT",
            f"/batches/{batch}/files/{name}/parts/{number}",
            content=data,
            headers={"Content-Digest": f"sha-256=:{digest}:"},
        )

    def upload(self, member: Member, package: Package) -> str:
        """Begin and send all parts; returns the batch's id."""
        answer = self.begin(member, package)
        assert answer.status_code in (200, 201), answer.text
        batch = answer.json()
        size = batch["part_size"]
        for item in batch["files"]:
            data = package.files[item["name"]]
            for number in range(item["parts"]):
                part = data[number * size : (number + 1) * size]
                answer = self.put_part(member, batch["id"], item["name"], number, part)
                assert answer.status_code == 204, answer.text
        return str(batch["id"])

    def submit(self, member: Member, package: Package) -> httpx.Response:
        """Begin, send and complete; returns the answer to the completion."""
        return member.post(f"/batches/{self.upload(member, package)}/completion")
