"""What an agency is told of its own file: fields, filters, leakage, and what to look at. Counts, no value."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from crypto.encoding import risk
from crypto.encoding.encode import Encoder
from crypto.encoding.profile import Profile

#: Persons on whom fill and leak-SNR are measured.
SAMPLE: Final = 2_000
#: Of a filter that is diffused; a sparser one is nearly linear in its tokens.
LEAST_FILL: Final = 0.40
LEAST_PERSONS_FOR_LEAK: Final = 100


def filter_report(
    profile: Profile, encoder: Encoder, sample: NDArray[np.int64], present: dict[str, int], persons: int
) -> list[dict[str, Any]]:
    """What each filter holds: ``present`` of ``persons`` have it; fill and leak-SNR are of the sample."""
    fill, leak = encoder.fill(sample), risk.assess(encoder, profile, sample)
    advice = risk.advice(leak)
    found = []
    for item in profile.filters:
        share = fill[item.name]
        found.append(
            {
                "filter": item.name,
                "present": present[item.name],
                "share": round(present[item.name] / persons, 4),
                "fill": None if share is None else round(share, 4),
                "leak_snr": round(leak[item.name].snr, 4) if item.name in leak else None,
                "needed_t": advice.get(item.name),
            }
        )
    return found


def warnings(fields: list[dict[str, Any]], filters: list[dict[str, Any]], sample: int) -> list[str]:
    """What a person at the agency should look at before anything leaves."""
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
        if sample >= LEAST_PERSONS_FOR_LEAK and (item["leak_snr"] or 0.0) > risk.MOST_LEAK_SNR:
            needed = item["needed_t"]
            found.append(
                f"filter {item['filter']}: leak-SNR {item['leak_snr']:.3f} is above {risk.MOST_LEAK_SNR}; "
                + (
                    f"t = {needed} would be needed"
                    if needed
                    else "no t is enough: add fields that tell apart"
                )
            )
    return found
