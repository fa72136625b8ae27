"""Rotation of the keys at rest, plane by plane, while everything goes on.

1. A new master key for the plane; the old ones still open. From here on whoever wraps, wraps with the new.
2. Agreement by agreement, under its lock: a new key of its own for each data key, which is wrapped anew.
   Whoever makes a data key holds the same lock and reads the keys in it: its row is either seen here or
   wrapped anew.
3. Under the lock again, once no row needs them: the agreement's old keys are dropped. A backup of the
   database from before opens nothing from here on.
4. When no row of any agreement needs them: the old master keys are dropped.
5. The log says which keys came and went, by their ids.

A crash anywhere leaves more keys than needed and none too few; the next rotation drops them.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.errors import ConflictError, ServiceError
from app.flows.seal_log import SERVICE, append, seal
from app.flows.service import Service
from app.store import KeyStore, Tx, agreements, datakeys
from app.store.keystore import PLANES
from app.store.models import DataKey
from app.store.planes import rewrap
from crypto.envelope import Keyring


def rotate_keys(service: Service) -> dict[str, Any]:
    """Give every plane a new master key and every agreement new keys.

    Returns
    -------
    dict
        `{"planes": [{"plane", "key_id", "dropped": [key ids]}], "data_keys": number wrapped anew}`.

    Raises
    ------
    ConflictError
        `ROTATION_IN_PROGRESS` if another process on this host rotates.
    ServiceError
        `KEYS_MISSING` if an agreement's data keys cannot be unwrapped for want of its key file.
    """
    with _alone(service):
        body: dict[str, Any] = {"planes": [], "data_keys": 0}
        for plane in PLANES:
            keys = service.keys(plane)
            before = keys.master()
            keys.save_master(before.with_new_key())
            for agreement_id in _agreements(service):
                body["data_keys"] += renew(service, keys, agreement_id)
                _drop_agreement(service, keys, agreement_id)
            dropped = _drop_master(service, keys)
            body["planes"].append({"plane": plane, "key_id": keys.master().current, "dropped": dropped})
        with service.store.transaction("keys rotated") as tx:
            append(tx, "keys.rotated", None, SERVICE, body, service.now())
    seal(service)
    return body


@contextmanager
def _alone(service: Service) -> Iterator[None]:
    with (service.settings.keys / ".rotation").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError("ROTATION_IN_PROGRESS", "Keys are being rotated already.") from None
        yield


def _agreements(service: Service) -> list[str]:
    with service.store.reading("agreements to rotate") as tx:
        return [row.id for row in agreements.every(tx)]


def _rows(tx: Tx, keys: KeyStore, agreement_id: str) -> list[DataKey]:
    return [row for row in datakeys.of_agreement(tx, agreement_id) if row.plane == keys.plane]


def renew(service: Service, keys: KeyStore, agreement_id: str) -> int:
    """Step 2 for one agreement; returns how many data keys were wrapped anew."""
    with service.store.transaction("rewrap data keys") as tx:
        # Destruction erases under this lock: a key that is gone does not come back here.
        agreements.lock(tx, agreement_id)
        rows = _rows(tx, keys, agreement_id)
        old = keys.opening(agreement_id)
        if any(row.key_id not in old.keys for row in rows):
            raise ServiceError("KEYS_MISSING", 500, f"Restore {keys.plane}/{agreement_id}.json.")
        if not rows:
            return 0
        fresh = [Keyring.generate() for _ in rows]
        own = keys.agreement(agreement_id)
        together = {name: key for ring in filter(None, [own, *fresh]) for name, key in ring.keys.items()}
        keys.save_agreement(agreement_id, Keyring(together, fresh[-1].current))
        # A crash from here to the commit: the file holds the old keys still, and the rows name them.
        rings = keys.rings(agreement_id)
        return sum(rewrap(row, old, rings[new.current]) for row, new in zip(rows, fresh, strict=True))


def _drop_agreement(service: Service, keys: KeyStore, agreement_id: str) -> None:
    """Step 3 for one agreement."""
    with service.store.transaction("drop old keys") as tx:
        agreements.lock(tx, agreement_id)
        used = {row.key_id for row in _rows(tx, keys, agreement_id)}
        rings = keys.rings(agreement_id)
        if used <= {ring.current for ring in rings.values()}:
            keys.keep_keys(agreement_id, {name for name, ring in rings.items() if ring.current in used})


def _drop_master(service: Service, keys: KeyStore) -> list[str]:
    """Step 4; returns the ids of the master keys that are gone."""
    master = keys.master()
    with service.store.reading("are old master keys needed") as tx:
        used = [(item[1], item[2]) for item in datakeys.key_ids(tx) if item[0] == keys.plane]
    for agreement_id in {name for name, _ in used}:
        current = {ring.current for ring in keys.rings(agreement_id).values()}
        if not {key_id for name, key_id in used if name == agreement_id} <= current:
            return []
    keys.save_master(master.only_current())
    return sorted(set(master.keys) - {master.current})
