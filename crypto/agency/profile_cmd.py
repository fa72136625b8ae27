"""The agency's profile steps: make one, show one, try one on own data before anything is encoded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from crypto.agency import report
from crypto.agency.encode import read_people
from crypto.agency.progress import Progress, silent
from crypto.encoding.encode import Encoder
from crypto.encoding.keys import Keys, Secret
from crypto.encoding.profile import FAMILIES, RISK, Profile, default_profile
from crypto.errors import ProfileError


def find_profile(name: str) -> Profile:
    """A profile by family, or from a file."""
    return default_profile(name) if name in FAMILIES else Profile.load(Path(name))


def new_profile(family: str, out: Path) -> dict[str, Any]:
    """Write a family's profile to a new file.

    Raises
    ------
    ProfileError
        ``FAMILY_UNKNOWN``, ``PROFILE_EXISTS``.
    """
    profile = default_profile(family)
    text = json.dumps(profile.to_document(), indent=2) + "\n"
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise ProfileError("PROFILE_EXISTS", f"{out} exists and is not overwritten") from None
    except OSError as error:
        raise ProfileError("PROFILE_UNWRITABLE", f"{out} cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    return {"file": str(out), **summary(profile)}


def summary(profile: Profile) -> dict[str, Any]:
    """Family, fingerprint and measured risk."""
    rating, statement = RISK[profile.family]
    return {
        "family": profile.family,
        "fingerprint": profile.fingerprint,
        "risk": rating,
        "risk_statement": statement,
    }


def check_profile(
    profile: Profile,
    people_file: Path,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Try a profile on a file of persons, under a throw-away key; nothing is written.

    Returns
    -------
    dict
        Fields (fill rate, distinct values, unusable cells), filters (share of persons, mean fill,
        leak-SNR), the risk rating of the family and warnings.
    """
    people = read_people(
        people_file, profile, None, delimiter=delimiter, encoding=encoding, progress=progress
    )
    encoder = Encoder(people.prepared, profile, Keys(Secret.generate(), profile))
    sample = report.sample_of(people.index)
    chunk = encoder.encode(sample)
    present = {name: int(found.sum()) for name, (_, found) in chunk.filters.items()}
    filters = report.filter_report(profile, encoder, sample, present, len(sample))
    fields = report.field_report(people.prepared, people.index, profile)
    return {
        **summary(profile),
        "rows": people.prepared.rows,
        "sample": len(sample),
        "fields": fields,
        "filters": filters,
        "warnings": report.warnings(fields, filters, len(sample)),
    }
