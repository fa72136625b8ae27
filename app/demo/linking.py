"""Chapters 3 to 6 of the demo's story: encode, submit, link, and measure how good the links are."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from app.demo.measure import truth_by_batch
from app.demo.scenario import Feed, Scenario
from app.demo.setting_up import AGREEMENT, AUDITOR, OPERATOR, Parties
from app.demo.stage import DemoError, Stage
from linkage.quality import Quality, wilson


def encode(stage: Stage, scenario: Scenario) -> None:
    """Every agency turns its people into encodings, on its own disk."""
    stage.chapter(
        3,
        "Each agency encodes on its own premises",
        "The agencies share a secret of 32 random bytes, which the service never sees. With it each turns "
        "every "
        "name, date and number into keyed bit patterns in which similar stays similar and nothing can be "
        "read, "
        "and replaces its own ids by random ones. The list that leads back, crosswalk.csv, stays at the "
        "agency.",
    )
    secret, profile = stage.space.agencies / "secret.json", stage.space.operator / "profile.json"
    stage.program(
        ["cohortlink-agency", "secret", "new", "--agreement", AGREEMENT, "--out", secret], output=False
    )
    for number, feed in enumerate(scenario.feeds):
        package = stage.space.package(feed.agency.slug)
        stage.program(
            ["cohortlink-agency", "encode", "--profile", profile, "--secret", secret,
             "--people", feed.people_file, "--id", feed.agency.id_column,
             "--facts", f"{feed.agency.facts_kind}={feed.facts_file}", "--out", package],
            command=number == 0, output=False,
        )  # fmt: skip
        report = json.loads((package / "report.json").read_text(encoding="utf-8"))
        size = sum(path.stat().st_size for path in package.glob("*.parquet")) / 1e6
        stage.say(
            f"{feed.agency.slug:<20} {report['persons']:>7,} persons, "
            f"{report['strong_identifier'] / report['persons']:>6.1%} with a strong identifier, "
            f"{size:5.1f} MB, check value {report['kcv'][:8]}…"
        )
    stage.say(
        "The check values are equal: all five used the same secret and profile. What such a record looks "
        "like:"
    )
    _show_record(stage, stage.space.package(scenario.feeds[0].agency.slug))
    stage.program(
        ["cohortlink-agency", "validate", stage.space.package(scenario.feeds[0].agency.slug)], output=True
    )


def _show_record(stage: Stage, package: Path) -> None:
    table = pq.ParquetFile(package / "encodings.parquet").read_row_group(0).slice(0, 1)
    shown = [f"record_ref     {table['record_ref'][0].as_py()}"]
    for name in table.column_names[1:]:
        bits = table[name][0].as_py()
        shown.append(f"{name:<14} {bits.hex()[:76]}…" if bits else f"{name:<14} (missing)")
    for line in shown[:5]:
        stage.console.print(f"    {line}", style="cyan", markup=False, soft_wrap=True)


def submit(stage: Stage, scenario: Scenario, parties: Parties) -> dict[str, dict[str, Any]]:
    """Every agency signs and sends its package; returns the receipts' documents by organization."""
    stage.chapter(
        4,
        "Each agency submits, and holds a signed receipt",
        "The package's manifest (counts and digests) is signed with the agency's Ed25519 key; the parts "
        "travel over "
        "HTTP and can be resumed. The service checks every digest and every fact, keeps encodings and facts "
        "encrypted under different keys, and answers with a signed receipt that names the entry in its log.",
    )
    receipts: dict[str, dict[str, Any]] = {}
    for number, feed in enumerate(scenario.feeds):
        slug, package = feed.agency.slug, stage.space.package(feed.agency.slug)
        stage.program(
            ["cohortlink-agency", "submit", package, "--url", parties.url, "--agreement", AGREEMENT,
             "--api-key-file", parties.api_keys[slug], "--signing-key", parties.signing_keys[slug]],
            command=number == 0, output=False,
        )  # fmt: skip
        receipt = json.loads((package / "receipt.json").read_text(encoding="utf-8"))
        receipts[slug] = document = receipt["document"]
        stage.say(
            f"{slug:<20} batch {document['batch']}, log entry {document['log_index']}, "
            f"manifest {document['manifest_sha256'][:8]}…, signature {receipt['signature']['value'][:8]}…"
        )
    package = stage.space.package(scenario.feeds[0].agency.slug)
    stage.program(
        ["cohortlink-agency", "receipt", "verify", package / "receipt.json", "--key", parties.log_key]
    )
    stage.program(
        ["cohortlink-agency", "log", "verify", "--url", parties.url, "--save", stage.space.auditor / "first",
         "--api-key-file", parties.api_keys[AUDITOR]],
        command=False, output=False,
    )  # fmt: skip
    stage.say("The auditor takes a first copy of the log and remembers its checkpoint.")
    return receipts


