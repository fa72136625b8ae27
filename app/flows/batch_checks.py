"""What a batch must be: checks of its manifest before a byte is sent, and of its content when all is here.

Content is checked in the clear in this process's memory and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.errors import Problem, RefusedError, ServiceError, from_crypto
from app.flows.agreement_terms import Dataset, Terms
from app.flows.facts_checks import MAX_PROBLEMS, FactsCheck, check_facts
from app.flows.references import (
    Known,
    OutOfOrderError,
    PassingReferences,
    References,
    stored_references,
)
from app.flows.screening import refuse_by_policy
from app.flows.service import Service
from app.flows.stored_files import StoredFile
from app.store import Plane, Tx, batches
from app.store.models import Batch, BatchFile, BatchPart, BatchState
from crypto.encoding.profile_clkhash import NO_CHECK_VALUE
from crypto.encoding.screening import KEY_RECORDS, Sample, Screening, repeated_share, same_key
from crypto.encoding.types import LinkSpec
from crypto.errors import CohortlinkError
from crypto.wire import Manifest, encoding_pieces

# Batches whose key check value binds the others of their epoch.
BINDING = (BatchState.ACCEPTED, BatchState.SUPERSEDED, BatchState.WITHDRAWN)
#: Records that are looked at together: small, because many checks may go on at once.
PIECE = 1_024
#: Batches of other agencies with which the secret is compared: enough to know, few enough to be quick.
MAX_COMPARED = 2


def check_manifest(tx: Tx, manifest: Manifest, agreement_id: str, organization: str, terms: Terms) -> None:
    """The manifest against the agreement and the batches that are here.

    1. It names this agreement and its linkage profile (`AGREEMENT_MISMATCH`, `PROFILE_MISMATCH`).
    2. The organization may submit each of its kinds of facts (`DATASET_NOT_PERMITTED`).
    3. Its key check value is that of the agreement's other batches of the epoch (`SECRET_MISMATCH`):
       equal secrets give equal values, and a value tells nothing of its secret. (CLKs of other programs
       have none; screening tells of those.)

    Called when a batch begins and, under the agreement's lock, again when it is accepted: of two first
    batches with different secrets only one gets in.
    """
    if manifest.agreement != agreement_id:
        raise RefusedError("AGREEMENT_MISMATCH", "The manifest was made for another agreement.")
    if manifest.profile != terms.document.linkage_profile_hash:
        raise RefusedError("PROFILE_MISMATCH", "The encodings were made with another linkage profile.")
    kinds = [entry.facts for entry in manifest.files if entry.facts is not None]
    refused = [kind for kind in kinds if terms.dataset(organization, kind) is None]
    if refused or not terms.submits(organization):
        problems = [Problem("DATASET_NOT_PERMITTED", "is not permitted", column=kind) for kind in refused]
        raise RefusedError(
            "DATASET_NOT_PERMITTED", "The agreement does not let you submit these data.", problems
        )
    # Only clkhash's secrets may go without a check value: elsewhere "none" would be a way around the check.
    clkhash = terms.profile().clk_schema is not None
    for other in batches.of_agreement(tx, agreement_id, BINDING):
        unknown = clkhash and NO_CHECK_VALUE in (other.kcv, manifest.kcv)
        if other.epoch == manifest.epoch and other.kcv != manifest.kcv and not unknown:
            raise RefusedError(
                "SECRET_MISMATCH", "The secret is not the one with which the other agencies encoded."
            )


@dataclass(frozen=True)
class Stored:
    """The encodings of a batch that is here, as rows of the database tell of them."""

    batch: Batch
    file: BatchFile
    paths: Sequence[str]


def batches_to_compare(tx: Tx, batch: Batch) -> list[Stored]:
    """The agency's own latest batch under the agreement and epoch, if there is one, and the latest of others.

    Of the other agencies the two that were heard of last.
    """
    found: dict[str, Stored] = {}
    for other in reversed(batches.of_agreement(tx, batch.agreement_id, (BatchState.ACCEPTED,))):
        if other.organization_id in found or other.epoch != batch.epoch:
            continue
        file = next(row for row in batches.files(tx, other.id) if row.kind == "encodings")
        paths = [part.path for part in batches.parts(tx, other.id, file.name)]
        found[other.organization_id] = Stored(other, file, paths)
    own = found.pop(batch.organization_id, None)
    return ([own] if own else []) + list(found.values())[:MAX_COMPARED]


def check_content(
    service: Service,
    batch: Batch,
    files: Sequence[BatchFile],
    parts: Sequence[BatchPart],
    others: Sequence[Stored],
    terms: Terms,
    submitted_on: date,
) -> dict[str, Any]:
    """Everything that only the bytes can tell; returns the screening figures.

    1. Every file has its announced size and SHA-256 (`DIGEST_MISMATCH`).
    2. Encodings are readable, with the profile's filters and widths and the announced rows.
    3. They look like real data (`SCREENING_FAILED`).
    4. Every file of facts keeps its schema and rules (`FACTS_INVALID`, `PII_COLUMN`, …), holds only
       permitted fields, and speaks of nobody who is not in the encodings (`RECORD_REF_UNKNOWN`).
    5. Some fact speaks of every encoding (`RECORD_WITHOUT_FACTS`): who is in no figure is not sent. CLKs of
       other makers may come alone.

    Raises
    ------
    RefusedError
        With rows and columns, never values.
    """
    profile = terms.profile()
    stored = {
        row.name: StoredFile(
            service.plane("encodings" if row.kind == "encodings" else "facts"),
            batch.id,
            row,
            [part.path for part in parts if part.name == row.name],
            batch.part_size,
        )
        for row in files
    }
    encodings = next(stored[row.name] for row in files if row.kind == "encodings")
    figures = _check_encodings(encodings, batch, others, profile.link_spec())
    figures["facts"] = {}
    spoken = np.zeros(figures["records"], np.bool_)
    for row in files:
        if row.facts is not None:
            dataset = terms.dataset(batch.organization_id, row.facts)
            _check_facts(stored[row.name], encodings, dataset, spoken, submitted_on)
            figures["facts"][row.facts] = row.rows
    if profile.clk_schema is None:
        _refuse_unspoken(np.flatnonzero(~spoken), encodings.row.name)
    return figures


def _check_facts(
    stored: StoredFile,
    encodings: StoredFile,
    dataset: Dataset | None,
    spoken: NDArray[np.bool_],
    submitted_on: date,
) -> None:
    """Rows in the order of the encodings are checked as both files pass by; others beside all references."""
    stored.verify()
    row = stored.row

    def check(refs: Known, *, in_order: bool) -> None:
        rows = min(row.rows, row.size)
        check = FactsCheck(str(row.facts), dataset, refs, spoken, submitted_on, rows, in_order=in_order)
        with stored.open() as file:
            check_facts(file, check, row.name, row.rows)

    try:
        with encodings.open() as file:
            check(PassingReferences(stored_references(file)), in_order=True)
    except OutOfOrderError:
        refs = References(len(spoken))
        with encodings.open() as file:
            for piece in stored_references(file):
                refs.add(piece)
        check(refs, in_order=False)


def _refuse_unspoken(alone: NDArray[np.intp], name: str) -> None:
    if len(alone):
        problems = [
            Problem("RECORD_WITHOUT_FACTS", "no fact speaks of it", row=int(at) + 1, column="record_ref")
            for at in alone[:MAX_PROBLEMS]
        ]
        raise RefusedError(
            "RECORD_WITHOUT_FACTS", f"{name}: {len(alone)} encodings are of persons without facts.", problems
        )


def _check_encodings(
    stored: StoredFile, batch: Batch, others: Sequence[Stored], spec: LinkSpec
) -> dict[str, Any]:
    """Returns the figures of the screening."""
    stored.verify()
    screening = Screening()
    try:
        with stored.open() as file:
            for piece in encoding_pieces(file, spec, PIECE):
                screening.add(piece)
    except CohortlinkError as error:
        raise from_crypto(error) from None
    figures = screening.figures()
    if figures["records"] != stored.row.rows:
        raise RefusedError("FILE_ROWS", f"{stored.row.name} does not have the announced number of rows.")
    figures |= {"others": [], "earlier": []}
    sample = screening.sample()
    for other in others:
        here = _stored_sample(stored.plane, other, spec)
        if here is None:
            continue
        if other.batch.organization_id == batch.organization_id:
            share = repeated_share(sample.filters, here.filters, other.batch.persons)
            figures["earlier"].append({"batch": other.batch.id, "share": f"{share:.2f}"})
        else:
            figures["others"].append({"batch": other.batch.id, "key": same_key(sample, here, spec)})
    refuse_by_policy(figures, spec)
    return figures


def _stored_sample(plane: Plane, other: Stored, spec: LinkSpec) -> Sample | None:
    """The first records of a batch that is here; None if it was withdrawn or destroyed meanwhile."""
    screening, seen = Screening(), 0
    parts = plane.open_parts(other.batch.id, other.paths, other.batch.part_size, other.file.size)
    try:
        for piece in encoding_pieces(pa.PythonFile(parts, mode="r"), spec):
            screening.add(piece)
            seen += len(piece)
            if seen >= KEY_RECORDS:
                break
    except CohortlinkError:
        if isinstance(parts.failure, (KeyError, FileNotFoundError)):
            return None
        # The storage's trouble is not a reason to compare with nobody.
        raise (
            parts.failure or ServiceError("BATCH_UNREADABLE", 500, "A stored batch is unreadable.")
        ) from None
    return screening.sample()
