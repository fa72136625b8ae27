"""Our encoding, made once more in JavaScript from docs/encoding-spec.md alone (Debian: nodejs)."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crypto.encoding.encode import Encoder, prepare
from crypto.encoding.keys import Keys, Secret, pseudorandom_key
from crypto.encoding.normalise import NORMALISERS
from crypto.encoding.profile import Profile, default_profile

PROGRAM = Path(__file__).parent / "javascript" / "encode.mjs"
VECTORS = Path(__file__).parents[1] / "vectors"
PROFILES = 40
ROWS = 8

Document = dict[str, Any]

CELLS: dict[str, list[str]] = {
    "name": [
        "Ann-Marie",
        "O'Neill Jr.",
        "Müller",
        "ΣΑΣ",
        "Smith III",
        "Nguyễn",
        "",
        "n/a",
        "x",
        "Anana",
        "𐐀𐐁b",
    ],
    "date": ["2001-02-03", "1/2/1999", "19500101", "2001-2-3T00:00", ""],
    "ssn": ["412-55-0001", "４１２５５０００２", "000-11-2222", "123456789", ""],
    "sex": ["M", "female", "x", ""],
    "zip": ["45202", "45202-1234", "00000", "4520", ""],
    "house_number": ["0012B", "12bc 7", "Apt 5", "12б", "0", ""],
    "street": ["12 North Third Street", "Saint Mary's Lane", "5th Ave 7", "East", ""],
    "place": ["Mt. Healthy", "Saint Louis", "München", ""],
    "integer": ["25", "-3", "+007", "1e3", "999999999999999", ""],
    "alphanumeric": ["AB-17 c", "x٣y", "Ünï 9", ""],
}
CELLS["initial"] = CELLS["name"]
KINDS = {
    "name": ["qgram", "exact", "code", "digits"],
    "initial": ["exact"],
    "date": ["date", "date_pairs", "exact", "code"],
    "ssn": ["digits", "exact", "qgram", "code"],
    "sex": ["exact"],
    "zip": ["exact", "digits", "code", "qgram"],
    "house_number": ["exact", "qgram", "digits"],
    "street": ["qgram", "exact"],
    "place": ["qgram", "exact", "digits"],
    "integer": ["numeric"],
    "alphanumeric": ["qgram", "exact", "code", "digits"],
}


def make_unicode() -> list[tuple[int, str]]:
    """Where in Unicode 3.2 another general category begins, as in UnicodeData-3.2.0.txt."""
    runs: list[tuple[int, str]] = []
    for code in range(0x110000):
        category = unicodedata.ucd_3_2_0.category(chr(code))
        if not runs or runs[-1][1] != category:
            runs.append((code, category))
    return runs


def random_rule(kind: str, rng: random.Random) -> Document:
    if kind == "date":
        return {"kind": kind, **{part: rng.randint(1, 60) for part in ("year", "month", "day")}}
    if kind == "code":
        levels = sorted(rng.sample(range(1, 9), rng.randint(1, 3)))
        return {"kind": kind, "levels": levels, "positions": [rng.randint(1, 60) for _ in levels]}
    rule: Document = {"kind": kind, "positions": rng.randint(1, 60)}
    if kind == "qgram":
        rule["q"] = rng.randint(1, 3)
    if kind == "numeric":
        rule |= {"distance": rng.choice([1, 2, 3, 8, 1000]), "resolution": rng.randint(1, 6)}
    return rule


def random_filter(name: str, fields: list[Document], rng: random.Random) -> Document:
    keys = [f for f in fields if f["tokens"]["kind"] == "exact" or len(f["tokens"].get("levels", [])) == 1]
    made: Document = {"name": name, "require": [], "levels": [], "salt": rng.choice(["", "sé"])}
    if len(keys) > 1 and rng.random() < 0.5:
        width = rng.choice([64, 128, 512])
        return made | {"fields": [f["name"] for f in keys], "width": width, "hardening": {"kind": "key"}}
    width = rng.choice([64, 128, 512, 1024])
    names = [field["name"] for field in fields]
    if rng.random() < 0.5:
        made["require"] = ["|".join(rng.sample(names, min(2, len(names))))]
    hardening: Document = {"kind": "none"}
    if rng.random() < 0.6:
        out = 64 * rng.randint(1, width // 64)
        hardening = {"kind": "diffusion", "t": rng.randint(2, 16), "width": out}
    return made | {"fields": names, "width": width, "hardening": hardening}


def random_profile(rng: random.Random) -> Document:
    """A profile of any kinds of fields and filters; fields may share a group."""
    fields: list[Document] = []
    for number in range(rng.randint(2, 7)):
        normaliser = rng.choice(list(KINDS))
        field: Document = {
            "name": f"f{number}",
            "columns": [f"absent{number}", f"c{number}"],
            "normaliser": normaliser,
            "max_length": rng.randint(1, 40),
            "tokens": random_rule(rng.choice(KINDS[normaliser]), rng),
            "group": f"g{number}",
            "missing": rng.choice([[], ["n/a"], ["n/a", "x"]]),
            "strong": False,
        }
        alike = [other for other in fields if other["normaliser"] == normaliser]
        if alike and rng.random() < 0.7:
            field |= {name: alike[0][name] for name in ("tokens", "group")}
        fields.append(field)
    filters = [
        random_filter(f"b{number}", rng.sample(fields, rng.randint(1, len(fields))), rng)
        for number in range(rng.randint(1, 3))
    ]
    held = {name for item in filters for name in item["fields"]}
    left = [field for field in fields if field["name"] not in held]
    if left:
        filters.append(random_filter("left", left, rng))
        held |= set(filters[-1]["fields"])
    return {
        **default_profile("field-level").to_document(),
        "fields": [field for field in fields if field["name"] in held],
        "filters": filters,
    }


def random_case(rng: random.Random) -> Document:
    profile = random_profile(rng)
    rows = [
        {field["columns"][-1]: rng.choice(CELLS[field["normaliser"]]) for field in profile["fields"]}
        for _ in range(ROWS)
    ]
    return {
        "profile": profile,
        "secret": rng.randbytes(32).hex(),
        "agreement": rng.choice(["", "demo", "cincinnati-nky"]),
        "epoch": rng.choice([1, 2, 2**31 - 1]),
        "rows": rows,
    }


def ours(case: Document) -> Document:
    """What the product makes of a case."""
    profile = Profile.from_document(case["profile"])
    secret = Secret(case["agreement"], case["epoch"], bytes.fromhex(case["secret"]))
    keys, rows = Keys(secret, profile), case["rows"]
    table = pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0]})
    found = Encoder(prepare(table, profile), profile, keys).encode(np.arange(len(rows))).filters
    records = [
        {name: packed[at].tobytes().hex() if has[at] else None for name, (packed, has) in found.items()}
        for at in range(len(rows))
    ]
    prk = pseudorandom_key(secret).hex()
    return {"fingerprint": profile.fingerprint, "prk": prk, "kcv": keys.kcv, "records": records}


def published(name: str) -> tuple[Document, list[Document]]:
    """A case of the published vectors, and its records' filters as they travel."""
    vectors = json.loads((VECTORS / name).read_text("utf-8"))
    case = {each: vectors[each] for each in ("profile", "secret", "agreement", "epoch")}
    rows = [record["row"] for record in vectors["records"]]
    sent = [
        {name: (made or {}).get("out", (made or {}).get("sent")) for name, made in record["filters"].items()}
        for record in vectors["records"]
    ]
    return case | {"rows": rows}, sent


