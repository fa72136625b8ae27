"""A bar on a terminal, few lines elsewhere, nothing with --json."""

from __future__ import annotations

import io

from crypto.agency.progress import LINE_EVERY_SECONDS, Lines, open_progress, silent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_many_quick_steps_write_first_and_last_and_few_between():
    out, clock = io.StringIO(), Clock()
    lines = Lines(out, "items", clock)
    for done in range(1001):
        lines("encode", done, 1000)
        clock.now += 0.01
    written = out.getvalue().splitlines()
    assert written[0] == "encode: 0 of 1,000 (0 %)"
    assert written[-1].startswith("encode: 1,000 of 1,000 (100 %), ")
    assert len(written) <= 2 + 10 / LINE_EVERY_SECONDS


def test_lines_rate_and_time_left_are_of_the_work_done_here():
    out, clock = io.StringIO(), Clock()
    lines = Lines(out, "bytes", clock)
    lines("upload", 6_000_000, 10_000_000)  # the part that a former run sent says nothing of our speed
    clock.now = 4.0
    lines("upload", 8_000_000, 10_000_000)
    assert out.getvalue().splitlines()[-1] == "upload: 8.0 MB of 10.0 MB (80 %), 500.0 kB/s, 0:04 left"


def test_lines_stages_after_each_other_each_begin_and_end():
    out, clock = io.StringIO(), Clock()
    lines = Lines(out, "items", clock)
    for stage in ("download", "verify"):
        lines(stage, 0, 5)
        lines(stage, 5, 5)
        lines(stage, 5, 5)
    assert [line.split(":")[0] for line in out.getvalue().splitlines()] == ["download"] * 2 + ["verify"] * 2


def test_lines_empty_work_is_finished_at_once():
    out = io.StringIO()
    Lines(out, "items", Clock())("encode", 0, 0)
    assert out.getvalue() == "encode: 0 of 0 (100 %)\n"


def test_open_progress_elsewhere_writes_plain_lines_without_control_characters():
    out = io.StringIO()
    with open_progress(stream=out) as progress:
        progress("encode", 0, 10)
        progress("encode", 10, 10)
    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()


def test_open_progress_on_a_terminal_draws_a_bar_for_each_unit():
    for unit in ("bytes", "items"):
        out = Terminal()
        with open_progress(unit=unit, stream=out) as progress:
            progress("upload", 0, 10)
            progress("upload", 10, 10)
        assert "upload" in out.getvalue()
        assert "\x1b" in out.getvalue()


def test_open_progress_silent_writes_nothing():
    for out in (Terminal(), io.StringIO()):
        with open_progress(silent=True, stream=out) as progress:
            progress("upload", 0, 10)
        silent("upload", 0, 10)
        assert out.getvalue() == ""
