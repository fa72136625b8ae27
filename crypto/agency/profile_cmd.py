"""The agency's profile steps: make one, show one, try one on own data before anything is encoded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from crypto.agency.encode import field_report, read_people, sample_of
from crypto.agency.progress import Progress, silent
from crypto.encoding.encode import Encoder
from crypto.encoding.keys import Keys, Secret
from crypto.encoding.profile import FAMILIES, RISK, Profile, default_profile
from crypto.errors import ProfileError

#: Above this, known pairs leaked more than 1 % in the attacks that were measured.
MOST_LEAK_SNR: Final = 0.02
#: Of a filter that is diffused; a sparser one is nearly linear in its tokens.
LEAST_FILL: Final = 0.40
LEAST_PERSONS_FOR_LEAK: Final = 100


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
    sample = sample_of(people)
    chunk = encoder.encode(sample)
    fill, leak = encoder.fill(sample), encoder.leak_snr(sample)
    filters = [
        {
            "filter": item.name,
            "share": round(float(chunk.filters[item.name][1].mean()), 4),
            "fill": None if fill[item.name] is None else round(fill[item.name] or 0.0, 4),
            "leak_snr": round(leak[item.name], 4) if item.name in leak else None,
        }
        for item in profile.filters
    ]
    fields = field_report(people, profile)
    return {
        **summary(profile),
        "rows": people.prepared.rows,
        "sample": len(sample),
        "fields": fields,
        "filters": filters,
        "warnings": _warnings(fields, filters, len(sample)),
    }


def _warnings(fields: list[dict[str, Any]], filters: list[dict[str, Any]], sample: int) -> list[str]:
    found = []
    for field in fields:
        if field["column"] is None:
            found.append(f"field {field['field']}: no column; its filters lack it for everybody")
        elif field["share"] < 0.5:
            found.append(f"field {field['field']}: filled for {field['share']:.1%} of rows only")
        if field.get("distinct") == 1:
            found.append(f"field {field['field']}: one single value; it tells nobody apart")
        if field.get("unusable"):
            found.append(f"field {field['field']}: {field['unusable']} cells hold nothing usable")
    for item in filters:
        if not item["share"]:
            found.append(f"filter {item['filter']}: absent for everybody")
        elif item["leak_snr"] is None:
            continue
        elif item["fill"] is not None and item["fill"] < LEAST_FILL:
            found.append(
                f"filter {item['filter']}: fill {item['fill']:.2f} is below {LEAST_FILL}; sparse filters leak"
            )
        if sample >= LEAST_PERSONS_FOR_LEAK and (item["leak_snr"] or 0.0) > MOST_LEAK_SNR:
            found.append(
                f"filter {item['filter']}: leak-SNR {item['leak_snr']:.3f} is above {MOST_LEAK_SNR}; "
                "the parties should raise t or add fields that tell people apart"
            )
    return found