def asked(cases: list[Document], texts: list[Document]) -> Document:
    """What the program in JavaScript makes of them."""
    node = shutil.which("node")
    if node is None:
        message = "node is not installed: the encoding in JavaScript did NOT run"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    given = json.dumps({"unicode": make_unicode(), "cases": cases, "texts": texts})
    answer = subprocess.run(
        [node, str(PROGRAM)], input=given, capture_output=True, check=True, text=True, timeout=120
    )
    found: Document = json.loads(answer.stdout)
    return found


def test_program_made_from_the_page_alone_comes_to_the_published_vectors_and_to_our_bits() -> None:
    rng = random.Random(20261122)
    known = [published(name) for name in ("encoding.json", "encoding-kinds.json")]
    cases = [random_case(rng) for _ in range(PROFILES)]
    texts = json.loads((VECTORS / "encoding-normalise.json").read_text("utf-8"))["cases"]
    # Every letter and sign of Unicode, thirty-two in a text: what is a letter, what is written otherwise.
    for start in range(0, 0x30000, 32):
        sample = "a".join(chr(code) for code in range(start, start + 32) if not 0xD800 <= code < 0xE000)
        texts.append({"normaliser": "alphanumeric", "max_length": 640, "text": sample})
        texts[-1]["normal"] = NORMALISERS["alphanumeric"](sample, 640)
    found = asked([case for case, _ in known] + cases, texts)
    assert [each["records"] for each in found["cases"][: len(known)]] == [sent for _, sent in known]
    assert found["cases"][len(known) :] == [ours(case) for case in cases]
    assert found["texts"] == [text["normal"] for text in texts]
