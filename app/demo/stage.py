"""What the story stands on: the demo's folder, its processes, its calls, and a voice."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

MARKER = ".cohortlink-demo"
MARKER_TEXT = "A folder of the Cohortlink demo. The next demo deletes everything in here.\n"
START_SECONDS = 60.0


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


@dataclass(frozen=True)
class Workspace:
    """Where the demo's things lie. The service's own folder is ``data`` itself, as `make serve` opens it.

    ``data/demo`` holds what belongs to everybody else; the service is never told of it.
    """

    data: Path

    @property
    def world(self) -> Path:
        """Everything outside of the service."""
        return self.data / "demo"

    @property
    def agencies(self) -> Path:
        """The agencies' own disks: rosters, secret, keys, packages."""
        return self.world / "agencies"

    @property
    def partnership(self) -> Path:
        """The partnership's: answers and charts."""
        return self.world / "partnership"

    @property
    def auditor(self) -> Path:
        """The auditor's: copies of the log."""
        return self.world / "auditor"

    @property
    def operator(self) -> Path:
        """The operator's: keys, and what the service printed."""
        return self.world / "operator"

    @property
    def said(self) -> Path:
        """Every answer of the service and every line that a program printed."""
        return self.world / "said"

    @property
    def laboratory(self) -> Path:
        """Where the demo measures, with everybody's packages and the truth; nobody else may have such a
        place.
        """
        return self.world / "laboratory"

    def service_files(self) -> list[Path]:
        """What the service keeps: everything below ``data`` but the world outside."""
        return [path for path in self.data.iterdir() if path != self.world and path.name != MARKER]

    def package(self, slug: str) -> Path:
        """Package of an agency; the folder's name is the name of its batch offline."""
        return self.agencies / slug / "outbox" / slug


def prepare(data: Path) -> Workspace:
    """Make an empty demo folder, deleting an older one of ours.

    Raises
    ------
    DemoError
        If the folder holds something and bears no mark of the demo.
    """
    data = data.expanduser().resolve()
    if data.exists() and not data.is_dir():
        raise DemoError(f"{data} is a file; give a folder as --data.")
    if data.exists() and any(data.iterdir()):
        if not (data / MARKER).is_file():
            raise DemoError(
                f"{data} is not empty and was not made by the demo, so it is left alone. "
                "Give another folder as --data."
            )
        shutil.rmtree(data)
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    (data / MARKER).write_text(MARKER_TEXT, encoding="utf-8")
    space = Workspace(data)
    for folder in (
        space.agencies,
        space.partnership,
        space.auditor,
        space.operator,
        space.said,
        space.laboratory,
    ):
        folder.mkdir(parents=True)
    return space


def make_console() -> Console:
    """A console that is wide enough for the tables where nothing tells its width."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=108, force_terminal=False)


@dataclass
class Stage:
    """Runs programs and makes calls, shows them, and keeps what was said.

    Attributes
    ----------
    space : Workspace
    console : Console
    """

    space: Workspace
    console: Console
    _kept: int = field(default=0)

    def chapter(self, number: int, title: str, text: str) -> None:
        """Open a chapter: what happens, who does it, who sees what."""
        self.console.print()
        self.console.print(
            Panel(text, title=f"[bold]{number}. {title}[/bold]", title_align="left", padding=(0, 2))
        )

    def say(self, text: str) -> None:
        """One line of narration."""
        self.console.print(Padding(text, (0, 0, 0, 2), expand=False))

    def keep(self, name: str, text: str) -> Path:
        """Keep what was said, for the search at the end and for the reader."""
        self._kept += 1
        path = self.space.said / f"{self._kept:03d}-{name}"
        path.write_text(text, encoding="utf-8")
        return path

    def program(
        self,
        arguments: Sequence[str | Path],
        *,
        expect: int = 0,
        command: bool = True,
        output: bool = True,
        live: bool = False,
    ) -> str:
        """Run one of our programs as a user would; returns what it wrote on standard output.

        On a terminal its progress bars appear as they are; elsewhere they are kept with the rest.

        Parameters
        ----------
        arguments
            Name of the program and its arguments.
        expect
            Exit code that it must end with.
        command, output
            Whether to show the command, and what it printed.
        live
            Show its progress line by line where there is no terminal for its bars.

        Raises
        ------
        DemoError
            If it ends with another code than ``expect``.
        """
        name, *rest = [str(argument) for argument in arguments]
        if command:
            self._show_command([name, *rest])
        code, said, errors = self._run(name, rest, bars=not expect, live=live)
        label = "-".join([name, *(word for word in rest[:2] if word.isalpha())])
        self.keep(f"{label}.txt", said + errors)
        if code != expect:
            raise DemoError(
                f"{name} {rest[0]} ended with code {code}, not {expect}:\n{(errors + said).strip()[-3000:]}"
            )
        if output:
            self._show_output(said, *(errors.strip().splitlines()[-1:] if expect else ()))
        return said

    def _run(self, name: str, rest: list[str], *, bars: bool, live: bool) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a program; its progress appears as it comes."""
        on_screen = bars and sys.stderr.isatty()
        process = subprocess.Popen(  # noqa: S603 (our own programs with our own arguments)
            [find_program(name), *rest],
            stdout=subprocess.PIPE,
            stderr=None if on_screen else subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=_environment(),
        )
        assert process.stdout is not None
        errors: list[str] = []
        listener = threading.Thread(target=self._listen, args=(process.stderr, errors, live))
        listener.start()
        said = process.stdout.read()
        listener.join()
        return process.wait(), said, "".join(errors)

    def _listen(self, stream: IO[str] | None, heard: list[str], live: bool) -> None:
        for line in stream or ():
            heard.append(line)
            if live:
                self.console.print(f"    {line.rstrip()}", style="dim", markup=False, soft_wrap=True)

    def answer(self, arguments: Sequence[str | Path], *, command: bool = True, live: bool = False) -> Any:
        """Run a program with ``--json`` and parse what it says."""
        text = self.program([*arguments, "--json"], command=command, output=False, live=live)
        try:
            return json.loads(text)
        except ValueError:
            raise DemoError(f"{arguments[0]} {arguments[1]} --json did not answer with JSON.") from None

    def _show_command(self, words: list[str]) -> None:
        short = [word.replace(f"{self.space.data}/", f"{self.space.data.name}/") for word in words]
        self.console.print(Padding(Text("$ " + " ".join(short), style="dim"), (0, 0, 0, 2), expand=False))

    def _show_output(self, *texts: str) -> None:
        for line in "\n".join(texts).splitlines():
            if line.strip():
                short = line.replace(f"{self.space.data}/", f"{self.space.data.name}/")
                self.console.print(f"    {short}", style="cyan", markup=False, soft_wrap=True)


