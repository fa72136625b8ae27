"""The families of profiles, what each was measured to withstand, and the versions that are spoken here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crypto.encoding import profile_clkhash

FORMAT: Final = "cohortlink-profile/1"
SCHEME: Final = "cohortlink-encoding/1"
PRF: Final = "HMAC-SHA512"
#: Those that ship with the program; profiles of the family ``clkhash`` are made from a linkage schema.
FAMILIES: Final = ("field-level", "record-hardened")

#: What a family was measured to withstand; printed when a profile is made and stored in the agreement.
RISK: Final[Mapping[str, tuple[str, str]]] = {
    "field-level": (
        "high",
        (
            "A filter of one field keeps that field's frequencies, and those of its letters: whoever holds "
            "the stored filters and a register of the same population names nearly everybody in it without "
            "the secret. For data owners who accept that in the agreement, for the best linkage."
        ),
    ),
    "record-hardened": (
        "low",
        (
            "Measured on 5,000 persons against an attacker who knows population and scheme but not the key: "
            "knowing half of them gives away less than 1 % of the others, of whole households too (half of "
            "those few are twins of somebody who is known). Holds while the leak-SNR of your own data is at "
            "most 0.02, which the program checks, and within one file: a twin in another agency's file can "
            "be given away. Whoever holds the secret can still re-identify by dictionary."
        ),
    ),
    profile_clkhash.FAMILY: (
        "weak",
        (
            "Plain CLKs are not protected against whoever holds them: graph matching and pattern mining name "
            "nearly everybody without the secret. For partners whose tools make nothing else, where all data "
            "owners accept that."
        ),
    ),
}
#: Every filter of a hardened profile is diffused at least this much; t = 3 leaked 29 % of known pairs.
LEAST_HARDENED_T: Final = 4
