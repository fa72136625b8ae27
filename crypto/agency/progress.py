"""How far long work has come: a bar on a terminal, plain lines elsewhere, nothing with ``--json``.

Workers report through a plain callable, ``progress(stage, done, total)``, and know nothing of screens::

    with open_progress(silent=as_json, unit="bytes") as progress:
        submit(..., progress=progress)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

Unit = Literal["bytes", "items"]

LINE_EVERY_SECONDS = 3.0


class Progress(Protocol):
    """What long work calls as it advances; ``done`` and ``total`` in the unit of the work."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` are finished in the named stage."""


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""


_SILENT: Progress = silent


@contextmanager
def open_progress(
    *, silent: bool = False, unit: Unit = "items", stream: TextIO | None = None
) -> Iterator[Progress]:
    """Yield a :class:`Progress` that suits the stream (standard error by default).

    Parameters
    ----------
    silent
        True for ``--json``: nothing is written.
    unit
        What is counted; bytes are shown in kB and MB.
    stream
        A bar is drawn if this is a terminal, else a line is written at the start and end of a stage and
        at most every few seconds between.
    """
    out = sys.stderr if stream is None else stream
    if silent:
        yield _SILENT
    elif out.isatty():
        with _bar(out, unit) as bar:
            yield _Bar(bar)
    else:
        yield Lines(out, unit)


class Lines:
    """Progress as plain lines for logs and pipes."""

    def __init__(self, stream: TextIO, unit: Unit, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._unit = unit
        self._clock = clock
        self._stage: str | None = None
        self._started = 0.0
        self._written = 0.0
        self._first = 0
        self._finished = False

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Write a line if the stage is new or finished, or if the last line is some seconds old."""
        now = self._clock()
        new = stage != self._stage
        if new:
            self._stage, self._started, self._first, self._finished = stage, now, done, False
        finished = done >= total
        if not new and (self._finished or (not finished and now - self._written < LINE_EVERY_SECONDS)):
            return
        self._finished, self._written = finished, now
        print(self._line(done, total, now - self._started), file=self._stream, flush=True)

    def _line(self, done: int, total: int, seconds: float) -> str:
        percent = 100 * done // total if total else 100
        text = f"{self._stage}: {self._amount(done)} of {self._amount(total)} ({percent} %)"
        rate = (done - self._first) / seconds if seconds > 0 else 0.0
        if rate > 0:
            text += f", {self._amount(int(rate))}/s"
            if done < total:
                text += f", {_clock_text((total - done) / rate)} left"
        return text

    def _amount(self, count: int) -> str:
        if self._unit == "items":
            return f"{count:,}"
        return f"{count / 1e6:,.1f} MB" if count >= 1_000_000 else f"{count / 1e3:,.1f} kB"


class _Bar:
    """Progress as bars of rich, one for each stage."""

    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=total, completed=done)
        self._bar.update(self._tasks[stage], completed=done, total=total)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


def _bar(stream: TextIO, unit: Unit) -> RichProgress:
    amount: list[ProgressColumn] = (
        [DownloadColumn(), TransferSpeedColumn()]
        if unit == "bytes"
        else [MofNCompleteColumn(), _RateColumn()]
    )
    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        *amount,
        TimeRemainingColumn(),
        console=Console(file=stream, force_terminal=True),
    )


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    return f"{minutes}:{rest:02d}"
