"""Profiles: strict, versioned, with a fingerprint over everything; unsafe ones are refused."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crypto.encoding.profile import Profile, default_profile
from crypto.encoding.profile_families import FAMILIES, RISK
from crypto.errors import ProfileError

Document = dict[str, Any]


def changed(family: str, change: Callable[[Document], object]) -> Document:
    document = copy.deepcopy(default_profile(family).to_document())
    change(document)
    return document


def refusal(document: Any) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        Profile.from_document(document)
    return caught.value


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every member of a document, of lists to the first two items."""
    keys = value if isinstance(value, dict) else range(len(value[:2])) if isinstance(value, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


#: What no member of a profile is, whatever it is.
WRONG: tuple[Any, ...] = (None, 1.5, 10**30, "\ud800", [[]], {"kind": []}, {"kind": {}})


@pytest.mark.parametrize("family", FAMILIES)
def test_profile_of_which_any_member_is_of_a_wrong_kind_is_refused_and_breaks_nothing(family: str) -> None:
    right = default_profile(family).to_document()
    for path in places(right):
        for wrong in WRONG:
            document = copy.deepcopy(right)
            parent = functools.reduce(lambda value, key: value[key], path[:-1], document)
            parent[path[-1]] = wrong
            assert refusal(document).code in {"PROFILE_INVALID", "PROFILE_VERSION"}, (path, wrong)


@pytest.mark.parametrize("family", FAMILIES)
def test_default_profile_when_written_and_read_is_the_same(family: str, tmp_path: Path) -> None:
    profile = default_profile(family)
    path = tmp_path / "p.json"
    path.write_text(json.dumps(profile.to_document(), indent=7), "utf-8-sig")
    assert Profile.load(path) == profile
    assert Profile.load(path).fingerprint == profile.fingerprint
    assert profile.family == family
    assert RISK[family][0] == profile.risk


def test_field_level_profile_when_asked_tells_the_linker_its_filters() -> None:
    spec = default_profile("field-level").link_spec()
    by_name = {item.name: item for item in spec.filters}
    assert spec.mode == "one-to-one"
    assert by_name["ssn"].exact
    assert by_name["ssn"].similarity == "dice"
    assert not by_name["surname"].exact
    assert by_name["surname"].levels == (0.999, 0.8, 0.6)
    assert by_name["surname"].width == 1024


def test_hardened_profile_when_asked_has_only_diffused_filters_and_composite_keys() -> None:
    spec = default_profile("record-hardened").link_spec()
    assert [item.similarity for item in spec.filters] == ["agreement"] * 2 + ["key"] * 16
    assert [item.width for item in spec.filters] == [8192, 2048] + [64] * 16
    assert [item.exact for item in spec.filters] == [False] * 2 + [True] * 16


def _key_of(*fields: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        key = next(item for item in document["filters"] if item["hardening"] == {"kind": "key"})
        gone = {f for f in key["fields"] if f not in fields}
        key["fields"] = list(fields)
        used = {f for item in document["filters"] for f in item["fields"]}
        document["fields"] = [f for f in document["fields"] if f["name"] not in gone - used]

    return change


def test_key_of_a_single_common_field_when_read_is_refused_as_unsafe() -> None:
    assert refusal(changed("record-hardened", _key_of("key_surname"))).code == "PROFILE_UNSAFE"


def test_key_of_fields_that_are_cut_into_many_tokens_when_read_is_refused() -> None:
    assert refusal(changed("record-hardened", _key_of("given_name", "key_zip"))).code == "PROFILE_INVALID"


def test_key_with_requirements_or_levels_when_read_is_refused() -> None:
    for member, value in (("require", ["key_surname"]), ("levels", ["1"]), ("width", 1024)):
        document = changed("record-hardened", lambda d, m=member, v=value: d["filters"][-1].update({m: v}))
        assert refusal(document).code == "PROFILE_INVALID"


@pytest.mark.parametrize("member", ["format", "scheme", "normaliser", "unicode", "prf"])
def test_profile_of_another_version_when_read_is_refused_by_version(member: str) -> None:
    newer = changed("field-level", lambda d: d.update({member: "something/2"}))
    assert refusal(newer).code == "PROFILE_VERSION"
    missing = changed("field-level", lambda d: d.pop(member))
    assert refusal(missing).code == "PROFILE_VERSION"


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["fields"].reverse(),
        lambda d: d["fields"][0]["tokens"].update(positions=31),
        lambda d: d["fields"][1].update(max_length=13),
        lambda d: d["fields"][0]["missing"].append("none given"),
        lambda d: d["filters"][0].update(width=512),
        lambda d: d["filters"][0].update(salt="x"),
        lambda d: d["filters"][1]["levels"].pop(),
        lambda d: d["link"].update(mode="many-to-one"),
    ],
)
def test_profile_when_anything_changes_has_another_fingerprint(change: Callable[[Document], object]) -> None:
    profile = Profile.from_document(changed("field-level", change))
    assert profile.fingerprint != default_profile("field-level").fingerprint


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(more=1),
        lambda d: d.pop("link"),
        lambda d: d.update(family="clk"),
        lambda d: d.update(risk="low"),
        lambda d: d.update(fields=[]),
        lambda d: d["link"].update(mode="some"),
        lambda d: d["fields"][0].update(more=1),
        lambda d: d["fields"][0].update(name="SSN"),
        lambda d: d["fields"][0].update(normaliser="magic"),
        lambda d: d["fields"][0].update(max_length=True),
        lambda d: d["fields"][0].update(max_length=0),
        lambda d: d["fields"][0].update(strong="yes"),
        lambda d: d["fields"][0].update(columns=[]),
        lambda d: d["fields"][0].update(columns=["a", "a"]),
        lambda d: d["fields"][0].update(missing=["N/A"]),
        lambda d: d["fields"][0]["tokens"].update(kind="words"),
        lambda d: d["fields"][0]["tokens"].update(positions=0),
        lambda d: d["fields"][0]["tokens"].update(positions=1.5),
        lambda d: d["fields"][1]["tokens"].update(q=4),
        lambda d: d["fields"][1]["tokens"].update(positions=14),
        lambda d: d["fields"][4].update(normaliser="name"),
        lambda d: d["fields"].append(d["fields"][0]),
        lambda d: d["filters"][0].update(width=1000),
        lambda d: d["filters"][0].update(width=32),
        lambda d: d["filters"][0].update(name="record_ref"),
        lambda d: d["filters"][0].update(fields=["nobody"]),
        lambda d: d["filters"][0].update(require=["sex"]),
        lambda d: d["filters"][0].update(levels=["0.5", "0.9"]),
        lambda d: d["filters"][0].update(levels=[0.9]),
        lambda d: d["filters"][0].update(levels=["1.5"]),
        lambda d: d["filters"][0].update(hardening={"kind": "magic"}),
        lambda d: d["filters"][0].update(hardening=None),
        lambda d: d["filters"][0].update(hardening={"kind": "diffusion", "t": 1, "width": 128}),
        lambda d: d["filters"][0].update(hardening={"kind": "diffusion", "t": 5, "width": 100}),
        lambda d: d["filters"].pop(),
    ],
)
def test_profile_that_is_malformed_when_read_is_refused(change: Callable[[Document], object]) -> None:
    assert refusal(changed("field-level", change)).code == "PROFILE_INVALID"


