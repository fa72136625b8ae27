"""How things are said on pages: dates, numbers, states."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final, Literal

from markupsafe import Markup

Kind = Literal["good", "waiting", "bad", "plain"]

_GOOD: Final = "ACTIVE ACCEPTED SUCCEEDED GRANTED APPROVED FINAL OK"
_WAITING: Final = "REVIEW IN_REVIEW QUEUED RUNNING PREPARING UPLOADING PRELIMINARY DRAFT"
_BAD: Final = "REVOKED SUSPENDED REJECTED FAILED REFUSED OBJECTED EXPIRED DESTRUCTION_DUE"
_KINDS: Final[dict[str, Kind]] = {
    **dict.fromkeys(_GOOD.split(), "good"),
    **dict.fromkeys(_WAITING.split(), "waiting"),
    **dict.fromkeys(_BAD.split(), "bad"),
}


def state_kind(state: str) -> Kind:
    """Colour of a state's badge; a state that is not known here is plain."""
    return _KINDS.get(state, "plain")


def state_words(state: str) -> str:
    """``IN_REVIEW`` as *In review*."""
    return spaced(state.lower()).capitalize()


def stage_words(stage: str) -> str:
    """What is being done at a stage of making tables."""
    said = {"waiting": "Waiting for a worker", "tabulate": "Counting", "done": "Done"}
    return said.get(stage, f"Protecting: {spaced(stage)}")


def spaced(text: str) -> str:
    """A word of the interface in words: ``race_ethnicity`` as *race ethnicity*."""
    return text.replace("_", " ").replace("-", " ")


def cohort(text: str) -> str:
    """``2020-21..2023-24`` as *2020–21 to 2023–24*."""
    return text.replace("-", "–").replace("..", " to ")


def number(value: int | None) -> str:
    """With thousands apart; nothing is a dash."""
    return "–" if value is None else f"{value:,}"


def signed(text: str) -> str:
    """Points with a plus or a true minus."""
    if text.startswith("-"):
        return "−" + text[1:]
    return text if float(text) == 0 else f"+{text}"


def as_json(document: object) -> str:
    """A document to be read by people."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def _parse(text: str | datetime) -> datetime:
    moment_ = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    return moment_ if moment_.tzinfo else moment_.replace(tzinfo=UTC)


def moment(text: str | datetime | None) -> Markup:
    """A time element: *22 Nov 2026, 12:00 UTC*; nothing is a dash."""
    if text is None:
        return Markup("–")
    at = _parse(text).astimezone(UTC)
    machine, human = at.isoformat(timespec="seconds"), f"{at.day} {at:%b %Y, %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(machine, human)


def day(text: str | datetime | None) -> Markup:
    """A time element of a day: *22 Nov 2026*."""
    if text is None:
        return Markup("–")
    at = _parse(text)
    return Markup('<time datetime="{}">{}</time>').format(at.date().isoformat(), f"{at.day} {at:%b %Y}")
