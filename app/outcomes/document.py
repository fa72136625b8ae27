"""``docs/indicators.md`` from the declarations: ``python -m app.outcomes.document`` writes it again."""

from __future__ import annotations

from pathlib import Path

from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.indicators import INDICATORS, TREATMENTS, Indicator
from crypto.facts import code_list

FILE = Path(__file__).parents[2] / "docs" / "indicators.md"

_HEAD = """# Indicators

Made from the declarations in `app/outcomes/indicators.py`, which `GET /v1/indicators` shows as well; do not
edit this page, run `python -m app.outcomes.document`.

`Qn` is the nth calendar quarter after the quarter of the award. The unit is the linked person, once per
region, however many states, awards or employers. A cohort is an academic year (July to June), written
`2022-23`, a calendar year (`2022`), or a range of either (`2020-21..2023-24`). Exclusions dated on or before
the end of the last quarter that is looked at leave the denominator. **A person who is not found in wage
records is not found, never "unemployed".** Every figure carries its coverage note.
"""

_ROWS = """Rows of a *partition* hold each person once. Rows that *overlap* hold each award of their own. Rows
that are *places* have the whole cohort as denominator and count who was found there: they are not crossed
with other dimensions, and the tables by place of one cohort are protected together, and beside all
groups, in a table or not. Whoever was not found stands in no such row. A correction, and a further agreement
over the same persons, shows no rows by place where some are out: two versions of them could be subtracted.
"""


def render() -> str:
    """Return the page."""
    parts = [_HEAD]
    parts += [_section(indicator) for indicator in INDICATORS.values()]
    parts.append(_treatments())
    parts.append(_dimensions())
    return "\n".join(parts)


def _section(indicator: Indicator) -> str:
    dimensions = ", ".join(f"`{name}`" for name in indicator.dimensions) or "none: the total alone"
    return (
        f"## `{indicator.id}`: {indicator.title}\n\n{indicator.definition}\n\n"
        f"- **Numerator:** {indicator.numerator}\n"
        f"- **Denominator:** {indicator.denominator}\n"
        f"- **Dimensions:** {dimensions}\n"
        f"- **Additivity:** {indicator.additivity}\n"
        f"- **Needs:** the end of {indicator.horizon}\n"
        f"- **Disclosure:** {indicator.disclosure}\n"
    )


def _treatments() -> str:
    rows = [f"| {name} | {rule} |" for name, rule in TREATMENTS.items()]
    return "\n".join(["## How figures are made safe\n", "| treatment | rule |", "|---|---|", *rows, ""])


def _dimensions() -> str:
    rows = []
    for dimension in DIMENSIONS.values():
        lists = code_list(dimension.codes) if dimension.codes else None
        where = f"{lists.source} ({lists.version})" if lists else "the agreement's or the data's own list"
        rows.append(f"| `{dimension.id}` | {dimension.label} | {dimension.rows} | {where} |")
    head = ["## Dimensions\n", "| id | label | rows | codes |", "|---|---|---|---|"]
    rules = [f"- `{each.id}`: {each.rule}" for each in DIMENSIONS.values() if each.rule]
    return "\n".join([*head, *rows, "", *rules, "", _ROWS])


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