def test_diffusion_to_more_bits_than_the_filter_when_read_is_refused_as_unsafe() -> None:
    hardening = {"kind": "diffusion", "t": 5, "width": 512}
    document = changed("field-level", lambda d: d["filters"][0].update(hardening=hardening))
    assert refusal(document).code == "PROFILE_UNSAFE"


@pytest.mark.parametrize("hardening", [{"kind": "none"}, {"kind": "diffusion", "t": 3, "width": 4096}])
def test_hardened_family_with_a_weak_filter_when_read_is_refused_as_unsafe(hardening: Document) -> None:
    document = changed("record-hardened", lambda d: d["filters"][0].update(hardening=hardening))
    assert refusal(document).code == "PROFILE_UNSAFE"


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"1", b'{"format":1,"format":2}', b"[" * 100_000])
def test_file_that_is_no_profile_when_read_is_refused(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(raw)
    with pytest.raises(ProfileError) as caught:
        Profile.load(path)
    assert caught.value.code in {"PROFILE_INVALID", "PROFILE_VERSION"}


def test_profile_file_or_family_that_does_not_exist_when_asked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        Profile.load(tmp_path / "none.json")
    assert caught.value.code == "PROFILE_MISSING"
    with pytest.raises(ProfileError) as caught:
        default_profile("clk")
    assert caught.value.code == "FAMILY_UNKNOWN"
