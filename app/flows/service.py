"""What every flow is given: settings, the store, the log's signing key and a clock.

Keyrings are not in here. A flow that needs a plane opens it by name, and opens no other: the linker asks
for `encodings` and `links`, the tabulator for `facts` and `links`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.errors import ServiceError
from app.flows.log_signer import LogSigner
from app.settings import Settings
from app.store import Blobs, KeyStore, Plane, Store, datakeys, log, schema
from app.store.blobs import Semantics
from app.store.engine import create_engine
from app.store.keystore import PLANES, PlaneName
from crypto.envelope import Keyring
from crypto.errors import KeyMaterialError
from crypto.keyfile import read_private, write_private
from crypto.signatures import SigningKey

_SECRET_FORMAT = "cohortlink-release-secret/1"  # noqa: S105 (a format, not a secret)


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Service:
    """The service, open.

    Attributes
    ----------
    settings : Settings
    store : Store
    signer : LogSigner
        Of checkpoints, receipts and certificates.
    clock : callable
        Aware UTC now; passed in so that tests and flows agree on the time.
    makes_cubes : bool
        Whether who is asked makes the cube of a release itself; else workers do.
    """

    settings: Settings
    store: Store
    signer: LogSigner
    clock: Callable[[], datetime] = utc_now
    makes_cubes: bool = True

    def now(self) -> datetime:
        """The present, to whole seconds: what is signed says the same as what is stored."""
        return self.clock().replace(microsecond=0)

    @property
    def log_key(self) -> SigningKey:
        """The key that signs checkpoints, receipts and certificates."""
        return self.signer.key()

    def plane(self, name: PlaneName) -> Plane:
        """Open one plane with its own keys and no others."""
        keys = self.keys(name)
        keys.master()
        return Plane(name, self.store, keys)

    def keys(self, name: PlaneName) -> KeyStore:
        """The key store of one plane: for making, rotating and erasing keys."""
        return KeyStore(self.settings.keys, name)

    def release_secret(self) -> bytes:
        """The 32 secret bytes that randomise complementary choices."""
        document = read_private(self.settings.release_secret, _SECRET_FORMAT)
        return bytes.fromhex(str(document["secret"]))

    def close(self) -> None:
        self.store.close()


def open_service(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> Service:
    """Open database, blobs and keys; migrates the embedded default and makes keys on the first start.

    Raises
    ------
    ServiceError
        `MIGRATION_NEEDED` if the schema is not this program's and may not be migrated here;
        `KEYS_MISSING` if there is data but not the keys that open it.
    """
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(settings)
    if not schema.is_current(engine):
        if not settings.migrate_on_start:
            raise ServiceError("MIGRATION_NEEDED", 500, "Run 'cohortlink migrate' first.")
        schema.upgrade(engine)
    store = Store(engine, Blobs.open(settings.blob_url))
    _ensure_keys(settings, store)
    return Service(settings, store, LogSigner(settings.log_key), clock)


def require_storage(service: Service) -> Semantics:
    """Try the blob storage before anybody relies on it: write, read, list and remove a small object.

    Returns
    -------
    Semantics
        What it does, also with conditional writes: stores differ. Nothing here needs those.

    Raises
    ------
    ServiceError
        `STORAGE_UNUSABLE`: a process that could not keep what it acknowledges does not start.
    """
    try:
        return service.store.blobs.probe()
    except Exception as error:  # noqa: BLE001 (whatever it is, the storage cannot be used)
        # The kind only: a client's message may hold addresses and credentials.
        kind = type(error).__name__
        raise ServiceError("STORAGE_UNUSABLE", 500, f"COHORTLINK_BLOB_URL cannot be used: {kind}.") from None


def _key_files(settings: Settings) -> dict[str, Path]:
    files: dict[str, Path] = {plane: settings.keyring(plane) for plane in PLANES}
    return files | {"log": settings.log_key, "release": settings.release_secret}


def _ensure_keys(settings: Settings, store: Store) -> None:
    """Make missing key files, but only while there is nothing yet that they would have to open.

    A new key beside old data would hide a loss: the old data stays shut and the log changes its signer.
    """
    missing = {name: path for name, path in _key_files(settings).items() if not path.exists()}
    if not missing:
        return
    with store.reading("are there keys to lose") as tx:
        used = log.size(tx) > 0 or datakeys.count(tx) > 0
    if used:
        raise ServiceError(
            "KEYS_MISSING", 500, f"Restore {', '.join(str(path) for path in sorted(missing.values()))}."
        )
    settings.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, path in missing.items():
        try:
            if name == "log":
                SigningKey.generate().save(path)
            elif name == "release":
                write_private(path, {"format": _SECRET_FORMAT, "secret": secrets.token_hex(32)})
            else:
                Keyring.create(path)
        except KeyMaterialError as error:
            # Another process that starts at the same time was first: its key is as good.
            if error.code != "KEY_FILE_EXISTS":
                raise
