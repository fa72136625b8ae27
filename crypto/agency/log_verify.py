"""``log verify``: fetch the log or take a copy of it, and verify it offline either way.

A copy is a folder: ``checkpoint`` (signed note), ``entries.jsonl`` (one leaf per line, exact bytes),
``key`` (verifier key text), ``keys`` (all keys that the log has had, with the statements that lead from one
to the next; a copy without it is of a log with one key), optionally ``hashes`` (the leaf hashes, one in
hexadecimal per line: it needs no trust, as the checkpoint vouches for it, and tells which entry was changed)
and ``checkpoints/`` (older ones, each of which the entries must reach).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from crypto.agency.log_key import read_keys
from crypto.agency.progress import Progress, silent
from crypto.agency.service import Service, bad_answer
from crypto.errors import CohortlinkError, InputError, LogError
from crypto.log.checkpoint import Checkpoint, open_note
from crypto.log.keychain import Keychain
from crypto.log.tree import leaf_hash
from crypto.log.verify import Anchor, LogCopy, VerificationReport, verify_copy

__all__ = ["VerificationReport", "read_copy", "verify"]

PAGE = 1000

_MAX_NOTE_BYTES = 1_000_000
_HASH = re.compile(r"[0-9a-f]{64}")


def verify(
    url: str | None = None,
    copy: Path | None = None,
    since: Path | None = None,
    key: Path | None = None,
    save_copy: Path | None = None,
    *,
    api_key: str | None = None,
    witnesses: Sequence[Path] = (),
    progress: Progress = silent,
) -> VerificationReport:
    """Verify the log of a service, or a copy of it; a downloaded log is verified exactly as a copy is.

    Parameters
    ----------
    url, copy
        Exactly one: the service's address, or the copy's folder.
    since
        A checkpoint that was kept from before (a file), or a whole copy from before (a folder), which can
        also tell exactly which entry was rewritten since.
    key
        File with the log's verifier key, from a source that the caller trusts.
    save_copy
        With ``url``: folder to keep the copy in. An older copy of the same log there is replaced only by one
        that extends it; its checkpoint is kept. A log that fails is kept beside it, as evidence.
    api_key
        Where the service shows entries to auditors only.
    witnesses
        Files with verifier keys of witnesses that must have cosigned.

    Returns
    -------
    VerificationReport

    Raises
    ------
    InputError
        ``BAD_ARGUMENTS``.
    LogError
        ``COPY_INCOMPLETE`` where files are missing or unreadable, ``SAVE_REFUSED`` where ``save_copy`` holds
        something else.
    CohortlinkError
        The service cannot be reached, refuses, or breaks the protocol.
    """
    if (url is None) == (copy is None):
        raise InputError("BAD_ARGUMENTS", "give either the service's address or a copy")
    trusted = read_keys(Path(key))[-1] if key is not None else None
    asked = [_read_text(Path(path)).strip() for path in witnesses]
    remembered = [] if since is None else [_remembered(Path(since))]
    if copy is not None:
        if save_copy is not None:
            raise InputError("BAD_ARGUMENTS", "a copy is saved only from a service")
        return verify_copy(read_copy(Path(copy), remembered), key=trusted, witnesses=asked, progress=progress)
    assert url is not None
    target = Path(save_copy) if save_copy is not None else None
    if target is not None and target.exists() and not (target / "checkpoint").is_file():
        raise LogError("SAVE_REFUSED", f"{target} exists and is not a copy of a log")
    home = target.parent if target is not None else None
    with tempfile.TemporaryDirectory(prefix=".log-copy-", dir=home) as scratch:
        folder = Path(scratch) / "copy"
        _download(url, api_key, folder, progress, witnessed=bool(asked))
        if target is not None and target.exists():
            _carry_over(target, folder)
        read = read_copy(folder, remembered)
        report = verify_copy(read, key=trusted, witnesses=asked, progress=progress)
        if target is not None:
            _keep(folder, target, report.ok)
    return report


def read_copy(folder: Path, remembered: list[Anchor] | None = None) -> LogCopy:
    """Open a copy's folder; entries are read as they are needed.

    Raises
    ------
    LogError
        ``COPY_INCOMPLETE``.
    """
    if not (folder / "entries.jsonl").is_file():
        raise LogError("COPY_INCOMPLETE", f"{folder / 'entries.jsonl'} is missing")
    older = sorted((folder / "checkpoints").iterdir()) if (folder / "checkpoints").is_dir() else []
    anchors = [Anchor(f"checkpoints/{path.name}", _read_text(path)) for path in older]
    return LogCopy(
        checkpoint=Anchor("the checkpoint", _read_text(folder / "checkpoint"), _read_hashes(folder)),
        entries=_lines(folder / "entries.jsonl"),
        key=_read_text(folder / "key"),
        earlier=[*(remembered or []), *anchors],
        keys=_read_text(folder / "keys") if (folder / "keys").is_file() else None,
    )


def _remembered(path: Path) -> Anchor:
    """Read a remembered checkpoint from a file, or with its leaf hashes from a copy's folder."""
    if not path.is_dir():
        return Anchor("the remembered checkpoint", _read_text(path))
    hashes = [leaf_hash(line) for line in _lines(path / "entries.jsonl")]
    return Anchor("the remembered checkpoint", _read_text(path / "checkpoint"), hashes)


