"""Batches, their files and the parts that have arrived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from app.store.base import Tx
from app.store.models import Batch, BatchFile, BatchPart, BatchState
from app.store.planes import Plane

LIVE = (BatchState.UPLOADING, BatchState.ACCEPTED)
HOLDING = (BatchState.UPLOADING, BatchState.ACCEPTED, BatchState.SUPERSEDED)


def find(tx: Tx, batch_id: str) -> Batch | None:
    return tx.session.get(Batch, batch_id)


def lock(tx: Tx, batch_id: str) -> Batch | None:
    """The batch, with its row locked until the transaction ends; lock its agreement first, if at all."""
    return tx.locked(Batch, batch_id)


def live_by_manifest(tx: Tx, agreement_id: str, organization_id: str, manifest_sha256: str) -> Batch | None:
    """The batch that is already there for this manifest."""
    return tx.session.scalar(
        select(Batch).where(
            Batch.agreement_id == agreement_id,
            Batch.organization_id == organization_id,
            Batch.manifest_sha256 == manifest_sha256,
            Batch.state.in_(LIVE),
        )
    )


def add(tx: Tx, row: Batch, files: Iterable[dict[str, Any]]) -> None:
    """Add a batch and its files (dictionaries of the manifest: name, kind, facts, rows, size, sha256)."""
    tx.session.add(row)
    tx.session.flush()
    tx.session.add_all(
        BatchFile(
            batch_id=row.id,
            name=file["name"],
            kind=file["kind"],
            facts=file["facts"],
            rows=file["rows"],
            size=file["size"],
            sha256=file["sha256"],
        )
        for file in files
    )
    tx.session.flush()


def files(tx: Tx, batch_id: str) -> Sequence[BatchFile]:
    return tx.session.scalars(
        select(BatchFile).where(BatchFile.batch_id == batch_id).order_by(BatchFile.name)
    ).all()


def file(tx: Tx, batch_id: str, name: str) -> BatchFile | None:
    return tx.session.get(BatchFile, (batch_id, name))


def parts(tx: Tx, batch_id: str, name: str | None = None) -> Sequence[BatchPart]:
    """The parts of a batch, or of one of its files, in order."""
    query = select(BatchPart).where(BatchPart.batch_id == batch_id)
    if name is not None:
        query = query.where(BatchPart.name == name)
    return tx.session.scalars(query.order_by(BatchPart.name, BatchPart.number)).all()


def part(tx: Tx, batch_id: str, name: str, number: int) -> BatchPart | None:
    return tx.session.get(BatchPart, (batch_id, name, number))


def put_part(
    tx: Tx,
    batch_id: str,
    name: str,
    number: int,
    size: int,
    sha256: str,
    path: str,
    now: datetime,
) -> str | None:
    """Point a part to a blob; returns the path that it pointed to before."""
    row = part(tx, batch_id, name, number)
    before = row.path if row is not None else None
    if row is None:
        row = BatchPart(batch_id=batch_id, name=name, number=number)
        tx.session.add(row)
    row.size, row.sha256, row.path, row.received_at = size, sha256, path, now
    tx.session.flush()
    return before


def forget_parts(tx: Tx, batch_id: str) -> list[str]:
    """Delete all part rows of a batch and return the paths they pointed to."""
    paths = [row.path for row in parts(tx, batch_id)]
    tx.session.execute(delete(BatchPart).where(BatchPart.batch_id == batch_id))
    return paths


def of_agreement(tx: Tx, agreement_id: str, states: Sequence[str] | None = None) -> Sequence[Batch]:
    """Batches under an agreement in the order in which they began."""
    query = select(Batch).where(Batch.agreement_id == agreement_id)
    if states is not None:
        query = query.where(Batch.state.in_(states))
    return tx.session.scalars(query.order_by(Batch.created_at, Batch.id)).all()


def read_file(tx: Tx, plane: Plane, batch_id: str, name: str) -> bytes:
    """A whole file of a batch, decrypted and checked against the digest of its manifest.

    Raises
    ------
    KeyError
        If the batch has no such file, or its data key is destroyed.
    ValueError
        If what is stored is not what was accepted.
    """
    row = file(tx, batch_id, name)
    if row is None:
        raise KeyError("the batch has no such file")
    paths = [part.path for part in parts(tx, batch_id, name)]
    return plane.read_all(batch_id, paths, sha256=row.sha256)
