"""Closed schemas of the facts that agencies submit, and their validation.

The same code runs at the agency (before anything leaves it) and at the service (which trusts nobody's check).
"""

from __future__ import annotations

from crypto.facts.codes import CodeList, code_list
from crypto.facts.rejects import MAX_REJECTS, write_rejects
from crypto.facts.schemas import SCHEMAS, Field, Schema
from crypto.facts.screen import screen_columns, screen_values
from crypto.facts.validate import MAX_PROBLEMS, validate_facts

__all__ = [
    "MAX_PROBLEMS",
    "MAX_REJECTS",
    "SCHEMAS",
    "CodeList",
    "Field",
    "Schema",
    "code_list",
    "screen_columns",
    "screen_values",
    "validate_facts",
    "write_rejects",
]
