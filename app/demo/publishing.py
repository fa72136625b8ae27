"""Chapters 7 and 8 of the demo's story: what the partnership learns, and how the auditor checks it all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.padding import Padding
from rich.table import Table

from app.demo import selfcheck
from app.demo.chart import bar_chart
from app.demo.measure import TrueRate, true_rates
from app.demo.scenario import Scenario
from app.demo.setting_up import AGREEMENT, AUDITOR, COHORT, DIMENSIONS, INDICATOR, PARTNERSHIP, Parties
from app.demo.stage import DemoError, Stage


def publish(stage: Stage, scenario: Scenario, parties: Parties) -> list[dict[str, Any]]:
    """Ask for the tables, show them beside the truth, draw them; and ask something that is not permitted."""
    stage.chapter(
        7,
        "The partnership asks, and only protected figures come out",
        "All tables of the agreement are made once and protected together: persons, found and not found "
        "must each "
        "reach the minimum cell, and where one row must be withheld, another is withheld with it so that "
        "it cannot "
        "be worked out from the total. Not found in wage records does not mean unemployed.",
    )
    answers: list[dict[str, Any]] = []
    for number, dimension in enumerate(DIMENSIONS):
        release = stage.answer(
            ["cohortlink", "release", "request", AGREEMENT, "--indicator", INDICATOR, "--cohort", COHORT,
             "--by", dimension, "--api-key-file", parties.api_keys[PARTNERSHIP], "--url", parties.url],
            command=number == 0,
        )  # fmt: skip
        table = release["table"]
        answers.append(table)
        (stage.space.partnership / f"{INDICATOR}-by-{dimension}.json").write_text(
            json.dumps(release, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        _show_table(stage, table, true_rates(scenario.outcomes_file, dimension))
        chart = stage.space.partnership / f"{INDICATOR}-by-{dimension}.svg"
        subtitle = f"{COHORT.replace('..', ' to ')}, by {dimension.replace('_', ' ')}"
        chart.write_text(bar_chart(table, table["title"], subtitle), encoding="utf-8")
        stage.say(f"Chart: {chart.relative_to(stage.space.data.parent)}")
    about = answers[0]
    stage.say(f"[bold]Definition.[/bold] {about['definition']}")
    stage.say(f"[bold]Coverage.[/bold] {about['coverage']['text']}")
    for note in about["notes"]:
        stage.say(f"[bold]Note.[/bold] {note}")
    refused = parties.caller(stage, PARTNERSHIP).refused(
        "POST",
        f"/agreements/{AGREEMENT}/releases",
        {"indicator": INDICATOR, "cohort": COHORT, "by": ["institution"], "where": {}},
    )
    stage.say(f"Asked by institution, which no owner agreed to: refused, [bold]{refused['code']}[/bold].")
    return answers


_STATUS = {"published": "", "count_only": "rate withheld", "withheld": "withheld"}


def _show_table(stage: Stage, answer: Mapping[str, Any], truth: Mapping[str, TrueRate]) -> None:
    by = answer["by"][0]
    cohort = answer["cohort"].replace("..", " to ")
    table = Table(
        title=f"{answer['title']}, {cohort}, {answer['vintage']}",
        title_justify="left",
        padding=(0, 1),
    )
    table.add_column(by.replace("_", " "))
    for heading in ("persons", "found", "rate %"):
        table.add_column(heading, justify="right")
    table.add_column("true rate %", justify="right", style="yellow")
    table.add_column("status")
    for row in [*answer["rows"], answer["total"]]:
        code = row["key"].get(by, "total") if row is not answer["total"] else "total"
        known = truth.get(code)
        table.add_row(
            row["label"],
            *("–" if row[name] is None else str(row[name]) for name in ("n", "found", "rate")),
            known.percent if known else "–",
            _STATUS[row["status"]],
            style="bold" if code == "total" else None,
            end_section=row is answer["rows"][-1],
        )
    stage.console.print(Padding(table, (1, 0, 0, 2)))
    stage.say("[yellow]true rate[/yellow]: known in this demo only, since the people are invented.")
    hidden = [row["label"] for row in answer["rows"] if row["status"] != "published"]
    if hidden:
        stage.say(
            f"Withheld: {', '.join(hidden)}. At least one is too small to show; with one row alone "
            "missing, it "
            "could be had by subtraction, so others are withheld with it. The answer does not tell which "
            "is which."
        )


def audit_online(stage: Stage, parties: Parties) -> None:
    """The auditor verifies the service's log and keeps a copy."""
    stage.chapter(
        8,
        "The auditor checks, and needs to believe nobody",
        "Every organization, signature, submission, run, release and refusal is an entry in a log that "
        "can only "
        "grow: a Merkle tree whose root the service signs. The auditor fetches it, then verifies the copy "
        "offline: "
        "the signature, every entry up to the root, and that it still contains all that was there at the "
        "first visit.",
    )
    stage.program(
        ["cohortlink-agency", "log", "verify", "--url", parties.url, "--save", stage.space.auditor / "copy",
         "--api-key-file", parties.api_keys[AUDITOR], "--key", parties.log_key]
    )  # fmt: skip


