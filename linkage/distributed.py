"""Comparison blocks on a Dask cluster over mutual TLS; the pairs and their order are those of this machine.

A block is a range of rows of the left side against the whole right side. The scan yields pairs in ascending
order, so blocks put one after the other are the local result, whoever computed them and however often a
worker died in the middle. Filters travel to the workers and stay in their memory for the time of a scan:
run workers without spilling to disk, in a place where the service itself might run.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from linkage.errors import LinkageError
from linkage.scan import SubsetTest, agreement_pairs, dice_pairs
from linkage.scan.stream import PairBlock, Progress

Words = NDArray[np.uint64]
Similarity = Literal["dice", "agreement"]
#: What a block is compared by: similarity, threshold as it prints, and the bits that are looked at first.
Asked = tuple[Similarity, str, SubsetTest | None]

#: Blocks that one scan is cut into at most, and rows of the smallest.
_BLOCKS, _LEAST_ROWS = 64, 256
#: Times that a block is given out anew when its worker or its filters were lost, and that filters are sent.
_TRIES = 4
#: Seconds between two looks at a block that is under way, and for sending filters (at least, and by bytes):
#: sending them to a worker that dies at that moment never ends by itself.
_LOOK, _SENDING, _BYTES_A_SECOND = 10.0, 30.0, 5e6

ADDRESS = "COHORTLINK_DASK_ADDRESS"
_FILES = {
    "tls_ca_file": "COHORTLINK_DASK_CA",
    "tls_client_cert": "COHORTLINK_DASK_CERT",
    "tls_client_key": "COHORTLINK_DASK_KEY",
}


@dataclass(frozen=True)
class Cluster:
    """Where the scheduler listens, and who we are to it.

    Attributes
    ----------
    address : str
        ``tls://host:port``.
    ca, certificate, key : str
        PEM files: who signs the scheduler and the workers, and what we show them.
    """

    address: str
    ca: str
    certificate: str
    key: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Cluster | None:
        """The cluster that the environment names; None where it names none.

        Raises
        ------
        LinkageError
            ``CLUSTER_NOT_TLS``; ``CLUSTER_CREDENTIALS`` naming the variable that is missing.
        """
        address = environment.get(ADDRESS, "")
        if not address:
            return None
        if not address.startswith("tls://"):
            raise LinkageError(
                "CLUSTER_NOT_TLS", f"{ADDRESS} must begin with tls://: filters never travel in clear."
            )
        for variable in _FILES.values():
            if not environment.get(variable):
                raise LinkageError("CLUSTER_CREDENTIALS", f"{variable} is needed beside {ADDRESS}.")
        return cls(address, *(environment[variable] for variable in _FILES.values()))

    def to_environment(self) -> dict[str, str]:
        """The variables from which `from_environment` reads this."""
        files = dict(zip(_FILES.values(), (self.ca, self.certificate, self.key), strict=True))
        return {ADDRESS: self.address, **files}

    def pairs(
        self,
        similarity: Similarity,
        a: Words,
        b: Words,
        threshold: str,
        progress: Progress,
        subset: SubsetTest | None = None,
    ) -> Iterator[PairBlock]:
        """What `linkage.scan` yields for these filters, computed on the cluster.

        Raises
        ------
        LinkageError
            ``CLUSTER_UNREACHABLE``; ``CLUSTER_FAILED`` if a block was lost too often.
        """
        import distributed

        dask: Any = distributed  # untyped
        security = dask.Security(
            tls_ca_file=self.ca,
            tls_client_cert=self.certificate,
            tls_client_key=self.key,
            require_encryption=True,
        )
        try:
            client = dask.Client(self.address, security=security, timeout="15s", set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise LinkageError("CLUSTER_UNREACHABLE", "The Dask scheduler cannot be reached.") from error
        try:
            yield from _gathered(client, (similarity, threshold, subset), a, b, progress)
        finally:
            client.close()


def scan_block(asked: Asked, a: Words, b: Words) -> tuple[Any, Any, Any]:
    """One block, on a worker: i (within the block), j and bits of its pairs, ascending."""
    similarity, threshold, subset = asked
    found = list(
        dice_pairs(a, b, threshold, threads=1)
        if similarity == "dice"
        else agreement_pairs(a, b, threshold, subset=subset, threads=1)
    )
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32)
    return tuple(np.concatenate([getattr(f, name) for f in found]) for name in ("i", "j", "bits"))  # type: ignore[return-value]


def _gathered(client: Any, asked: Asked, a: Words, b: Words, progress: Progress) -> Iterator[PairBlock]:
    rows = max(_LEAST_ROWS, -(-len(a) // _BLOCKS))
    starts = deque(range(0, len(a), rows))
    total = len(a) * len(b)
    progress("scan", 0, total)
    right = _scattered(client, b)
    under_way: deque[tuple[int, int, Any]] = deque()
    done = 0

    def give_out(start: int) -> Any:
        # Not pure: a block given out anew must not be answered by the failure of the one before.
        return client.submit(scan_block, asked, a[start : start + rows], right, pure=False)

    ahead = max(4, 3 * len(client.scheduler_info()["workers"]))
    while starts or under_way:
        while starts and len(under_way) < ahead:
            start = starts.popleft()
            under_way.append((start, 1, give_out(start)))
        start, tries, future = under_way.popleft()
        try:
            found = _result(client, future, right)
        except LinkageError:
            raise
        except Exception as error:  # of many kinds: killed worker, cancelled future, lost filters
            if tries >= _TRIES:
                raise LinkageError("CLUSTER_FAILED", "A block of comparisons was lost too often.") from error
            right = _scattered(client, b)
            under_way.appendleft((start, tries + 1, give_out(start)))
            continue
        if found is None:
            # Still under way; whoever wants to stop the run is heard meanwhile.
            under_way.appendleft((start, tries, future))
            progress("scan", done, total)
            continue
        i, j, bits = found
        if len(i):
            yield PairBlock(np.asarray(i) + start, np.asarray(j), np.asarray(bits))
        done = min(start + rows, len(a)) * len(b)
        progress("scan", done, total)


def _scattered(client: Any, words: Words) -> Any:
    """The right side on every worker, so that one of them may die."""
    seconds = _SENDING + words.nbytes / _BYTES_A_SECOND
    for number in range(1, _TRIES + 1):
        try:
            # What `client.scatter` does, with an end to waiting.
            return client.sync(client._scatter, words, broadcast=True, hash=False, callback_timeout=seconds)
        except Exception as error:  # of many kinds: a worker died meanwhile
            if number == _TRIES:
                raise LinkageError("CLUSTER_FAILED", "Filters could not be sent to the cluster.") from error
            # The scheduler may not know yet that a worker is gone; at once it would send us there again.
            time.sleep(number)
    raise AssertionError


def _result(client: Any, future: Any, right: Any) -> tuple[Any, Any, Any] | None:
    """The outcome of a block, None while it is under way; an error where the filters it needs are nowhere."""
    try:
        found: tuple[Any, Any, Any] = future.result(timeout=_LOOK)
        return found
    except TimeoutError:
        if not any(client.who_has([right]).values()):
            raise RuntimeError("the filters are lost") from None
        return None
