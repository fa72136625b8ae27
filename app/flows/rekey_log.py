"""A new signing key for the log, named by the old one in the log itself.

1. The new key is made beside the old one.
2. The entry `log.rekeyed`: old key, new key, and the old key's signature over both and the entry's place.
3. The seal over it is signed by both keys: whoever knows the old one follows, whoever asks later is told the
   new one and, at `/v1/log/keys`, the statement that leads to it.
4. The new file takes the old one's place: the old key is gone, its public half is kept.

A crash before the commit of 2 leaves a file that the next rotation replaces; one after it is finished by the
next seal, at the latest at the next start.
"""

from __future__ import annotations

import fcntl

from app.errors import ConflictError
from app.flows import log_keys
from app.flows.seal_log import SERVICE, append, seal
from app.flows.service import Service
from app.store import log
from crypto.log.keychain import change_key


def rekey_log(service: Service) -> dict[str, object]:
    """Give the log a new signing key.

    Returns
    -------
    dict
        `index` of the entry, `old` and `new` (verifier key texts).

    Raises
    ------
    ConflictError
        `ROTATION_IN_PROGRESS` if another process on this host rotates keys.
    ServiceError
        Those of `seal_log.seal`.
    """
    with (service.settings.keys / ".rotation").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError("ROTATION_IN_PROGRESS", "Keys are being rotated already.") from None
        # What an earlier rotation left half done is finished first: nothing is signed by a key that is gone.
        seal(service)
        following = log_keys.make_next(service)
        with service.store.transaction("log rekeyed") as tx:
            index = log.lock_head(tx).size
            change = change_key(index, service.settings.log_origin, service.log_key, following.public)
            append(tx, log_keys.KIND, None, SERVICE, change.body(), service.now())
        seal(service)
    return {"index": index, "old": change.old, "new": change.new}
