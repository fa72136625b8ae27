"""What a cube is made by, beside the data of its run: logged with the charge, and read by replays.

Defaults and programs change; a published cube does not. Who repeats it takes what the log says it was made
by, not what the service would take today.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from app.disclosure.policy import Policy
from app.store import Tx, log
from crypto.log.entry import Entry


@dataclass(frozen=True)
class Basis:
    """The parameters of a cube.

    Attributes
    ----------
    agreement_version : int
        Whose terms permitted it.
    dimensions : sequence of str
        Those of its tables.
    depth : int
        How many of them its tables cross.
    permitted : sequence of str
        All dimensions of the agreement.
    policy : mapping
        `Policy.frozen`.
    beside : sequence of str
        Ledger entries that were published of the cohort before.
    software : str
        Which program made it.
    named : sequence of sequence of str
        Tables that cross more dimensions, by name.
    treatment : mapping
        `Treatment.frozen`; nothing for suppression.
    thresholds : str or None
        Digest of the table of thresholds in use, empty if there was none; None if the log does not say.
    """

    agreement_version: int
    dimensions: Sequence[str]
    depth: int
    permitted: Sequence[str]
    policy: Mapping[str, Any]
    beside: Sequence[str]
    software: str
    named: Sequence[Sequence[str]] = ()
    treatment: Mapping[str, Any] = field(default_factory=dict)
    thresholds: str | None = None

    def to_document(self) -> dict[str, Any]:
        """As it stands in the log."""
        document = asdict(self)
        lists = {name: list(document[name]) for name in ("dimensions", "permitted", "beside")}
        lists["named"] = [list(table) for table in self.named]
        return document | lists | {"policy": dict(self.policy), "treatment": dict(self.treatment)}

    def thaw(self, secret: bytes) -> Policy:
        """The policy that it was protected by."""
        return Policy.thaw(self.policy, secret)


def logged_basis(tx: Tx, agreement_id: str, ledger_id: str) -> Basis | None:
    """The basis of a charge, as the log has it; None where it was charged before the log had any."""
    for row in log.entries(tx, 0, log.size(tx), agreement_id=agreement_id, kind="ledger.charged"):
        body: Any = Entry.parse(row.leaf).body
        if body["ledger"] == ledger_id:
            return Basis(**body["basis"]) if "basis" in body else None
    return None
