"""The question for the secret at a terminal: asked only there, never shown, and as strict as a file."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crypto.wire import read_manifest
from tests.crypto.test_agency_cli import Agency

pty = pytest.importorskip("pty", reason="no pseudo-terminals on this system")

ASKED = b"the agencies' secret (not shown): "


@pytest.fixture
def agency(tmp_path: Path) -> Agency:
    return Agency(tmp_path)


def at_a_terminal(agency: Agency, answer: bytes) -> tuple[int, bytes]:
    """Exit code of ``encode`` without a secret file, and all that the terminal showed."""
    arguments = [str(part) for part in agency.arguments(secret=None, agreement="cin")]
    environment = {k: v for k, v in os.environ.items() if k != "COHORTLINK_AGENCY_SECRET"}
    master, terminal = pty.openpty()
    try:
        program = subprocess.Popen(
            [sys.executable, "-c", "from crypto.agency.cli import main; main()", *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,  # so that the terminal of whoever runs the tests is not asked
            env=environment,
        )
        os.close(terminal)
        shown = b""
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:  # Linux tells of a terminal whose last user is gone by an error
                break
            if not piece:
                break
            if ASKED not in shown and ASKED in shown + piece:
                os.write(master, answer + b"\n")
            shown += piece
        return program.wait(60), shown
    finally:
        os.close(master)


def test_secret_when_asked_at_a_terminal_is_used_and_not_shown(agency: Agency) -> None:
    secret = hashlib.sha256(b"agency").hexdigest().encode()
    code, shown = at_a_terminal(agency, secret)
    assert code == 0, shown
    assert ASKED in shown
    assert secret not in shown
    assert read_manifest(agency.out).agreement == "cin"


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [(b"hunter2", b"SECRET_MALFORMED"), (b"ab" * 32, b"SECRET_WEAK"), (b"", b"SECRET_MISSING")],
)
def test_answer_that_is_no_secret_when_asked_at_a_terminal_is_refused_and_not_shown(
    agency: Agency, answer: bytes, refusal: bytes
) -> None:
    code, shown = at_a_terminal(agency, answer)
    assert code == 1
    assert refusal in shown
    assert not answer or answer not in shown
    assert agency.left_behind() == []
