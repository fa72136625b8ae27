"""The parts of a profile: fields, how they are cut into tokens, and the filters that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

TokenKind = Literal["qgram", "date", "date_pairs", "exact", "digits", "numeric", "code"]
Mode = Literal["one-to-one", "many-to-one", "one-to-many"]


@dataclass(frozen=True)
class TokenRule:
    """How a normalised value is cut, and how many positions (bits) each token sets.

    ``positions`` holds one number, or three for dates (year, month, day), or one for each level of a
    hierarchical code; ``q`` is 0 but for q-grams. ``levels`` are the lengths of a code's prefixes. Numbers
    more than ``distance`` apart share no token; ``resolution`` is the number of tokens on each side.
    """

    kind: TokenKind
    positions: tuple[int, ...]
    q: int
    levels: tuple[int, ...] = ()
    distance: int = 0
    resolution: int = 0


@dataclass(frozen=True)
class Field:
    """One field of a person: where it stands, how it is normalised and cut, under which group's key.

    ``columns`` are alternatives: the first that a file has is read. Cells equal to one of ``missing`` (after
    trimming, in lower case) and empty cells hold nothing. ``strong`` marks an identifier such as the SSN.
    ``nicknames`` leads from a normalised value to the one in whose place it is written.
    """

    name: str
    columns: tuple[str, ...]
    normaliser: str
    max_length: int
    tokens: TokenRule
    group: str
    missing: tuple[str, ...]
    strong: bool
    nicknames: tuple[tuple[str, str], ...] = ()

    def to_document(self) -> dict[str, Any]:
        """As it stands in a profile document."""
        rule = self.tokens
        tokens: dict[str, Any] = {"kind": rule.kind}
        if rule.kind == "date":
            tokens |= dict(zip(("year", "month", "day"), rule.positions, strict=True))
        elif rule.kind == "code":
            tokens |= {"levels": list(rule.levels), "positions": list(rule.positions)}
        else:
            tokens["positions"] = rule.positions[0]
        if rule.kind == "qgram":
            tokens["q"] = rule.q
        if rule.kind == "numeric":
            tokens |= {"distance": rule.distance, "resolution": rule.resolution}
        document = {
            "name": self.name,
            "columns": list(self.columns),
            "normaliser": self.normaliser,
            "max_length": self.max_length,
            "tokens": tokens,
            "group": self.group,
            "missing": list(self.missing),
            "strong": self.strong,
        }
        return {**document, "nicknames": dict(self.nicknames)} if self.nicknames else document


@dataclass(frozen=True)
class Diffusion:
    """Each of ``width`` output bits is the XOR of ``t`` secretly chosen filter bits; width ≤ the filter's."""

    t: int
    width: int


@dataclass(frozen=True)
class Filter:
    """One Bloom filter of one or more fields; absent for a person who lacks a field of ``require``.

    An item of ``require`` is a field, or several with ``|`` between, of which one is enough.

    A person none of whose fields holds anything has no filter either. ``salt`` separates the positions of
    filters that share a key group; filters with equal salt and group may be compared with each other.
    ``composite``: no Bloom filter but a key of all its fields, see `crypto.encoding.composite`.
    """

    name: str
    fields: tuple[str, ...]
    require: tuple[str, ...]
    width: int
    salt: str
    hardening: Diffusion | None
    levels: tuple[str, ...]
    composite: bool = False

    @property
    def out_width(self) -> int:
        """Bits that travel."""
        return self.hardening.width if self.hardening else self.width

    def to_document(self) -> dict[str, Any]:
        """As it stands in a profile document."""
        hardening: dict[str, Any] = {"kind": "none"}
        if self.composite:
            hardening = {"kind": "key"}
        if self.hardening:
            hardening = {"kind": "diffusion", "t": self.hardening.t, "width": self.hardening.width}
        return {
            "name": self.name,
            "fields": list(self.fields),
            "require": list(self.require),
            "width": self.width,
            "salt": self.salt,
            "hardening": hardening,
            "levels": list(self.levels),
        }
