"""The linkage profile: a JSON document that fixes every byte of an encoding, and its fingerprint.

An agreement fixes a profile by its fingerprint, and the fingerprint enters every key (``keys``), so two
agencies whose profiles differ in anything produce filters that do not meet and check values that differ:
drift fails closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from crypto.canonical import canonical_json, sha256_hex
from crypto.encoding import normalise, profile_clkhash, profile_reading
from crypto.encoding.profile_families import FAMILIES, FORMAT, PRF, RISK, SCHEME
from crypto.encoding.profile_parts import Field, Filter, Mode
from crypto.encoding.types import FilterSpec, LinkSpec
from crypto.errors import ProfileError


@dataclass(frozen=True)
class Profile:
    """A validated profile; make one with :meth:`load`, :meth:`from_document` or :func:`default_profile`."""

    family: str
    fields: tuple[Field, ...]
    filters: tuple[Filter, ...]
    mode: Mode
    clk_schema: Mapping[str, Any] | None = None

    @classmethod
    def load(cls, path: Path | str) -> Profile:
        """Read a profile from a JSON file; see :meth:`from_document` for what is refused."""
        try:
            raw = Path(path).read_bytes()
        except OSError as error:
            raise ProfileError("PROFILE_MISSING", f"the profile {path} cannot be read") from error
        return cls.from_json(raw)

    @classmethod
    def from_json(cls, raw: bytes) -> Profile:
        """Parse the bytes of a profile document (any spelling of JSON: the fingerprint is canonical)."""
        return cls.from_document(profile_reading.parse_json(raw))

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Profile:
        """Validate a profile document.

        Raises
        ------
        ProfileError
            ``PROFILE_VERSION`` for another format, scheme, normaliser, Unicode version or PRF;
            ``PROFILE_UNSAFE`` for what is structurally broken (diffusion to more bits than the filter has, a
            hardened family with plain filters); ``PROFILE_INVALID`` for everything else.
        """
        if profile_reading.is_clkhash(document):
            return cls.from_clk_schema(*profile_reading.read_clkhash(document))
        found = profile_reading.read(document)
        return cls(found.family, found.fields, found.filters, found.mode)

    @classmethod
    def from_clk_schema(cls, schema: Mapping[str, Any], mode: Mode = "one-to-one") -> Profile:
        """The profile of the family ``clkhash`` for a linkage schema of clkhash.

        Raises
        ------
        ProfileError
            ``SCHEMA_VERSION``, ``SCHEMA_INVALID``, ``PROFILE_INVALID``.
        """
        name, width = profile_clkhash.FILTER, profile_clkhash.clk_width(schema)
        clk = Filter(name, (), (), width, salt="", hardening=None, levels=())
        return cls(profile_clkhash.FAMILY, (), (clk,), mode, clk_schema=schema)

    def to_document(self) -> dict[str, Any]:
        """The profile as the JSON document that an agreement holds."""
        if self.clk_schema is not None:
            return profile_clkhash.to_document(FORMAT, self.risk, self.clk_schema, self.mode)
        return {
            "format": FORMAT,
            "family": self.family,
            "risk": self.risk,
            "scheme": SCHEME,
            "normaliser": normalise.VERSION,
            "unicode": normalise.UNICODE,
            "prf": PRF,
            "fields": [field.to_document() for field in self.fields],
            "filters": [item.to_document() for item in self.filters],
            "link": {"mode": self.mode},
        }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the canonical JSON of the document."""
        return sha256_hex(canonical_json(self.to_document()))

    @property
    def risk(self) -> str:
        """The family's measured risk rating: ``low``, ``high`` or ``weak``."""
        return RISK[self.family][0]

    @property
    def moved_keys(self) -> tuple[str, ...]:
        """Composite keys that are moved to others where several persons of a file have them (`shared`).

        None where a file may hold a person several times: there such a key tells that two records are hers.
        """
        return tuple(item.name for item in self.filters if item.composite and self.mode == "one-to-one")

    def field(self, name: str) -> Field:
        """The field of a name."""
        return next(field for field in self.fields if field.name == name)

    @property
    def groups(self) -> tuple[str, ...]:
        """Key groups, in order of first use."""
        return tuple(dict.fromkeys(field.group for field in self.fields))

    def link_spec(self) -> LinkSpec:
        """What the linker must know."""
        return LinkSpec(filters=tuple(self._filter_spec(item) for item in self.filters), mode=self.mode)

    def _filter_spec(self, item: Filter) -> FilterSpec:
        single = self.field(item.fields[0]) if len(item.fields) == 1 else None
        return FilterSpec(
            name=item.name,
            width=item.out_width,
            similarity="key" if item.composite else "agreement" if item.hardening else "dice",
            levels=tuple(float(level) for level in item.levels),
            exact=item.composite
            or (single is not None and single.tokens.kind == "exact" and item.hardening is None),
        )


def default_profile(family: str) -> Profile:
    """The profile that ships with the program for a family.

    Raises
    ------
    ProfileError
        ``FAMILY_UNKNOWN``.
    """
    if family not in FAMILIES:
        raise ProfileError("FAMILY_UNKNOWN", f"the families are {', '.join(FAMILIES)}")
    folder = resources.files("crypto.encoding") / "profiles"
    return Profile.from_json((folder / f"{family}.json").read_bytes())
