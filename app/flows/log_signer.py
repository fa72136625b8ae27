"""The log's signing key, as it lies on disk now.

A rotation replaces the file while processes run; each sees that at its next signature.
"""

from __future__ import annotations

from pathlib import Path

from crypto.signatures import SigningKey


class LogSigner:
    """Reads the key file again whenever it is another file.

    Parameters
    ----------
    path : Path
        The key file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # One tuple, replaced as a whole: threads share this.
        self._read: tuple[tuple[int, int], SigningKey] = self._load()

    def key(self) -> SigningKey:
        """The key.

        Raises
        ------
        KeyMaterialError
            As `crypto.keyfile.read_private`.
        """
        seen, key = self._read
        if self._mark() != seen:
            self._read = self._load()
            key = self._read[1]
        return key

    def _mark(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return (found.st_ino, found.st_mtime_ns)

    def _load(self) -> tuple[tuple[int, int], SigningKey]:
        # The mark first: a file that is replaced in between is read again the next time.
        mark = self._mark()
        return mark, SigningKey.load(self._path)
