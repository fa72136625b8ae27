"""clkhash's linkage schema, versions 1 to 3, read strictly and brought to one form.

Follows what clkhash 0.18.3 *does*: versions 1 and 2 are converted as it converts them, and the number of XOR
folds is taken from ``xor_folds``, which it reads, not from ``xorFolds``, which its schema documents and it
ignores. A feature that is ignored keeps its place, since keys are derived for it too.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from crypto.canonical import canonical_json, sha256_hex
from crypto.errors import CohortlinkError, ProfileError

VERSIONS: Final = (1, 2, 3)
MAX_BITS: Final = 1 << 20  # of a filter before folding
_MAX_PER_TOKEN: Final = 1 << 14
_BLAKE_KEY: Final = 64
_HASH_BYTES: Final = {"SHA256": 32, "SHA512": 64}
KEYS_PER_FEATURE: Final = 2

Formats = Literal["string", "integer", "date", "enum"]


@dataclass(frozen=True)
class Comparison:
    """How a value is cut into tokens.

    ``n`` and ``positional`` are of n-grams; ``interval`` (the threshold distance in units of the last
    fractional digit), ``resolution`` and ``precision`` of numbers.
    """

    kind: Literal["ngram", "exact", "numeric"]
    n: int = 0
    positional: bool = False
    interval: int = 0
    resolution: int = 0
    precision: int = 0


@dataclass(frozen=True)
class Hashing:
    """Which bits a feature's tokens set: ``bits`` for each token, or shared by all tokens of the feature."""

    comparison: Comparison
    kind: Literal["blakeHash", "doubleHash"]
    prevent_singularity: bool
    bits: int
    per_feature: bool
    sentinel: str | None
    replacement: str


@dataclass(frozen=True)
class Feature:
    """One column: its format, and its hashing, which is None where the column is ignored."""

    identifier: str
    format: Formats
    encoding: str
    pattern: re.Pattern[str] | None
    case: str
    least: int | None
    most: int | None
    date_format: str
    values: frozenset[str]
    hashing: Hashing | None


