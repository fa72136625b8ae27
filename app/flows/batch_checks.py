"""What a batch must be: checks of its manifest before a byte is sent, and of its content when all is here.

Content is checked in the clear in this process's memory and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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
from app.flows.screening import refuse_by_policy, screen
from app.flows.service import Service
from app.store import Tx, batches
from app.store.models import Batch, BatchFile, BatchPart, BatchState
from crypto.encoding.types import LinkSpec
from crypto.errors import CohortlinkError
from crypto.facts import validate_facts
from crypto.wire import Manifest, read_encodings

# Batches whose key check value binds the others of their epoch.
BINDING = (BatchState.ACCEPTED, BatchState.SUPERSEDED, BatchState.WITHDRAWN)
MAX_PROBLEMS = 20
#: The column by which a row belongs to a period. (Truth pairs have no time.)
_DATED_BY = {"completion": "award_date", "wage": "quarter", "participation": "entry_date"}


def check_manifest(tx: Tx, manifest: Manifest, agreement_id: str, organization: str, terms: Terms) -> None:
    """The manifest against the agreement and the batches that are here.

    1. It names this agreement and its linkage profile (`AGREEMENT_MISMATCH`, `PROFILE_MISMATCH`).
    2. The organization may submit each of its kinds of facts (`DATASET_NOT_PERMITTED`).
    3. Its key check value is that of the agreement's other batches of the epoch (`SECRET_MISMATCH`):
       equal secrets give equal values, and a value tells nothing of its secret.

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
    for other in batches.of_agreement(tx, agreement_id, BINDING):
        if other.epoch == manifest.epoch and other.kcv != manifest.kcv:
            raise RefusedError(
                "SECRET_MISMATCH", "The secret is not the one with which the other agencies encoded."
            )


def check_content(
    service: Service,
    batch: Batch,
    files: Sequence[BatchFile],
    parts: Sequence[BatchPart],
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
    paths = {row.name: [part.path for part in parts if part.name == row.name] for row in files}
    encodings_file = next(row for row in files if row.kind == "encodings")
    refs, figures = _check_encodings(
        service, batch.id, encodings_file, paths[encodings_file.name], profile.link_spec()
    )
    figures["facts"] = {}
    for row in files:
        if row.facts is not None:
            dataset = terms.dataset(batch.organization_id, row.facts)
            _check_facts(service, batch.id, row, paths[row.name], refs, dataset, submitted_on)
            figures["facts"][row.facts] = row.rows
    return figures


def _check_encodings(
    service: Service, batch_id: str, row: BatchFile, paths: Sequence[str], spec: LinkSpec
) -> tuple[NDArray[np.str_], dict[str, Any]]:
    data = _read(service.plane("encodings").read_all(batch_id, paths), row)
    try:
        encodings = read_encodings(data, spec)
    except CohortlinkError as error:
        raise from_crypto(error) from None
    if len(encodings) != row.rows:
        raise RefusedError("FILE_ROWS", f"{row.name} does not have the announced number of rows.")
    figures = screen(encodings)
    refuse_by_policy(figures)
    return encodings.record_refs, figures


def _check_facts(
    service: Service,
    batch_id: str,
    row: BatchFile,
    paths: Sequence[str],
    refs: NDArray[np.str_],
    dataset: Dataset | None,
    submitted_on: date,
) -> None:
    assert row.facts is not None
    data = _read(service.plane("facts").read_all(batch_id, paths), row)
    try:
        table = pq.read_table(pa.BufferReader(data))
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


def _check_refs(kind: str, table: pa.Table, refs: NDArray[np.str_]) -> None:
    column = table["record_ref"]
    text = column.cast(pa.string())
    known = pc.is_in(text, value_set=pa.array(refs, type=pa.string()))
    unknown = np.flatnonzero(~known.to_numpy(zero_copy_only=False).astype(bool))
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


def _read(data: bytes, row: BatchFile) -> bytes:
    if len(data) != row.size or hashlib.sha256(data).hexdigest() != row.sha256:
        raise RefusedError("DIGEST_MISMATCH", f"{row.name} is not the file that the manifest announced.")
    return data
