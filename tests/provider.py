"""npm's oidc-provider in a process of its own: a real identity provider for programs and people."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.settings import Oidc, OidcClient

IDP = Path(__file__).parent / "idp"
#: Password of everybody there: ana.lyst (partnership), owen.data (ohio-education), stray.cat (nobody here).
PASSWORD = "correct horse battery staple"


@contextmanager
def provider(redirect_uri: str = "") -> Iterator[Oidc]:
    """Run it; with an address to send people back to, it knows the pages as a client."""
    node = shutil.which("node")
    if node is None or not (IDP / "node_modules").is_dir():
        message = "node or tests/idp/node_modules (npm ci) is missing: the real provider's tests did NOT run"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    process = subprocess.Popen(
        [node, str(IDP / "server.mjs"), redirect_uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    pages = OidcClient("cohortlink-pages", redirect_uri, "a secret: with/signs %") if redirect_uri else None
    yield Oidc(said["issuer"], said["audience"], client=pages)
    process.stdin.close()
    process.stdout.close()
    process.wait(10)
