"""CLKs in one call: what clkhash writes, and facts by place, become an ordinary batch.

For agreements whose profile is of the family `clkhash`, and for as many records as fit into one request; a
package is the way for everybody else.

1. The body is read strictly; every CLK has the schema's length.
2. Each record gets a reference, drawn from the whole body: the same body is the same batch, so that a call
   whose answer was lost is repeated without harm.
3. The batch goes the way of every batch (`submit_batch`): permitted, screened, accepted whole or refused.

clkhash's JSON has no signature. The log names the credential that sent it in the place of a signing key.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from app.auth import Caller, Role
from app.errors import Problem, RefusedError, from_crypto
from app.flows import submit_batch
from app.flows.receive_parts import receive_part
from app.flows.service import Service
from app.flows.sign_agreement import in_force, visible
from app.flows.signing import by_credential
from app.store import batches
from crypto.canonical import canonical_json
from crypto.encoding.profile import Profile
from crypto.encoding.profile_clkhash import FILTER, NO_CHECK_VALUE
from crypto.errors import CohortlinkError
from crypto.interop.clk_file import parse_clks
from crypto.manifest import ENCODINGS_NAME, FACT_KINDS, Coverage, FileEntry, Manifest
from crypto.wire import encodings_schema, filter_array

SOFTWARE: Final = "clkhash/json"
_MAX_COLUMNS: Final = 100
_MAX_PROBLEMS: Final = 20


def submit_clks(
    service: Service, caller: Caller, agreement_id: str, document: Mapping[str, Any]
) -> dict[str, Any]:
    """Take CLKs, and facts where there are some, as one batch.

    Parameters
    ----------
    document : mapping
        `{"clks": [base64, …]}` or `{"clknblocks": [[base64, block, …], …]}` (blocks are not used: every pair
        is compared), and optionally `"facts": {kind: [{"record": place, column: text, …}, …]}`, where places
        count from 0 as clkhash's do.

    Returns
    -------
    dict
        The batch with its receipt, and `record_refs`, one per CLK in the order of the body: the agency's
        own way from a person to the record.

    Raises
    ------
    RefusedError
        `PROFILE_MISMATCH`, `CLKS_INVALID` and `FACTS_INVALID` with rows, and all that a package can be
        refused for.
    """
    caller.require(Role.AGENCY)
    with service.store.reading("agreement of CLKs") as tx:
        visible(tx, caller, agreement_id)
        found = in_force(tx, agreement_id, service.now(), lock=False)
        profile = found.terms.profile()
        signature = by_credential(tx, caller)
    if profile.clk_schema is None:
        raise RefusedError("PROFILE_MISMATCH", "The agreement's profile is not of clkhash; submit a package.")
    packed = _clks(document, profile.filters[0].width)
    refs = _references(agreement_id, caller.organization, document, len(packed))
    files = {ENCODINGS_NAME: _encodings(packed, refs, profile)}
    rows = {ENCODINGS_NAME: len(packed)}
    for kind, table in _facts(document.get("facts"), refs):
        files[f"facts-{kind}.parquet"], rows[f"facts-{kind}.parquet"] = _parquet(table), table.num_rows
    entries = tuple(_entry(name, data, rows[name]) for name, data in files.items())
    manifest = Manifest(
        agreement=agreement_id,
        epoch=1,
        profile=profile.fingerprint,
        kcv=NO_CHECK_VALUE,
        created_on=_first_sent(service, caller, agreement_id, entries),
        persons=len(packed),
        files=entries,
        coverage=Coverage(len(packed), int(packed.any(axis=1).sum()), 0),
        software=SOFTWARE,
    )
    begun, _ = submit_batch.begin(service, caller, agreement_id, manifest.to_document(), signature)
    _send(service, caller, begun, files)
    return submit_batch.complete(service, caller, begun["id"]) | {"record_refs": refs}


def _clks(document: Mapping[str, Any], bits: int) -> NDArray[np.uint8]:
    try:
        packed = parse_clks(document, "The body", bits=bits).packed
    except CohortlinkError as error:
        raise from_crypto(error) from None
    if not len(packed):
        raise RefusedError("CLKS_INVALID", "There are no CLKs in the body.")
    return packed


def _references(agreement: str, organization: str, document: Mapping[str, Any], count: int) -> list[str]:
    """128 bits each, by place, drawn from the body: unlike for other bodies, and the same for the same."""
    body = canonical_json([agreement, organization, dict(document)])
    key = hashlib.sha256(body).digest()
    return [
        hashlib.blake2b(place.to_bytes(8, "big"), key=key, digest_size=16).hexdigest()
        for place in range(count)
    ]


def _encodings(packed: NDArray[np.uint8], refs: Sequence[str], profile: Profile) -> bytes:
    """Parquet in the order of references. A CLK without a bit is of a record without a value: no filter."""
    order = np.argsort(np.array(refs))
    columns = {
        "record_ref": pa.array([refs[place] for place in order]),
        FILTER: filter_array(packed[order], np.asarray(packed[order].any(axis=1))),
    }
    return _parquet(pa.table(columns, schema=encodings_schema(profile.link_spec())))


def _facts(given: object, refs: Sequence[str]) -> list[tuple[str, pa.Table]]:
    """Tables of facts, all text, with references in the place of places."""
    if given is None:
        return []
    if not isinstance(given, Mapping) or not set(given) <= set(FACT_KINDS):
        raise RefusedError("FACTS_INVALID", f"facts must be an object of {', '.join(FACT_KINDS)}.")
    return [(kind, _fact_table(kind, given[kind], refs)) for kind in FACT_KINDS if given.get(kind)]


def _fact_table(kind: str, rows: object, refs: Sequence[str]) -> pa.Table:
    if not isinstance(rows, list):
        raise RefusedError("FACTS_INVALID", f"facts {kind} must be a list of rows.")
    wrong = [at for at, row in enumerate(rows) if not _is_row(row, len(refs))]
    if wrong:
        detail = f"a row is an object with a record from 0 to {len(refs) - 1}, and texts"
        problems = [Problem("ROW_INVALID", detail, row=at + 1) for at in wrong[:_MAX_PROBLEMS]]
        raise RefusedError("FACTS_INVALID", f"facts {kind}: {len(wrong)} rows are malformed.", problems)
    names = dict.fromkeys(name for row in rows for name in row if name != "record")
    if len(names) > _MAX_COLUMNS:
        raise RefusedError("FACTS_INVALID", f"facts {kind} has more than {_MAX_COLUMNS} columns.")
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    return pa.table({"record_ref": pa.array([refs[row["record"]] for row in rows]), **columns})


def _is_row(row: object, records: int) -> bool:
    if not isinstance(row, Mapping) or type(row.get("record")) is not int or "record_ref" in row:
        return False
    return 0 <= row["record"] < records and all(
        value is None or isinstance(value, str) for name, value in row.items() if name != "record"
    )


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def _entry(name: str, data: bytes, rows: int) -> FileEntry:
    digest = hashlib.sha256(data).hexdigest()
    if name == ENCODINGS_NAME:
        return FileEntry(name, "encodings", None, rows, len(data), digest)
    return FileEntry(
        name, "facts", name.removeprefix("facts-").removesuffix(".parquet"), rows, len(data), digest
    )


def _first_sent(service: Service, caller: Caller, agreement_id: str, entries: Sequence[FileEntry]) -> date:
    """The day on which these files came first: the manifest of a repeated call must be the same manifest."""
    digests = {entry.name: entry.sha256 for entry in entries}
    with service.store.reading("earlier CLKs") as tx:
        for batch in batches.of_agreement(tx, agreement_id, batches.LIVE):
            files = {item["name"]: item["sha256"] for item in batch.manifest["files"]}
            if batch.organization_id == caller.organization and files == digests:
                return date.fromisoformat(batch.manifest["created_on"])
    return service.now().date()


def _send(service: Service, caller: Caller, begun: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Store the parts that are not here yet, as if they had been uploaded."""
    size = begun["part_size"]
    for item in begun["files"]:
        for number in set(range(item["parts"])) - set(item["received"]):
            part = files[item["name"]][number * size : (number + 1) * size]
            digest = base64.b64encode(hashlib.sha256(part).digest()).decode()
            header = f"sha-256=:{digest}:"
            receive_part(service, caller, begun["id"], item["name"], number, header, [part])
