"""The agency's encode step: persons and facts in, a package and a private crosswalk out.

In order: stream the facts through their checks, and the persons into encodings, both under random references
and with no more memory than a few pieces; write both in the order of references, with the private crosswalk,
manifest and report; rename the hidden folder in which all that happens to its place. A crash at any line
before the rename leaves no package, only that hidden folder, which the next run removes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np

from crypto import __version__
from crypto.agency import report
from crypto.agency.facts import Facts
from crypto.agency.partial import Partial, check_out, clean_stale
from crypto.agency.people import People, References, encode_people, write_people
from crypto.agency.progress import Progress, silent
from crypto.encoding import risk
from crypto.encoding.encode import Encoder
from crypto.encoding.keys import Keys, Secret
from crypto.encoding.profile import Profile
from crypto.errors import ProfileError
from crypto.wire import (
    CROSSWALK_NAME,
    ENCODINGS_NAME,
    PROFILE_NAME,
    REPORT_NAME,
    Coverage,
    Manifest,
    file_digest,
    file_entry,
    write_manifest,
)

SOFTWARE: Final = f"cohortlink-agency/{__version__}"


def encode_package(
    *,
    profile: Profile,
    secret: Secret,
    people_file: Path,
    id_column: str,
    facts_files: Mapping[str, Path],
    out: Path,
    today: date,
    delimiter: str = ",",
    encoding: str = "utf-8",
    leave_out: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Make a package from an agency's files; see the module's text for the order of things.

    Parameters
    ----------
    profile, secret
    people_file, id_column
        One row per person (rows that repeat an id must say the same) and the column of the agency's id.
    facts_files
        File of facts by kind.
    out
        Folder to make; it must not exist, or be empty.
    today
        Dated into the manifest; facts may not lie after it.
    delimiter, encoding
        Of CSV files.
    leave_out
        Leave out persons of whom no fact speaks; a service refuses them.
    progress

    Returns
    -------
    dict
        The report, as written to ``report.json``: counts and shares, no value.

    Raises
    ------
    InputError
        ``OUT_NOT_EMPTY``, and those of ``people`` and ``facts``.
    ProfileError
        ``LEAK_TOO_HIGH`` where the encodings of these persons would betray too much of each other (``risk``);
        ``PROFILE_CLKHASH``: clkhash's encodings are made by ``clk``.
    """
    if profile.clk_schema is not None:
        raise ProfileError(
            "PROFILE_CLKHASH",
            "the profile is clkhash's: make CLKs with `clk` and send them with `clk-submit`",
        )
    out = Path(os.path.abspath(out))  # noqa: PTH100 - resolve() would follow a link to somewhere else
    check_out(out)
    cleaned = clean_stale(out)
    keys, references = Keys(secret, profile), References()
    with Partial(out) as partial:
        spill = partial.path / "spill"
        facts = [Facts(kind, path, id_column, references, spill) for kind, path in facts_files.items()]
        for one in facts:
            one.read(today, delimiter=delimiter, encoding=encoding, progress=progress)
        people = encode_people(
            people_file,
            profile,
            keys,
            references,
            id_column,
            spill,
            delimiter=delimiter,
            encoding=encoding,
            progress=progress,
        )
        sample = people.survey.sample()
        encoder = Encoder(sample, profile, keys)
        rows = np.arange(sample.rows)
        risk.refuse_leakage(risk.assess(encoder, profile, rows))
        if not profile.moved_keys:
            risk.refuse_shared_keys(risk.shared_keys(encoder, profile, rows, people.persons), people.persons)
        spoken = np.unique(np.concatenate([one.spoken() for one in facts])) if facts else None
        write_people(people, profile, id_column, partial.path, progress, spoken=spoken, leave_out=leave_out)
        entries = [file_entry(partial.path / ENCODINGS_NAME, people.persons, None)]
        for one in facts:
            path = partial.path / f"facts-{one.kind}.parquet"
            one.write(path, people, progress)
            entries.append(file_entry(path, one.rows, one.kind))
        manifest = Manifest(
            agreement=secret.agreement,
            epoch=secret.epoch,
            profile=profile.fingerprint,
            kcv=keys.kcv,
            created_on=today,
            persons=people.persons,
            files=tuple(entries),
            coverage=Coverage(people.persons, people.encodable, people.strong),
            software=SOFTWARE,
        )
        digest = write_manifest(partial.path, manifest)
        told = _report(people, profile, keys, manifest, digest, people.unspoken if leave_out else 0)
        told["crosswalk_sha256"] = file_digest(partial.path / CROSSWALK_NAME)[1]
        _write_texts(partial.path, profile, told)
        shutil.rmtree(spill, ignore_errors=True)
        partial.publish()
    return {**told, "cleaned": cleaned}


def _write_texts(folder: Path, profile: Profile, told: Mapping[str, Any]) -> None:
    path = folder / PROFILE_NAME
    path.write_text(json.dumps(profile.to_document(), indent=2) + "\n", "utf-8")
    handle = os.open(folder / REPORT_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
        stream.write(json.dumps(told, indent=1) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _report(
    people: People, profile: Profile, keys: Keys, manifest: Manifest, digest: str, left_out: int
) -> dict[str, Any]:
    sample = people.survey.sample()
    fields = people.survey.fields(people.filled, manifest.persons)
    encoder = Encoder(sample, profile, keys)
    leak = risk.assess(encoder, profile, np.arange(sample.rows))
    filters = report.filter_report(profile, encoder, sample, leak, people.present, manifest.persons)
    return {
        "format": "cohortlink-report/1",
        "manifest_sha256": digest,
        "agreement": manifest.agreement,
        "epoch": manifest.epoch,
        "profile": manifest.profile,
        "family": profile.family,
        "risk": profile.risk,
        "kcv": manifest.kcv,
        "rows": people.survey.rows,
        "persons": manifest.persons,
        "merged": people.survey.rows - manifest.persons - left_out,
        "left_out": left_out,
        "without_facts": people.unspoken - left_out,
        "encodable": people.encodable,
        "not_encodable": manifest.persons - people.encodable,
        "not_encodable_rows": people.bare,
        "strong_identifier": people.strong,
        "sharing_keys": people.moved.sharers,
        "fields": fields,
        "absent": people.survey.absent,
        "filters": filters,
        "facts": {entry.facts: entry.rows for entry in manifest.files if entry.facts},
        "columns_not_read": people.unread,
        "warnings": report.warnings(fields, filters, sample.rows),
    }