@dataclass(frozen=True)
class ClkSchema:
    """A linkage schema; make one with :meth:`load` or :meth:`from_document`.

    Attributes
    ----------
    length : int
        Bits of a CLK, after folding.
    folds : int
        Each halves the filter by XOR.
    features : tuple of Feature
        In the order of the file's columns, the ignored ones included.
    kdf_hash : str
        ``SHA256`` or ``SHA512``.
    salt, info : bytes or None
    key_size : int
        Bytes of each key.
    warnings : tuple of str
        What a reader of clkhash's documentation may not expect.
    fingerprint : str
        SHA-256 (hex) of the document's JSON, for reports.
    """

    length: int
    folds: int
    features: tuple[Feature, ...]
    kdf_hash: str
    salt: bytes | None
    info: bytes | None
    key_size: int
    warnings: tuple[str, ...]
    fingerprint: str

    @property
    def width(self) -> int:
        """Bits before folding."""
        return self.length << self.folds

    @classmethod
    def load(cls, path: Path | str) -> ClkSchema:
        """Read a schema file.

        Raises
        ------
        ProfileError
            ``SCHEMA_MISSING``, and those of :meth:`from_document`.
        """
        try:
            raw = Path(path).read_bytes()
        except OSError:
            raise ProfileError("SCHEMA_MISSING", f"the schema {path} cannot be read") from None
        try:
            document = json.loads(raw.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            raise _invalid("it is not JSON in UTF-8") from None
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ClkSchema:
        """Read a schema document of version 1, 2 or 3.

        Raises
        ------
        ProfileError
            ``SCHEMA_VERSION`` for another version, ``SCHEMA_INVALID`` for anything that clkhash refuses or
            would fail on at the first record.
        """
        version = document.get("version") if isinstance(document, Mapping) else None
        if isinstance(version, bool) or version not in VERSIONS:
            raise ProfileError("SCHEMA_VERSION", "the linkage schema's version is none of 1, 2 and 3")
        config = _object(document.get("clkConfig"), "clkConfig")
        features = document.get("features")
        if not isinstance(features, list) or not features:
            raise _invalid("features is not a list of columns")
        shared_hash = config.get("hash") if version == 1 else None
        shared_k = _integer(config.get("k"), "k", 1) if version == 1 else 0
        if version == 1:
            features = [_from_v1(item, shared_k, shared_hash) for item in features]
        if version in (1, 2):
            features = [_from_v2(item) for item in features]
        return _whole(config, features, sha256_hex(_loose_json(document)))


def _loose_json(document: Mapping[str, Any]) -> bytes:
    # Schemas may hold fractions, which canonical JSON refuses; their shortest text is as good a name.
    try:
        return canonical_json(json.loads(json.dumps(document), parse_float=str))
    except CohortlinkError:
        raise _invalid("a number is too large, or a text holds half of a surrogate pair") from None


def _invalid(detail: str) -> ProfileError:
    return ProfileError("SCHEMA_INVALID", f"the linkage schema is refused: {detail}")


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _invalid(f"{what} is not an object")
    return value


def _integer(value: object, what: str, least: int, most: int = 2**53) -> int:
    # JSON Schema counts 15.0 among the integers, and so do files that clkhash accepts.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _invalid(f"{what} is not a whole number from {least}")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _invalid(f"{what} is not a text")
    return value


def _is_one_of(value: object, known: Collection[str]) -> bool:
    # Lists and objects cannot be looked up.
    return isinstance(value, str) and value in known


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise _invalid(f"{what} is not true or false")
    return value


def _from_v1(feature: object, k: int, hash_: object) -> Mapping[str, Any]:
    """Version 1 → 2: k times the feature's weight, rounded half to even; weight 0 is ignored."""
    item = _object(feature, "a feature")
    if item.get("ignored"):
        return item
    hashing = dict(_object(item.get("hashing"), "hashing"))
    weight = hashing.pop("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < 2**31:
        raise _invalid("a weight is not a number from 0")
    if weight == 0:
        return {"identifier": item.get("identifier"), "ignored": True}
    return {**item, "hashing": {**hashing, "strategy": {"k": round(weight * k)}, "hash": hash_}}


def _from_v2(feature: object) -> Mapping[str, Any]:
    """Version 2 → 3: ``k`` and ``numBits`` by their new names, n-grams as a comparison."""
    item = _object(feature, "a feature")
    if item.get("ignored"):
        return item
    hashing = dict(_object(item.get("hashing"), "hashing"))
    strategy = dict(_object(hashing.get("strategy"), "strategy"))
    if "k" in strategy:
        strategy["bitsPerToken"] = strategy.pop("k")
    elif "numBits" in strategy:
        strategy["bitsPerFeature"] = strategy.pop("numBits")
    comparison = {
        "type": "ngram",
        "n": hashing.pop("ngram", None),
        "positional": hashing.pop("positional", False),
    }
    return {**item, "hashing": {**hashing, "strategy": strategy, "comparison": comparison}}


def _whole(config: Mapping[str, Any], features: list[Any], fingerprint: str) -> ClkSchema:
    length = config.get("l")
    if isinstance(length, float):
        raise _invalid("l is not a whole number")
    folds = _integer(config.get("xor_folds", 0), "xor_folds", 0, 16)
    documented = _integer(config.get("xorFolds", 0), "xorFolds", 0)
    warnings: list[str] = []
    if documented and documented != folds:
        warnings.append(
            f"the schema asks for xorFolds {documented}, which clkhash 0.18.3 ignores: it reads xor_folds, "
            f"here {folds}; the encodings follow what clkhash does"
        )
    length = _integer(length, "l", 1, MAX_BITS)
    if length << folds > MAX_BITS:
        raise _invalid(f"filters of more than {MAX_BITS} bits are not made")
    kdf = _object(config.get("kdf"), "kdf")
    if kdf.get("type") != "HKDF" or not _is_one_of(kdf.get("hash", "SHA256"), _HASH_BYTES):
        raise _invalid("kdf must be HKDF with SHA256 or SHA512")
    key_size = _integer(kdf.get("keySize", 64), "keySize", 1)
    digest = kdf.get("hash", "SHA256")
    if len(features) * KEYS_PER_FEATURE * key_size > 255 * _HASH_BYTES[digest]:
        raise _invalid("HKDF cannot derive keys for so many features; use SHA512 or a smaller keySize")
    parsed = tuple(_feature(_object(item, "a feature")) for item in features)
    blake = any(item.hashing and item.hashing.kind == "blakeHash" for item in parsed)
    width = length << folds
    if blake and width & (width - 1):
        raise _invalid("with blakeHash the filter's bits must be a power of two")
    if blake and key_size > _BLAKE_KEY:
        raise _invalid("blakeHash takes keys of at most 64 bytes")
    return ClkSchema(
        length,
        folds,
        parsed,
        digest,
        _bytes(kdf.get("salt"), "salt"),
        _bytes(kdf.get("info"), "info"),
        key_size,
        tuple(warnings),
        fingerprint,
    )


def _bytes(value: object, what: str) -> bytes | None:
    if value is None:
        return None
    try:
        return base64.b64decode(_text(value, what))
    except (binascii.Error, ValueError):
        raise _invalid(f"{what} is not base64") from None


def _feature(item: Mapping[str, Any]) -> Feature:
    identifier = _text(item.get("identifier"), "an identifier")
    if _flag(item.get("ignored", False), "ignored"):
        return Feature(identifier, "string", "utf-8", None, "mixed", None, None, "", frozenset(), None)
    form = _object(item.get("format"), "a format")
    kind: Any = form.get("type")
    known = {
        "string": {"encoding", "case", "minLength", "maxLength", "pattern"},
        "integer": {"minimum", "maximum"},
        "date": {"format"},
        "enum": {"values"},
    }
    if not _is_one_of(kind, known) or not set(form) <= known[kind] | {"type", "description"}:
        raise _invalid("a format is of no known type, or has members that its type does not know")
    if "pattern" in form and set(form) & {"case", "minLength", "maxLength"}:
        raise _invalid("a pattern excludes case, minLength and maxLength")
    if not _is_one_of(form.get("encoding", "utf-8"), {"ascii", "utf-8", "utf-16", "utf-32"}):
        raise _invalid("an encoding must be ascii, utf-8, utf-16 or utf-32")
    if not _is_one_of(form.get("case", "mixed"), {"upper", "lower", "mixed"}):
        raise _invalid("case must be upper, lower or mixed")
    least, most = _limits(form, kind)
    values = form.get("values", [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _invalid("values is not a list of texts")
    if kind == "enum" and "values" not in form:
        raise _invalid("an enum has no values")
    return Feature(
        identifier=identifier,
        format=kind,
        encoding=form.get("encoding", "utf-8"),
        pattern=_pattern(form["pattern"]) if "pattern" in form else None,
        case=form.get("case", "mixed"),
        least=least,
        most=most,
        date_format=_text(form.get("format"), "a date's format") if kind == "date" else "",
        values=frozenset(values),
        hashing=_hashing(_object(item.get("hashing"), "hashing")),
    )


def _limits(form: Mapping[str, Any], kind: str) -> tuple[int | None, int | None]:
    low, high, floors = ("minimum", "maximum", (-(2**53), -(2**53)))
    if kind == "string":
        low, high, floors = ("minLength", "maxLength", (0, 1))
    return (
        _integer(form[low], low, floors[0]) if low in form else None,
        _integer(form[high], high, floors[1]) if high in form else None,
    )


def _pattern(value: object) -> re.Pattern[str]:
    try:
        return re.compile(_text(value, "a pattern"))
    except (re.error, RecursionError, OverflowError):
        raise _invalid("a pattern is not a regular expression") from None


def _hashing(item: Mapping[str, Any]) -> Hashing:
    if not set(item) <= {"hash", "strategy", "comparison", "missingValue"}:
        raise _invalid("hashing has unknown members")
    hash_ = _object(item.get("hash", {"type": "blakeHash"}), "hash")
    kind: Any = hash_.get("type")
    if not _is_one_of(kind, {"blakeHash", "doubleHash"}):
        raise _invalid("a hash must be blakeHash or doubleHash")
    if kind == "blakeHash" and hash_.get("prevent_singularity") is not None:
        raise _invalid("prevent_singularity goes with doubleHash")
    strategy = _object(item.get("strategy"), "strategy")
    if set(strategy) not in ({"bitsPerToken"}, {"bitsPerFeature"}):
        raise _invalid("a strategy is either bitsPerToken or bitsPerFeature")
    per_feature = "bitsPerFeature" in strategy
    missing = _object(item.get("missingValue", {}), "missingValue")
    if "missingValue" in item and "sentinel" not in missing:
        raise _invalid("missingValue has no sentinel")
    sentinel = _text(missing["sentinel"], "a sentinel") if "sentinel" in missing else None
    return Hashing(
        comparison=_comparison(_object(item.get("comparison"), "comparison")),
        kind=kind,
        prevent_singularity=_flag(hash_.get("prevent_singularity", False), "prevent_singularity"),
        bits=_integer(next(iter(strategy.values())), "bits of a strategy", 1, _MAX_PER_TOKEN),
        per_feature=per_feature,
        sentinel=sentinel,
        replacement=_text(missing.get("replaceWith", sentinel or ""), "replaceWith"),
    )


def _comparison(item: Mapping[str, Any]) -> Comparison:
    kind = item.get("type")
    if kind == "exact":
        return Comparison("exact")
    if kind == "ngram":
        positional = _flag(item.get("positional", False), "positional")
        return Comparison("ngram", n=_integer(item.get("n"), "n", 1, 1000), positional=positional)
    if kind != "numeric":
        raise _invalid("a comparison must be ngram, exact or numeric")
    distance = item.get("thresholdDistance")
    if isinstance(distance, bool) or not isinstance(distance, (int, float)) or not 0 < distance < 2**63:
        raise _invalid("thresholdDistance is not a number above 0")
    precision = _integer(item.get("fractional_precision", 0), "fractional_precision", 0, 100)
    interval = round(distance * pow(10, precision))
    if interval == 0:
        raise _invalid("fractional_precision is too small for thresholdDistance")
    resolution = _integer(item.get("resolution"), "resolution", 1, 1 << 12)
    return Comparison("numeric", interval=interval, resolution=resolution, precision=precision)
