"""A machine with tiles, emulated: Bochs, booted into nothing but the scan and its cases."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from linkage.scan.shapes import Piece, Side
from tests.linkage.emulator.guest import ENVIRONMENT

#: Where `bochs.sh` put the emulator, if the distribution's own is too old to know tiles.
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FETCHED = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cohortlink" / "bochs"

_PROGRAM, _DATA, _SCRATCH = 0x200000, 0x1000000, 0x900000
_WAITING = 4096
_BLOCK = 8 << 20
_CASE = 26 * 8

_SETTINGS = """\
cpu: model=sapphire_rapids, ips=50000000, reset_on_triple_fault=0
memory: guest=128, host=128, block_size=8192
romimage: file={folder}/rom.bin, address=0xffff0000
vgaromimage: file={folder}/nothing.bin
optramimage1: file={folder}/program.bin, address={program:#x}
optramimage2: file={folder}/data.bin, address={data:#x}
display_library: rfb, options="timeout=0"
port_e9_hack: enabled=1
boot: floppy
floppy_bootsig_check: disabled=1
ata0: enabled=0
ata1: enabled=0
speaker: enabled=0
log: {folder}/bochs.log
panic: action=fatal
"""


class Case(NamedTuple):
    """A piece of a scan, and the most matches that there is room for."""

    a: Side
    b: Side
    limits: Any
    piece: Piece
    capacity: int


class Projecting(NamedTuple):
    """Filters, and packed columns that they are projected onto."""

    words: Any
    columns: Any


class Found(NamedTuple):
    """What the scan returned, and what it wrote; of a projection, the numbers stand for all three."""

    count: int
    i: Any
    j: Any
    distance: Any


def missing() -> str | None:
    """Why no machine can be emulated here, if so."""
    for program in ("as", "ld", "objcopy"):
        if not shutil.which(program):
            return f"there is no `{program}` (binutils) to make the program with"
    done = subprocess.run([*_bochs()[0], "--help", "cpu"], env=_bochs()[1], capture_output=True, text=True)
    if "sapphire_rapids" not in done.stdout + done.stderr:
        return "there is no Bochs that knows tiles (tests/linkage/emulator/bochs.sh fetches one)"
    return None


def _bochs() -> tuple[list[str], dict[str, str]]:
    """The command, and its environment."""
    if not (FETCHED / "usr/bin/bochs-bin").exists():
        return ["bochs-bin" if shutil.which("bochs-bin") else "false"], dict(os.environ)
    libraries = FETCHED / "usr/lib/x86_64-linux-gnu"
    path = f"{libraries}:{libraries}/pulseaudio"
    command = [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", path]
    plugins = {"LTDL_LIBRARY_PATH": f"{libraries}/bochs/plugins", "BXSHARE": str(FETCHED / "usr/share/bochs")}
    return [*command, str(FETCHED / "usr/bin/bochs-bin")], {**os.environ, **plugins}


def _run(folder: Path, *command: str) -> None:
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(folder)}
    subprocess.run(command, check=True, cwd=folder, env=environment)


def compile_scan(folder: Path) -> None:
    """The scan's machine code as an object file and in words: ``scan.o`` and ``scan.s``."""
    _run(folder, sys.executable, "-m", "tests.linkage.emulator.guest")


def link_program(folder: Path) -> None:
    """``scan.o`` with what starts it, as images of a ROM and of memory."""
    _run(folder, "as", "-o", "guest.o", str(HERE / "guest.S"))
    places = ["--section-start=.rom=0xffff0000", f"-Ttext={_PROGRAM:#x}", "-e", f"{_PROGRAM:#x}"]
    # What the code asks for where it fails (Python's errors) is nowhere: a call there is a fault.
    options = ["-static", "-z", "noexecstack", "--unresolved-symbols=ignore-all", *places]
    _run(folder, "ld", *options, "-o", "guest.elf", "guest.o", "scan.o")
    _run(folder, "objcopy", "-O", "binary", "-j", ".rom", "guest.elf", "rom.bin")
    _run(folder, "objcopy", "-O", "binary", "-R", ".rom", "-R", ".eh_frame", "guest.elf", "program.bin")


def lay_out(cases: Sequence[Case | Projecting]) -> bytes:
    """Memory from `_DATA` on: the table of cases, the cases, their arrays."""
    table = 8 * (1 + len(cases))
    arrays = bytearray(table + _CASE * len(cases))
    entries, shapes = [len(cases)], b""

    def place(array: Any) -> int:
        arrays.extend(bytes(-len(arrays) % 64))
        arrays.extend(np.ascontiguousarray(array).tobytes())
        return _DATA + len(arrays) - array.nbytes

    for number, case in enumerate(cases):
        entries.append(_DATA + table + _CASE * number)
        numbers = np.zeros(_CASE // 8, dtype=np.int64)
        if isinstance(case, Projecting):
            panels, depth, _ = case.columns.shape
            numbers[:4] = *case.words.shape[:1], panels, case.words.shape[1], depth
            numbers[[11, 17]] = place(case.words), place(case.columns)
            numbers[22:] = _SCRATCH, _SCRATCH, _SCRATCH, 1
        else:
            a, b, limits, piece, capacity = case
            numbers[:8] = len(a.words), len(b.words), a.words.shape[1], a.sketch.shape[1], *piece
            numbers[8:11] = len(limits), _WAITING, capacity
            numbers[11:20] = [place(array) for array in (*a, *b, limits)]
            at = (0, _WAITING, *(2 * _WAITING + k * capacity for k in range(3)))
            numbers[20:25] = [_SCRATCH + 4 * start for start in at]
        shapes += numbers.tobytes()
    arrays[: table + len(shapes)] = np.array(entries, dtype=np.int64).tobytes() + shapes
    assert len(arrays) <= _BLOCK  # an image that reaches into a second block of memory is loaded wrongly
    return bytes(arrays) + bytes(-len(arrays) % 512)


def run(folder: Path, cases: Sequence[Case | Projecting], seconds: float = 300.0) -> list[Found]:
    """What the machine finds for each case."""
    (folder / "data.bin").write_bytes(lay_out(cases))
    settings = _SETTINGS.format(folder=folder, program=_PROGRAM, data=_DATA)
    (folder / "nothing.bin").write_bytes(bytes(512))
    (folder / "bochsrc").write_text(settings)
    command, environment = _bochs()
    done = subprocess.run(
        [*command, "-q", "-f", str(folder / "bochsrc")],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        cwd=folder,
    )
    printed = re.search(rb"<([a-p]*)>", done.stdout)
    if not printed:
        log = (folder / "bochs.log").read_text(errors="replace")[-2000:]
        raise AssertionError(f"The emulated machine printed nothing whole.\n{done.stdout[-500:]!r}\n{log}")
    digits = np.frombuffer(printed[1], np.uint8).reshape(-1, 8) - ord("a")
    words = (digits.astype(np.int64) << np.arange(28, -1, -4)).sum(axis=1).astype(np.uint32).view(np.int32)
    return _taken_apart(words, len(cases))


def _taken_apart(words: Any, cases: int) -> list[Found]:
    found, at = [], 0
    for _ in range(cases):
        count = int(words[at])
        length = max(count, 0)
        columns = words[at + 1 : at + 1 + 3 * length].reshape(3, length)
        found.append(Found(count, *columns))
        at += 1 + 3 * length
    assert at == len(words)
    return found
