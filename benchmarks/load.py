"""Requests per second and 99th percentile of the service, beside a bare FastAPI endpoint in the same run.

Both are served by uvicorn in a process of their own, with one worker, and asked by the same client over
keep-alive connections. The read is an authenticated one of an agreement; the outcome query is one whose
cube the ledger holds already; uploads are parts with their digests, encrypted and synced to disk.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI, Request

from app.main import create_app
from app.settings import Settings
from app.store import releases, runs
from app.store.models import Batch, RunState
from benchmarks.results import table, versions, write_section
from crypto.canonical import digest_of
from tests.world import OPERATOR, Clock, World, make_package

ID = "cincinnati-nky"
SECONDS = 4.0
CLIENTS = 8
PART = 4 * 1024 * 1024
PARTS = 16

Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


def bare() -> Any:
    """The least that FastAPI can be asked for: one synchronous endpoint, and one that takes a body."""
    app = FastAPI()

    @app.get("/read")
    def read() -> dict[str, str]:
        return {"id": ID}

    @app.put("/part")
    async def part(request: Request) -> dict[str, int]:
        return {"size": sum([len(chunk) async for chunk in request.stream()])}

    return app


def served() -> Any:
    """The service over the folder that the environment names."""
    return create_app(replace(Settings.from_env(), rate_limit=0))


def _serve(factory: str, port: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "uvicorn", "--factory", factory, "--port", str(port)]
    command += ["--log-level", "error", "--no-access-log"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=os.environ | environment, **quiet)
    for _ in range(300):
        try:
            httpx.get(f"http://127.0.0.1:{port}/openapi.json")
            return process
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError("the server does not start")


async def _rate(
    ask: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]], url: str
) -> tuple[float, float]:
    """Requests per second, and the 99th percentile of their times in milliseconds."""
    times: list[float] = []
    end = time.perf_counter() + SECONDS

    async def one(client: httpx.AsyncClient) -> None:
        while time.perf_counter() < end:
            begun = time.perf_counter()
            answer = await ask(client)
            assert answer.status_code in (200, 201), answer.text
            times.append(time.perf_counter() - begun)

    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        await asyncio.gather(*(one(client) for _ in range(CLIENTS)))
    return len(times) / SECONDS, sorted(times)[int(len(times) * 0.99)] * 1000


async def _upload(urls: list[str], url: str, headers: dict[str, str]) -> float:
    """Megabytes (10⁶ bytes) per second over all parts, two at a time."""
    data = os.urandom(PART)
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    waiting = list(urls)
    begun = time.perf_counter()

    async def one(client: httpx.AsyncClient) -> None:
        while waiting:
            answer = await client.put(
                waiting.pop(), content=data, headers=headers | {"Content-Digest": f"sha-256=:{digest}:"}
            )
            assert answer.status_code in (200, 204), answer.text

    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        await asyncio.gather(*(one(client) for _ in range(2)))
    return len(urls) * PART / 1e6 / (time.perf_counter() - begun)


def _prepare(settings: Settings) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """An agreement with a decided cohort and a batch that waits for parts; returns headers and part URLs."""
    clock = Clock()
    with World(settings, clock) as world:
        world.agree()
        batch = world.submit(world.education, make_package()).json()["id"]
        now = world.service.now()
        row = {"key": {}, "label": "All", "status": "published", "n": 100, "found": 50, "rate": "50.0"}
        cube = {"tables": [{"indicator": "employed_q4", "by": [], "rows": [], "total": row}]}
        with world.service.store.transaction() as tx:
            run = runs.add(tx, "run-1", ID, 1, OPERATOR, [tx.session.get_one(Batch, batch)], {}, now)
            run.state, run.finished_at = RunState.SUCCEEDED, now
            releases.charge(
                tx, "led-1", ID, "run-1", "employed_q4", "2021-22", 15, cube, digest_of(cube), now
            )  # fmt: skip
        package = make_package(seed=2)
        first = package.manifest["files"][0]
        first["size"] = PART * PARTS
        body = world.education.signed("batch-manifest", package.manifest)
        begun = world.education.post(f"/agreements/{ID}/batches", body)
        assert begun.status_code == 201, begun.text
        parts = [f"/v1/batches/{begun.json()['id']}/files/{first['name']}/parts/{n}" for n in range(PARTS)]
        partnership = {"Authorization": f"Bearer {world.partnership.api_key}"}
        return partnership, {"Authorization": f"Bearer {world.education.api_key}"}, parts


async def _measure(settings: Settings) -> dict[str, tuple[float, ...]]:
    partnership, agency, parts = _prepare(settings)
    body = json.dumps({"indicator": "employed_q4", "cohort": "2021-22"}).encode()
    json_headers = partnership | {"Content-Type": "application/json"}
    ours, theirs = "http://127.0.0.1:8971", "http://127.0.0.1:8972"
    servers = [
        _serve("benchmarks.load:served", 8971, settings.to_environ()),
        _serve("benchmarks.load:bare", 8972, {}),
    ]
    try:
        return {
            "bare read": await _rate(lambda client: client.get("/read"), theirs),
            "read": await _rate(lambda c: c.get(f"/v1/agreements/{ID}", headers=partnership), ours),
            "query": await _rate(
                lambda c: c.post(f"/v1/agreements/{ID}/releases", content=body, headers=json_headers), ours
            ),
            "bare upload": (await _upload(["/part"] * PARTS, theirs, {}),),
            "upload": (await _upload(parts, ours, agency),),
        }
    finally:
        for server in servers:
            server.terminate()
            server.wait(20)


def run() -> None:
    """Measure on both, and write the section."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_measure(Settings.for_data(Path(folder) / "data", part_size=PART)))
    rows = [
        (name, f"{found[key][0]:,.0f}", f"{found[key][1]:.1f}")
        for name, key in (
            ("bare FastAPI endpoint", "bare read"),
            ("authenticated read of an agreement", "read"),
            ("outcome query answered from the ledger, recorded and logged", "query"),
        )
    ]
    uploads = [
        ("bare FastAPI endpoint that drops the body", f"{found['bare upload'][0]:,.0f}"),
        ("parts: digest checked, encrypted, synced, in the database", f"{found['upload'][0]:,.0f}"),
    ]
    text = (
        f"One uvicorn worker and SQLite; {CLIENTS} connections for {SECONDS:.0f} s each; the client shares "
        "the machine.\n\n"
        + table(("request", "per second", "p99, ms"), rows)
        + f"\n{PARTS} parts of {PART // 2**20} MiB, two at a time.\n\n"
        + table(("upload", "MB/s"), uploads)
    )
    software = versions(["fastapi", "uvicorn"])
    write_section("Requests and uploads", text, command="python -m benchmarks load", software=software)
    print(text)


if __name__ == "__main__":
    run()
