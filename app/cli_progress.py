"""Progress of long work: a bar on a terminal, one plain line per stage elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class StageProgress:
    """Callable as ``progress(stage, done, total)``, the shape that the linker reports in.

    Always writes to standard error, so that standard output holds the answer and nothing else.

    Parameters
    ----------
    quiet : bool
        Report nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._stage: str | None = None
        self._quiet = quiet
        if not quiet and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description:<24}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self._console,
            )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._quiet:
            return
        if self._bar is None:
            # Elsewhere than on a terminal a line per percent would bury everything else.
            if stage != self._stage:
                self._console.print(f"{stage} ...", highlight=False, markup=False)
            self._stage = stage
            return
        if stage != self._stage or self._task is None:
            self._stage = stage
            self._task = self._bar.add_task(stage, total=max(total, 1))
        self._bar.update(self._task, completed=done, total=max(total, 1))
