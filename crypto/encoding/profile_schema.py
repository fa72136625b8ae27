"""The JSON Schema of linkage profiles, made from the code that reads them (``profile schema``).

A schema cannot say everything that ``profile`` refuses (fields that no filter holds, output wider than its
filter); it is for editors and other implementations, not in the place of ``profile check``.
"""

from __future__ import annotations

from typing import Any, Final

from crypto.encoding import normalise, profile_clkhash
from crypto.encoding.profile_families import FAMILIES, FORMAT, LEAST_HARDENED_T, PRF, RISK, SCHEME
from crypto.interop.clk_schema import VERSIONS

Schema = dict[str, Any]

_COUNT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 16384}
_NAME: Final[Schema] = {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,31}$"}
_LEVEL: Final[Schema] = {"type": "string", "pattern": r"^(0\.[0-9]{1,6}|1(\.0{1,6})?)$"}


def _closed(members: Schema, optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in members if name not in optional]
    return {"type": "object", "properties": members, "required": required, "additionalProperties": False}


def _list(items: Schema, least: int = 1, *, unique: bool = True) -> Schema:
    return {"type": "array", "items": items, "minItems": least, "maxItems": 64, "uniqueItems": unique}


def _integer(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _tokens() -> Schema:
    kinds: dict[str, Schema] = {
        "qgram": {"positions": _COUNT, "q": _integer(1, 3)},
        "date": {"year": _COUNT, "month": _COUNT, "day": _COUNT},
        "date_pairs": {"positions": _COUNT},
        "exact": {"positions": _COUNT},
        "digits": {"positions": _COUNT},
        "numeric": {"positions": _COUNT, "distance": _integer(1, 10**9), "resolution": _integer(1, 32)},
        "code": {"positions": _list(_COUNT, unique=False), "levels": _list(_integer(1, 64))},
    }
    return {"oneOf": [_closed({"kind": {"const": kind}, **more}) for kind, more in kinds.items()]}


def _field() -> Schema:
    text = {"type": "string", "maxLength": 64}
    return _closed(
        {
            "name": _NAME,
            "columns": _list(text),
            "normaliser": {"enum": list(normalise.NORMALISERS)},
            "max_length": _integer(1, 64),
            "tokens": _tokens(),
            "group": _NAME,
            "missing": _list(text, 0),
            "strong": {"type": "boolean"},
            "nicknames": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 4096,
                "additionalProperties": {"type": "string", "minLength": 1},
            },
        },
        optional=("nicknames",),
    )


def _filter() -> Schema:
    diffusion = {
        "kind": {"const": "diffusion"},
        "t": _integer(2, 16),
        "width": {"type": "integer", "minimum": 64, "maximum": 65536, "multipleOf": 64},
    }
    return _closed(
        {
            "name": _NAME,
            "fields": _list({"type": "string", "maxLength": 64}),
            "require": _list({"type": "string", "maxLength": 64}, 0),
            "width": {"enum": [1 << power for power in range(6, 17)]},
            "salt": {"type": "string", "maxLength": 64},
            "hardening": {
                "oneOf": [
                    _closed({"kind": {"const": "none"}}),
                    _closed({"kind": {"const": "key"}}),
                    _closed(diffusion),
                ]
            },
            "levels": _list(_LEVEL, 0),
        }
    )


def profile_schema() -> Schema:
    """JSON Schema (draft 2020-12) of a profile document: of our own encodings, or of clkhash's."""
    own, link = _own(), _closed({"mode": {"enum": ["one-to-one", "many-to-one", "one-to-many"]}})
    clkhash = _closed(
        {
            "format": {"const": FORMAT},
            "family": {"const": profile_clkhash.FAMILY},
            "risk": {"const": RISK[profile_clkhash.FAMILY][0]},
            "scheme": {"const": profile_clkhash.SCHEME},
            "schema": {
                "type": "object",
                "properties": {"version": {"enum": list(VERSIONS)}},
                "required": ["version", "clkConfig", "features"],
            },
            "link": link,
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:cohortlink:profile:1",
        "title": "Cohortlink linkage profile",
        "oneOf": [own, clkhash],
    }


def _own() -> Schema:
    """Of the families whose encodings this program makes."""
    document = _closed(
        {
            "format": {"const": FORMAT},
            "family": {"enum": list(FAMILIES)},
            "risk": {"enum": sorted({RISK[family][0] for family in FAMILIES})},
            "scheme": {"const": SCHEME},
            "normaliser": {"const": normalise.VERSION},
            "unicode": {"const": normalise.UNICODE},
            "prf": {"const": PRF},
            "fields": _list(_field()),
            "filters": _list(_filter()),
            "link": _closed({"mode": {"enum": ["one-to-one", "many-to-one", "one-to-many"]}}),
        }
    )
    families = [
        {
            "if": {"properties": {"family": {"const": family}}},
            "then": {"properties": {"risk": {"const": RISK[family][0]}}},
        }
        for family in FAMILIES
    ]
    hardened = {
        "properties": {
            "hardening": {
                "properties": {
                    "kind": {"enum": ["diffusion", "key"]},
                    "t": {"minimum": LEAST_HARDENED_T},
                }
            }
        }
    }
    only_diffused = {
        "if": {"properties": {"family": {"const": "record-hardened"}}},
        "then": {"properties": {"filters": {"items": hardened}}},
    }
    return {**document, "allOf": [*families, only_diffused]}
