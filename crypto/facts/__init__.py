"""Closed schemas of the facts that agencies submit, and their validation.

The same code runs at the agency (before anything leaves it) and at the service (which trusts nobody's check).
"""

from __future__ import annotations

from crypto.facts.codes import CodeList, code_list
from crypto.facts.rejects import MAX_REJECTS, write_rejects
from crypto.facts.schemas import SCHEMAS, Field, Schema
from crypto.facts.screen import screen_columns, screen_values
from crypto.facts.validate import MAX_PROBLEMS, Problems, check_rows, duplicates, validate_facts

__all__ = [
    "MAX_PROBLEMS",
    "MAX_REJECTS",
    "SCHEMAS",
    "CodeList",
    "Field",
    "Problems",
    "Schema",
    "check_rows",
    "code_list",
    "duplicates",
    "screen_columns",
    "screen_values",
    "validate_facts",
    "write_rejects",
]
