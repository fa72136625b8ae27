"""Scans on a real Dask cluster over mutual TLS: the same pairs, also when a worker dies in the middle."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from linkage import distributed
from linkage.distributed import Cluster
from linkage.errors import LinkageError
from linkage.run import Options, Source, link
from linkage.scan import dice_pairs
from tests.linkage.dask_cluster import Running, make_certificates
from tests.linkage.synthetic import field_level_spec, make_world


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    started = Running(tmp_path_factory.mktemp("dask"))
    try:
        started.wait(2)
        yield started
    finally:
        started.stop()


def test_link_on_a_cluster_gives_the_bytes_of_the_local_run(running: Running) -> None:
    world = make_world(0.02, seed=4)
    sources = [Source(n, world.encodings[n]) for n in ("edu-oh", "ui-oh")]
    here = link(sources, field_level_spec())
    there = link(sources, field_level_spec(), options=Options(cluster=running.cluster))
    assert there.persons.equals(here.persons)
    assert there.links.equals(here.links)
    assert there.report == here.report


def test_scan_on_a_cluster_whose_worker_is_killed_in_the_middle_gives_the_same_pairs(
    running: Running,
) -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 2**64, (16_000, 16), dtype=np.uint64)
    b = np.concatenate([a[::7], rng.integers(0, 2**64, (4_000, 16), dtype=np.uint64)])
    here = [
        np.concatenate(x) for x in zip(*((f.i, f.j, f.bits) for f in dice_pairs(a, b, "0.52")), strict=True)
    ]
    blocks = []
    for n, found in enumerate(running.cluster.pairs("dice", a, b, "0.52", lambda *_: None)):
        blocks.append(found)
        if n == 1:
            running.workers[0].send_signal(signal.SIGKILL)
    there = [np.concatenate(x) for x in zip(*((f.i, f.j, f.bits) for f in blocks), strict=True)]
    assert running.workers[0].wait(10) == -signal.SIGKILL
    for local, remote in zip(here, there, strict=True):
        assert np.array_equal(local, remote)


def test_a_worker_killed_while_filters_are_sent_neither_stops_the_scan_nor_fails_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending to a worker that dies at that moment never ends by itself."""
    monkeypatch.setattr(distributed, "_SENDING", 12.0)
    rng = np.random.default_rng(2)
    filters = rng.integers(0, 2**64, (300, 16), dtype=np.uint64)
    started = Running(tmp_path)
    try:
        started.wait(2)
        for delay in (0.02, 0.08, 0.15):
            killer = threading.Timer(delay, started.replace_worker, [0])
            killer.start()
            found = list(started.cluster.pairs("dice", filters, filters, "0.9", lambda *_: None))
            killer.join()
            assert sum(len(block.i) for block in found) == 300
    finally:
        started.stop()


def test_a_scan_that_is_stopped_while_it_waits_for_a_block_lets_go(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "_result", lambda *_: None)
    told = []

    def progress(*_: object) -> None:
        told.append(1)
        if len(told) == 5:
            raise StopError

    filters = np.ones((300, 16), np.uint64)
    with pytest.raises(StopError):
        list(running.cluster.pairs("dice", filters, filters, "0.9", progress))


class StopError(Exception):
    """What a run raises that is to stop."""


def test_scheduler_without_our_certificate_turns_us_away(running: Running, tmp_path: Path) -> None:
    other = make_certificates(tmp_path)
    stranger = Cluster(running.cluster.address, other["ca"], other["cert"], other["key"])
    filters = np.ones((4, 16), np.uint64)
    with pytest.raises(LinkageError, match="CLUSTER_UNREACHABLE"):
        list(stranger.pairs("dice", filters, filters, "0.9", lambda *_: None))


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({"COHORTLINK_DASK_ADDRESS": "tcp://127.0.0.1:8786"}, "CLUSTER_NOT_TLS"),
        ({"COHORTLINK_DASK_ADDRESS": "tls://127.0.0.1:8786"}, "CLUSTER_CREDENTIALS"),
    ],
)
def test_cluster_in_clear_or_without_credentials_is_refused(environment: dict[str, str], code: str) -> None:
    with pytest.raises(LinkageError, match=code):
        Cluster.from_environment(environment)


def test_cluster_that_nobody_names_is_none() -> None:
    assert Cluster.from_environment({}) is None
