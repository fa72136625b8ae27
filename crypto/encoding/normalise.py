"""Normalisers: what an agency wrote → the text that is cut into tokens. Version 1.

Two agencies with two versions of Python must come to the same text, or their filters do not meet. Python's
``unicodedata`` follows the interpreter (Unicode 14.0 in 3.11, 15.1 in 3.13), so everything here uses
``unicodedata.ucd_3_2_0``, the one database that all of them carry unchanged; characters that Unicode 3.2 did
not know are dropped. A test pins the whole table. Any change of behaviour is a new :data:`VERSION`, which
enters every key through the profile's fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from unicodedata import ucd_3_2_0 as ucd

VERSION: Final = "cohortlink-normalise/1"
UNICODE: Final = ucd.unidata_version

# Letters that NFKD leaves whole but that systems without them write otherwise.
_LETTERS: Final = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ł": "l",
        "ħ": "h",
        "ı": "i",
        "ŋ": "n",
        "ŧ": "t",
        "ς": "σ",
    }
)
_APOSTROPHES: Final = frozenset("'`’‘ʼʻ")
_SUFFIXES: Final = frozenset({"jr", "sr", "ii", "iii", "iv", "junior", "senior", "esq", "md", "phd", "dds"})
_STREET_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "avenue": "ave",
        "av": "ave",
        "boulevard": "blvd",
        "circle": "cir",
        "court": "ct",
        "drive": "dr",
        "east": "e",
        "highway": "hwy",
        "lane": "ln",
        "mount": "mt",
        "north": "n",
        "northeast": "ne",
        "northwest": "nw",
        "parkway": "pkwy",
        "place": "pl",
        "road": "rd",
        "saint": "st",
        "south": "s",
        "southeast": "se",
        "southwest": "sw",
        "square": "sq",
        "street": "st",
        "terrace": "ter",
        "trail": "trl",
        "west": "w",
    }
)
_ISO_DATE: Final = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?)?\Z", re.ASCII)
_COMPACT_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})\Z", re.ASCII)
_US_DATE: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})\Z", re.ASCII)
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_INTEGER: Final = re.compile(r"[+-]?\d{1,15}\Z", re.ASCII)
_HOUSE: Final = re.compile(r"(?<!\d)\d+[a-z]?(?![a-z\d])", re.ASCII)


def strip_marks(text: str) -> str:
    """NFKD of Unicode 3.2 without combining marks, controls and characters that 3.2 did not know.

    White space of any kind becomes one space, and none is left at the ends.
    """
    if not text.isascii():
        # Unicode 3.2 did not know the capital of ß, which would be dropped.
        decomposed = ucd.normalize("NFKD", text.replace("ẞ", "ß"))
        kept = (" " if c.isspace() else c for c in decomposed if ucd.category(c)[0] != "M")
        text = "".join(c for c in kept if ucd.category(c)[0] != "C")
    elif not text.isprintable():
        text = "".join(" " if c.isspace() else c for c in text if c.isspace() or c.isprintable())
    return " ".join(text.split())


def fold(text: str) -> str:
    """Lower case, letter by letter (no context, so no final sigma), and the letters of ``_LETTERS``."""
    if text.isascii():
        return text.lower()
    return "".join(c.lower() for c in text).translate(_LETTERS)


def _words(text: str, *, digits: bool) -> list[str]:
    """Runs of letters (and digits); apostrophes vanish, every other sign parts two words."""
    kept = []
    for c in text:
        category = ucd.category(c)[0]
        if c in _APOSTROPHES:
            continue
        is_kept = category == "L" or (digits and "0" <= c <= "9")
        kept.append(c if is_kept else " ")
    return "".join(kept).split()


def name(text: str, max_length: int) -> str:
    """A given name or surname: letters only, without suffix (Jr., III, …), hyphen or space.

    Cut to ``max_length`` characters after the marks are gone and before anything else is removed, because
    that is where an agency that truncates has cut: both then cut at the same letter.
    """
    words = _words(fold(strip_marks(text)[:max_length]), digits=False)
    while len(words) > 1 and words[-1] in _SUFFIXES:
        words.pop()
    return "".join(words)


def initial(text: str, max_length: int) -> str:
    """The first letter of a name."""
    return name(text, max_length)[:1]


def date(text: str, max_length: int) -> str:
    """A date as YYYYMMDD, from ``YYYY-MM-DD`` (also with a time of midnight), ``YYYYMMDD`` or ``M/D/YYYY``.

    Raises
    ------
    ValueError
        If it is none, or lies outside of 1850 to 2100.
    """
    text = strip_marks(text)
    if match := _ISO_DATE.match(text) or _COMPACT_DATE.match(text):
        year, month, day = (int(part) for part in match.groups())
    elif match := _US_DATE.match(text):
        month, day, year = (int(part) for part in match.groups())
    else:
        raise ValueError("not a date")
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (1850 <= year <= 2100 and 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1]):
        raise ValueError("not a date")
    if month == 2 and day == 29 and not leap:
        raise ValueError("not a date")
    return f"{year:04}{month:02}{day:02}"


def ssn(text: str, max_length: int) -> str:
    """A social security or taxpayer number: nine digits; what was never issued counts as missing."""
    digits = re.sub(r"[ -]", "", strip_marks(text))
    if len(digits) != 9 or not (digits.isascii() and digits.isdigit()):
        return ""
    never_issued = digits[:3] in {"000", "666"} or digits[3:5] == "00" or digits[5:] == "0000"
    filler = len(set(digits)) == 1 or digits in {"123456789", "987654321", "078051120"}
    return "" if never_issued or filler else digits


def sex(text: str, max_length: int) -> str:
    """``m`` or ``f``; anything else says nothing that another source would say in the same way."""
    folded = fold(strip_marks(text))
    if folded in {"m", "male"}:
        return "m"
    return "f" if folded in {"f", "female"} else ""


def zip5(text: str, max_length: int) -> str:
    """The first five digits of a ZIP code."""
    text = strip_marks(text)
    if not re.match(r"\d{5}(?:[ -]?\d{4})?\Z", text, re.ASCII):
        return ""
    return "" if text[:5] in {"00000", "99999"} else text[:5]


def house_number(text: str, max_length: int) -> str:
    """The first number with its letter, such as ``12b``, without leading zeros."""
    match = _HOUSE.search(fold(strip_marks(text)))
    return match.group().lstrip("0")[:max_length] if match else ""


def street(text: str, max_length: int) -> str:
    """A street: letters and digits, a leading house number gone, usual words in postal short form."""
    words = _words(fold(strip_marks(text)), digits=True)
    if len(words) > 1 and words[0].isdigit():
        words = words[1:]
    return "".join(_STREET_WORDS.get(word, word) for word in words)[:max_length]


def place(text: str, max_length: int) -> str:
    """A city or suburb: letters only, usual words in postal short form."""
    words = _words(fold(strip_marks(text)), digits=False)
    return "".join(_STREET_WORDS.get(word, word) for word in words)[:max_length]


def alphanumeric(text: str, max_length: int) -> str:
    """Any other identifier: letters and digits, in lower case."""
    return "".join(_words(fold(strip_marks(text)), digits=True))[:max_length]


def integer(text: str, max_length: int) -> str:
    """A whole number in decimal, of at most 15 digits, without leading zeros or plus sign."""
    text = strip_marks(text)
    return str(int(text)) if _INTEGER.match(text) else ""


Normaliser = Callable[[str, int], str]

#: By the name that a profile gives. Each takes a cell and the field's ``max_length`` (characters) and
#: returns the normal form, empty if the cell holds nothing usable; ``date`` alone raises ValueError.
NORMALISERS: Final[Mapping[str, Normaliser]] = MappingProxyType(
    {
        "name": name,
        "initial": initial,
        "date": date,
        "ssn": ssn,
        "sex": sex,
        "zip": zip5,
        "house_number": house_number,
        "street": street,
        "place": place,
        "alphanumeric": alphanumeric,
        "integer": integer,
    }
)
