"""A served region for the browser: linked, real, small; built once for all test processes of a run.

The scenario is the demo's at a small scale, with all that pages show: indicators of every kind, a nonprofit,
an auditor. Its clock runs from one day on, so that pages say nearly the same at every run.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from app.auth import Role
from app.demo.thresholds import write_thresholds
from app.flows import load_thresholds, organizations, publish_release
from app.flows.organizations import authenticate
from app.flows.publish_release import Question
from app.flows.service import Service, open_service
from app.main import create_app
from app.settings import Settings
from crypto.signatures import SigningKey
from tests.flows.linkage_world import AGREEMENT, COHORTS, World, make_packages, populate
from tests.flows.test_release import link_once

__all__ = ["AGREEMENT", "COHORTS", "Region", "built", "serve"]

SCALE = 0.04
AUDITOR = "auditor"
INDICATORS = [
    "employed_q4",
    "employed_q2",
    "attached_kystats",
    "median_earnings_q2",
    "earnings_percentiles_y1",
    "self_sufficient",
    "gap",
    "trend",
    "contribution",
]
DIMENSIONS = ["pathway", "cohort_year", "race_ethnicity", "sex", "state_of_work"]


class SteppingClock:
    """Goes on by one step whenever somebody looks."""

    def __init__(self, now: datetime, step: timedelta = timedelta(0)) -> None:
        self.now = now
        self.step = step

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now


@dataclass
class Region:
    """A region that is being served.

    Attributes
    ----------
    url : str
        Address, without a slash at the end.
    service : Service
        The served service itself.
    api_keys : dict of str to str
        By organization: ``operator``, ``partnership``, ``auditor`` and the five agencies.
    signing_keys : dict of str to SigningKey
        Of the agencies.
    batches : dict of str to str
        By agency.
    """

    url: str
    service: Service
    clock: SteppingClock
    api_keys: dict[str, str]
    signing_keys: dict[str, SigningKey]
    batches: dict[str, str]

    def caller(self, organization: str) -> Any:
        """The organization as the flows see it."""
        return authenticate(self.service, f"Bearer {self.api_keys[organization]}")


def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the region before any test asked anything; to be copied, not served."""
    base = tmp_path_factory.getbasetemp()
    # Processes of one run share a folder above their own.
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "browser-region"
    shared.mkdir(parents=True, exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = shared / "region"
        if not (folder / "built.json").exists():
            _build(shared, folder)
    return folder


def _build(shared: Path, folder: Path) -> None:
    packages = make_packages(shared / "agencies", scale=SCALE, seed=2026)
    clock = SteppingClock(datetime(2026, 11, 20, 9, tzinfo=UTC), timedelta(seconds=7))
    service = open_service(Settings.for_data(folder / "data"), clock=clock)
    world = populate(
        service,
        packages,
        indicators=INDICATORS,
        dimensions=DIMENSIONS,
        evaluated_program="Post-secondary credentials awarded in the region",
    )
    operator = world.operator
    organizations.create_organization(service, operator, AUDITOR, "The auditor")
    keys = {"operator": world.operator_key, "partnership": world.partnership_key}
    for slug, role in {AUDITOR: Role.AUDITOR, **dict.fromkeys(packages.folders, Role.AGENCY)}.items():
        keys[slug] = organizations.create_api_key(service, operator, slug, role, None)["api_key"]
    write_thresholds(folder / "thresholds.csv")
    load_thresholds.load(service, operator, (folder / "thresholds.csv").read_text(encoding="utf-8"))
    link_once(world)
    # What is out first decides what may be shown beside it: so the first figures are always the same.
    for by in ((), ("pathway",), ("race_ethnicity",), ("sex",), ("cohort_year",)):
        publish_release.request_release(
            service, world.partnership, AGREEMENT, Question("employed_q4", COHORTS, by)
        )
    service.close()
    for slug, key in world.signers.items():
        key.save(folder / f"{slug}.json")
    _write_built(folder, world, keys, clock)


def _write_built(folder: Path, world: World, keys: dict[str, str], clock: SteppingClock) -> None:
    built = {"keys": keys, "batches": world.batches, "now": clock.now.isoformat()}
    (folder / "built.json").write_text(json.dumps(built), encoding="utf-8")


@contextmanager
def serve(folder: Path, copy: Path) -> Iterator[Region]:
    """Serve a copy of what was built, on a free port, until the block ends."""
    built = json.loads((folder / "built.json").read_text(encoding="utf-8"))
    shutil.copytree(folder / "data", copy)
    clock = SteppingClock(datetime.fromisoformat(built["now"]), timedelta(milliseconds=200))
    # Browsers fetch quickly; how often one may ask is tested elsewhere.
    app = create_app(replace(Settings.for_data(copy), rate_limit=0), clock=clock)
    with running(app) as url:
        signing = {slug: SigningKey.load(folder / f"{slug}.json") for slug in built["batches"]}
        yield Region(url, app.state.service, clock, built["keys"], signing, built["batches"])


@contextmanager
def running(app: Any, port: int = 0) -> Iterator[str]:
    """Run an application in a thread; gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("The service did not start.")
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