def _download(
    url: str, api_key: str | None, folder: Path, progress: Progress, *, witnessed: bool = False
) -> None:
    """Fetch the log into a copy's folder, with the newest checkpoint that is cosigned if that is asked for.

    Checkpoints come first: entries that are appended meanwhile lie beyond them and are not asked for.
    """
    folder.mkdir()
    with Service(url, api_key) as service:
        if witnessed:
            _keep_checkpoint(folder, _witnessed(service))
        note = service.call("GET", "log/checkpoint").content
        keys = service.call("GET", "log/keys").text
        (folder / "checkpoint").write_bytes(note)
        # Both of one answer: a key that is replaced just now must not look like a forgery.
        (folder / "key").write_text(Keychain.parse(keys).newest, encoding="utf-8")
        (folder / "keys").write_text(keys, encoding="utf-8", newline="")
        size = _claimed_size(note)
        with (folder / "entries.jsonl").open("wb") as entries, (folder / "hashes").open("w") as hashes:
            start = 0
            while start < size:
                end = min(start + PAGE, size)
                page = _page(
                    service.call("GET", "log/entries", params={"start": start, "end": end}), end - start
                )
                for leaf in page:
                    entries.write(leaf + b"\n")
                    hashes.write(leaf_hash(leaf).hex() + "\n")
                start += len(page)
                progress("download", start, size)


def _witnessed(service: Service) -> str | None:
    """Return the newest checkpoint that carries cosignatures: the newest of all may be seconds old."""
    try:
        return service.call("GET", "log/checkpoint/witnessed").text
    except CohortlinkError as error:
        if error.code == "LOG_UNWITNESSED":
            return None
        raise


def _keep_checkpoint(folder: Path, note: str | None) -> None:
    if note is None:
        return
    kept = folder / "checkpoints"
    kept.mkdir(exist_ok=True)
    (kept / f"{_claimed_size(note.encode()):012d}").write_text(note, encoding="utf-8", newline="")


def _page(response: httpx.Response, limit: int) -> list[bytes]:
    lines = response.content.split(b"\n")
    if lines.pop() or not 0 < len(lines) <= limit:
        raise bad_answer("a page of entries is empty, too long or cut off")
    return lines


def _claimed_size(note: bytes) -> int:
    """Return the size that a checkpoint claims, before anything is verified: it only bounds the download."""
    try:
        return Checkpoint.parse_body(note.decode("utf-8").rpartition("\n\n")[0] + "\n").size
    except (LogError, UnicodeDecodeError):
        raise bad_answer("not a checkpoint") from None


def _carry_over(old: Path, new: Path) -> None:
    """Add the checkpoints of an older copy to a new one, which must then reach them all."""
    kept = new / "checkpoints"
    if (old / "checkpoints").is_dir():
        for path in (old / "checkpoints").iterdir():
            kept.mkdir(exist_ok=True)
            if not (kept / path.name).exists():  # one that came now may carry more cosignatures
                shutil.copy(path, kept)
    note = _read_text(old / "checkpoint")
    if note == _read_text(new / "checkpoint"):
        return
    kept.mkdir(exist_ok=True)
    try:
        size = open_note(note, [_read_text(old / "key")]).size
    except LogError:
        raise LogError(
            "SAVE_REFUSED", f"the copy in {old} does not verify; keep it and save elsewhere"
        ) from None
    if not (kept / f"{size:012d}").exists():
        (kept / f"{size:012d}").write_text(note, encoding="utf-8", newline="")


def _keep(folder: Path, target: Path, ok: bool) -> None:
    """Move a verified download into place, or a failed one beside it."""
    if not ok:
        number = 1
        while (evidence := target.with_name(f"{target.name}.refused-{number}")).exists():
            number += 1
        folder.rename(evidence)
        return
    # A crash between the two renames leaves the older copy under the scratch folder's name, complete.
    if target.exists():
        target.rename(folder.with_name("older"))
    folder.rename(target)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_NOTE_BYTES + 1)
        if len(data) <= _MAX_NOTE_BYTES:
            return data.decode("utf-8")
    except OSError:
        raise LogError("COPY_INCOMPLETE", f"{path} cannot be read") from None
    except UnicodeDecodeError:
        pass
    raise LogError("COPY_INCOMPLETE", f"{path} is not the text that belongs there")


def _read_hashes(folder: Path) -> list[bytes] | None:
    """Return the kept leaf hashes, or None where there are none that can be read."""
    try:
        lines = (folder / "hashes").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return [bytes.fromhex(line) for line in lines] if all(map(_HASH.fullmatch, lines)) else None


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            for line in file:
                yield line.removesuffix(b"\n")
    except OSError:
        raise LogError("COPY_INCOMPLETE", f"{path} cannot be read") from None
