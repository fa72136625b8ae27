"""The agency's validate step: a package, or a file of facts before it is encoded."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crypto.encoding.profile import Profile
from crypto.errors import InputError, PackageError
from crypto.facts import MAX_PROBLEMS, MAX_REJECTS, SCHEMAS, validate_facts, write_rejects
from crypto.tabular import read_table
from crypto.wire import (
    CROSSWALK_NAME,
    PROFILE_NAME,
    REPORT_NAME,
    Manifest,
    file_digest,
    read_encodings,
    verify_package,
)


def validate_package(directory: Path, profile_file: Path | None, today: date) -> dict[str, Any]:
    """Check a package as the service will: digests, profile, encodings, facts.

    Parameters
    ----------
    directory : Path
    profile_file : Path, optional
        The profile that the agreement fixed; default: the ``profile.json`` that was written with the package.
    today : date
        Facts may not lie after it.

    Returns
    -------
    dict
        What was checked, as counts.

    Raises
    ------
    PackageError
        ``PROFILE_MISMATCH`` if the package was encoded with another profile, ``RECORD_REF_UNKNOWN`` for facts
        about records that have no encoding, ``CROSSWALK_DIGEST``, and the codes of ``wire``.
    InputError
        From ``facts.validate_facts``.
    """
    directory = Path(directory)
    manifest = verify_package(directory)
    _check_crosswalk(directory)
    profile = Profile.load(profile_file if profile_file is not None else directory / PROFILE_NAME)
    if profile.fingerprint != manifest.profile:
        raise PackageError("PROFILE_MISMATCH", "the package was encoded with another profile than this")
    encodings = read_encodings(directory / manifest.encodings.name, profile.link_spec())
    refs = pa.array(encodings.record_refs.tolist(), pa.string())
    spoken = [
        _check_facts(directory / entry.name, entry.facts, refs, today)
        for entry in manifest.files
        if entry.facts is not None
    ]
    known = pa.chunked_array([column for each in spoken for column in each.chunks], pa.string())
    alone = manifest.persons - int(pc.sum(pc.is_in(refs, value_set=known), min_count=0).as_py())
    # Fit for a pilot, not for a service: so it is told, and no refusal.
    return {**_summary(manifest, profile), "without_facts": alone}


def _check_crosswalk(directory: Path) -> None:
    """The crosswalk, where it still lies beside its report, is the one that was written with it."""
    report, crosswalk = directory / REPORT_NAME, directory / CROSSWALK_NAME
    if not (report.is_file() and crosswalk.is_file()):
        return
    # `verify_package` has read the report. Those of earlier versions do not hold the digest.
    known = json.loads(report.read_bytes()).get("crosswalk_sha256")
    if known is not None and known != file_digest(crosswalk)[1]:
        detail = f"{CROSSWALK_NAME} differs from the digest in {REPORT_NAME}: it may lead to other persons"
        raise PackageError("CROSSWALK_DIGEST", detail)


def _check_facts(path: Path, kind: str, refs: pa.Array, today: date) -> pa.ChunkedArray:
    table = validate_facts(kind, pq.read_table(path), submitted_on=today)
    known = pc.is_in(table["record_ref"], value_set=refs)
    if not pc.all(known, min_count=0).as_py():
        raise PackageError("RECORD_REF_UNKNOWN", f"{path.name} has facts about records without encoding")
    return table["record_ref"]


def _summary(manifest: Manifest, profile: Profile) -> dict[str, Any]:
    return {
        "status": "valid",
        "agreement": manifest.agreement,
        "epoch": manifest.epoch,
        "profile": manifest.profile,
        "family": profile.family,
        "risk": profile.risk,
        "kcv": manifest.kcv,
        "persons": manifest.persons,
        "encodable": manifest.coverage.encodable,
        "strong_identifier": manifest.coverage.strong_identifier,
        "facts": {entry.facts: entry.rows for entry in manifest.files if entry.facts},
    }


def validate_facts_files(
    files: dict[str, Path],
    id_column: str,
    today: date,
    *,
    delimiter: str,
    encoding: str,
    rejects: Path | None = None,
) -> dict[str, Any]:
    """Check files of facts against their closed schemas before encoding.

    Parameters
    ----------
    files : dict of str to Path
        By kind.
    id_column : str
        The agency's own id of a person.
    today : date
        Facts may not lie after it.
    rejects : Path, optional
        File to write with every problem of all files by row number; also where there is none.

    Raises
    ------
    InputError
        Of the first file that is refused, as ``facts.validate_facts``; the others were checked as well.
    """
    rows: dict[str, int] = {}
    refused: list[tuple[str, InputError]] = []
    for kind, path in files.items():
        try:
            if kind not in SCHEMAS:
                raise InputError("FACTS_KIND_UNKNOWN", f"kinds of facts are {', '.join(SCHEMAS)}")
            table = read_table(path, delimiter=delimiter, encoding=encoding)
            limit = MAX_PROBLEMS if rejects is None else MAX_REJECTS
            valid = validate_facts(kind, table, submitted_on=today, reference=id_column, limit=limit)
            rows[kind] = valid.num_rows
        except InputError as error:
            refused.append((kind, error))
    if rejects is not None:
        write_rejects(rejects, refused)
    if refused:
        raise refused[0][1]
    return {"status": "valid", "facts": rows}
