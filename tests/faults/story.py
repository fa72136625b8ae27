"""One whole story over HTTP, told to processes that are killed while they listen.

Whatever was acknowledged is written down; in the end it must all be there, once. The client does what a
careful client does: after a broken connection it asks what became of its call, and repeats it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.flows.check_log import check_log
from app.flows.service import open_service
from app.settings import Settings
from app.store import batches, datakeys, log, releases, runs
from app.store.models import BatchState, RunState
from crypto.canonical import digest_of
from crypto.signatures import SigningKey
from crypto.wire import read_manifest
from tests.faults.processes import DaskWorkers, Node
from tests.flows.linkage_world import AGREEMENT, COHORTS

#: Seconds that anything may take: long, for campaigns run beside other work.
PATIENCE = 900.0
#: Attempts are given up after five workers died over a run, blocks after four losses; this leaves one each.
KILLS_PER_RUN = {"worker": 3, "Dask worker": 2}
#: In which phase the first, second, … kill of a story falls.
PLAN = (
    "submit", "run", "release", "destruction", "approve", "submit", "run",
    "submit", "run", "release", "destruction", "submit", "run",
)  # fmt: skip
QUESTION = {"indicator": "employed_q4", "cohort": COHORTS, "by": ["pathway"], "where": {}}


@dataclass
class Cast:
    """Who takes part: API keys, signing keys, packages; and the agreement, under review."""

    keys: dict[str, str]
    signers: dict[str, SigningKey]
    folders: dict[str, Path]
    document: dict[str, Any]

    @property
    def agencies(self) -> list[str]:
        return sorted(self.folders)


@dataclass
class Tally:
    """What one story, or a campaign of them, saw."""

    kills: Counter[str] = field(default_factory=Counter)
    moments: list[str] = field(default_factory=list)
    acknowledged: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.kills += other.kills
        self.moments += other.moments
        self.acknowledged += other.acknowledged
        self.repeated += other.repeated
        self.lost += other.lost
        self.double += other.double
        self.wrong += other.wrong

    @property
    def clean(self) -> bool:
        return not (self.lost or self.double or self.wrong)


class Killer(threading.Thread):
    """Kills API, worker or Dask worker at random moments of the phase that is on, until all are done."""

    def __init__(
        self, node: Node, rng: random.Random, kills: int, tally: Tally, dask: DaskWorkers | None = None
    ) -> None:
        super().__init__(daemon=True)
        self.node, self.rng, self.tally, self.dask = node, rng, tally, dask
        self.left = Counter(PLAN[at % len(PLAN)] for at in range(kills))
        self.phase = "approve"
        self.over = threading.Event()
        self._of_run: Counter[str] = Counter()
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            while self.left.total() and self.node.ready(self.over):
                if not self.left[self.phase]:
                    if self.over.wait(0.01):
                        break
                    continue
                # Half of the moments within the first tenths of a second after the start: recovery itself.
                early = self.rng.random() < 0.5
                if self.over.wait(self.rng.uniform(0, 0.15) if early else self.rng.expovariate(2)):
                    break
                self._strike()
        except BaseException as error:  # noqa: BLE001 (told by the story)
            self.problem = error

    def _strike(self) -> None:
        phase = self.phase
        if not self.left[phase]:
            return
        who = self._choose() if phase == "run" else "API"
        self._of_run[who] += 1
        if who == "worker":
            self.rng.choice(self.node.workers).kill_and_restart()
        elif who == "Dask worker":
            assert self.dask is not None
            self.dask.kill_and_restart(self.rng)
        else:
            self.node.api.kill_and_restart()
        self.left[phase] -= 1
        self.tally.kills[f"{phase}, {who}"] += 1
        self.tally.moments.append(f"{phase}, {who}")

    def _choose(self) -> str:
        chances = {"API": 0.3, "worker": 0.4, "Dask worker": 0.3 if self.dask else 0.0}
        free = {who: p for who, p in chances.items() if self._of_run[who] < KILLS_PER_RUN.get(who, 99)}
        return self.rng.choices(list(free), list(free.values()))[0]

    def next_run(self) -> None:
        """What one run may suffer begins anew."""
        self._of_run.clear()


class Story:
    """The calls of everybody, in order."""

    def __init__(self, node: Node, cast: Cast, killer: Killer, tally: Tally) -> None:
        self.node, self.cast, self.killer, self.tally = node, cast, killer, tally
        self.client = httpx.Client(timeout=60)
        self.receipts: dict[str, dict[str, Any]] = {}
        self.batch_ids: dict[str, str] = {}
        self.run_ids: list[str] = []
        self.digests: list[str] = []
        self.release: dict[str, Any] = {}

    def call(self, who: str, method: str, path: str, *, again: Any = None, **named: Any) -> httpx.Response:
        """Call until there is an answer. `again()` may find after a break that the call had taken effect."""
        headers = {"Authorization": f"Bearer {self.cast.keys[who]}"} | named.pop("headers", {})
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self.client.request(method, f"{self.node.url}/v1{path}", headers=headers, **named)
            except httpx.TransportError:
                self.tally.repeated += 1
                assert time.monotonic() < deadline, self.node.log.read_text()[-3000:]
                time.sleep(0.03)
                if again is not None and (found := again()) is not None:
                    return found
                continue
            if answer.status_code == 429:
                time.sleep(0.2)
                continue
            assert answer.status_code < 500, (path, answer.text, self.node.log.read_text()[-3000:])
            return answer

    def get(self, who: str, path: str) -> dict[str, Any]:
        answer = self.call(who, "GET", path)
        assert answer.status_code == 200, (path, answer.text)
        found: dict[str, Any] = answer.json()
        return found

    # ------------------------------------------------------------------ the acts

    def approve(self) -> None:
        for organization in self.cast.agencies:
            statement = {
                "agreement": AGREEMENT,
                "version": 1,
                "hash": digest_of(self.cast.document),
                "organization": organization,
            }
            signature = self.cast.signers[organization].sign("agreement-approval", statement)
            body = {"document": statement, "signature": signature}
            answer = self.call(organization, "POST", f"/agreements/{AGREEMENT}/approvals", json=body)
            if answer.status_code not in (200, 201):
                shown = self.get(organization, f"/agreements/{AGREEMENT}")["approvals"]
                assert organization in {item["organization"] for item in shown}, answer.text
            self.tally.acknowledged["approvals"] += 1

    def submit(self) -> None:
        for organization in self.cast.agencies:
            folder = self.cast.folders[organization]
            manifest = read_manifest(folder).to_document()
            body = {
                "document": manifest,
                "signature": self.cast.signers[organization].sign("batch-manifest", manifest),
            }
            begun = self.call(organization, "POST", f"/agreements/{AGREEMENT}/batches", json=body)
            assert begun.status_code in (200, 201), begun.text
            batch = begun.json()
            for file in batch["files"]:
                data = (folder / file["name"]).read_bytes()
                for number in range(file["parts"]):
                    self._part(organization, batch, file["name"], number, data)
            done = self.call(organization, "POST", f"/batches/{batch['id']}/completion")
            assert done.status_code == 200, done.text
            self.receipts[organization] = done.json()["receipt"]
            self.batch_ids[organization] = batch["id"]
            self.tally.acknowledged["batches"] += 1

    def _part(self, organization: str, batch: dict[str, Any], name: str, number: int, data: bytes) -> None:
        part = data[number * batch["part_size"] :][: batch["part_size"]]
        digest = base64.b64encode(hashlib.sha256(part).digest()).decode()
        path = f"/batches/{batch['id']}/files/{name}/parts/{number}"
        headers = {"Content-Digest": f"sha-256=:{digest}:"}
        answer = self.call(organization, "PUT", path, content=part, headers=headers)
        assert answer.status_code == 204, answer.text
        self.tally.acknowledged["parts"] += 1

    def link(self) -> None:
        path = f"/agreements/{AGREEMENT}/runs"
        self.killer.next_run()
        known = set(self.run_ids)

        def begun() -> httpx.Response | None:
            fresh = [item for item in self.get("operator", path)["runs"] if item["id"] not in known]
            return httpx.Response(202, json=fresh[0]) if fresh else None

        answer = self.call("operator", "POST", path, json={}, again=begun)
        assert answer.status_code == 202, answer.text
        run_id = answer.json()["id"]
        self.run_ids.append(run_id)
        self.tally.acknowledged["runs"] += 1
        deadline = time.monotonic() + PATIENCE
        while (shown := self.get("operator", f"/runs/{run_id}"))["state"] in ("QUEUED", "RUNNING"):
            assert time.monotonic() < deadline, (shown, self.node.log.read_text()[-3000:])
            time.sleep(0.1)
        if shown["state"] != "SUCCEEDED":
            self.tally.wrong.append(f"a run ended {shown['state']}: {shown['error']}")
        self.digests.append(shown["persons_sha256"])

    def ask(self) -> None:
        path = f"/agreements/{AGREEMENT}/releases"

        def answered() -> httpx.Response | None:
            listed = self.get("partnership", path)["releases"]
            given = [row for row in listed if row["status"] == "GRANTED"]
            if not given and any(row["status"] == "PREPARING" for row in listed):
                time.sleep(0.2)
                return answered()
            return (
                httpx.Response(201, json=self.get("partnership", f"/releases/{given[0]['id']}"))
                if given
                else None
            )

        answer = self.call("partnership", "POST", path, json=QUESTION, again=answered)
        assert answer.status_code == 201, answer.text
        self.release = answer.json()
        self.tally.acknowledged["releases"] += 1

    def destroy(self) -> None:
        owner, path = self.cast.agencies[0], f"/agreements/{AGREEMENT}"
        statement = {
            "agreement": AGREEMENT,
            "version": 1,
            "hash": digest_of(self.cast.document),
            "organization": owner,
        }
        signature = self.cast.signers[owner].sign("agreement-revocation", statement)
        body = {"document": statement, "signature": signature}
        self.call(owner, "POST", f"{path}/revocations", json=body)
        assert self.get(owner, path)["state"] == "REVOKED"
        self.call(owner, "POST", f"{path}/destruction")
        assert self.get(owner, path)["state"] == "DESTRUCTION_DUE"
        answer = self.call("operator", "POST", f"{path}/destruction")
        assert answer.json()["state"] == "DESTROYED", answer.text
        self.tally.acknowledged["destructions"] += 1


def tell(
    settings: Settings, cast: Cast, out: Path, *, seed: int, kills: int, dask: DaskWorkers | None = None
) -> Tally:
    """Tell the story once with so many kills, and look at everything in the end.

    Parameters
    ----------
    settings : Settings
        A service as `Cast` says, migrated, of nobody else.
    dask : DaskWorkers, optional
        Where runs compare; its workers are killed as well.
    """
    tally, rng = Tally(), random.Random(seed)
    node = Node(settings, out / "story.log", cluster=dask.running.cluster if dask else None)
    killer = Killer(node, rng, kills, tally, dask)
    try:
        node.ready()
        story = Story(node, cast, killer, tally)
        killer.start()
        acts = [story.approve, story.submit, story.link, story.ask, story.destroy]
        for phase, act in zip(("approve", "submit", "run", "release", "destruction"), acts, strict=True):
            killer.phase = phase
            act()
            if phase == "release":
                # Quiet for a moment: everything acknowledged is there, and a second run agrees.
                killer.phase = "run"
                story.link()
                look_at_living(settings, story)
        killer.over.set()
        killer.join()
        if killer.problem is not None:
            raise killer.problem
        # Whoever was killed between the commit and the clearing away is told again.
        node.ready()
        story.call("operator", "POST", f"/agreements/{AGREEMENT}/destruction")
        story.client.close()
    finally:
        killer.over.set()
        if killer.is_alive():
            killer.join()
        node.close()
    look_at_dead(settings, story)
    return tally


def entries(settings: Settings) -> list[dict[str, Any]]:
    service = open_service(settings)
    try:
        with service.store.reading() as tx:
            return [json.loads(leaf) for leaf in log.leaves(tx, 0, log.size(tx))]
    finally:
        service.close()


def look_at_living(settings: Settings, story: Story) -> None:
    """Before destruction: batches, runs, links, release and ledger, each once."""
    tally = story.tally
    service = open_service(settings)
    try:
        with service.store.reading() as tx:
            held = {row.id: row for row in batches.of_agreement(tx, AGREEMENT)}
            linked = runs.of_agreement(tx, AGREEMENT)
            charged = releases.ledger_of_agreement(tx, AGREEMENT)
            asked = releases.of_agreement(tx, AGREEMENT)
        for organization, batch in story.batch_ids.items():
            if batch not in held or held[batch].state != BatchState.ACCEPTED:
                tally.lost.append(f"batch of {organization}")
            elif held[batch].receipt["document"] != story.receipts[organization]["document"]:
                tally.wrong.append("another receipt than was given")
        if len(held) != len(story.batch_ids):
            tally.double.append(f"{len(held)} batches")
        if sorted(row.id for row in linked) != sorted(story.run_ids):
            tally.double.append(f"{len(linked)} runs for {len(story.run_ids)} orders")
        if any(row.state != RunState.SUCCEEDED for row in linked) or len(set(story.digests)) != 1:
            tally.wrong.append("runs over the same batches differ")
        if [row.id for row in asked] != [story.release["id"]]:
            tally.double.append(f"{len(asked)} releases for one question")
        if len(charged) != 1:
            tally.double.append(f"the ledger was charged {len(charged)} times")
        if asked and asked[0].document != story.release["table"]:
            tally.wrong.append("another table than was given")
    finally:
        service.close()


def look_at_dead(settings: Settings, story: Story) -> None:
    """In the end: the log verifies and tells everything once; nothing can be opened; nothing is left."""
    tally = story.tally
    told = Counter(
        (item["kind"], item["actor"] if item["kind"].startswith("agreement") else item["body"].get("run"))
        for item in entries(settings)
    )
    kinds: Counter[str] = Counter()
    for (kind, _), count in told.items():
        kinds[kind] += count
    expected = {
        "agreement.approved": len(story.cast.agencies),
        "agreement.revoked": 1,
        "batch.accepted": len(story.batch_ids),
        "run.started": len(story.run_ids),
        "run.finished": len(story.run_ids),
        "release.granted": 1,
        "ledger.charged": 1,
        "destruction.due": 1,
        "destruction.done": 1,
    }
    for kind, count in expected.items():
        if kinds[kind] < count:
            tally.lost.append(f"{kind} {kinds[kind]} times, not {count}")
        if kinds[kind] > count:
            tally.double.append(f"{kind} {kinds[kind]} times, not {count}")
    service = open_service(settings)
    try:
        report = check_log(service)
        tally.wrong += [f"log: {check.name}: {check.detail}" for check in report.checks if not check.ok]
        with service.store.reading() as tx:
            if datakeys.count(tx):
                tally.wrong.append("data keys outlived the destruction")
        if service.store.blobs.list(""):
            tally.wrong.append("blobs outlived the destruction")
        if [path for path in settings.keys.rglob("*") if AGREEMENT in path.name]:
            tally.wrong.append("the agreement's keys outlived the destruction")
    finally:
        service.close()
