"""The log's key as an agency remembers it: a file, written at the first use and followed from then on.

One verifier key a line, the newest last: receipts of before a change of keys are verified by the key of then.
A log that shows another key is believed only where signed statements lead from the remembered key to it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from crypto.agency.service import Service
from crypto.errors import InputError, LogError
from crypto.log.checkpoint import parse_vkey
from crypto.log.keychain import Keychain
from crypto.wire import flush

_MAX_BYTES = 1 << 16


def default_file(signing_key: Path, url: str) -> Path:
    """Return where the key of a service's log is remembered: beside the agency's own key, by the host."""
    place = urlsplit(url).netloc.rpartition("@")[2].lower()
    name = "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in place)
    return signing_key.with_name(f"{name or 'service'}.log.vkey")


def read_keys(path: Path) -> list[str]:
    """Return the keys of a file, the newest last.

    Raises
    ------
    InputError
        ``FILE_MISSING``.
    LogError
        ``VKEY_MALFORMED``.
    """
    try:
        with path.open(encoding="utf-8") as file:
            keys = file.read(_MAX_BYTES).split()
    except (OSError, UnicodeError):
        raise InputError("FILE_MISSING", f"{path} cannot be read as text") from None
    if not keys:
        raise LogError("VKEY_MALFORMED", f"{path} holds no key")
    for key in keys:
        parse_vkey(key)
    return keys


def fetch_keys(service: Service, known: Sequence[str] = ()) -> list[str]:
    """Return the keys of a service's log that may be relied on, the newest last.

    Those that are known and what follows the last of them; all that there are where none is known.

    Raises
    ------
    LogError
        ``LOG_KEY_OTHER``: the log shows a key that does not follow the known one. Codes of
        :meth:`crypto.log.keychain.Keychain.parse`.
    CohortlinkError
        The service cannot be reached, refuses, or breaks the protocol.
    """
    chain = Keychain.parse(service.call("GET", "log/keys").text)
    if not known:
        return list(chain.keys)
    return [*known, *chain.since(known[-1])[1:]]


def remember(path: Path, keys: Sequence[str]) -> None:
    """Write the keys, whole or not at all; on disk when this returns."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text("".join(f"{key}\n" for key in keys), encoding="utf-8")
    flush(partial)
    partial.replace(path)
    flush(path.parent)
