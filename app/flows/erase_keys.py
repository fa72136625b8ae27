"""Keys of what was withdrawn or rejected, dropped from the key store: backups of the database end with them.

A batch that goes takes its wrapped data keys out of the database, and in the same transaction notes which of
the agreement's keys wrapped them (`note`). After the commit those keys are dropped (`erase_noted`), under the
agreement's lock. Not before: a transaction that failed would leave a batch that is in use and cannot be read.
A crash in between leaves the note; the next withdrawal or the workers' housekeeping goes on with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.flows.rotate_keys import renew
from app.flows.service import Service
from app.store import KeyStore, Tx, agreements, datakeys, erasures
from app.store.keystore import PLANES


def note(tx: Tx, agreement_id: str, gone: Sequence[tuple[str, str, str]], now: datetime) -> None:
    """Note that the keys of these data keys (owner, plane, key id) are to be dropped."""
    erasures.add(tx, agreement_id, ((plane, key_id) for _, plane, key_id in gone), now)


def erase_noted(service: Service, agreement_id: str | None = None) -> int:
    """Drop the keys that are noted, of one agreement or of all; returns how many."""
    with service.store.reading("keys to erase") as tx:
        wanted = erasures.agreements(tx)
    if agreement_id is not None:
        wanted = [each for each in wanted if each == agreement_id]
    return sum(_erase(service, service.keys(plane), each) for each in wanted for plane in PLANES)


def _erase(service: Service, keys: KeyStore, agreement_id: str) -> int:
    if _shared(service, keys, agreement_id):
        # Made when an agreement had one key for all: what stays gets keys of its own first.
        renew(service, keys, agreement_id)
    with service.store.transaction("erase keys") as tx:
        agreements.lock(tx, agreement_id)
        noted = _noted(tx, keys, agreement_id)
        if noted:
            keys.drop_keys(agreement_id, noted)
            erasures.done(tx, agreement_id, keys.plane, noted)
    return len(noted)


def _noted(tx: Tx, keys: KeyStore, agreement_id: str) -> set[str]:
    return {row.key_id for row in erasures.of_agreement(tx, agreement_id) if row.plane == keys.plane}


def _shared(service: Service, keys: KeyStore, agreement_id: str) -> bool:
    """Whether a key that is to be dropped still wraps something else."""
    with service.store.reading("keys in use") as tx:
        noted = _noted(tx, keys, agreement_id)
        used = {row.key_id for row in datakeys.of_agreement(tx, agreement_id) if row.plane == keys.plane}
    rings = keys.rings(agreement_id).values() if noted else ()
    return any(noted & set(ring.keys) and used & set(ring.keys) for ring in rings)
