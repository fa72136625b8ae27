"""The encoding that attacks are measured against: the common plain CLK, a key for every field, 1024 bits."""

from __future__ import annotations

from crypto.encoding.profile import Profile, default_profile

#: Positions of a token, by field; the usual balance.
_POSITIONS = {"given_name": 15, "surname": 15, "street": 10, "house_number": 8, "city": 14, "zip": 14}


def plain_clk() -> Profile:
    """Schnell, Bachteler and Reiher's CLK: all fields in one filter of 1024 bits, nothing diffused."""
    document = default_profile("field-level").to_document()
    fields = []
    for field in document["fields"]:
        if field["name"] == "birth_date":
            tokens: dict[str, object] = {"kind": "date", "year": 20, "month": 15, "day": 20}
        elif field["name"] in ("house_number", "zip"):
            tokens = {"kind": "digits", "positions": _POSITIONS[field["name"]]}
        elif field["name"] in _POSITIONS:
            tokens = {"kind": "qgram", "positions": _POSITIONS[field["name"]], "q": 2}
        else:
            continue
        fields.append({**field, "tokens": tokens, "group": field["name"]})
    whole = {
        "name": "clk",
        "fields": [field["name"] for field in fields],
        "require": [],
        "width": 1024,
        "salt": "clk",
        "hardening": {"kind": "none"},
        "levels": [],
    }
    return Profile.from_document({**document, "fields": fields, "filters": [whole]})