def find_program(name: str) -> str:
    """Path of one of our programs: beside this interpreter, else on the PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise DemoError(f"{name} is not installed; run 'make' in the project's folder first.")
    return found


def _environment() -> dict[str, str]:
    """Environment of the programs, without settings of some other installation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COHORTLINK_")}
    return kept | {"COLUMNS": os.environ.get("COLUMNS", "108"), "PYTHONUNBUFFERED": "1"}


class Caller:
    """One organization's HTTP client; every answer is kept."""

    def __init__(self, stage: Stage, url: str, api_key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._stage = stage
        self._client = httpx.Client(base_url=url, headers=headers, timeout=600.0, trust_env=False)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make a call and return its JSON (or text).

        Raises
        ------
        DemoError
            If the service refuses.
        """
        response = self._client.request(method, f"/v1{path}", json=body)
        # The one answer that holds a secret belongs into a key file, not among what was said.
        text = "(an API key, shown once)" if "/credentials" in path else response.text
        self._stage.keep(
            f"{method}{path.replace('/', '-')}.txt", f"{response.status_code}\n{response.headers}\n{text}"
        )
        if not response.is_success:
            raise DemoError(f"{method} {path} was answered {response.status_code}: {response.text[:2000]}")
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return response.json() if is_json else response.text

    def ask(self, agreement: str, question: dict[str, Any]) -> dict[str, Any]:
        """Ask for figures and wait until they are made, however slow this machine is.

        Raises
        ------
        DemoError
            If the service refuses.
        """
        release: dict[str, Any] = self.call("POST", f"/agreements/{agreement}/releases", question)
        while release["status"] == "PREPARING":
            time.sleep(1)
            release = self.call("GET", f"/releases/{release['id']}")
        if release["status"] != "GRANTED":
            raise DemoError(f"The release was decided {release['status']}.")
        return release

    def refused(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Make a call that must be refused; returns the problem document.

        Raises
        ------
        DemoError
            If it succeeds.
        """
        response = self._client.request(method, f"/v1{path}", json=body)
        self._stage.keep(f"{method}{path.replace('/', '-')}.txt", f"{response.status_code}\n{response.text}")
        if not response.is_client_error:
            raise DemoError(f"{method} {path} was not refused but answered {response.status_code}.")
        problem: dict[str, Any] = response.json()
        return problem


def write_secret(path: Path, text: str) -> Path:
    """Write a key file that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    return path


def free_port() -> int:
    """A port of the loopback interface that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def service(stage: Stage) -> Iterator[str]:
    """Run ``cohortlink serve`` over the demo's data as a process of its own; yields its address.

    Raises
    ------
    DemoError
        If it ends or does not become ready within a minute; with the last lines that it wrote.
    """
    port = free_port()
    log = stage.space.operator / "service.log"
    command = [find_program("cohortlink"), "serve", "--data", str(stage.space.data), "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=_environment()
        )
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}/readyz", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(address, timeout=2.0, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
    raise DemoError(f"The service did not become ready at {address}. It wrote last:\n{last}")
