"""What indicators, dimensions and contributors are called on pages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from app.flows.show_indicators import dimension_labels, list_indicators, state_names
from app.web.words import spaced

_WAGES: Final = "wages-"


@cache
def titles() -> Mapping[str, str]:
    """Titles of the declared indicators by their names."""
    return {str(each["id"]): str(each["title"]) for each in list_indicators()}


@cache
def _labels() -> Mapping[str, str]:
    return dimension_labels()


@cache
def _states() -> Mapping[str, str]:
    return state_names()


def indicator_name(name: str | None) -> str:
    """``employed_q4`` as *Employed one year after graduation*."""
    return titles().get(name or "", spaced(name or "–"))


def dimension_name(name: str) -> str:
    """``race_ethnicity`` as *race and ethnicity*, within a sentence."""
    label = _labels().get(name, spaced(name))
    # Not of NAICS and CIP.
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def contributor_name(name: str) -> str:
    """Whose records figures rest on: an organization, or the wage records of a state by its code."""
    if not name.startswith(_WAGES):
        return name
    code = name.removeprefix(_WAGES)
    return f"wage records of {_states().get(code, f'state {code}')}"
