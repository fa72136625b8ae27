"""Real API and worker processes that can be killed and are back in a fraction of a second.

They are forked from a server process that has imported everything (`multiprocessing`'s forkserver): what
runs in them is what `cohortlink serve` and `cohortlink worker` run, without the seconds of importing.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from app.settings import Settings
from linkage.distributed import Cluster
from tests.linkage.dask_cluster import Running

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["app.main", "app.worker", "tests.faults.processes"])
#: Of the worker: shorter than in production, so that a campaign of hundreds ends.
TICK, SILENCE = 0.1, 1.5


def _enter(environ: dict[str, str], log: str, teller: int) -> None:
    threading.Thread(target=_end_with, args=(teller,), daemon=True).start()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for name in [name for name in os.environ if name.startswith("COHORTLINK_")]:
        del os.environ[name]
    os.environ.update(environ)


def _api(environ: dict[str, str], log: str, teller: int, port: int) -> None:
    import uvicorn

    from app.logs import configure
    from app.main import create_app

    _enter(environ, log, teller)
    configure()
    application = create_app(Settings.from_env())
    uvicorn.run(application, host="127.0.0.1", port=port, access_log=False, log_config=None)


def work(environ: dict[str, str], log: str, teller: int) -> None:
    from app.logs import configure
    from app.worker import serve_runs

    _enter(environ, log, teller)
    configure()
    serve_runs(Settings.from_env(), parent=os.getppid(), tick=TICK, silence=SILENCE)


def _end_with(teller: int) -> None:
    """Whoever tells the story may be killed as well: then nobody is left behind."""
    while Path(f"/proc/{teller}").exists():
        time.sleep(0.5)
    os._exit(1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Victim:
    """One process that is killed and started again, any number of times."""

    def __init__(
        self, target: Any, settings: Settings, log: Path, *arguments: Any, cluster: Cluster | None = None
    ) -> None:
        environ = settings.to_environ() | (cluster.to_environment() if cluster else {})
        self._arguments = (environ, str(log), os.getpid(), *arguments)
        self._target = target
        self.kills = 0
        self.process: Any = None
        self.start()

    def start(self) -> None:
        self.process = CONTEXT.Process(target=self._target, args=self._arguments, daemon=True)
        self.process.start()

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        self.process.close()
        self.process = None

    def kill_and_restart(self) -> None:
        self.kill()
        self.kills += 1
        self.start()

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def stop(self) -> None:
        if self.process is not None:
            self.kill()


class DaskWorkers:
    """The workers of a Dask cluster, of which one is killed at a time and started again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.running = Running(folder)
        self.running.wait(2)

    def kill_and_restart(self, rng: random.Random) -> None:
        """`kill -9` one of them; another takes its place."""
        self.running.replace_worker(rng.randrange(len(self.running.workers)))

    def stop(self) -> None:
        self.running.stop()


class Node:
    """An API and its workers over one data folder; with `cluster`, they compare there."""

    def __init__(
        self, settings: Settings, log: Path, *, workers: int = 1, cluster: Cluster | None = None
    ) -> None:
        self.log = log
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = Victim(_api, settings, log, self.port)
        self.workers = [Victim(work, settings, log, cluster=cluster) for _ in range(workers)]

    def ready(self, stop: threading.Event | None = None) -> bool:
        """Wait until the API answers; False if `stop` is set before."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not (stop is not None and stop.is_set()):
            try:
                if httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                    return True
            except httpx.TransportError:
                time.sleep(0.02)
        if stop is not None and stop.is_set():
            return False
        raise AssertionError(f"the API does not answer:\n{self.log.read_text()[-3000:]}")

    def close(self) -> None:
        for victim in (self.api, *self.workers):
            victim.stop()
