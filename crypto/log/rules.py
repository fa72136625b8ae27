"""What the entries of an honest log say about one another, checked entry by entry without asking anybody.

A Merkle tree proves that nothing was rewritten; it does not prove that what was written was allowed. These
rules do: they replay the log as a state of organizations, agreements, batches, runs and releases, and an
entry that could not have been written in that state breaks the rule that it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from crypto.canonical import canonical_json
from crypto.errors import LogError
from crypto.log import run_rules
from crypto.log.entry import Entry
from crypto.log.keychain import Change
from crypto.log.kinds import check_body
from crypto.log.standing import Standing

SERVICE: Final = "service"

#: Rule → what it says. The order is that of reports.
RULES: Final[Mapping[str, str]] = {
    "bodies": "every entry is of a known kind and says exactly what its kind says",
    "organizations": "who acts is registered, and signs with a key that is registered and not revoked",
    "agreements": "versions follow one another; owners approve and revoke the version that stands",
    "batches": "batches are accepted from data owners under an agreement in force, with its profile",
    "runs": "every run has an agreement in force, every batch in it was submitted and not withdrawn, and "
    "what it took over an earlier run of such batches has left",
    "releases": "every release has a finished run, an agreement in force, and a recipient who asked",
    "ledger": "every question is charged once, the sums add up, and answers come from what was charged",
    "keys": "the log's key changes only by a statement that the key before it signed",
    "destruction": "two organizations destroy what is revoked or expired, and nothing follows",
}


class Rules:
    """The state that the entries so far leave, and the first entry that broke each rule.

    Attributes
    ----------
    broken : dict
        Rule → (index of the first entry that breaks it, why).
    """

    def __init__(self) -> None:
        self.broken: dict[str, tuple[int, str]] = {}
        self._organizations: set[str] = set()
        self._keys: dict[str, str] = {}  # fingerprint → organization
        self._credentials: dict[str, tuple[str, str]] = {}  # id → organization, fingerprint
        self._agreements: dict[str, Standing] = {}
        self._batches: set[str] = set()
        self._log_key: str | None = None
        self._salted = False
        self._dispatch: dict[str, Callable[[Entry, Mapping[str, Any]], None]] = {
            "organization.created": self._organization_created,
            "credential.created": self._credential_created,
            "credential.revoked": self._credential_revoked,
            "agreement.proposed": self._proposed,
            "agreement.review": self._review,
            "agreement.approved": self._approved,
            "agreement.revoked": self._revoked,
            "agreement.suspended": self._suspended,
            "agreement.resumed": self._resumed,
            "batch.accepted": self._batch_accepted,
            "batch.withdrawn": self._batch_gone,
            "batch.superseded": self._batch_gone,
            "run.started": self._run_started,
            "run.finished": self._run_finished,
            "run.failed": self._run_ended,
            "run.cancelled": self._run_ended,
            "run.replayed": self._run_replayed,
            "release.requested": self._requested,
            "release.granted": self._granted,
            "release.refused": self._refused,
            "release.approved": self._approved_release,
            "release.objected": self._objected,
            "release.previewed": self._run_replayed,
            "release.reviewed": self._reviewed,
            "ledger.charged": self._charged,
            "destruction.due": self._destruction_due,
            "destruction.done": self._destruction_done,
            "log.rekeyed": self._rekeyed,
        }

    def feed(self, entry: Entry) -> None:
        """Take the next entry, in the order of the log; what it breaks is in :attr:`broken` afterwards."""
        try:
            check_body(entry.kind, entry.agreement, entry.body)
        except LogError as error:
            self._break("bodies", entry, str(error))
            return  # the rules below rely on what a body says
        if self._salted and entry.salt is None:
            self._break("bodies", entry, "has no salt, after entries that have")
        self._salted = entry.salt is not None
        if entry.actor != SERVICE and entry.actor not in self._organizations:
            self._break("organizations", entry, f"{entry.actor} acts and was never registered")
        follow = self._dispatch.get(entry.kind)
        if follow is not None:
            follow(entry, entry.body)

    def _break(self, rule: str, entry: Entry, why: str) -> None:
        self.broken.setdefault(rule, (entry.index, f"{entry.kind}: {why}"))

    # -------------------------------------------------------------- organizations

    def _organization_created(self, entry: Entry, body: Mapping[str, Any]) -> None:
        if body["organization"] in self._organizations:
            self._break("organizations", entry, "an organization is registered twice")
        self._organizations.add(body["organization"])

    def _credential_created(self, entry: Entry, body: Mapping[str, Any]) -> None:
        owner, key_id = body["organization"], body["key_id"]
        if owner not in self._organizations:
            self._break("organizations", entry, "a credential of an organization that was never registered")
        if key_id in self._keys or body["credential"] in self._credentials:
            self._break("organizations", entry, "a credential is registered twice")
        self._keys[key_id] = owner
        self._credentials[body["credential"]] = (owner, key_id)

    def _credential_revoked(self, entry: Entry, body: Mapping[str, Any]) -> None:
        if self._credentials.get(body["credential"]) != (body["organization"], body["key_id"]):
            self._break("organizations", entry, "a credential that was never registered, or was another's")
        # The fingerprint stays taken: one key, one owner, for ever.
        self._keys[body["key_id"]] = ""

    def _signed(self, entry: Entry, key_id: str) -> None:
        if self._keys.get(key_id) != entry.actor:
            self._break("organizations", entry, "signed with a key that is not the actor's, or is revoked")

    def _rekeyed(self, entry: Entry, body: Mapping[str, Any]) -> None:
        if self._log_key not in (None, body["old"]):
            self._break("keys", entry, "not the key that signed until then")
        try:
            Change(entry.index, body["old"], body["new"], body["signature"]).verify()
        except LogError as error:
            self._break("keys", entry, error.detail)
        self._log_key = body["new"]

    # -------------------------------------------------------------- agreements

    def _proposed(self, entry: Entry, body: Mapping[str, Any]) -> None:
        name = str(entry.agreement)
        found = self._agreements.get(name)
        if body["version"] != (found.version if found else 0) + 1:
            self._break("agreements", entry, "versions do not follow one another")
        if found is None:
            self._agreements[name] = Standing(body["version"], body)
            return
        if found.has_ended(entry.at) or found.due_by is not None:
            self._break("agreements", entry, "an agreement that has ended is edited")
        found.version, found.terms = body["version"], body
        found.in_review, found.approved = False, set()

    def _standing(self, rule: str, entry: Entry) -> Standing | None:
        found = self._agreements.get(str(entry.agreement))
        if found is None:
            self._break(rule, entry, "under an agreement that nobody proposed")
        return found

    def _statement(self, entry: Entry, body: Mapping[str, Any]) -> Standing | None:
        found = self._standing("agreements", entry)
        if found is not None and (body["version"], body["hash"]) != (found.version, found.terms["hash"]):
            self._break("agreements", entry, "names another version or hash than the one that stands")
        return found

    def _review(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._statement(entry, body)
        if found is not None:
            found.in_review = True

    def _owner_statement(self, entry: Entry, body: Mapping[str, Any]) -> Standing | None:
        found = self._statement(entry, body)
        self._signed(entry, body["key_id"])
        if found is None:
            return None
        if entry.actor not in found.terms["data_owners"]:
            self._break("agreements", entry, f"{entry.actor} is not a data owner of this version")
        if found.revoked:
            self._break("agreements", entry, "the agreement was revoked before")
        return found

    def _approved(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._owner_statement(entry, body)
        if found is None:
            return
        if not found.in_review:
            self._break("agreements", entry, "the version is not before its owners")
        if entry.actor in found.approved:
            self._break("agreements", entry, "an owner approves twice")
        found.approved.add(entry.actor)

    def _revoked(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._owner_statement(entry, body)
        if found is not None:
            found.revoked = True

    def _suspended(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._standing("agreements", entry)
        if found is None:
            return
        if entry.actor in found.holds:
            self._break("agreements", entry, f"{entry.actor} holds it already")
        found.holds.add(entry.actor)

    def _resumed(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._standing("agreements", entry)
        if found is None:
            return
        if entry.actor not in found.holds:
            self._break("agreements", entry, f"{entry.actor} held nothing that it could lift")
        found.holds.discard(entry.actor)

    # -------------------------------------------------------------- batches

    def _batch_accepted(self, entry: Entry, body: Mapping[str, Any]) -> None:
        self._signed(entry, body["key_id"])
        found = self._in_force("batches", entry)
        if body["batch"] in self._batches:
            self._break("batches", entry, f"batch {body['batch']} is accepted twice")
        self._batches.add(body["batch"])
        if found is None:
            return
        if entry.actor not in found.terms["data_owners"]:
            self._break("batches", entry, f"{entry.actor} is not a data owner of the agreement")
        if body["agreement_version"] != found.version or body["profile"] != found.terms["profile"]:
            self._break("batches", entry, "made for another version or profile than the one that stands")
        found.batches[body["batch"]] = (entry.actor, body["manifest_sha256"])

    def _batch_gone(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._standing("batches", entry)
        if found is None:
            return
        if found.batches.pop(body["batch"], None) != (entry.actor, body["manifest_sha256"]):
            self._break("batches", entry, f"batch {body['batch']} was not {entry.actor}'s to take back")
        if entry.kind == "batch.withdrawn":
            found.withdrawn.add(body["batch"])

    # -------------------------------------------------------------- runs

    def _in_force(self, rule: str, entry: Entry) -> Standing | None:
        found = self._standing(rule, entry)
        if found is not None and not found.in_force(entry.at):
            why = "was not approved and in force at that time"
            if found.revoked or found.holds:
                why = "was revoked" if found.revoked else "was suspended"
            self._break(rule, entry, f"the agreement {why}")
        return found

    def _run_started(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._in_force("runs", entry)
        if found is None:
            return
        for why in run_rules.started(found, body):
            self._break("runs", entry, why)
        found.started[body["run"]] = body

    def _run_finished(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._in_force("runs", entry)
        if found is None:
            return
        for why in run_rules.finished(found, body):
            self._break("runs", entry, why)
        found.finished[body["run"]] = body

    def _run_ended(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._standing("runs", entry)
        if found is not None and body["run"] in found.finished:
            self._break("runs", entry, "a finished run fails afterwards")

    def _run_replayed(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._standing("runs", entry)
        if found is None:
            return
        if body["run"] not in found.finished:
            self._break("runs", entry, "a run is replayed or previewed that never finished")
        if not body.get("same", True):
            self._break("runs", entry, "a run repeated from its inputs gave other bytes")

    # -------------------------------------------------------------- releases and ledger

    def _requested(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._standing("releases", entry)
        if found is None:
            return
        if body["release"] in found.requested:
            self._break("releases", entry, "a release is requested twice")
        found.requested[body["release"]] = entry.actor

    def _refused(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._standing("releases", entry)
        if found is not None and found.requested.get(body["release"]) != entry.actor:
            self._break("releases", entry, "nobody of that name requested it")

    def _of_owner(self, entry: Entry, body: Mapping[str, Any], said: str) -> None:
        """A data owner speaks of the question of a release that was granted."""
        found = self._standing("releases", entry)
        if found is None:
            return
        question = found.granted.get(body["release"])
        if question is None:
            self._break("releases", entry, "of a release that was never granted")
            return
        if entry.actor not in found.terms["data_owners"]:
            self._break("releases", entry, f"{entry.actor} is not a data owner of the agreement")
        found.said.setdefault((said, question), set()).add(entry.actor)

    def _approved_release(self, entry: Entry, body: Mapping[str, Any]) -> None:
        self._of_owner(entry, body, "approved")

    def _objected(self, entry: Entry, body: Mapping[str, Any]) -> None:
        self._of_owner(entry, body, "objected")

    def _reviewed(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._standing("releases", entry)
        if found is None:
            return
        question = found.granted.get(body["release"])
        if question is None or body["release"] in found.reviewed:
            self._break("releases", entry, "of a release that was never granted, or reviewed before")
            return
        if ("objected", question) in found.said:
            self._break("releases", entry, "a data owner objected to it")
        if set(body["approved_by"]) != found.said.get(("approved", question), set()):
            self._break("releases", entry, "names other owners than those who approved it")
        found.reviewed.add(body["release"])

    def _granted(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._in_force("releases", entry)
        if found is None:
            return
        if found.requested.get(body["release"]) != entry.actor:
            self._break("releases", entry, "nobody of that name requested it")
        if entry.actor not in found.terms["recipients"]:
            self._break("releases", entry, f"{entry.actor} is not a recipient of the agreement")
        if body["run"] not in found.finished:
            self._break("releases", entry, f"run {body['run']} never finished")
        if body["min_cell"] < found.terms["min_cell"]:
            self._break("releases", entry, "the minimum cell is smaller than the agreement's")
        found.granted[body["release"]] = canonical_json(body["question"])
        charge = found.ledger.get(body["ledger"])
        same = ("run", "cube_sha256", "min_cell")
        if charge is None or any(charge[name] != body[name] for name in same):
            self._break("ledger", entry, "the answer is not out of what the ledger was charged with")
        elif any(body["question"][name] != charge[name] for name in ("indicator", "cohort")):
            self._break("ledger", entry, "the question is not the one that the ledger was charged for")

    def _charged(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._in_force("ledger", entry)
        if found is None:
            return
        # A planned correction is another vintage of the same question.
        question = (body["indicator"], body["cohort"], body.get("vintage", 1))
        if body["ledger"] in found.ledger or question in found.questions:
            self._break("ledger", entry, "a question is charged twice")
        if body["run"] not in found.finished:
            self._break("releases", entry, f"run {body['run']} never finished")
        found.charged += body["charged"]
        if body["total"] != found.charged:
            self._break("ledger", entry, f"the sum of all charges is {found.charged}, not {body['total']}")
        found.ledger[body["ledger"]] = body
        found.questions.add(question)

    # -------------------------------------------------------------- destruction

    def _destruction_due(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._standing("destruction", entry)
        if found is None:
            return
        if not found.has_ended(entry.at):
            self._break("destruction", entry, "the agreement was neither revoked nor expired")
        if found.due_by is not None:
            self._break("destruction", entry, "destruction is requested twice")
        found.due_by = entry.actor

    def _destruction_done(self, entry: Entry, body: Mapping[str, Any]) -> None:
        found = self._standing("destruction", entry)
        if found is None:
            return
        if found.due_by is None or found.destroyed:
            self._break("destruction", entry, "destruction was not due")
        if body["requested_by"] != found.due_by or body["executed_by"] != entry.actor:
            self._break("destruction", entry, "the certificate names others than those who acted")
        if entry.actor == found.due_by:
            self._break("destruction", entry, "who asked for it also executed it")
        if not found.batches.keys() <= {each.get("batch") for each in body["datasets"]}:
            self._break("destruction", entry, "a batch that was held is not on the certificate")
        found.destroyed = True
        found.batches.clear()
