"""The facts of a run as the tabulator reads them: decrypted where they are read, kept as far as they count.

A file is never whole in memory: it is read through once for its digest, and again a piece at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from app.flows.service import Service
from app.store import Plane, batches
from app.store.models import Batch, BatchFile

#: Facts that indicators are made of, and the pairs of known truth by which errors of linkage are measured.
FACTS: Final = ("completion", "wage", "participation", "truth")


@dataclass(frozen=True)
class _Stored:
    """A file of facts, and where its parts are."""

    batch: Batch
    file: BatchFile
    paths: Sequence[str]


def read_run_facts(
    service: Service, facts: Plane, inputs: Sequence[Batch], persons: pa.Table
) -> dict[str, list[tuple[str, Any]]]:
    """By kind, batch and facts, in the order of the batches; of wages those of persons with an award.

    Raises
    ------
    KeyError
        A batch's data key is destroyed.
    ValueError
        What is stored is not what was accepted.
    OutcomesError
        ``FACTS_WITHOUT_PERSON``.
    """
    # Loaded where it tabulates: a process that answers from the ledger alone stays small.
    from app.outcomes.reading import persons_with_awards, read_facts, read_wages, records_of

    stored = _stored(service, inputs)
    awarding = [each.batch.id for each in stored if each.file.facts == "completion"]
    wanted = persons_with_awards(persons, awarding)
    by_kind: dict[str, list[tuple[str, Any]]] = {}
    for each in stored:
        kind, batch = str(each.file.facts), each.batch.id
        with _opened(facts, each) as source:
            read = (
                read_wages(source, records_of(persons, batch, wanted))
                if kind == "wage"
                else read_facts(kind, source)
            )
        by_kind.setdefault(kind, []).append((batch, read))
    return by_kind


def _stored(service: Service, inputs: Sequence[Batch]) -> list[_Stored]:
    with service.store.reading("files of facts") as tx:
        return [
            _Stored(batch, file, [part.path for part in batches.parts(tx, batch.id, file.name)])
            for batch in inputs
            for file in batches.files(tx, batch.id)
            if file.facts in FACTS
        ]


@contextmanager
def _opened(facts: Plane, stored: _Stored) -> Iterator[pa.PythonFile]:
    """The file, after its digest was checked from end to end."""
    hashing = hashlib.sha256()
    for path in stored.paths:
        for piece in facts.read(stored.batch.id, path):
            hashing.update(piece)
    if hashing.hexdigest() != stored.file.sha256:
        raise ValueError("stored data does not have the digest that was accepted")
    parts = facts.open_parts(stored.batch.id, stored.paths, stored.batch.part_size, stored.file.size)
    try:
        yield pa.PythonFile(parts, mode="r")
    except Exception:
        # What the store did wrong, not what Parquet makes of it.
        if parts.failure is not None:
            raise parts.failure from None
        raise
