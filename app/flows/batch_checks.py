"""What a batch must be: checks of its manifest before a byte is sent, and of its content when all is here.

Content is checked in the clear in this process's memory and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from app.errors import Problem, RefusedError, ServiceError, from_crypto
from app.flows.agreement_terms import Dataset, Terms
from app.flows.periods import Period, covers, month_number, read_periods
from app.flows.screening import refuse_by_policy
from app.flows.service import Service
from app.store import Plane, Tx, batches
from app.store.models import Batch, BatchFile, BatchPart, BatchState
from crypto.encoding.profile_clkhash import NO_CHECK_VALUE
from crypto.encoding.screening import LEAST_RECORDS, Screening, same_key
from crypto.encoding.types import FilterColumn, LinkSpec
from crypto.errors import CohortlinkError
from crypto.facts import validate_facts
from crypto.wire import Manifest, encoding_pieces

# Batches whose key check value binds the others of their epoch.
BINDING = (BatchState.ACCEPTED, BatchState.SUPERSEDED, BatchState.WITHDRAWN)
MAX_PROBLEMS = 20
#: Batches of other agencies with which the secret is compared: enough to know, few enough to be quick.
MAX_COMPARED = 2
#: The column by which a row belongs to a period. (Truth pairs have no time.)
_DATED_BY = {"completion": "award_date", "wage": "quarter", "participation": "entry_date"}


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
    """The latest batch of each other agency under the agreement and epoch, the latest first, at most two."""
    found: dict[str, Stored] = {}
    for other in reversed(batches.of_agreement(tx, batch.agreement_id, (BatchState.ACCEPTED,))):
        if other.organization_id in (batch.organization_id, *found) or other.epoch != batch.epoch:
            continue
        file = next(row for row in batches.files(tx, other.id) if row.kind == "encodings")
        paths = [part.path for part in batches.parts(tx, other.id, file.name)]
        found[other.organization_id] = Stored(other, file, paths)
    return list(found.values())[:MAX_COMPARED]


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

    Raises
    ------
    RefusedError
        With rows and columns, never values.
    """
    profile = terms.profile()
    content = {
        row.name: _Content(row, [part.path for part in parts if part.name == row.name], batch.part_size)
        for row in files
    }
    encodings_file = next(row for row in files if row.kind == "encodings")
    refs, figures = _check_encodings(
        service.plane("encodings"), batch.id, content[encodings_file.name], others, profile.link_spec()
    )
    figures["facts"] = {}
    for row in files:
        if row.facts is not None:
            dataset = terms.dataset(batch.organization_id, row.facts)
            _check_facts(service.plane("facts"), batch.id, content[row.name], refs, dataset, submitted_on)
            figures["facts"][row.facts] = row.rows
    return figures


@dataclass(frozen=True)
class _Content:
    """A file as it was announced, and where its parts are."""

    row: BatchFile
    paths: Sequence[str]
    part_size: int

    @contextmanager
    def open(self, plane: Plane, batch_id: str) -> Iterator[pa.PythonFile]:
        """The file, decrypted where it is read, after its digest was checked from end to end.

        If the store fails meanwhile, its failure is what is raised, whatever the reader made of it: a batch
        is refused for what it is and never for our disk.
        """
        hashing = hashlib.sha256()
        for path in self.paths:
            for piece in plane.read(batch_id, path):
                hashing.update(piece)
        if hashing.hexdigest() != self.row.sha256:
            raise RefusedError(
                "DIGEST_MISMATCH", f"{self.row.name} is not the file that the manifest announced."
            )
        parts = plane.open_parts(batch_id, self.paths, self.part_size, self.row.size)
        try:
            yield pa.PythonFile(parts, mode="r")
        except Exception:
            if parts.failure is not None:
                raise parts.failure from None
            raise


def _check_encodings(
    plane: Plane, batch_id: str, content: _Content, others: Sequence[Stored], spec: LinkSpec
) -> tuple[NDArray[np.bytes_], dict[str, Any]]:
    """Returns the references as 16 bytes each, shape (n,), ascending, and the figures of the screening."""
    screening, refs = Screening(), []
    try:
        with content.open(plane, batch_id) as file:
            for piece in encoding_pieces(file, spec):
                screening.add(piece)
                refs.append(_packed(piece.record_refs.tolist()))
    except CohortlinkError as error:
        raise from_crypto(error) from None
    figures = screening.figures()
    if figures["records"] != content.row.rows:
        raise RefusedError("FILE_ROWS", f"{content.row.name} does not have the announced number of rows.")
    sample = screening.sample()
    figures["others"] = [
        {"batch": other.batch.id, "key": same_key(sample, stored, spec)}
        for other in others
        if (stored := _stored_sample(plane, other, spec)) is not None
    ]
    refuse_by_policy(figures, spec)
    return np.concatenate(refs) if refs else np.empty(0, "S16"), figures


