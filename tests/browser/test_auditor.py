"""An auditor at a browser: finds what was done, verifies it, and sees how good a run was."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from app.errors import ServiceError
from app.flows import publish_release, seal_log, witness_log
from app.flows.group_rates import group_rates
from app.flows.publish_release import Question
from app.flows.queries import list_agreements
from app.flows.show_runs import list_runs, run_quality
from app.web.run_charts import evidence
from crypto.log.cosignature import cosign, witness_name
from crypto.log.export import verify_export
from tests.browser.region import AGREEMENT, COHORTS, Region
from tests.browser.visitor import PHONE, WIDE, Visitor

Visit = Callable[..., Visitor]
#: Colours do not depend on the width: both schemes are looked at on the wide page, one on the narrow.
SCHEMES = {WIDE: ("light", "dark"), PHONE: ("dark",)}


@pytest.fixture(scope="module")
def asked(region: Region) -> list[dict[str, Any]]:
    """Questions with an answer and one that was refused; returns all releases, the newest last."""
    caller = region.caller("partnership")
    asking = partial(publish_release.request_release, region.service, caller, AGREEMENT)
    asking(Question("employed_q4", COHORTS, ("race_ethnicity",)))
    with pytest.raises(ServiceError, match="DIMENSION_NOT_PERMITTED"):
        asking(Question("employed_q4", COHORTS, ("institution",)))
    return publish_release.list_releases(region.service, caller, AGREEMENT)


def first_run(region: Region) -> str:
    return str(list_runs(region.service, region.caller("auditor"), AGREEMENT)[0]["id"])


def test_an_auditor_finds_a_run_in_the_log_and_verifies_its_entry(
    visit: Visit, region: Region, tmp_path: Path
) -> None:
    visitor = visit("auditor", scripts=False)
    page = visitor.open("/auditor")
    expect(page.get_by_role("heading", level=1)).to_have_text("What was done, and the proof of it")
    visitor.shoot("auditor-overview")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Log").click()
    page.get_by_label("What happened").select_option("Runs")
    page.get_by_label("Agreement").select_option(AGREEMENT)
    page.get_by_role("button", name="Show").click()
    assert "kind=run." in page.url
    kinds = set(page.locator(".timeline .kind").all_inner_texts())
    assert kinds <= {"run.started", "run.finished", "run.failed", "run.cancelled"} and kinds
    finished = page.locator(".timeline .entry", has_text="run.finished").last
    finished.get_by_role("link", name=re.compile(r"^Entry \d+$")).click()
    expect(page.get_by_text("exactly as it stands here")).to_be_visible()
    checked = page.locator(".checks").inner_text()
    assert re.search(r"signed by \S+, \d+ entries", checked)
    assert re.search(r"\d+ hashes lead from the entry to the root that is signed", checked)
    assert page.locator(".checks li.bad").count() == 0
    visitor.shoot("auditor-entry")
    with page.expect_download() as download:
        page.get_by_role("link", name="download this entry with its proof").click()
    download.value.save_as(tmp_path / "entry.jsonl")
    lines = (tmp_path / "entry.jsonl").read_text().splitlines(keepends=True)
    _, entries = verify_export(lines, seal_log.verifier_key(region.service))
    assert [entry.kind for entry in entries] == ["run.finished"]


def test_the_log_is_filtered_paged_and_exported_with_proofs(
    visit: Visit, region: Region, tmp_path: Path
) -> None:
    visitor = visit("auditor", scripts=False)
    page = visitor.open("/auditor/log")
    shown = page.locator(".timeline .entry > a").all_inner_texts()
    numbers = [int(text.removeprefix("#")) for text in shown]
    assert numbers == sorted(numbers, reverse=True)
    if page.get_by_role("link", name="Older").count():
        page.get_by_role("link", name="Older").click()
        older = page.locator(".timeline .entry > a").all_inner_texts()
        assert int(older[0].removeprefix("#")) == numbers[-1] - 1
        page.get_by_role("link", name="To the newest").click()
    visitor.open("/auditor/log?kind=agreement.*")
    visitor.shoot("auditor-log")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export these entries").click()
    download.value.save_as(tmp_path / "log.jsonl")
    lines = (tmp_path / "log.jsonl").read_text().splitlines(keepends=True)
    _, entries = verify_export(lines, seal_log.verifier_key(region.service))
    assert len(entries) > 5
    assert {entry.kind.partition(".")[0] for entry in entries} == {"agreement"}
    visitor.open("/auditor/log?since=2031-01-01")
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    visitor.open("/auditor/log?kind=no.such&since=yesterday", expect=422)
    expect(page.get_by_text("There is no such kind of entry.")).to_be_visible()
    visitor.open("/auditor/log/999999", expect=404)


def test_a_run_shows_the_figures_of_the_interface_as_charts_and_tables(visit: Visit, region: Region) -> None:
    run = first_run(region)
    quality = run_quality(region.service, region.caller("auditor"), run)
    visitor = visit("auditor")
    page = visitor.open(f"/auditor/runs/{run}")
    visitor.shoot("auditor-run", height=1040)
    visitor.shoot("auditor-run-pair", height=1720, start="details.pair")
    best = max(quality["pairs"], key=lambda pair: float(pair["match_rate"] or -1))
    expect(page.get_by_role("img", name="Match rates by pair of organizations")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Match weights")).first).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Scores")).first).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Thresholds")).first).to_be_visible()
    expect(page.get_by_text(re.compile("^Stay at 0.50|promises fewer errors")).first).to_be_visible()
    page.get_by_text("The same as a table: m, u and weight").first.click()
    table = page.get_by_role("table", name=re.compile("Shares by level")).first
    cells = [row.split("\t") for row in table.locator("tbody").inner_text().splitlines()]
    expected = [[e.comparison, e.level, e.m, e.u, e.said] for e in evidence(best["model"])]
    assert cells == expected and expected
    page.get_by_text("The same as a table, with matches").click()
    for pair in quality["pairs"]:
        row = page.get_by_role("row", name=" × ".join(pair["organizations"]))
        expect(row.first).to_contain_text(f"{pair['matches']:,}")
    rates = region.service, region.caller("auditor"), run
    by_sex = next(each for each in group_rates(*rates) if each.label == "Sex")
    shown = page.get_by_role("table", name="Match rates by sex")
    for group in by_sex.rows:
        row = shown.get_by_role("row").filter(
            has=page.get_by_role("rowheader", name=group["label"], exact=True)
        )
        expect(row).to_contain_text(f"{group['rate']} %" if group["rate"] else "not shown")
    expect(page.get_by_role("img", name="Match rates by sex")).to_be_visible()
    for each in list_runs(region.service, region.caller("auditor"), AGREEMENT)[:1]:
        expect(page.get_by_text(each["persons_sha256"])).to_be_visible()


def test_a_release_shows_what_was_asked_and_how_much_was_withheld_and_no_figure(
    visit: Visit, region: Region, asked: list[dict[str, Any]]
) -> None:
    granted = next(
        each for each in asked if each["status"] == "GRANTED" and each["question"]["by"] == ["race_ethnicity"]
    )
    table = publish_release.show_release(region.service, region.caller("partnership"), granted["id"])["table"]
    rows = [*table["rows"], table["total"]]
    visitor = visit("auditor")
    page = visitor.open(f"/auditor/agreements/{AGREEMENT}")
    page.get_by_role("link", name=re.compile("employed q4.*by race ethnicity")).first.click()
    for status in {row["status"] for row in rows}:
        count = sum(row["status"] == status for row in rows)
        cells = page.get_by_role("row", name=status.replace("_", " ")).inner_text().split("\t")
        assert cells[1] == str(count)
    words = set(re.findall(r"[\d,.]+", page.locator("main").inner_text()))
    for row in rows:
        for figure in (row["n"], row["found"]):
            assert figure is None or figure < 100 or f"{figure:,}" not in words
    assert page.locator(".checks li.good").count() == 2
    visitor.shoot("auditor-release")
    visitor.require_accessible()
    refused = next(each for each in asked if each["status"] == "REFUSED")
    visitor.open(f"/auditor/releases/{refused['id']}")
    expect(page.get_by_role("heading", name="Refused: DIMENSION_NOT_PERMITTED")).to_be_visible()


def test_the_checkpoint_names_the_witness_who_cosigned_it(visit: Visit, region: Region) -> None:
    organization = "kentucky-education"
    key = region.signing_keys[organization]
    visitor = visit("auditor")
    page = visitor.open("/auditor/checkpoint")
    note = seal_log.newest_checkpoint(region.service)
    origin = note.partition("\n")[0]
    seen = int(time.mktime(region.clock.now.timetuple()))
    witness_log.receive_cosignature(
        region.service, note + cosign(note, key, witness_name(origin, key.public), seen)
    )
    page = visitor.open("/auditor/checkpoint")
    row = page.get_by_role("table", name="Who cosigned").get_by_role("row", name=organization)
    expect(row).to_contain_text(key.public.fingerprint[:12])
    expect(page.get_by_text("The log's key signed this root.")).to_be_visible()
    visitor.shoot("auditor-checkpoint")
    visitor.require_accessible()


def test_the_whole_log_is_verified_and_every_check_is_named(visit: Visit, region: Region) -> None:
    visitor = visit("auditor")
    page = visitor.open("/auditor/verification")
    visitor.require_accessible(schemes=("light",))
    page.get_by_role("button", name="Verify the whole log").click()
    expect(page.get_by_text(re.compile("All of it holds: [0-9]+ entries"))).to_be_visible()
    names = page.locator(".checks strong").all_inner_texts()
    assert {"Entries", "Rule: runs", "Rule: releases", "Rule: ledger"} <= set(names)
    assert page.locator(".checks li.bad").count() == 0
    visitor.require_accessible()
    visitor.shoot("auditor-verification")


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_the_pages_of_an_auditor_have_no_fault_that_axe_finds(
    visit: Visit, region: Region, width: int
) -> None:
    visitor = visit("auditor", width=width)
    assert list_agreements(region.service, region.caller("auditor"))
    for path in (
        "/auditor",
        "/auditor/log",
        "/auditor/log/30",
        f"/auditor/agreements/{AGREEMENT}",
        f"/auditor/runs/{first_run(region)}",
        "/auditor/checkpoint",
    ):
        visitor.open(path)
        visitor.require_accessible(schemes=SCHEMES[width])


def test_details_of_a_run_open_with_the_keyboard(visit: Visit, region: Region) -> None:
    visitor = visit("auditor")
    page = visitor.open(f"/auditor/runs/{first_run(region)}")
    second = page.locator("details.pair > summary").nth(1)
    second.focus()
    page.keyboard.press("Enter")
    assert second.evaluate("node => node.parentElement.open")
    page.keyboard.press("Tab")
    assert json.loads(page.evaluate("JSON.stringify(document.activeElement !== document.body)"))