def audit_offline(stage: Stage) -> None:
    """With the service switched off: verify the copy, then forge one and see it refused."""
    auditor = stage.space.auditor
    stage.console.print()
    stage.say("The service is switched off. Its log can be verified without it:")
    since = auditor / "first" / "checkpoint"
    stage.program(
        ["cohortlink-agency", "log", "verify", "--copy", auditor / "copy", "--since", since,
         "--key", auditor / "log.vkey"]
    )  # fmt: skip
    forged = auditor / "forged"
    number = forge(auditor / "copy", forged)
    stage.console.print()
    stage.say(
        f"Now somebody rewrites history: in a copy, one digit of entry {number} (the linkage run) is changed."
    )
    said = stage.program(
        [
            "cohortlink-agency",
            "log",
            "verify",
            "--copy",
            forged,
            "--since",
            since,
            "--key",
            auditor / "log.vkey",
        ],
        expect=1,
    )
    if str(number) not in said:
        raise DemoError(f"The forgery was refused, but entry {number} was not named.")
    stage.say(f"Refused, and entry {number} is named.")


def forge(copy: Path, to: Path) -> int:
    """Copy a copy of the log and change one digit of the run's digest; returns the entry's index."""
    shutil.copytree(copy, to)
    entries = (to / "entries.jsonl").read_bytes().split(b"\n")
    for index, entry in enumerate(entries):
        if b'"kind":"run.finished"' in entry:
            at = entry.index(b'"persons_sha256":"') + len(b'"persons_sha256":"')
            digit = b"0" if entry[at : at + 1] != b"0" else b"1"
            entries[index] = entry[:at] + digit + entry[at + 1 :]
            (to / "entries.jsonl").write_bytes(b"\n".join(entries))
            return index
    raise DemoError("The log has no entry of the linkage run.")


def search_for_names(stage: Stage, scenario: Scenario) -> selfcheck.Findings:
    """Look for every generated person in what the service keeps and what it said.

    Raises
    ------
    DemoError
        If anything is found.
    """
    space = stage.space
    packages = [space.package(feed.agency.slug) for feed in scenario.feeds]
    known = selfcheck.collect(
        (feed.people_file for feed in scenario.feeds), (package / "crosswalk.csv" for package in packages)
    )
    kept = selfcheck.files_below(space.service_files())
    said = selfcheck.files_below(
        [space.said, space.operator / "service.log", *space.partnership.glob("employed*"), space.auditor]
    )
    findings = selfcheck.search(kept, known)
    findings_said = selfcheck.search(said, known, references=True)
    hits = findings.hits | findings_said.hits
    if hits:
        raise DemoError(
            "Identifiers were found in clear: " + "; ".join(f"{n} × {what}" for what, n in hits.items())
        )
    stage.console.print()
    stage.say(
        f"Last, we look for everybody: {len(known.numbers):,} numbers, {len(known.full_names) // 2:,} "
        "full names, "
        f"{len(known.birth_dates):,} birth dates, {len(known.addresses):,} addresses, in all "
        f"{findings.files} files "
        f"({findings.size / 1e6:,.0f} MB) that the service keeps and {findings_said.files} files of what "
        "it said. "
        "[bold]Nothing was found.[/bold]"
    )
    return findings
