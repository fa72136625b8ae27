"""Fixtures of the browser tests: one served region and one Chromium for all of a process's tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.region import Region, built, serve
from tests.browser.visitor import WIDE, Visitor

# How long a page may take is no business of these tests: a loaded machine must not fail them.
expect.set_options(timeout=60_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    """The served region. Tests may ask, propose and submit; they must not revoke or destroy its agreement."""
    with serve(built(tmp_path_factory), tmp_path_factory.mktemp("served") / "data") as served:
        yield served


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or another that is installed."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        message = "No chromium is installed: the tests of the pages did NOT run"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(region: Region, chromium: Browser) -> Iterator[Callable[..., Visitor]]:
    """Make visitors: ``visit("partnership", width=390, scripts=False)``; nobody in particular without a name.

    When the test ends nothing may have gone wrong in any of their pages.
    """
    visitors: list[Visitor] = []

    def make(organization: str | None = None, *, width: int = WIDE, scripts: bool = True) -> Visitor:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=scripts, reduced_motion="reduce"
        )
        context.set_default_timeout(180_000)
        visitor = Visitor(region, context, context.new_page())
        visitors.append(visitor)
        return visitor.signed_in(organization) if organization else visitor

    yield make
    for visitor in visitors:
        visitor.require_clean()
        visitor.context.close()
