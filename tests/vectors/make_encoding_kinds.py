"""Makes ``encoding-kinds.json`` from the plain reference: ``python -m tests.vectors.make_encoding_kinds``.

Every kind of token, filters that are present on either of two fields, nicknames, diffused filters of both;
the product has no part in it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from tests.crypto import encoding_reference as reference

TARGET: Final = Path(__file__).with_name("encoding-kinds.json")
SECRET: Final = hashlib.sha256(b"published test vector; never a secret").digest()
AGREEMENT: Final = "cincinnati-nky"
EPOCH: Final = 1


def _field(name: str, normaliser: str, tokens: dict[str, Any], **more: Any) -> dict[str, Any]:
    field = {
        "name": name,
        "columns": [name],
        "normaliser": normaliser,
        "max_length": 20,
        "tokens": tokens,
        "group": name,
        "missing": ["n/a"],
        "strong": name == "number",
    }
    return field | more


def _filter(name: str, fields: list[str], t: int = 0, **more: Any) -> dict[str, Any]:
    hardening = {"kind": "diffusion", "t": t, "width": 192} if t else {"kind": "none"}
    made = {"name": name, "fields": fields, "require": [], "width": 256, "salt": "", "hardening": hardening}
    return made | {"levels": []} | more


GRAMS: Final = {"kind": "qgram", "positions": 3, "q": 2}
WHOLE: Final = {"kind": "exact", "positions": 1}
KEY: Final = {"kind": "key"}
PROFILE: Final[dict[str, Any]] = {
    "format": "cohortlink-profile/1",
    "family": "field-level",
    "risk": "high",
    "scheme": "cohortlink-encoding/1",
    "normaliser": "cohortlink-normalise/1",
    "unicode": "3.2.0",
    "prf": "HMAC-SHA512",
    "fields": [
        _field("given", "name", GRAMS, group="names", nicknames={"bob": "robert", "peggy": "margaret"}),
        _field("family", "name", GRAMS, group="names"),
        _field("born", "date", {"kind": "date_pairs", "positions": 9}),
        _field("entered", "date", {"kind": "date", "year": 7, "month": 5, "day": 6}),
        _field("number", "ssn", {"kind": "digits", "positions": 4}),
        _field("member", "alphanumeric", {"kind": "exact", "positions": 20}),
        _field("age", "integer", {"kind": "numeric", "positions": 4, "distance": 8, "resolution": 2}),
        _field("trade", "alphanumeric", {"kind": "code", "levels": [2, 4, 6], "positions": [5, 7, 9]}),
        _field("whole_given", "name", WHOLE, group="whole_names", columns=["given"]),
        _field("whole_family", "name", WHOLE, group="whole_names", columns=["family"]),
        _field("month", "date", {"kind": "code", "levels": [6], "positions": [1]}, columns=["born"]),
    ],
    "filters": [
        _filter("names", ["given", "family"]),
        _filter("numbers", ["age", "trade", "member"], salt="numbers"),
        _filter("known", ["number", "born", "given"], 4, require=["number|born", "given"]),
        _filter("person", ["given", "family", "born", "entered"], 5),
        _filter("key", ["whole_given", "month", "whole_family"], width=128, salt="k", hardening=KEY),
    ],
    "link": {"mode": "many-to-one"},
}

#: Normalised values beside what the file says.
RECORDS: Final[list[dict[str, Any]]] = [
    {
        "desc": "every field",
        "row": {
            "given": "Bob", "family": "O'Neill", "born": "1999-12-31", "entered": "2021-08-01",
            "number": "412-55-0001", "member": "ab-17", "age": "25", "trade": "513801",
        },
        "normalised": {
            "given": "robert", "family": "oneill", "born": "19991231", "entered": "20210801",
            "number": "412550001", "member": "ab17", "age": "25", "trade": "513801",
            "whole_given": "bob", "whole_family": "oneill", "month": "19991231",
        },
    },
    {
        "desc": "given name and surname swapped, another day: the same key",
        "row": {"given": "O'Neill", "family": "Bob", "born": "1999-12-01"},
        "normalised": {
            "given": "oneill", "family": "bob", "born": "19991201",
            "whole_given": "oneill", "whole_family": "bob", "month": "19991201",
        },
    },
    {
        "desc": "the number instead of the birth date, a code that ends at its second level",
        "row": {"given": "Robert", "family": "", "number": "412550001", "trade": "5138", "age": "-3"},
        "normalised": {
            "given": "robert", "number": "412550001", "trade": "5138", "age": "-3", "whole_given": "robert",
        },
    },
    {
        "desc": "neither number nor birth date: one filter less",
        "row": {"given": "Peggy", "family": "Bob", "age": "4", "trade": "5"},
        "normalised": {
            "given": "margaret", "family": "bob", "age": "4", "trade": "5",
            "whole_given": "peggy", "whole_family": "bob",
        },
    },
    {
        "desc": "a birth date alone",
        "row": {"born": "2/28/2000"},
        "normalised": {"born": "20000228", "month": "20000228"},
    },
    {"desc": "nothing", "row": {"given": "n/a", "age": "old"}, "normalised": {}},
]  # fmt: skip


def make() -> dict[str, Any]:
    """The document, from the reference alone."""
    made = reference.keys(PROFILE, SECRET, AGREEMENT, EPOCH)
    records = []
    for record in RECORDS:
        filters = {}
        for item in PROFILE["filters"]:
            hardened = reference.encode(PROFILE, item["name"], made, record["normalised"])
            sent = None if hardened is None else hardened.hex()
            plain = reference.plain_filter(PROFILE, item["name"], made, record["normalised"])
            before = None if plain is None else reference.packed(plain).hex()
            is_key = item["hardening"]["kind"] == "key"
            filters[item["name"]] = {"plain": sent if is_key else before, "sent": sent}
        records.append({**record, "filters": filters})
    return {
        "desc": "Every kind of token, alternatives in require, nicknames; see docs/encoding-spec.md",
        "secret": SECRET.hex(),
        "agreement": AGREEMENT,
        "epoch": EPOCH,
        "profile": PROFILE,
        "fingerprint": reference.fingerprint(PROFILE).hex(),
        "keys": {name: key.hex() for name, key in made.items()},
        "tokens": {
            field["name"]: [
                {
                    "value": value,
                    "tokens": [list(token) for token in reference.tokens(field["tokens"], value)],
                }
                for value in dict.fromkeys(
                    record["normalised"][field["name"]]
                    for record in RECORDS
                    if field["name"] in record["normalised"]
                )
            ]
            for field in PROFILE["fields"]
        },
        "records": records,
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n", "utf-8")
