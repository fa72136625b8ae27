"""deploy/Caddyfile as it stands, by a real Caddy, in front of two nodes that are programs of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.errors import ServiceError
from app.settings import Settings

ROOT = Path(__file__).parents[2]
#: For a test beside others: no administration port, nobody's trust store is touched, port 80 stays free.
ALONE = "{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"


@dataclass
class Site:
    """Caddy's address, and the nodes behind it by their ports."""

    port: int
    nodes: dict[int, subprocess.Popen[bytes]]

    @contextmanager
    def client(self, address: str = "127.0.0.1") -> Iterator[httpx.Client]:
        """Somebody at an address of his own."""
        transport = httpx.HTTPTransport(verify=False, local_address=address)
        with httpx.Client(
            transport=transport, base_url=f"https://localhost:{self.port}", timeout=60
        ) as client:
            yield client


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, "It did not come up."
        time.sleep(0.2)


def answers(address: str) -> bool:
    try:
        return httpx.get(address, verify=False, timeout=30).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def site(folder: Path, trusted: str) -> Iterator[Site]:
    caddy = shutil.which("caddy")
    if caddy is None:
        message = "No caddy is installed: the deployment's proxy was NOT tried"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    environment = os.environ | {"COHORTLINK_TRUSTED_PROXIES": trusted, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "app.cli", "serve", "--no-worker", "--data", str(folder / "data")]
    ports = [free_port(), free_port()]
    nodes: dict[int, subprocess.Popen[bytes]] = {}
    running: list[subprocess.Popen[bytes]] = []
    try:
        for port in ports:
            nodes[port] = subprocess.Popen(
                [*command, "--port", str(port)], env=environment, stdout=subprocess.DEVNULL
            )
            running.append(nodes[port])
            # One after the other: the first makes database and keys.
            until(lambda port=port: answers(f"http://127.0.0.1:{port}/readyz"))  # type: ignore[misc]
        written = (ROOT / "deploy" / "Caddyfile").read_text()
        for name, port in zip(("api-1:8000", "api-2:8000"), ports, strict=True):
            assert name in written
            written = written.replace(name, f"127.0.0.1:{port}")
        (folder / "Caddyfile").write_text(ALONE + written)
        front = free_port()
        running.append(
            subprocess.Popen(
                [caddy, "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"],
                env=os.environ
                | {
                    "COHORTLINK_DOMAIN": f"https://localhost:{front}",
                    "XDG_DATA_HOME": str(folder / "caddy"),
                    "XDG_CONFIG_HOME": str(folder / "caddy"),
                },
                stderr=subprocess.DEVNULL,
            )
        )
        until(lambda: answers(f"https://localhost:{front}/readyz"))
        yield Site(front, nodes)
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(30)


def sign_in(front: Site, client: httpx.Client, key: str, claimed: str = "") -> httpx.Response:
    """Through the form, as a browser sends it; perhaps claiming to be somebody else's proxy."""
    headers = {"Origin": f"https://localhost:{front.port}"} | (
        {"X-Forwarded-For": claimed} if claimed else {}
    )
    return client.post("/sign-in", data={"api_key": key}, headers=headers)


def operator_key(folder: Path) -> str:
    file = folder / "operator.key"
    command = [sys.executable, "-m", "app.cli", "org", "bootstrap", "--name", "Operator"]
    subprocess.run(
        [*command, "--key-file", str(file), "--data", str(folder / "data")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    return file.read_text().strip()


def test_proxy_of_the_deployment_keeps_clients_apart_and_outlives_a_node(tmp_path: Path) -> None:
    with site(tmp_path, trusted="127.0.0.1") as front:
        key = operator_key(tmp_path)
        with front.client() as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/metrics").status_code == 404
            assert client.get("/healthz").headers["strict-transport-security"] == "max-age=31536000"
            # A stranger uses up the attempts of his own address, and not even he chooses another.
            with front.client("127.0.0.9") as stranger:
                tries = [
                    sign_in(front, stranger, "wrong", f"198.51.100.{number}").status_code
                    for number in range(12)
                ]
            assert (tries[0], tries[-1]) == (401, 429)
            came = sign_in(front, client, key)
            assert came.status_code == 303
            assert "Secure" in came.headers["set-cookie"]
            client.cookies.set("cohortlink_session", came.cookies["cohortlink_session"])
            assert client.get("/operator").status_code == 200
            # Whichever this address was sent to: the other goes on, and whoever is signed in stays so.
            one = next(iter(front.nodes.values()))
            one.kill()
            one.wait()
            assert client.get("/operator").status_code == 200


def test_node_that_does_not_know_its_proxy_believes_nothing_it_is_told(tmp_path: Path) -> None:
    with site(tmp_path, trusted="192.0.2.1") as front, front.client() as client:
        came = sign_in(front, client, operator_key(tmp_path))
        assert came.status_code == 303
        assert "Secure" not in came.headers["set-cookie"]


@pytest.mark.parametrize("value", ["*", "proxy", "10.0.0.0/8, 10.1.0.0/7", "127.0.0.1;10.0.0.1"])
def test_trusted_proxies_that_are_no_addresses_are_refused(value: str) -> None:
    with pytest.raises(ServiceError, match="SETTINGS_INVALID"):
        Settings.from_env({"COHORTLINK_TRUSTED_PROXIES": value})


def test_trusted_proxies_are_addresses_and_networks() -> None:
    read = Settings.from_env({"COHORTLINK_TRUSTED_PROXIES": "10.0.0.0/8, ::1"})
    assert read.trusted_proxies == ("10.0.0.0/8", "::1")
    assert Settings.from_env({}).trusted_proxies == ("127.0.0.1",)
