"""Answers of long benchmarks, kept by what they depend on, so that one that is broken off goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

_HOUSE = Path(__file__).parent.parent


@cache
def engine() -> str:
    """SHA-256 over the code of encoding and linkage: an answer holds as long as that is the same."""
    total = hashlib.sha256()
    for folder in ("linkage", "crypto/encoding"):
        for file in sorted((_HOUSE / folder).rglob("*")):
            if file.suffix in (".py", ".json"):
                total.update(str(file.relative_to(_HOUSE)).encode() + file.read_bytes())
    return total.hexdigest()


def answer(folder: Path | None, name: str, depends_on: str, compute: Callable[[], Any]) -> Any:
    """A JSON-able answer: from the folder if it is there, else computed and kept there, if there is one."""
    if folder is None:
        return compute()
    file = folder / f"{name}-{hashlib.sha256(depends_on.encode()).hexdigest()[:32]}.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".part")
        draft.write_text(json.dumps(compute()))
        draft.rename(file)
    return json.loads(file.read_text())
