"""Screening of encodings on arrival: the refusals that follow from its figures (`crypto.encoding.screening`).

Pure. What needs judgement is reported to agency and auditor; what cannot be real data, or cannot be what the
agreement's profile makes of it, is refused.
"""

from __future__ import annotations

from typing import Any, Final

from app.errors import Problem, RefusedError
from crypto.encoding.screening import LEAST_RECORDS, MOST_DIFFUSED_STD
from crypto.encoding.types import LinkSpec

MAX_FILL: Final = 0.95
MAX_DUPLICATES: Final = 0.5
MANY: Final = 20
#: What uneven bits say, by the kind of filter; of plain ones nothing.
_UNEVEN: Final = {
    "agreement": (
        "NOT_HARDENED",
        "filters are as if not diffused, against the profile, or a column holds one value for most",
    ),
    "key": ("FEW_VALUES", "few different keys: columns hold one value for most, as in test data"),
}


def refuse_by_policy(figures: dict[str, Any], spec: LinkSpec) -> None:
    """Refuse what cannot be real data whoever sent it, and what would not link or not be safe.

    1. Filters without a set bit, or nearly full (`EMPTY_FILTER`, `FILL_TOO_HIGH`).
    2. Mostly copies of one another (`DUPLICATES`): test data.
    3. Plain filters where the profile diffuses them (`NOT_HARDENED`): whoever stole them could align them.
       One value in a heavy column looks the same. Of composite keys, which are digests, only that can be
       (`FEW_VALUES`).
    4. Encoded under another secret than a batch that is here (`WRONG_KEY`), whatever the key check value
       says: they would link with nobody, and every figure would be wrong. That two batches of some thousand
       have nothing in common, of too few records to be sure, is reported.

    Raises
    ------
    RefusedError
        `SCREENING_FAILED` with a problem per filter.
    """
    problems = []
    kinds = {item.name: item.similarity for item in spec.filters}
    for name, item in figures["filters"].items():
        if item["empty"]:
            problems.append(Problem("EMPTY_FILTER", "filters are present without a set bit", column=name))
        if item["present"] and float(item["fill"]) > MAX_FILL:
            problems.append(Problem("FILL_TOO_HIGH", "filters are nearly full", column=name))
        enough = item["present"] >= LEAST_RECORDS
        if enough and float(item["bit_std"]) > MOST_DIFFUSED_STD and (found := _UNEVEN.get(kinds[name])):
            problems.append(Problem(*found, column=name))
    if figures["records"] >= MANY and figures["duplicates"] > MAX_DUPLICATES * figures["records"]:
        problems.append(Problem("DUPLICATES", "most records are exact copies of others"))
    if any(other["key"] == "another" for other in figures["others"]):
        detail = "these encodings and those of another agency were made with different secrets; encode again"
        problems.append(Problem("WRONG_KEY", detail))
    if problems:
        raise RefusedError("SCREENING_FAILED", "The encodings do not look like real data.", problems)
