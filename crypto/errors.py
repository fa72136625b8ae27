"""One small family of errors, each with a stable code, and never with a value from anybody's file.

A row number is the 1-based number of the data row (the header is not counted), so that a person at an
agency can find the row in her own file; the value itself stays there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class CohortlinkError(Exception):
    """Root of all expected failures; anything else that leaves ``crypto`` is a bug.

    Parameters
    ----------
    code : str
        Stable, UPPER_SNAKE; programs compare it.
    detail : str
        A sentence for a person. It names rows and columns, never values.
    row : int, optional
        1-based data row.
    column : str, optional
        Column of the caller's file.
    """

    def __init__(self, code: str, detail: str, *, row: int | None = None, column: str | None = None) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.row = row
        self.column = column

    def __str__(self) -> str:
        places = []
        if self.row is not None:
            places.append(f"row {self.row}")
        if self.column is not None:
            places.append(f"column {self.column!r}")
        where = f" ({', '.join(places)})" if places else ""
        return f"{self.code}: {self.detail}{where}"


@dataclass(frozen=True)
class RowProblem:
    """One thing that is wrong with one row (``row`` None: with the whole column)."""

    row: int | None
    column: str | None
    code: str
    detail: str


class InputError(CohortlinkError):
    """A file that an agency supplied, or a row of it, cannot be used.

    Attributes
    ----------
    problems : tuple of RowProblem
        Everything found, so that one pass over the file suffices to mend it. Where the caller gives none,
        the error itself is its only problem.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        row: int | None = None,
        column: str | None = None,
        problems: Sequence[RowProblem] = (),
    ) -> None:
        super().__init__(code, detail, row=row, column=column)
        self.problems: tuple[RowProblem, ...] = tuple(problems) or (RowProblem(row, column, code, detail),)


class ProfileError(CohortlinkError):
    """A linkage profile is malformed, too new, or not the one that was agreed on."""


class KeyMaterialError(CohortlinkError):
    """A secret or key is missing, malformed, weak, or would be overwritten."""


class PackageError(CohortlinkError):
    """A batch package is incomplete, altered, or not what its manifest says."""


class SignatureError(CohortlinkError):
    """A signature does not verify."""


class LogError(CohortlinkError):
    """A log, proof or checkpoint does not verify."""


class EnvelopeError(CohortlinkError):
    """An encrypted file or wrapped key cannot be opened."""
