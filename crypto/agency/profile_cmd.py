"""The agency's profile steps: make one, show one, try one on own data before anything is encoded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from crypto.agency import report
from crypto.agency.progress import Progress, silent
from crypto.agency.survey import Survey, count_filled
from crypto.encoding import risk
from crypto.encoding.encode import Encoder, prepare, source_columns
from crypto.encoding.keys import Keys, Secret
from crypto.encoding.profile import Profile, default_profile
from crypto.encoding.profile_families import FAMILIES, RISK
from crypto.errors import InputError, ProfileError
from crypto.interop.clk_schema import ClkSchema
from crypto.tabular import column_names, estimate_rows, stream_table


def find_profile(name: str) -> Profile:
    """A profile by family, or from a file."""
    return default_profile(name) if name in FAMILIES else Profile.load(Path(name))


def new_profile(family: str, out: Path, schema: Path | None = None) -> dict[str, Any]:
    """Write a family's profile to a new file; of the family ``clkhash``, for its linkage schema.

    Raises
    ------
    ProfileError
        ``FAMILY_UNKNOWN``, ``PROFILE_EXISTS``, ``SCHEMA_MISSING``, and those of ``clk_schema``.
    """
    profile = default_profile(family) if schema is None else _of_schema(schema)
    _write(profile, out)
    return {"file": str(out), **summary(profile)}


def _write(profile: Profile, out: Path) -> None:
    """Make a new file of a profile; nothing is overwritten."""
    text = json.dumps(profile.to_document(), indent=2) + "\n"
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise ProfileError("PROFILE_EXISTS", f"{out} exists and is not overwritten") from None
    except OSError as error:
        raise ProfileError("PROFILE_UNWRITABLE", f"{out} cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)


def _of_schema(path: Path) -> Profile:
    ClkSchema.load(path)  # tells a file that is missing or no JSON
    return Profile.from_clk_schema(json.loads(path.read_bytes().decode("utf-8-sig")))


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
    stronger_out: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Try a profile on a file of persons, under a throw-away key; nothing is written but ``stronger_out``.

    Parameters
    ----------
    stronger_out : Path, optional
        New file for the stronger profile, if one is needed.

    Returns
    -------
    dict
        Fields (fill rate, distinct values, unusable cells), filters (share of persons, mean fill,
        leak-SNR), the risk rating of the family, the profile that would not leak too much on this file
        (``stronger``) and warnings.

    Raises
    ------
    InputError
        ``NO_PERSONS``, and those of reading.
    ProfileError
        ``PROFILE_CLKHASH``, ``PROFILE_EXISTS``, ``PROFILE_UNWRITABLE``.
    """
    if profile.clk_schema is not None:
        raise ProfileError("PROFILE_CLKHASH", "the profile is clkhash's; `clk` says what it makes of a file")
    survey = Survey(profile)
    filled = np.zeros(len(profile.fields), np.int64)
    names = column_names(people_file, delimiter=delimiter, encoding=encoding)
    used = sorted(set(source_columns(profile, names).values()))
    total = estimate_rows(people_file)
    for piece in stream_table(people_file, delimiter=delimiter, encoding=encoding, columns=used or names):
        progress("check", survey.rows, max(total, survey.rows + piece.num_rows))
        prepared = prepare(piece, profile, first_row=survey.rows)
        if piece.num_rows:
            filled += count_filled(survey.see(piece, prepared)[1], len(profile.fields))
    if not survey.rows:
        raise InputError("NO_PERSONS", f"{people_file.name} has no rows")
    progress("check", survey.rows, survey.rows)
    sample = survey.sample()
    index = np.arange(sample.rows)
    encoder = Encoder(sample, profile, Keys(Secret.generate(), profile))
    present = {name: int(found.sum()) for name, (_, found) in encoder.encode(index).filters.items()}
    leaks = risk.assess(encoder, profile, index)
    filters = report.filter_report(profile, encoder, sample, leaks, present, sample.rows)
    fields = survey.fields(filled, survey.rows)
    other, told = report.stronger_report(profile, sample, leaks)
    if other is not None and told is not None and stronger_out is not None:
        _write(other, stronger_out)
        told["file"] = str(stronger_out)
    return {
        **summary(profile),
        "rows": survey.rows,
        "sample": sample.rows,
        "fields": fields,
        "filters": filters,
        "leak_snr": round(risk.together(leaks), 4),
        "stronger": told,
        "warnings": [
            *report.warnings(fields, filters, sample.rows),
            *report.leak_warnings(leaks, told, sample.rows),
        ],
    }