def link(stage: Stage, parties: Parties) -> dict[str, Any]:
    """One linkage run; returns its document."""
    stage.chapter(
        5,
        "One linkage run, over encodings alone",
        "The operator starts the run. The linker opens the encodings and nothing else: it compares bit "
        "patterns, "
        "learns from them how often people who are the same agree and people who are not agree by chance "
        "(Fellegi–Sunter, by expectation maximisation), and writes which records are one person. It holds "
        "no key "
        "to any fact; later, the tabulator holds no key to any encoding.",
    )
    run: dict[str, Any] = stage.answer(
        ["cohortlink", "run", "start", AGREEMENT, "--api-key-file", parties.api_keys[OPERATOR],
         "--url", parties.url, "--watch"],
        live=True,
    )  # fmt: skip
    if run["state"] != "SUCCEEDED":
        raise DemoError(f"The run ended as {run['state']}: {run.get('error')}")
    stage.say(
        f"Run {run['id']} succeeded; links SHA-256 {run['persons_sha256'][:16]}…, log entry "
        f"{run['log_index']}."
    )
    return run


def measure(
    stage: Stage,
    scenario: Scenario,
    parties: Parties,
    receipts: Mapping[str, Mapping[str, Any]],
    run: Mapping[str, Any],
) -> Quality:
    """Link once more, offline, compare the digest with the log, and hold the links against the truth."""
    stage.chapter(
        6,
        "How good are the links? Measured outside of the service",
        "Who was linked to whom never leaves the service, not even for this demo. So we take the five "
        "packages and "
        "link them once more on our own, with `cohortlink link`. The same packages give the same bytes: "
        "if our "
        "result has the digest that the service wrote into its log, then what we measure is what it "
        "holds. The "
        "truth is known here only because the people are invented.",
    )
    batches = {slug: str(document["batch"]) for slug, document in receipts.items()}
    packages = {
        slug: _copy(stage.space.package(slug), stage.space.laboratory / batch)
        for slug, batch in batches.items()
    }
    links = stage.space.laboratory / "links.parquet"
    profile = stage.space.operator / "profile.json"
    stage.program(
        ["cohortlink", "link", *packages.values(), "--profile", profile, "--out", links],
        command=False,
        output=False,
    )
    digest = links_digest(links)
    if digest != run["persons_sha256"]:
        raise DemoError(f"Offline links have digest {digest}, the log says {run['persons_sha256']}.")
    stage.say(f"Linked offline: SHA-256 {digest[:16]}…, [bold]the same as in the log[/bold], bit for bit.")
    truth = stage.space.laboratory / "truth.csv"
    truth_by_batch(scenario.truth_file, batches, truth)
    crosswalks = [f"--crosswalk={batches[slug]}={packages[slug] / 'crosswalk.csv'}" for slug in batches]
    found = stage.answer(
        ["cohortlink", "evaluate", "--links", links, "--truth", truth, *crosswalks], command=False
    )
    return _show_quality(stage, scenario, batches, found)


def _copy(package: Path, to: Path) -> Path:
    """The package under its batch's name, since the links name batches; by hard links, to save room."""
    to.mkdir()
    for path in package.iterdir():
        try:
            os.link(path, to / path.name)
        except OSError:
            (to / path.name).write_bytes(path.read_bytes())
    return to


def links_digest(path: Path) -> str:
    """SHA-256 of a table of persons in the form in which the service stores it (Parquet, zstd)."""
    sink = pa.BufferOutputStream()
    pq.write_table(pq.read_table(path), sink, compression="zstd")
    return hashlib.sha256(sink.getvalue()).hexdigest()


def _show_quality(
    stage: Stage, scenario: Scenario, batches: Mapping[str, str], found: Mapping[str, Any]
) -> Quality:
    kinds = {batches[feed.agency.slug]: feed for feed in scenario.feeds}
    table = Table(box=None, padding=(0, 2), caption="each with its 95 % interval", caption_justify="left")
    table.add_column("records of")
    for heading in ("precision", "recall", "F1"):
        table.add_column(heading, justify="right")
    pooled = _pool(found["pairs"], kinds)
    table.add_row(
        "[bold]education × workforce[/bold]", *(f"[bold]{text}[/bold]" for text in _figures(pooled))
    )
    for pair in found["pairs"]:
        one, other = (kinds[batch].agency.short for batch in pair["batches"])
        table.add_row(f"  {one} × {other}", *_figures(_quality(pair)))
    stage.console.print(table)
    return pooled


def _quality(pair: Mapping[str, Any]) -> Quality:
    return Quality(pair["true_positives"], pair["false_positives"], pair["false_negatives"])


def _pool(pairs: Sequence[Mapping[str, Any]], kinds: Mapping[str, Feed]) -> Quality:
    """All pairs of one education and one workforce agency together."""
    wanted = [
        _quality(pair)
        for pair in pairs
        if {kinds[batch].agency.kind for batch in pair["batches"]} == {"education", "workforce"}
    ]
    return Quality(
        sum(each.correct for each in wanted),
        sum(each.wrong for each in wanted),
        sum(each.missed for each in wanted),
    )


def _figures(quality: Quality) -> tuple[str, str, str]:
    """Precision, recall and F1 with Wilson intervals; F1's from that of J = TP / (TP + FP + FN), F1 =
    2J/(1+J).
    """
    correct, wrong, missed = quality.correct, quality.wrong, quality.missed
    jaccard = wilson(correct, correct + wrong + missed)
    low, high = (2 * bound / (1 + bound) for bound in jaccard)
    return (
        _with_interval(quality.precision, *wilson(correct, correct + wrong)),
        _with_interval(quality.recall, *wilson(correct, correct + missed)),
        _with_interval(quality.f1, low, high),
    )


def _with_interval(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f}–{high:.3f})"
