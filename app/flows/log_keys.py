"""Which keys the log has and had, and which of them signs.

The log decides, not files: from the entry that names a key on, every process that seals signs with that key,
wherever it finds it: in its place (`log.json`), or beside it (`log-next.json`) while `rekey_log` is under
way. The public halves of keys that are gone stay in `log-retired`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app import private_files
from app.errors import ServiceError
from app.flows.service import Service
from app.store import Tx, log
from crypto.errors import KeyMaterialError
from crypto.keyfile import erase_private
from crypto.log import checkpoint as notes
from crypto.log.entry import Entry
from crypto.log.keychain import Change, Keychain
from crypto.signatures import SigningKey

KIND = "log.rekeyed"
NEXT = "log-next.json"
RETIRED = "log-retired"


def keychain(service: Service, tx: Tx) -> Keychain:
    """All keys of the log, out of its entries."""
    changes = []
    for row in log.of_kind(tx, KIND):
        body: Any = Entry.parse(row.leaf).body
        changes.append(Change(row.index, body["old"], body["new"], body["signature"]))
    return Keychain(changes[0].old if changes else _vkey(service, service.log_key), tuple(changes))


def log_keys(service: Service) -> Keychain:
    """All keys of the log, for everybody."""
    with service.store.reading("keys of the log") as tx:
        return keychain(service, tx)


def signers(service: Service, tx: Tx, sealed: int) -> list[SigningKey]:
    """The key in force, first; the old one as well, while no checkpoint covers the change (`sealed` entries).

    Raises
    ------
    ServiceError
        `LOG_KEY_OTHER` where the key that the log names is not on this node.
    """
    current = service.log_key
    newest = log.newest_of_kind(tx, KIND)
    if newest is None:
        return [current]
    wanted = Entry.parse(newest.leaf).body["new"]
    if _vkey(service, current) == wanted:
        return [current]
    following = _next(service)
    if following is None or _vkey(service, following) != wanted:
        raise ServiceError(
            "LOG_KEY_OTHER", 500, f"{service.settings.log_key} is not the key that the log names; restore it."
        )
    return [following, current] if sealed <= newest.index else [following]


def local_keys(service: Service) -> list[str]:
    """The keys that this node has or had, as its key folder says: it asks no database."""
    following = _next(service)
    found = [service.log_key, *([] if following is None else [following])]
    return [*(_vkey(service, key) for key in found), *_retired(service)]


def promote(service: Service) -> None:
    """Put the next key in the old one's place, once the log names it; else nothing."""
    following = _next(service)
    if following is None:
        return
    with service.store.reading("which key signs") as tx:
        newest = log.newest_of_kind(tx, KIND)
        named = newest is not None and Entry.parse(newest.leaf).body["new"] == _vkey(service, following)
    if not named:
        return
    old = _vkey(service, service.log_key)
    known = _retired(service)
    if old not in known:
        lines = "".join(f"{line}\n" for line in [*known, old])
        private_files.put(_folder(service) / RETIRED, lines.encode())
    try:
        (_folder(service) / NEXT).replace(service.settings.log_key)
    except FileNotFoundError:
        return  # another process did it just now


def make_next(service: Service) -> SigningKey:
    """Make the next key, in place of one that a rotation left behind before the log named it."""
    path = _folder(service) / NEXT
    erase_private(path)
    key = SigningKey.generate()
    key.save(path)
    return key


def _next(service: Service) -> SigningKey | None:
    try:
        return SigningKey.load(_folder(service) / NEXT)
    except KeyMaterialError as error:
        if error.code == "KEY_FILE_MISSING":
            return None
        raise


def _retired(service: Service) -> list[str]:
    path = _folder(service) / RETIRED
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _folder(service: Service) -> Path:
    return service.settings.log_key.parent


def _vkey(service: Service, key: SigningKey) -> str:
    return notes.vkey(service.settings.log_origin, key.public)
