"""The operator at a browser: registers somebody, hands out a key once, starts a run and follows it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from app.flows import run_linkage
from app.flows.link_inputs import link_inputs as link_run
from app.flows.organizations import get_organization
from app.flows.show_runs import show_run
from app.store import run_ownership
from tests.browser.region import AGREEMENT, Region
from tests.browser.visitor import PHONE, WIDE, Visitor

Visit = Callable[..., Visitor]
#: Colours do not depend on the width: both schemes are looked at on the wide page, one on the narrow.
SCHEMES = {WIDE: ("light", "dark"), PHONE: ("dark",)}


def test_the_operator_registers_an_organization_and_its_key_is_shown_once(
    visit: Visit, region: Region
) -> None:
    visitor = visit("operator", scripts=False)
    page = visitor.open("/operator")
    expect(page.get_by_role("heading", name="All is well")).to_be_visible()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Organizations").click()
    visitor.expected.add(422)
    page.get_by_label("Id", exact=True).fill("Not An Id")
    page.get_by_label("Name", exact=True).fill("The college")
    page.get_by_role("button", name="Register").click()
    expect(page.locator("#organization-wrong")).to_contain_text("lower-case letters")
    assert page.get_by_label("Name", exact=True).input_value() == "The college"
    page.get_by_label("Id", exact=True).fill("the-college")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_text("The organization is registered.")).to_be_visible()
    page.get_by_label("What it is for").select_option("Agency")
    page.get_by_role("button", name="Make the key").click()
    key = page.locator(".secret code").first.inner_text().strip()
    assert re.fullmatch(r"clk_[A-Za-z0-9_-]{43}", key)
    assert key not in page.url
    page.get_by_role("link", name="I have kept it").click()
    assert key not in page.content()
    other = visit()
    entering = other.open("/sign-in")
    entering.get_by_label("API key").fill(key)
    entering.get_by_role("button", name="Sign in").click()
    expect(entering.get_by_text("No agreement names your organization yet.")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Revoke")).click()
    expect(page.get_by_text("it opens nothing from now on")).to_be_visible()
    assert "/sign-in" in other.open("/agency").url
    found = get_organization(region.service, region.caller("operator"), "the-college")["credentials"]
    assert [each["revoked_at"] is None for each in found] == [False]


def begin(region: Region, run: str) -> str:
    owner = run_linkage.begin(region.service, run, "worker")
    assert owner is not None
    return owner


def report(region: Region, run: str, owner: str, stage: str, done: int) -> None:
    with region.service.store.transaction() as tx:
        assert run_ownership.report_progress(tx, run, owner, stage, done, 100)


def test_a_run_is_started_and_followed_to_its_figures_without_loading_the_page_again(
    visit: Visit, region: Region
) -> None:
    visitor = visit("operator")
    page = visitor.open(f"/operator/agreements/{AGREEMENT}")
    expect(
        page.get_by_text("organizations that the agreement expects data of have submitted")
    ).to_be_visible()
    page.get_by_role("button", name="Start a run").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    visitor.require_accessible()
    run = page.url.rpartition("/")[2]
    owner = begin(region, run)
    report(region, run, owner, "ohio-education × ohio-workforce", 42)
    expect(page.get_by_text("Comparing ohio-education × ohio-workforce")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "42")
    visitor.shoot("operator-run", full=False)
    service = region.service

    def finish() -> None:
        produced = link_run(service, service.plane("encodings"), service.plane("links"), run, owner)
        run_linkage.finish(service, run, owner, produced)

    worker = threading.Thread(target=finish)
    worker.start()
    expect(page.get_by_role("heading", name="Match rates by pair of sources")).to_be_visible(timeout=60_000)
    worker.join()
    assert show_run(service, region.caller("operator"), run)["state"] == "SUCCEEDED"
    assert page.get_by_role("progressbar").count() == 0
    visitor.require_accessible(schemes=("light",))


def test_a_run_is_followed_and_stopped_without_scripts(visit: Visit, region: Region) -> None:
    visitor = visit("operator", scripts=False)
    page = visitor.open(f"/operator/agreements/{AGREEMENT}")
    page.get_by_role("button", name="Start a run").click()
    expect(page.get_by_text("The run is queued.")).to_be_visible()
    # Without a script the page loads itself again.
    assert page.locator("meta[http-equiv=refresh]").count() == 1
    run = page.url.rpartition("/")[2]
    visitor.open("/operator/runs")
    expect(page.get_by_role("row", name=run)).to_contain_text("Waiting for a worker")
    page.get_by_role("link", name=run).click()
    page.get_by_role("button", name="Stop this run").click()
    expect(page.get_by_role("heading", name=re.compile("Cancelled"))).to_be_visible()
    assert page.locator("meta[http-equiv=refresh]").count() == 0


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_the_pages_of_the_operator_have_no_fault_that_axe_finds(
    visit: Visit, region: Region, width: int
) -> None:
    visitor = visit("operator", width=width)
    for path, name in {
        "/operator": "operator-overview",
        "/operator/organizations": "",
        "/operator/organizations/ohio-education": "operator-organization",
        "/operator/agreements": "",
        f"/operator/agreements/{AGREEMENT}": "",
        "/operator/runs": "",
        "/operator/health": "",
    }.items():
        visitor.open(path)
        visitor.require_accessible(schemes=SCHEMES[width])
        if name and width == WIDE:
            visitor.shoot(name)
