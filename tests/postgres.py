"""A throw-away PostgreSQL cluster: own directory, own socket, no network, not durable."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg


def binaries() -> Path | None:
    """Folder of initdb and postgres, from PATH or from where Debian puts them."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "postgres").exists()), None)


def _user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as an unprivileged user."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError("no unprivileged user to run PostgreSQL as")


class Cluster:
    """A running cluster that hands out empty databases."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def new_database(self, template: str = "template0") -> str:
        """Create an empty database, or a copy of one, and return its SQLAlchemy URL."""
        name = "t_" + secrets.token_hex(6)
        with self._admin() as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')  # type: ignore[call-overload]
        return f"postgresql+psycopg://cohortlink@/{name}?host={self.socket}"

    def _admin(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.socket), user="cohortlink", dbname="postgres", autocommit=True, connect_timeout=5
        )

    def answers(self) -> bool:
        try:
            self._admin().close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Initialise and run a cluster; its socket lies in a short path, as sockets must."""
    user = _user()
    root = Path(tempfile.mkdtemp(prefix="clpg-"))
    if user:
        os.chown(root, user["user"], user["group"])
    common: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "cwd": "/",
        "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"},
    }
    data = root / "data"
    process: subprocess.Popen[bytes] | None = None
    try:
        subprocess.run(
            [folder / "initdb", "-D", data, "-A", "trust", "-U", "cohortlink", "-E", "UTF8", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, **common, **user,
        )  # fmt: skip
        options = ("listen_addresses=", "fsync=off", "max_connections=200", f"unix_socket_directories={root}")
        arguments = [item for option in options for item in ("-c", option)]
        with (root / "log").open("wb") as log:
            process = subprocess.Popen(
                [folder / "postgres", "-D", data, *arguments], stdout=log, stderr=log, **common, **user
            )
        cluster = Cluster(root)
        deadline = time.monotonic() + 60
        while not cluster.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{(root / 'log').read_text()[-2000:]}")
            time.sleep(0.05)
        yield cluster
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(30)
        shutil.rmtree(root, ignore_errors=True)
