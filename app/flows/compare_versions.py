"""What an agreement's new version changes, in words that a data owner can decide by. Pure.

Every change says whether the new version permits more or less than the one before, where that can be told:
who signs should not have to find out that a minimum cell was lowered by reading two JSON documents.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from app.flows.agreement_terms import Document, Terms
from app.flows.periods import covers, read_periods

Effect = Literal["more", "less", ""]
#: (what became of it, words): "same", "added" or "removed".
Segment = tuple[Literal["same", "added", "removed"], str]

_GEOGRAPHY: Final = {"nation": 0, "state": 1, "county": 2, None: 3}
_MAX_PROFILE_CHANGES: Final = 40


@dataclass(frozen=True)
class Change:
    """One difference between two versions.

    Attributes
    ----------
    what : str
        What is different, as a heading or row.
    before, after : str or None
        None where it was not there before, or is not any more.
    effect : str
        Whether the later version permits ``more`` or ``less``; empty where neither can be said.
    words : tuple of Segment
        For running text: what stayed, came and went, word by word.
    """

    what: str
    before: str | None
    after: str | None
    effect: Effect = ""
    words: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class Section:
    """Changes that belong together."""

    title: str
    changes: tuple[Change, ...]


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Section]:
    """Return the differences between two versions' documents, both of which were accepted once.

    Sections and changes come in one order, whatever the order of the documents' lists; sections without a
    change are left out.
    """
    old, new = (Document.model_validate(dict(document)) for document in (before, after))
    sections = [
        Section("What it is for", tuple(_texts(old, new))),
        Section("Who takes part", tuple(_parties(old, new))),
        Section("Which data", tuple(_datasets(old, new))),
        Section("What may be asked", tuple(_questions(old, new))),
        Section("Protection of small groups", tuple(_protection(old, new))),
        Section("How long", tuple(_times(old, new))),
        Section("How records are encoded", tuple(_profile(old, new))),
    ]
    return [section for section in sections if section.changes]


def words(before: str, after: str) -> tuple[Segment, ...]:
    """Two texts as one: what stayed, went and came, in runs of whole words."""
    old, new = (re.findall(r"\S+\s*", text) for text in (before, after))
    found: list[Segment] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(("same", "".join(old[a:b])))
            continue
        if b > a:
            found.append(("removed", "".join(old[a:b])))
        if d > c:
            found.append(("added", "".join(new[c:d])))
    return tuple(found)


def _texts(old: Document, new: Document) -> Iterator[Change]:
    for what, name in (
        ("Purpose", "purpose"),
        ("Program that is evaluated", "evaluated_program"),
        ("Audit rights", "audit_rights"),
    ):
        yield from _text(what, *(_lines(getattr(each, name)) for each in (old, new)))


def _lines(value: str | list[str] | None) -> str | None:
    return "\n".join(value) if isinstance(value, list) else value


def _text(what: str, before: str | None, after: str | None) -> Iterator[Change]:
    before, after = before or None, after or None
    if before != after:
        yield Change(what, before, after, words=words(before or "", after or ""))


def _parties(old: Document, new: Document) -> Iterator[Change]:
    sides = [{(party.organization, party.role): party for party in each.parties} for each in (old, new)]
    for organization, role in sorted(sides[0].keys() | sides[1].keys()):
        was, now = (side.get((organization, role)) for side in sides)
        name = f"{organization} as {role.replace('_', ' ')}"
        if was is None or now is None:
            yield _membership(name, added=was is None)
            continue
        yield from _text(f"Legal basis of {name}", was.legal_basis, now.legal_basis)
        yield from _text(f"Signatory of {name}", was.signatory, now.signatory)


def _membership(what: str, *, added: bool) -> Change:
    return Change(what, None, "added", "more") if added else Change(what, "removed", None, "less")


def _members(title: str, before: Sequence[str], after: Sequence[str]) -> Iterator[Change]:
    for name in sorted({*before} ^ {*after}):
        yield _membership(f"{title}: {name}", added=name in after)


def _datasets(old: Document, new: Document) -> Iterator[Change]:
    sides = [{(item.organization, item.kind): item for item in each.datasets} for each in (old, new)]
    for key in sorted(sides[0].keys() | sides[1].keys()):
        was, now = (side.get(key) for side in sides)
        name = f"{key[1]} of {key[0]}"
        if was is None or now is None:
            yield _membership(name, added=was is None)
            continue
        for what, before, after, effect in (
            ("fields", was.fields, now.fields, _fields_effect),
            ("periods", was.periods, now.periods, _periods_effect),
        ):
            if {*before} != {*after}:
                yield Change(f"{name}: {what}", _listed(before), _listed(after), effect(before, after))


def _fields_effect(before: Sequence[str], after: Sequence[str]) -> Effect:
    """Both at once is more: something is permitted that was not."""
    if "*" in before or "*" in after:
        return "less" if "*" not in after else "more" if "*" not in before else ""
    return "more" if {*after} - {*before} else "less"


def _periods_effect(before: Sequence[str], after: Sequence[str]) -> Effect:
    old, new = read_periods(before), read_periods(after)
    if old is None or new is None:
        return "less" if new is not None else "more" if old is not None else ""
    if any(not covers(old, each) for each in new):
        return "more"
    return "less" if any(not covers(new, each) for each in old) else ""


def _listed(values: Sequence[str]) -> str:
    return "all" if "*" in values else ", ".join(sorted(set(values)))


def _questions(old: Document, new: Document) -> Iterator[Change]:
    yield from _members("Recipient", old.recipients, new.recipients)
    yield from _members("Indicator", old.indicators, new.indicators)
    yield from _members("Dimension", old.dimensions, new.dimensions)
    yield from _value("Dimensions that may be crossed", old.max_dimensions, new.max_dimensions, _rising)
    yield from _value(
        "Smallest place told apart",
        old.geography_floor,
        new.geography_floor,
        lambda a, b: _rising(_GEOGRAPHY[a], _GEOGRAPHY[b]),
        nothing="no limit",
    )


def _protection(old: Document, new: Document) -> Iterator[Change]:
    before, after = Terms(old).min_cell, Terms(new).min_cell
    yield from _value("Minimum cell, the largest that any party asks for", before, after, _falling)
    asked = [each.min_cell if isinstance(each.min_cell, dict) else {} for each in (old, new)]
    for organization in sorted(asked[0].keys() | asked[1].keys()):
        was, now = (side.get(organization) for side in asked)
        yield from _value(f"Minimum cell that {organization} asks for", was, now, nothing="none of its own")
    yield from _value(
        "Days in which owners see a table before its recipients", old.review_days, new.review_days, _falling
    )


def _times(old: Document, new: Document) -> Iterator[Change]:
    yield from _value("In force from", old.effective, new.effective, _falling)
    yield from _value("In force until", old.expires, new.expires, _rising)
    endless = (9e9, "9")
    yield from _value(
        "Data kept until at most",
        old.retention_until,
        new.retention_until,
        lambda a, b: _rising(a or endless[1], b or endless[1]),
        nothing="no day of its own",
    )
    yield from _value(
        "Days after the end by which data are destroyed",
        old.destroy_within_days,
        new.destroy_within_days,
        lambda a, b: _rising(endless[0] if a is None else a, endless[0] if b is None else b),
        nothing="no promise",
    )


def _rising(before: Any, after: Any) -> Effect:
    return "more" if after > before else "less"


def _falling(before: Any, after: Any) -> Effect:
    return _rising(after, before)


def _value(
    what: str,
    before: Any,
    after: Any,
    effect: Callable[[Any, Any], Effect] = lambda _a, _b: "",
    *,
    nothing: str = "",
) -> Iterator[Change]:
    if before != after:
        shown = [nothing if value is None else str(value) for value in (before, after)]
        yield Change(what, shown[0], shown[1], effect(before, after))


def _profile(old: Document, new: Document) -> Iterator[Change]:
    if old.linkage_profile_hash == new.linkage_profile_hash:
        return
    yield Change("Fingerprint of the profile", old.linkage_profile_hash, new.linkage_profile_hash)
    before, after = (dict(_leaves(each.linkage_profile)) for each in (old, new))
    changed = [place for place in before.keys() | after.keys() if before.get(place) != after.get(place)]
    # What stands at the top (family, risk) says more than the places below it.
    places = sorted(changed, key=lambda place: ("." in place or "[" in place, place))
    for place in places[:_MAX_PROFILE_CHANGES]:
        yield Change(place, before.get(place), after.get(place), _risk(place, before, after))
    if len(places) > _MAX_PROFILE_CHANGES:
        yield Change(f"and {len(places) - _MAX_PROFILE_CHANGES} further places", None, None)


def _risk(place: str, before: Mapping[str, str], after: Mapping[str, str]) -> Effect:
    """The measured rating of the family is what of a profile can be called more or less."""
    if place != "risk":
        return ""
    order = ("low", "high", "weak")
    return "more" if order.index(after.get(place, "weak")) > order.index(before.get(place, "low")) else "less"


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every place of a profile and what stands there; members of lists go by their name, if they have one."""
    if isinstance(value, Mapping):
        for name in value:
            yield from _leaves(value[name], f"{place}.{name}".lstrip("."))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for at, item in enumerate(value):
            name = item.get("name", at) if isinstance(item, Mapping) else at
            yield from _leaves(item, f"{place}[{name}]")
    elif isinstance(value, list):
        yield place, ", ".join(map(str, value))
    else:
        yield place, str(value)