def _stored_sample(plane: Plane, other: Stored, spec: LinkSpec) -> dict[str, FilterColumn] | None:
    """The first records of a batch that is here; None if it was withdrawn or destroyed meanwhile."""
    screening, seen = Screening(), 0
    parts = plane.open_parts(other.batch.id, other.paths, other.batch.part_size, other.file.size)
    try:
        for piece in encoding_pieces(pa.PythonFile(parts, mode="r"), spec):
            screening.add(piece)
            seen += len(piece)
            if seen >= LEAST_RECORDS:
                break
    except CohortlinkError:
        if isinstance(parts.failure, (KeyError, FileNotFoundError)):
            return None
        # The storage's trouble is not a reason to compare with nobody.
        raise (
            parts.failure or ServiceError("BATCH_UNREADABLE", 500, "A stored batch is unreadable.")
        ) from None
    return screening.sample()


def _packed(refs: Sequence[str]) -> NDArray[np.bytes_]:
    return np.frombuffer(bytes.fromhex("".join(refs)), "S16")


def _check_facts(
    plane: Plane,
    batch_id: str,
    content: _Content,
    refs: NDArray[np.bytes_],
    dataset: Dataset | None,
    submitted_on: date,
) -> None:
    row = content.row
    assert row.facts is not None
    with content.open(plane, batch_id) as file:
        try:
            table = pq.read_table(file)
        except (pa.ArrowException, OSError):
            raise RefusedError("FILE_UNREADABLE", f"{row.name} is not a Parquet file.") from None
    if table.num_rows != row.rows:
        raise RefusedError("FILE_ROWS", f"{row.name} does not have the announced number of rows.")
    try:
        typed = validate_facts(row.facts, table, submitted_on=submitted_on)
    except CohortlinkError as error:
        raise _facts_refused(row.facts, error) from None
    _check_fields(row.facts, table, dataset)
    _check_periods(row.facts, typed, dataset)
    _check_refs(row.facts, table, refs)


def _facts_refused(kind: str, error: CohortlinkError) -> ServiceError:
    refusal = from_crypto(error)
    if refusal.code != "INVALID_ROWS":
        return refusal
    return RefusedError("FACTS_INVALID", f"facts {kind}: {refusal.detail}", refusal.problems)


def _check_fields(kind: str, table: pa.Table, dataset: Dataset | None) -> None:
    """Only permitted fields hold anything; columns of the schema may be there empty."""
    if dataset is None:
        raise RefusedError("DATASET_NOT_PERMITTED", "The agreement does not let you submit these data.")
    if "*" in dataset.fields:
        return
    extra = [
        name
        for name in table.column_names
        if name != "record_ref" and name not in dataset.fields and table[name].null_count < table.num_rows
    ]
    if extra:
        problems = [Problem("FIELD_NOT_PERMITTED", "is not permitted", column=name) for name in extra]
        raise RefusedError(
            "FIELD_NOT_PERMITTED", f"facts {kind}: the agreement leaves out some fields.", problems
        )


def _check_periods(kind: str, table: pa.Table, dataset: Dataset | None) -> None:
    """Every row lies in a period that the agreement permits; a row that only deletes may have no date."""
    assert dataset is not None
    permitted = read_periods(dataset.periods)
    column = _DATED_BY.get(kind)
    if permitted is None or column is None:
        return
    # Few distinct dates stand for many rows.
    months = table[column].cast(pa.string()).combine_chunks()
    outside = [
        text
        for text in months.unique().to_pylist()
        if text is not None and not covers(permitted, _months(text))
    ]
    refused = pc.is_in(months, value_set=pa.array(outside, type=pa.string()))
    rows = np.flatnonzero(refused.to_numpy(zero_copy_only=False).astype(bool))
    if len(rows):
        problems = [
            Problem("PERIOD_NOT_PERMITTED", "is in no permitted period", row=int(at) + 1, column=column)
            for at in rows[:MAX_PROBLEMS]
        ]
        raise RefusedError(
            "PERIOD_NOT_PERMITTED",
            f"facts {kind}: {len(rows)} rows lie in no period that the agreement permits.",
            problems,
        )


def _months(text: str) -> Period:
    if "Q" in text:
        period = Period.parse(text)
        assert period is not None
        return period
    return Period(month_number(text), month_number(text))


def _check_refs(kind: str, table: pa.Table, refs: NDArray[np.bytes_]) -> None:
    # Of the form of a reference: `validate_facts` has seen to that.
    given = _packed(table["record_ref"].cast(pa.string()).to_pylist())
    place = np.minimum(np.searchsorted(refs, given), len(refs) - 1)
    unknown = np.flatnonzero(refs[place] != given if len(refs) else np.ones(len(given), np.bool_))
    if len(unknown):
        problems = [
            Problem("RECORD_REF_UNKNOWN", "is not in the encodings", row=int(at) + 1, column="record_ref")
            for at in unknown[:MAX_PROBLEMS]
        ]
        raise RefusedError(
            "FACTS_INVALID",
            f"facts {kind}: {len(unknown)} rows speak of records that are not here.",
            problems,
        )
