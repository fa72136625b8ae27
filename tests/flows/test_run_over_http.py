"""Runs and releases as programs call them: HTTP, server-sent events, CSV, and the command line."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from typer.testing import CliRunner, Result

from app.cli import app as cli
from app.errors import ServiceError
from app.flows import link_inputs, run_linkage
from app.flows.service import open_service
from app.main import create_app
from app.settings import Settings
from app.store import runs
from tests.flows.linkage_world import AGREEMENT, COHORTS, Packages, World, populate


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory, packages: Packages) -> Iterator[World]:
    service = open_service(Settings.for_data(tmp_path_factory.mktemp("served")))
    yield populate(service, packages)
    service.close()


@pytest.fixture(scope="module")
def url(region: World) -> Iterator[str]:
    """The application on a port of its own; a thread of this process plays the worker."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = create_app(region.service.settings)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def key_files(region: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    files = {"operator": region.operator_key, "partnership": region.partnership_key}
    for name, key in files.items():
        (folder / name).write_text(key + "\n")
    return {name: folder / name for name in files}


def work(region: World, run_id: str) -> threading.Thread:
    def run() -> None:
        service = region.service
        owner = run_linkage.begin(service, run_id, "w")
        assert owner is not None
        try:
            produced = link_inputs.link_inputs(
                service, service.plane("encodings"), service.plane("links"), run_id, owner
            )
            run_linkage.finish(service, run_id, owner, produced)
        except Exception:
            # As the worker does: a run that nobody ends would be watched for ever.
            run_linkage.fail(service, run_id, owner, "INTERNAL_ERROR")
            raise

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def command(url: str, key_file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--url", url, "--api-key-file", str(key_file)])


def said(result: Result) -> dict[str, Any]:
    """The command's answer; the service of this same process writes its log lines before it."""
    document: dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
    return document


def headers(region: World, who: str) -> dict[str, str]:
    key = {"operator": region.operator_key, "partnership": region.partnership_key}[who]
    return {"Authorization": f"Bearer {key}"}


def test_run_when_watched_over_events_ends_with_its_last_state_and_release_is_answered(
    region: World, url: str, key_files: dict[str, Path]
) -> None:
    started = command(url, key_files["operator"], "run", "start", AGREEMENT, "--json")
    assert started.exit_code == 0, started.output
    run_id = said(started)["id"]
    assert said(started)["state"] == "QUEUED"
    early = httpx.get(f"{url}/v1/runs/{run_id}/quality", headers=headers(region, "operator"))
    assert (early.status_code, early.json()["code"]) == (409, "RUN_NOT_FINISHED")

    worker = work(region, run_id)
    watched = command(url, key_files["operator"], "run", "watch", run_id, "--json")
    worker.join()
    assert watched.exit_code == 0, watched.output
    assert said(watched)["state"] == "SUCCEEDED"

    events = httpx.get(f"{url}/v1/runs/{run_id}/events", headers=headers(region, "operator"))
    assert events.headers["content-type"].startswith("text/event-stream")
    (data,) = [line for line in events.text.splitlines() if line.startswith("data:")]
    assert json.loads(data[5:])["state"] == "SUCCEEDED"
    shown = command(url, key_files["operator"], "run", "show", run_id, "--quality")
    assert "rate" in shown.output

    asked = command(
        url,
        key_files["partnership"],
        *("release", "request", AGREEMENT, "--indicator", "employed_q4"),
        *("--cohort", COHORTS, "--by", "pathway", "--json"),
    )
    assert asked.exit_code == 0, asked.output
    release = said(asked)
    address = f"{url}/v1/releases/{release['id']}"
    as_json = httpx.get(address, headers=headers(region, "partnership"))
    assert as_json.json()["table"] == release["table"]
    as_csv = httpx.get(address, headers=headers(region, "partnership") | {"Accept": "text/csv"})
    assert as_csv.headers["content-type"].startswith("text/csv")
    assert "pathway,label,status,n,found,rate" in as_csv.text
    assert "persons" in command(url, key_files["partnership"], "release", "show", release["id"]).output


def test_start_from_a_run_that_is_unknown_or_has_nothing_new_is_refused_and_says_why(
    region: World, url: str, key_files: dict[str, Path]
) -> None:
    start = ("run", "start", AGREEMENT, "--since")
    refused = command(url, key_files["operator"], *start, "run-0")
    assert refused.exit_code == 1 and "RUN_UNKNOWN" in str(refused.exception)
    with region.service.store.reading() as tx:
        before = runs.latest_succeeded(tx, AGREEMENT)
    assert before is not None
    refused = command(url, key_files["operator"], *start, before.id)
    assert refused.exit_code == 1 and "PAST_NOTHING_NEW" in str(refused.exception)


def test_events_when_the_run_is_unknown_or_the_caller_may_not_are_a_problem_document(
    region: World, url: str
) -> None:
    for who, status in (("operator", 404), ("partnership", 403)):
        answer = httpx.get(f"{url}/v1/runs/run-0/events", headers=headers(region, who))
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_question_when_malformed_is_refused_without_its_values(region: World, url: str) -> None:
    answer = httpx.post(
        f"{url}/v1/agreements/{AGREEMENT}/releases",
        json={"indicator": "employed_q4", "cohort": COHORTS, "last_name": "Miller"},
        headers=headers(region, "partnership"),
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "REQUEST_INVALID")
    assert "Miller" not in answer.text


def test_command_when_the_service_does_not_answer_says_so(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("clk_" + "A" * 43)
    result = command("http://127.0.0.1:9", key, "run", "show", "run-0")
    assert isinstance(result.exception, ServiceError)
    assert result.exception.code == "SERVICE_UNREACHABLE"
