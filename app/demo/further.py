"""Chapter 7, further figures: self-sufficiency, the gap by race, the contribution of the program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.padding import Padding
from rich.table import Table

from app.demo.setting_up import AGREEMENT, COHORT, INDICATOR, OPERATOR, PARTNERSHIP, Parties
from app.demo.stage import Caller, Stage
from app.demo.thresholds import write_thresholds


def publish_further(stage: Stage, parties: Parties) -> None:
    """Ask for the other indicators of the agreement; each is printed with its coverage note."""
    partnership = parties.caller(stage, PARTNERSHIP)
    _self_sufficient(stage, parties, partnership)
    _gap(stage, partnership)
    _contribution(stage, partnership)


def _ask(stage: Stage, partnership: Caller, indicator: str, by: list[str]) -> dict[str, Any]:
    question = {"indicator": indicator, "cohort": COHORT, "by": by, "where": {}}
    release = partnership.ask(AGREEMENT, question)
    name = "-by-".join([indicator, *by])
    path = stage.space.partnership / f"{name}.json"
    path.write_text(json.dumps(release, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return release


def _self_sufficient(stage: Stage, parties: Parties, partnership: Caller) -> None:
    thresholds = stage.space.operator / "thresholds.csv"
    write_thresholds(thresholds)
    stage.program(
        ["cohortlink", "thresholds", thresholds, "--api-key-file", parties.api_keys[OPERATOR],
         "--url", parties.url], output=False,
    )  # fmt: skip
    table = _ask(stage, partnership, "self_sufficient", [])["table"]
    total = table["total"]
    rate = "withheld" if total["rate"] is None else f"{total['rate']} %"
    stage.say(
        f"[bold]{table['title']}[/bold] ({table['vintage']}; invented thresholds): [bold]{rate}[/bold]."
    )
    shares = [row for row in table["bands"] if row["share"] is not None]
    if shares:
        stage.say("; ".join(f"{row['label']}: {row['share']} %" for row in shares) + ".")
    _coverage(stage, table)


def _gap(stage: Stage, partnership: Caller) -> None:
    release = _ask(stage, partnership, INDICATOR, ["race_ethnicity"])
    gaps = partnership.call("GET", f"/releases/{release['id']}/gap?reference=White")
    rates = {row["label"]: row for row in release["table"]["rows"]}
    table = Table(title=f"{gaps['title']}, against White", title_justify="left", padding=(0, 1))
    table.add_column("group")
    for heading in ("linked %", "rate %", "gap, points", "ratio", "adjusted rate %", "adjusted gap"):
        table.add_column(heading, justify="right")
    for row in gaps["rows"]:
        adjusted = rates[row["label"]].get("adjusted")
        linked = rates[row["label"]].get("matched", {}).get("rate")
        figures = (linked, rates[row["label"]]["rate"], row["points"], row["ratio"])
        shown = adjusted and f"{adjusted['rate']} [{adjusted['low']}, {adjusted['high']}]"
        cells = (*figures, shown, row["adjusted_points"])
        # In brackets stands an interval, and no markup.
        table.add_row(
            row["label"], *("–" if cell is None else str(cell).replace("[", r"\[") for cell in cells)
        )
    stage.console.print(Padding(table, (1, 0, 0, 2)))
    note = release["table"].get("linkage", {}).get("note")
    if note:
        stage.say(f"[bold]Linkage error.[/bold] {note}")
    _coverage(stage, gaps)


def _contribution(stage: Stage, partnership: Caller) -> None:
    table = _ask(stage, partnership, "contribution", [])["table"]
    total = table["total"]
    if total["status"] != "published":
        stage.say(
            f"[bold]{table['title']}[/bold]: withheld; it would tell of too few persons, or was not proven."
        )
    else:
        stage.say(
            f"[bold]{table['title']}[/bold]: {total['n']} participants, {total['rate']} % employed; "
            f"comparable graduates "
            f"{total['standardised_rate']} %: {_signed(total['difference_points'])} points, "
            f"[bold]{_signed(total['contributed_points'])}[/bold] of the population's figure "
            f"({table['label']})."
        )
    _coverage(stage, table)


def _signed(text: str | None) -> str:
    if text is None:
        return "an unknown part"
    return text if text.startswith("-") else f"+{text}"


def _coverage(stage: Stage, figure: Mapping[str, Any]) -> None:
    stage.say(f"[bold]Coverage.[/bold] {figure['coverage']['text']}")
