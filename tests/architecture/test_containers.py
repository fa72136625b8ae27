"""Dockerfile and compose.yaml, read: CI has no container engine, so a linter reads them and what
they name is proved to exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from app.cli import app as cli
from app.settings import Settings
from linkage.distributed import Cluster

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
CLUSTER: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.dask.yaml").read_text())
OURS = {name: item for name, item in SERVICES.items() if item["image"].startswith("cohortlink:")}


def accepted(command: list[str]) -> None:
    """The installed program takes this command line: each command and option exists."""
    assert command[0] == "cohortlink"
    chosen = get_command(cli).commands[command[1]]  # type: ignore[attr-defined]
    chosen.make_context(command[1], list(command[2:]), resilient_parsing=False)


def test_the_images_command_and_health_check_exist() -> None:
    accepted(json.loads(re.findall(r"^CMD (\[.*\])", DOCKERFILE, re.MULTILINE)[-1]))
    probe = json.loads(re.search(r"^HEALTHCHECK .*CMD (\[.*\])", DOCKERFILE, re.MULTILINE)[1])  # type: ignore[index]
    assert probe[:2] == ["python", "-c"]
    compile(probe[2], "HEALTHCHECK", "exec")
    assert "/readyz" in probe[2]


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    """The linter comes with the development requirements; `# hadolint ignore` is not used."""
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [linter, "--failure-threshold", "style", ROOT / "Dockerfile"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
    wrong = DOCKERFILE.replace("USER 10001", "USER root\nRUN cd /tmp && apt-get update")
    found = subprocess.run([linter, "-"], input=wrong, capture_output=True, text=True)
    assert found.returncode == 1, "the linter looks"
    assert "ignore" not in DOCKERFILE


def test_every_image_that_is_not_ours_has_its_version() -> None:
    images = [item["image"] for item in SERVICES.values() if not item["image"].startswith("cohortlink:")]
    assert len(images) == 4
    for image in images + re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE):
        name, _, tag = image.partition(":")
        assert re.search(r"\d+\.\d+|RELEASE\.\d{4}-\d{2}-\d{2}", tag), (name, "a version, not a moving name")


def test_the_image_copies_what_exists_and_does_not_run_as_root() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)[-1] == "10001"
    assert len(re.findall(r"^FROM ", DOCKERFILE, re.MULTILINE)) == 2
    assert "--require-hashes" in DOCKERFILE


@pytest.mark.parametrize("name", sorted(OURS))
def test_each_of_our_containers_runs_a_command_that_exists_on_a_read_only_root(name: str) -> None:
    item = OURS[name]
    accepted(item["command"])
    assert item["read_only"] is True
    assert item["cap_drop"] == ["ALL"]
    environ = {
        key: str(value).replace("${", "").replace(":?}", "") for key, value in item["environment"].items()
    }
    ours = {key: value for key, value in environ.items() if key.startswith("COHORTLINK_")}
    settings = Settings.from_env(ours)
    assert not settings.embedded
    assert settings.blob_url.startswith("s3://")


def test_there_are_two_of_each_and_everything_that_they_need() -> None:
    commands = [item["command"][:2] for item in OURS.values()]
    assert commands.count(["cohortlink", "serve"]) == commands.count(["cohortlink", "worker"]) == 2
    assert commands.count(["cohortlink", "migrate"]) == 1
    for name in ("database", "objects", "proxy"):
        assert name in SERVICES


def test_every_volume_dependency_and_file_that_is_named_exists() -> None:
    for name, item in SERVICES.items():
        for other in item.get("depends_on", []):
            assert other in SERVICES, (name, other)
        for volume in item.get("volumes", []):
            source = volume.split(":")[0]
            known = (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
            assert known, (name, source)
    upstreams = re.findall(r"(\S+):8000", (ROOT / "deploy" / "Caddyfile").read_text())
    assert set(upstreams) == {name for name, item in OURS.items() if item["command"][1] == "serve"}


def test_no_secret_stands_in_the_files() -> None:
    for name, value in OURS["api-1"]["environment"].items():
        if "SECRET" in name or "PASSWORD" in name or "ACCESS_KEY" in name:
            assert str(value).startswith("${"), name


def test_the_cluster_speaks_tls_alone_and_keeps_filters_off_the_disk() -> None:
    """Its settings are read by Dask itself, its command lines by Dask's programs."""
    from dask.config import collect_env, get
    from distributed.cli import dask_scheduler, dask_worker

    assert "dask" not in SERVICES and "scheduler" not in SERVICES
    for name, program in (("scheduler", dask_scheduler.main), ("compute", dask_worker.main)):
        item = CLUSTER["services"][name]
        assert item["command"][:2] == ["dask", "worker" if name == "compute" else "scheduler"]
        program.make_context(name, list(item["command"][2:]), resilient_parsing=True)
        assert item["command"][item["command"].index("--protocol") + 1] == "tls"
        assert item["read_only"] is True and item["cap_drop"] == ["ALL"]
        assert "ports" not in item
        read = collect_env(item["environment"])
        assert get("distributed.comm.require-encryption", config=read) is True
        assert get("distributed.worker.memory.spill", config=read) is False
        assert get("distributed.worker.memory.target", config=read) is False
        for path in ("ca-file", "scheduler.cert", "scheduler.key", "worker.cert", "worker.key"):
            secret = get(f"distributed.comm.tls.{path}", config=read).removeprefix("/run/secrets/")
            assert secret in item["secrets"] and secret in CLUSTER["secrets"]
    for name in ("worker-1", "worker-2"):
        assert OURS[name]["command"] == ["cohortlink", "worker"]
        given = CLUSTER["services"][name]["environment"]
        Settings.from_env(given)
        assert Cluster.from_environment(given) is not None
