"""Signing in at a real identity provider, as a person does: passwords, second thoughts, going out again."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.main import create_app
from app.settings import CALLBACK, Oidc, Settings
from tests.browser.region import AGREEMENT, Region, SteppingClock, running
from tests.browser.visitor import PHONE, Visitor
from tests.provider import PASSWORD, provider

Visit = Callable[..., Visitor]


@pytest.fixture
def known(region: Region, tmp_path: Path) -> Iterator[tuple[Region, Oidc]]:
    """The region served with a provider that knows some of its people."""
    copied = tmp_path / "data"
    shutil.copytree(region.service.settings.data, copied)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with provider(url + CALLBACK) as oidc:
        settings = replace(Settings.for_data(copied), rate_limit=0, oidc=oidc)
        # Tokens are of today, whatever day it is in the region.
        app = create_app(settings, clock=SteppingClock(datetime.now(UTC)))
        with running(app, port):
            yield replace(region, url=url, service=app.state.service), oidc


def before(known: tuple[Region, Oidc], visitor: Visitor) -> Visitor:
    """The same browser before this service, where it may go to the provider and nowhere else."""
    visitor.region = known[0]
    visitor.partners = (known[1].issuer,)
    return visitor


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_person_who_signs_in_at_the_provider_comes_back_to_the_page_that_was_asked_for(
    visit: Visit, known: tuple[Region, Oidc]
) -> None:
    visitor = before(known, visit(scripts=False, width=PHONE))
    page = visitor.open(f"/partnership/agreements/{AGREEMENT}")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_role("link", name="Sign in at 127.0.0.1").click()
    expect(page.get_by_role("heading", name="Your organization")).to_be_visible()
    log_in(page, "ana.lyst", "a wrong password")
    log_in(page, "ana.lyst")
    expect(page.get_by_role("heading", name="Ask for figures")).to_be_visible()
    expect(page).to_have_url(re.compile(f"{AGREEMENT}$"))
    cookies = {cookie["name"]: cookie for cookie in visitor.context.cookies(known[0].url)}
    # The provider's own are here too: cookies know no ports.
    assert "cohortlink_sign_in" not in cookies
    assert cookies["cohortlink_session"]["sameSite"] == "Strict"
    assert cookies["cohortlink_session"]["httpOnly"]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()
    link = page.get_by_role("link", name="Sign out there as well")
    assert str(link.get_attribute("href")).startswith(known[1].issuer + "/session/end?")
    assert "/sign-in" in visitor.open("/partnership").url
    # The provider still knows who is there: one click suffices.
    page.get_by_role("link", name="Sign in at 127.0.0.1").click()
    expect(page).to_have_url(known[0].url + "/partnership")


def test_person_whom_nobody_here_knows_or_who_thinks_twice_is_told_what_to_do(
    visit: Visit, known: tuple[Region, Oidc]
) -> None:
    visitor = before(known, visit())
    visitor.expected |= {403}
    page = visitor.open("/sign-in")
    visitor.require_accessible()
    visitor.shoot("sign-in", height=620)
    page.get_by_role("link", name="Sign in at 127.0.0.1").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("did not sign you in")).to_be_visible()
    page.get_by_role("link", name="Sign in at 127.0.0.1").click()
    log_in(page, "stray.cat")
    expect(page.get_by_text("no organization and role for you")).to_be_visible()
    visitor.require_accessible(schemes=("light",))
    page.get_by_role("link", name="Sign in as somebody else").click()
    log_in(page, "owen.data")
    expect(page).to_have_url(known[0].url + "/agency")
    expect(page.get_by_text("ohio-education (agency)")).to_be_visible()
    # The operator admits whom nobody knew.
    operator = before(known, visit()).signed_in("operator")
    desk = operator.open("/operator/organizations/auditor")
    desk.get_by_label("Subject").fill("stray.cat")
    desk.get_by_label("As", exact=True).select_option("auditor")
    desk.get_by_role("button", name="Admit").click()
    expect(desk.get_by_role("row").filter(has_text="stray.cat")).to_contain_text("Sign-in")
    operator.require_accessible(schemes=("light",))
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in again").click()
    visitor.open("/sign-in/provider?anew=true")
    log_in(page, "stray.cat")
    expect(page).to_have_url(known[0].url + "/auditor")
