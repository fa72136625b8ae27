"""Where a secret comes from: a file, the environment, or a question at the terminal; never an argument.

Arguments stand in the list of processes for every user of the machine to read. The environment is for
schedulers and containers that hold secrets for a program; it is removed from this process's copy once read.
"""

from __future__ import annotations

import os
import sys
from getpass import getpass
from pathlib import Path
from typing import Final

from crypto.encoding.keys import UNREADABLE, Secret
from crypto.errors import KeyMaterialError

SECRET_VARIABLE: Final = "COHORTLINK_AGENCY_SECRET"  # noqa: S105 - the name of a variable
CLK_VARIABLE: Final = "COHORTLINK_CLK_SECRET"
_MAX_BYTES: Final = 1 << 16


def load_secret(file: Path | None, agreement: str | None) -> Secret:
    """The agencies' secret, in any of the forms that ``Secret.load`` reads.

    Raises
    ------
    KeyMaterialError
        ``SECRET_MISSING`` where there is no file, no variable and no terminal; those of ``Secret.parse``.
    """
    if file is not None:
        return Secret.load(file, agreement)
    return Secret.parse(
        _outside(SECRET_VARIABLE, "the agencies' secret", "--secret"), agreement, "the secret"
    )


def load_clk_secret(file: Path | None) -> bytes:
    """A secret as clkhash takes it: any text. One line end after it, as editors leave it, is no part of it.

    Raises
    ------
    KeyMaterialError
        ``SECRET_MISSING``; ``SECRET_MALFORMED`` if it is empty.
    """
    if file is None:
        raw = _outside(CLK_VARIABLE, "clkhash's secret", "--secret-file")
    else:
        try:
            with file.open("rb") as stream:
                raw = stream.read(_MAX_BYTES)
        except OSError:
            raise KeyMaterialError("SECRET_MISSING", UNREADABLE) from None
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    if not raw:
        raise KeyMaterialError("SECRET_MALFORMED", "the secret is empty")
    return raw


def _outside(variable: str, what: str, option: str) -> bytes:
    found = os.environ.pop(variable, "")
    if not found and sys.stdin is not None and sys.stdin.isatty():
        found = getpass(f"{what} (not shown): ")
    if not found:
        raise KeyMaterialError("SECRET_MISSING", f"give {what} by {option} FILE or in {variable}")
    return os.fsencode(found)
