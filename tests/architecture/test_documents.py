"""Documents keep up with the code: every table, kind of entry and setting is described."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import app.settings
from app.settings import PREFIX
from app.store.models import Base
from crypto.log.kinds import KINDS

DOCS = Path(__file__).parents[2] / "docs"


def missing(names: list[str], document: str) -> list[str]:
    text = (DOCS / document).read_text(encoding="utf-8")
    return [name for name in names if f"`{name}`" not in text]


def test_every_table_and_every_kind_of_entry_is_in_the_data_model() -> None:
    assert missing([*Base.metadata.tables, *KINDS], "data-model.md") == []


def test_every_setting_is_in_the_operators_guide() -> None:
    assert missing([PREFIX + name for name in app.settings._KNOWN], "operations.md") == []


def test_every_decision_has_a_number_of_its_own_and_is_in_the_index() -> None:
    decisions = sorted(path.name for path in (DOCS / "adr").glob("0*.md"))
    assert max(Counter(name[:4] for name in decisions).values()) == 1
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    assert [name for name in decisions if f"({name})" not in index] == []
