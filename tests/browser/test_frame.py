"""The frame of all pages: signing in and out, errors, policy, and a first page that needs no script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from playwright.sync_api import expect

from app.main import create_app
from app.settings import Settings
from tests.browser.region import Region, running
from tests.browser.visitor import PHONE, WIDE, Visitor

Visit = Callable[..., Visitor]


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_public_pages_when_opened_have_no_fault_that_axe_finds(visit: Visit, width: int) -> None:
    visitor = visit(width=width)
    visitor.open("/")
    visitor.require_accessible()
    visitor.open("/sign-in")
    visitor.require_accessible()
    visitor.open("/no/such/page", expect=404)
    visitor.require_accessible()


def test_first_page_when_loaded_without_scripts_is_below_a_hundred_kilobytes(
    visit: Visit, region: Region
) -> None:
    visitor = visit(scripts=False)
    page = visitor.open("/")
    assert page.get_by_role("link", name="Sign in").count() >= 1
    sizes = [len(httpx.get(url).content) for url in set(visitor.addresses)]
    assert len(sizes) >= 2
    assert sum(sizes) < 100_000


def test_signing_in_when_a_page_was_asked_for_goes_on_to_it_and_out_again(
    visit: Visit, region: Region
) -> None:
    visitor = visit(scripts=False)
    page = visitor.open("/partnership?x=1")
    assert "next=/partnership%3Fx%3D1" in page.url
    visitor.expected.add(401)
    page.get_by_label("API key").fill("clk_" + "x" * 43)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("This key is not good")).to_be_visible()
    page.get_by_label("API key").fill(region.api_keys["partnership"])
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{region.url}/partnership?x=1")
    assert region.api_keys["partnership"] not in page.content()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You have signed out.")).to_be_visible()
    assert "/sign-in" in visitor.open("/partnership").url


def test_first_page_when_nothing_is_set_up_says_what_to_do_next(
    visit: Visit, sqlite_settings: Settings
) -> None:
    with running(create_app(sqlite_settings)) as url:
        visitor = visit(width=PHONE)
        visitor.region = replace(visitor.region, url=url)
        page = visitor.open("/")
        expect(page.get_by_role("heading", name="What to do next")).to_be_visible()
        visitor.require_accessible()
        visitor.shoot("first-page")
