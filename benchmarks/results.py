"""The report that the benchmarks write: one file, one section for each, replaced by name."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
PEERS = Path(__file__).parent.parent / ".venv-bench" / "bin" / "python"

_TITLE = "# Measured\n\nWritten by `make bench`; every section says when, where and how.\n"


def processor() -> str:
    """The processor's name, or the architecture where the system does not tell."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        match = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        if match:
            return match[1]
    return platform.machine()


def versions(packages: Iterable[str]) -> str:
    """``numpy 2.4.6, numba ...`` as installed beside this program."""
    return ", ".join(f"{package} {version(package)}" for package in packages)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right of the first column."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write_section(name: str, markdown: str, *, command: str = "", software: str = "") -> None:
    """Replace or append the section ``name`` of the report.

    Parameters
    ----------
    name : str
        The heading.
    markdown : str
        Without the heading.
    command, software : str
        How to run it again; versions that matter beyond the interpreter's.
    """
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    about = f"Python {platform.python_version()}" + (f", {software}" if software else "")
    head = f"_{when} · {processor()} · {about}" + (f" · `{command}`_" if command else "_")
    section = f"## {name}\n\n{head}\n\n{markdown.strip()}\n"
    text = RESULTS.read_text() if RESULTS.exists() else _TITLE
    parts = re.split(r"(?m)^(?=## )", text)
    kept = [part.rstrip() + "\n" for part in parts if not part.startswith(f"## {name}\n")]
    place = next((n for n, part in enumerate(parts) if part.startswith(f"## {name}\n")), len(kept))
    kept.insert(place, section)
    RESULTS.write_text("\n".join(kept))
