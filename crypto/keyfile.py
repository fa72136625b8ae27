"""Files that hold private keys: written once, readable by their owner alone, never overwritten."""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from crypto.errors import KeyMaterialError

_MAX_BYTES = 1 << 20


def write_private(path: Path, document: Mapping[str, object]) -> None:
    """Write a key document with mode 0600, durably, and refuse to overwrite anything.

    Raises
    ------
    KeyMaterialError
        ``KEY_FILE_EXISTS``: overwriting a key destroys what only that key can open or prove.
    """
    try:
        # O_EXCL also refuses a symbolic link that someone put there to redirect the key.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyMaterialError("KEY_FILE_EXISTS", f"{path} exists and is never overwritten") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
            file.flush()
            # Data encrypted under a key that a power cut lost is lost as well: the key is on disk first.
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)  # half a key would block the name and open nothing
        raise
    _sync_directory(path.parent)


def replace_private(path: Path, document: Mapping[str, object]) -> None:
    """Write a key document with mode 0600, durably and at once: a crash leaves the old file or the new one.

    What a killed writer leaves is named ``.<name>.<random>.new``; :func:`erase_private` finds it.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    write_private(fresh, document)
    try:
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def erase_private(path: Path) -> None:
    """Overwrite and remove a key file and whatever killed writers left of it; nothing there is no error.

    Overwriting reaches the same blocks on plain file systems only (not on copy-on-write ones, nor under
    a flash drive's wear levelling), and copies elsewhere are other people's matter.
    """
    for each in (path, *path.parent.glob(f".{path.name}.*.new")):
        try:
            with each.open("r+b") as file:
                file.write(bytes(os.fstat(file.fileno()).st_size))
                file.flush()
                os.fsync(file.fileno())
            each.unlink()
        except FileNotFoundError:
            continue
    if path.parent.exists():
        _sync_directory(path.parent)


def _sync_directory(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_private(path: Path, document_format: str) -> dict[str, object]:
    """Read a key document of the given format.

    Raises
    ------
    KeyMaterialError
        ``KEY_FILE_MISSING``; ``KEY_FILE_EXPOSED`` where others may read or change the file;
        ``KEY_FILE_MALFORMED``; ``KEY_FILE_FORMAT`` for any format but the one asked for.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise KeyMaterialError("KEY_FILE_MISSING", f"{path} does not exist") from None
    except OSError as error:
        raise KeyMaterialError("KEY_FILE_MISSING", f"{path} cannot be read: {error.strerror}") from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise KeyMaterialError(
            "KEY_FILE_EXPOSED", f"{path} can be read or changed by others; run: chmod 600 '{path}'"
        )
    return parse_private(data, document_format, str(path))


def parse_private(data: bytes, document_format: str, where: str) -> dict[str, object]:
    """Parse a key document; ``where`` names its source in messages, which never quote its content."""
    try:
        document = json.loads(data) if len(data) <= _MAX_BYTES else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise KeyMaterialError("KEY_FILE_MALFORMED", f"{where} is not a key file")
    if document.get("format") != document_format:
        raise KeyMaterialError("KEY_FILE_FORMAT", f"{where} is not of the format {document_format}")
    return document


def b64url(data: bytes) -> str:
    """Return base64url without padding (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_key(text: object, length: int, where: str) -> bytes:
    """Decode unpadded base64url of exactly ``length`` bytes; the one canonical spelling only.

    Raises
    ------
    KeyMaterialError
        ``KEY_FILE_MALFORMED``.
    """
    if isinstance(text, str) and text.isascii():
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) == length and b64url(raw) == text:
            return raw
    raise KeyMaterialError(
        "KEY_FILE_MALFORMED", f"{where} holds a key that is not {length} bytes in base64url"
    )
