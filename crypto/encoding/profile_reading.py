"""Profile documents, read strictly: none of their members unknown, defaulted or optional."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, cast

from crypto.canonical import canonical_json
from crypto.encoding import normalise, profile_clkhash
from crypto.encoding.profile_families import FAMILIES, FORMAT, LEAST_HARDENED_T, PRF, RISK, SCHEME
from crypto.encoding.profile_parts import Diffusion, Field, Filter, Mode, TokenRule
from crypto.errors import CohortlinkError, ProfileError

#: Of a composite key: a digest of SHA-512.
_MOST_KEY_BITS: Final = 512

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")
_LEVEL: Final = re.compile(r"(?:0\.\d{1,6}|1(?:\.0{1,6})?)\Z")


@dataclass(frozen=True)
class Content:
    """What a document of our own families says."""

    family: str
    fields: tuple[Field, ...]
    filters: tuple[Filter, ...]
    mode: Mode


def parse_json(raw: bytes) -> Any:
    """The document in the bytes of a file.

    Raises
    ------
    ProfileError
        ``PROFILE_INVALID``.
    """
    try:
        return json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _invalid("it is not JSON in UTF-8") from error


def _invalid(detail: str) -> ProfileError:
    return ProfileError("PROFILE_INVALID", f"the profile is not valid: {detail}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise _invalid("a member is given twice")
    return dict(pairs)


def _members(value: object, keys: set[str], what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _invalid(f"{what} is not an object")
    wrong = sorted(str(key)[:40] for key in set(value) ^ keys)
    if wrong:
        raise _invalid(f"{what} has missing or unknown members: {', '.join(wrong[:5])}")
    return value


def _items(value: object, what: str, *, least: int = 1) -> list[Any]:
    if not isinstance(value, list) or not least <= len(value) <= 64:
        raise _invalid(f"{what} must be a list of {least} to 64 items")
    return value


def _texts(value: object, what: str, *, least: int = 1) -> tuple[str, ...]:
    items = _items(value, what, least=least)
    if any(not isinstance(item, str) or len(item) > 64 for item in items) or len(set(items)) != len(items):
        raise _invalid(f"{what} must be different texts of at most 64 characters")
    return tuple(items)


def _identifier(value: object, what: str) -> str:
    if not isinstance(value, str) or not _NAME.match(value):
        raise _invalid(f"{what} must be a short name in lower case")
    return value


def _integer(value: object, what: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _invalid(f"{what} must be a whole number from {least} to {most}")
    return value


def _is_one_of(value: object, known: Collection[str]) -> bool:
    """Whether it is one of some texts; lists and objects, which cannot be looked up, are none."""
    return isinstance(value, str) and value in known


def is_clkhash(document: object) -> bool:
    """Whether a document is of the family ``clkhash``; anything that is no object is refused."""
    if not isinstance(document, Mapping):
        raise _invalid("it is not an object")
    return bool(document.get("family") == profile_clkhash.FAMILY)


def read(document: Mapping[str, Any]) -> Content:
    """The content of a document of our own families; refused as `profile.Profile.from_document` says."""
    fixed = {
        "format": FORMAT,
        "scheme": SCHEME,
        "normaliser": normalise.VERSION,
        "unicode": normalise.UNICODE,
        "prf": PRF,
    }
    _check_versions(document, fixed)
    item = _members(document, {*fixed, "family", "risk", "fields", "filters", "link"}, "the profile")
    if not _is_one_of(item["family"], FAMILIES):
        raise _invalid(f"family must be one of {', '.join(FAMILIES)}")
    if item["risk"] != RISK[item["family"]][0]:
        raise _invalid("risk is not the rating that was measured for the family")
    mode = _parse_mode(item["link"])
    fields = tuple(_parse_field(value) for value in _items(item["fields"], "fields"))
    filters = tuple(_parse_filter(value) for value in _items(item["filters"], "filters"))
    content = Content(item["family"], fields, filters, mode)
    _check_whole(content)
    try:
        canonical_json(document)
    except CohortlinkError:
        raise _invalid("a text holds half of a surrogate pair") from None
    return content


def read_clkhash(document: Mapping[str, Any]) -> tuple[Any, Mode]:
    """The linkage schema, not yet looked into, and the link mode of a document of the family ``clkhash``."""
    _check_versions(document, {"format": FORMAT, "scheme": profile_clkhash.SCHEME})
    item = _members(document, set(profile_clkhash.MEMBERS), "the profile")
    if item["risk"] != RISK[profile_clkhash.FAMILY][0]:
        raise _invalid("risk is not the rating that was measured for the family")
    return item["schema"], _parse_mode(item["link"])


def _check_versions(document: Mapping[str, Any], fixed: Mapping[str, str]) -> None:
    for member, supported in fixed.items():
        if document.get(member) != supported:
            raise ProfileError(
                "PROFILE_VERSION",
                f"the profile's {member} is not the supported {supported}; it may need a newer program",
            )


def _parse_mode(link: object) -> Mode:
    mode = _members(link, {"mode"}, "link")["mode"]
    if mode not in ("one-to-one", "many-to-one", "one-to-many"):
        raise _invalid("link mode must be one-to-one, many-to-one or one-to-many")
    return cast("Mode", mode)


def _parse_field(value: object) -> Field:
    keys = {"name", "columns", "normaliser", "max_length", "tokens", "group", "missing", "strong"}
    # The one optional member: a document without it must keep the fingerprint that it always had.
    named = isinstance(value, Mapping) and "nicknames" in value
    item = _members(value, keys | {"nicknames"} if named else keys, "a field")
    name = _identifier(item["name"], "a field's name")
    if not _is_one_of(item["normaliser"], normalise.NORMALISERS):
        raise _invalid(f"field {name} names an unknown normaliser")
    if not isinstance(item["strong"], bool):
        raise _invalid(f"strong of field {name} must be true or false")
    missing = _texts(item["missing"], f"missing of field {name}", least=0)
    if any(text != text.strip().lower() or not text for text in missing):
        raise _invalid(f"missing of field {name} must be trimmed and in lower case")
    tokens = _parse_tokens(item["tokens"], name)
    if (tokens.kind == "numeric") != (item["normaliser"] == "integer"):
        raise _invalid(f"field {name}: numeric tokens go with the integer normaliser")
    dated = item["normaliser"] == "date"
    if (tokens.kind in ("date", "date_pairs") and not dated) or (
        dated and tokens.kind in ("qgram", "digits")
    ):
        raise _invalid(f"field {name}: date tokens go with the date normaliser")
    return Field(
        name=name,
        columns=_texts(item["columns"], f"columns of field {name}"),
        normaliser=item["normaliser"],
        max_length=_integer(item["max_length"], f"max_length of field {name}", 1, 64),
        tokens=tokens,
        group=_identifier(item["group"], f"group of field {name}"),
        missing=missing,
        strong=item["strong"],
        nicknames=_parse_nicknames(item["nicknames"], name, item) if named else (),
    )


def _parse_nicknames(value: object, name: str, field: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    what = f"nicknames of field {name}"
    if not isinstance(value, Mapping) or not 1 <= len(value) <= 4096:
        raise _invalid(f"{what} must be an object of 1 to 4096 names")
    if field["normaliser"] != "name":
        raise _invalid(f"{what} go with the name normaliser")
    pairs = tuple(sorted(value.items()))
    for pair in pairs:
        for text in pair:
            # A name that is not as the normaliser writes it would never be met.
            if not isinstance(text, str) or normalise.name(text, field["max_length"]) != text or not text:
                raise _invalid(f"{what} must be written as the normaliser writes them")
    if {known for _, known in pairs} & {nick for nick, _ in pairs}:
        raise _invalid(f"{what} must lead to names that are none themselves")
    return pairs


def _parse_tokens(value: object, name: str) -> TokenRule:
    kind: Any = value.get("kind") if isinstance(value, Mapping) else None
    numbers = {
        "qgram": ("positions", "q"),
        "date": ("year", "month", "day"),
        "date_pairs": ("positions",),
        "exact": ("positions",),
        "digits": ("positions",),
        "numeric": ("positions", "distance", "resolution"),
        "code": ("positions", "levels"),
    }
    if not _is_one_of(kind, numbers):
        raise _invalid(f"tokens of field {name} must be of the kind {', '.join(numbers)}")
    item = _members(value, {"kind", *numbers[kind]}, f"tokens of field {name}")
    if kind == "code":
        return _parse_code(item, name)
    names = numbers["date"] if kind == "date" else ("positions",)
    positions = tuple(_integer(item[key], f"{key} of field {name}", 1, 16384) for key in names)
    q = _integer(item["q"], f"q of field {name}", 1, 3) if kind == "qgram" else 0
    if kind != "numeric":
        return TokenRule(kind, positions, q)
    resolution = _integer(item["resolution"], f"resolution of field {name}", 1, 32)
    distance = _integer(item["distance"], f"distance of field {name}", 1, 10**9)
    return TokenRule(kind, positions, 0, distance=distance, resolution=resolution)


def _parse_code(item: Mapping[str, Any], name: str) -> TokenRule:
    """A hierarchical code: one token for each level that the value reaches, the finest its whole text."""
    what = f"levels of field {name}"
    levels = tuple(_integer(level, what, 1, 64) for level in _items(item["levels"], what))
    positions = _items(item["positions"], f"positions of field {name}")
    if any(high <= low for low, high in pairwise(levels)) or len(positions) != len(levels):
        raise _invalid(f"{what} must ascend, with as many positions")
    counts = tuple(_integer(count, f"positions of field {name}", 1, 16384) for count in positions)
    return TokenRule("code", counts, 0, levels=levels)


def _parse_filter(value: object) -> Filter:
    item = _members(value, {"name", "fields", "require", "width", "salt", "hardening", "levels"}, "a filter")
    name = _identifier(item["name"], "a filter's name")
    width = _integer(item["width"], f"width of filter {name}", 64, 65536)
    if width & (width - 1):
        raise _invalid(f"width of filter {name} must be a power of two")
    if not isinstance(item["salt"], str) or len(item["salt"]) > 64:
        raise _invalid(f"salt of filter {name} must be a text of at most 64 characters")
    levels = _texts(item["levels"], f"levels of filter {name}", least=0)
    if any(not _LEVEL.match(level) for level in levels):
        raise _invalid(f"levels of filter {name} must be decimal texts from 0 to 1")
    numbers = [Decimal(level) for level in levels]
    if any(high <= low for high, low in pairwise(numbers)):
        raise _invalid(f"levels of filter {name} must descend")
    fields = _texts(item["fields"], f"fields of filter {name}")
    require = _texts(item["require"], f"require of filter {name}", least=0)
    if not {one for group in require for one in group.split("|")} <= set(fields):
        raise _invalid(f"filter {name} requires a field that it does not hold")
    composite = item["hardening"] == {"kind": "key"}
    if composite and (require or levels or width > _MOST_KEY_BITS):
        raise _invalid(f"key {name} takes no require and no levels, and at most {_MOST_KEY_BITS} bits")
    hardening = None if composite else _parse_hardening(item, name, width)
    return Filter(name, fields, require, width, item["salt"], hardening, levels, composite)


def _parse_hardening(item: Mapping[str, Any], name: str, width: int) -> Diffusion | None:
    value = item["hardening"]
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if kind == "none":
        _members(value, {"kind"}, f"hardening of filter {name}")
        return None
    if kind != "diffusion":
        raise _invalid(f"hardening of filter {name} must be none, diffusion or key")
    _members(value, {"kind", "t", "width"}, f"hardening of filter {name}")
    out = _integer(value["width"], f"diffused width of filter {name}", 64, 65536)
    if out > width:
        # With more output than filter bits the generators can be recovered without any key.
        raise ProfileError("PROFILE_UNSAFE", f"filter {name} is diffused to more bits than it has")
    if out % 64:
        raise _invalid(f"diffused width of filter {name} must be a multiple of 64")
    return Diffusion(t=_integer(value["t"], f"t of filter {name}", 2, 16), width=out)


def _check_whole(profile: Content) -> None:
    names = [field.name for field in profile.fields]
    filters = [item.name for item in profile.filters]
    if len(set(names)) != len(names) or len(set(filters)) != len(filters) or "record_ref" in filters:
        raise _invalid("two fields or two filters have the same name, or a filter that of the reference")
    if unknown := {name for item in profile.filters for name in item.fields} ^ set(names):
        raise _invalid(f"fields and filters do not name the same fields: {', '.join(sorted(unknown)[:5])}")
    rules: dict[str, TokenRule] = {}
    for field in profile.fields:
        # One multiset of tokens per group: a swapped given name and surname must set the same bits.
        if rules.setdefault(field.group, field.tokens) != field.tokens:
            raise _invalid(f"the fields of group {field.group} must cut tokens in the same way")
    for item in profile.filters:
        if item.composite:
            _check_key(item, [field for field in profile.fields if field.name in item.fields])
    if profile.family == "record-hardened":
        for item in profile.filters:
            if not item.composite and (item.hardening is None or item.hardening.t < LEAST_HARDENED_T):
                raise ProfileError(
                    "PROFILE_UNSAFE",
                    f"filter {item.name} of a hardened profile needs diffusion with t of "
                    f"{LEAST_HARDENED_T} or more",
                )


def _check_key(item: Filter, fields: Sequence[Field]) -> None:
    """A key tells who shares it, so that one of a single common field would be no secret."""
    if len(fields) < 2 and not fields[0].strong:
        raise ProfileError("PROFILE_UNSAFE", f"key {item.name} must hold at least two fields")
    if any(f.tokens.kind not in ("exact", "code") or len(f.tokens.positions) > 1 for f in fields):
        raise _invalid(f"the fields of key {item.name} must be exact, or codes of one level")
