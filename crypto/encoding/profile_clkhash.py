"""The part of a linkage profile that is of the family ``clkhash``: clkhash's own linkage schema, kept whole.

Filters of this family are made by ``cohortlink-agency clk`` or by clkhash itself, never by ``encode``; the
profile says which schema they were made with and how wide they are, so that they can be stored and compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crypto.canonical import canonical_json
from crypto.errors import CohortlinkError, ProfileError
from crypto.interop.clk_schema import ClkSchema

FAMILY: Final = "clkhash"
SCHEME: Final = "clkhash/0.18"
#: The name of the one filter.
FILTER: Final = "clk"
MEMBERS: Final = frozenset({"format", "family", "risk", "scheme", "schema", "link"})
#: Of batches whose secret nobody here knows: clkhash's secrets may be words, and a check value of a word is
#: a way to guess it.
NO_CHECK_VALUE: Final = "0" * 64


def clk_width(schema: object) -> int:
    """Bits of a CLK of a linkage schema.

    Raises
    ------
    ProfileError
        The codes of ``clk_schema``; ``PROFILE_INVALID`` if the schema holds fractions (which canonical JSON,
        and so a fingerprint, cannot) or its CLKs are not made of whole 64-bit words.
    """
    if not isinstance(schema, Mapping):
        raise ProfileError("PROFILE_INVALID", "the profile is not valid: schema is not an object")
    try:
        canonical_json(schema)
    except CohortlinkError:
        detail = "the profile is not valid: the schema holds a number that is not whole"
        raise ProfileError("PROFILE_INVALID", detail) from None
    width = ClkSchema.from_document(schema).length
    if width % 64 or not 64 <= width <= 65536:
        detail = "the profile is not valid: l of the schema must be a multiple of 64, at most 65536"
        raise ProfileError("PROFILE_INVALID", detail)
    return width


def to_document(format_: str, risk: str, schema: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """The JSON document of such a profile."""
    return {
        "format": format_,
        "family": FAMILY,
        "risk": risk,
        "scheme": SCHEME,
        "schema": dict(schema),
        "link": {"mode": mode},
    }
