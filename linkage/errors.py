"""The linker's refusals: a stable code and a sentence, never a value of anybody's record."""

from __future__ import annotations


class LinkageError(Exception):
    """The inputs cannot be linked, and nothing was.

    Parameters
    ----------
    code : str
        Stable, UPPER_SNAKE; programs compare it.
    detail : str
        A sentence for a person; names sources and filters, never record_refs or encodings.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"
