"""The encoding once more, in plain Python from docs/encoding-spec.md: no NumPy, and none of crypto/encoding.

Slow and obvious on purpose; the fast implementation must agree with it bit for bit. Values come normalised.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any

SCHEME = b"cohortlink-encoding/1"


def lv(*parts: bytes) -> bytes:
    return b"".join(len(p).to_bytes(2, "big") + p for p in parts)


def hmac_of(name: str, key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, name).digest()


def fingerprint(profile: Mapping[str, Any]) -> bytes:
    """Profiles hold ASCII keys, strings, small integers and booleans: sorted compact JSON is canonical."""
    text = json.dumps(profile, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).digest()


def prk(secret: bytes, agreement: str, epoch: int) -> bytes:
    salt = hashlib.sha256(agreement.encode() + epoch.to_bytes(8, "big")).digest()
    return hmac_of("sha256", salt, secret)


def expand(key: bytes, *parts: bytes) -> bytes:
    return hmac_of("sha256", key, lv(SCHEME, *parts) + b"\x01")


def keys(profile: Mapping[str, Any], secret: bytes, agreement: str, epoch: int) -> dict[str, bytes]:
    root, print_ = prk(secret, agreement, epoch), fingerprint(profile)
    found = {
        f"field:{field['group']}": expand(root, b"field", field["group"].encode(), print_)
        for field in profile["fields"]
    }
    return found | {name: expand(root, name.encode(), print_) for name in ("eld", "key", "kcv")}


def tokens(rule: Mapping[str, Any], value: str) -> Iterator[tuple[str, int]]:
    """Token texts with their number of positions."""
    if rule["kind"] == "qgram":
        pad = "_" * (rule["q"] - 1)
        padded = pad + value + pad
        for start in range(len(padded) - rule["q"] + 1):
            yield padded[start : start + rule["q"]], rule["positions"]
    elif rule["kind"] == "date":
        yield "y" + value[:4], rule["year"]
        yield "m" + value[4:6], rule["month"]
        yield "d" + value[6:], rule["day"]
    elif rule["kind"] == "date_pairs":
        yield "ym" + value[:6], rule["positions"]
        yield "md" + value[4:], rule["positions"]
        yield "yd" + value[:4] + value[6:], rule["positions"]
    elif rule["kind"] == "digits":
        for place, character in enumerate(value):
            yield f"{place}:{character}", rule["positions"]
    elif rule["kind"] == "code":
        reached = [place for place, length in enumerate(rule["levels"]) if len(value) >= length]
        for place in reached or [0]:
            yield f"{place}:{value[: rule['levels'][place]]}", rule["positions"][place]
    elif rule["kind"] == "numeric":
        b, d = rule["resolution"], rule["distance"]
        c = (2 * (2 * b * int(value)) + d) // (2 * d)
        for step in range(c - b, c + b + 1):
            yield str(step * d), rule["positions"]
    else:
        yield value, rule["positions"]


def positions(key: bytes, salt: str, token: str, occurrence: int, count: int, width: int) -> list[int]:
    message = lv(salt.encode(), f"{token}#{occurrence}".encode())
    found: list[int] = []
    counter = 0
    while len(found) < count:
        digest = hmac_of("sha512", key, counter.to_bytes(4, "big") + message)
        found += [int.from_bytes(digest[i : i + 2], "big") & (width - 1) for i in range(0, 64, 2)]
        counter += 1
    return found[:count]


def index_sets(key: bytes, name: str, width: int, out: int, t: int) -> list[list[int]]:
    def words() -> Iterator[int]:
        counter = 0
        while True:
            digest = hmac_of("sha512", key, counter.to_bytes(4, "big") + lv(b"index", name.encode()))
            yield from (int.from_bytes(digest[i : i + 4], "big") for i in range(0, 64, 4))
            counter += 1

    stream = words()
    items = list(range(width))
    sets = []
    for _ in range(out):
        for j in range(t):
            n = width - j
            word = next(stream)
            while word >= 2**32 - 2**32 % n:
                word = next(stream)
            r = j + word % n
            items[j], items[r] = items[r], items[j]
        sets.append(items[:t])
    return sets


def packed(bits: list[int]) -> bytes:
    return bytes(int("".join(map(str, bits[i : i + 8])), 2) for i in range(0, len(bits), 8))


def plain_filter(
    profile: Mapping[str, Any], name: str, made: Mapping[str, bytes], values: Mapping[str, str]
) -> list[int] | None:
    """Bits before hardening, None where the record has no such filter; ``values`` normalised, "" missing."""
    item = next(f for f in profile["filters"] if f["name"] == name)
    fields = [f for f in profile["fields"] if f["name"] in item["fields"]]
    if not any(values.get(f["name"]) for f in fields) or not all(
        any(values.get(name) for name in group.split("|")) for group in item["require"]
    ):
        return None
    bits = [0] * item["width"]
    seen: dict[tuple[str, str], int] = {}
    for field in fields:
        value = values.get(field["name"])
        for token, count in tokens(field["tokens"], value) if value else ():
            number = seen[field["group"], token] = seen.get((field["group"], token), 0) + 1
            key = made[f"field:{field['group']}"]
            for position in positions(key, item["salt"], token, number, count, item["width"]):
                bits[position] = 1
    return bits


def composite(
    profile: Mapping[str, Any], name: str, made: Mapping[str, bytes], values: Mapping[str, str]
) -> bytes | None:
    item = next(f for f in profile["filters"] if f["name"] == name)
    held = {f["name"]: f for f in profile["fields"]}
    fields = [held[field] for field in item["fields"]]
    if not all(values.get(field["name"]) for field in fields):
        return None
    groups: dict[str, list[bytes]] = {}
    for field in fields:
        for token, _ in tokens(field["tokens"], values[field["name"]]):
            groups.setdefault(field["group"], []).append(token.encode())
    parts = [part for group, texts in groups.items() for part in (group.encode(), *sorted(texts))]
    return hmac_of("sha512", made["key"], lv(item["salt"].encode(), *parts))[: item["width"] // 8]


def encode(
    profile: Mapping[str, Any], name: str, made: Mapping[str, bytes], values: Mapping[str, str]
) -> bytes | None:
    item = next(f for f in profile["filters"] if f["name"] == name)
    if item["hardening"]["kind"] == "key":
        return composite(profile, name, made, values)
    bits = plain_filter(profile, name, made, values)
    if bits is None:
        return None
    if item["hardening"]["kind"] == "diffusion":
        out, t = item["hardening"]["width"], item["hardening"]["t"]
        sets = index_sets(made["eld"], name, item["width"], out, t)
        bits = [sum(bits[i] for i in chosen) % 2 for chosen in sets]
    return packed(bits)
