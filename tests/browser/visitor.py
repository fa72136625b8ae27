"""Somebody at a browser, and what is not seen there: requests, refusals of the policy, what axe finds."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Response

from app.api.sessions import COOKIE
from app.flows import sessions
from tests.browser.region import Region

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDE, PHONE = 1280, 390
#: Rules of WCAG 2.2 A and AA, and what axe holds good practice.
RULES = {"resultTypes": ["violations"]}


@dataclass
class Visitor:
    """A page of a browser of one's own; what goes wrong in it is kept for :meth:`require_clean`."""

    region: Region
    context: BrowserContext
    page: Page
    errors: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)
    #: Other sites that a story leads to.
    partners: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(f"script: {error}"))
        self.page.on("request", lambda request: self.addresses.append(request.url))
        self.page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium writes every answer of 400 and above to the console; those are judged by `_response`.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.errors.append(f"console: {message.text}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.errors.append(f"{response.status} {urlsplit(response.url).path}")

    def signed_in(self, organization: str) -> Visitor:
        """Be somebody, without going through the form (which counts attempts)."""
        token = sessions.sign_in(self.region.service, self.region.api_keys[organization])
        self.context.add_cookies([{"name": COOKIE, "value": token, "url": self.region.url}])
        return self

    def open(self, path: str, expect: int = 200) -> Page:
        """Go to a page of the service."""
        self.expected |= {expect} if expect >= 400 else set()
        answer = self.page.goto(self.region.url + path)
        assert answer is not None
        assert answer.status == expect, (path, answer.status)
        return self.page

    @property
    def third_party(self) -> list[str]:
        """Requests to anywhere else."""
        ours = (self.region.url, "data:", "blob:", *self.partners)
        return [url for url in self.addresses if not url.startswith(ours)]

    def require_clean(self) -> None:
        """Nothing went wrong, nothing was refused by the policy, nothing was fetched from elsewhere."""
        assert self.errors == []
        assert self.third_party == []

    def require_accessible(self, *, schemes: tuple[str, ...] = ("light", "dark")) -> None:
        """axe finds nothing on the page as it stands, in each scheme, and nothing overflows sideways.

        axe needs scripts: where they are off it would wait for ever.
        """
        for number, scheme in enumerate(schemes):
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            # A second scheme changes colours alone.
            rules = RULES | ({"runOnly": ["color-contrast"]} if number else {})
            found = Axe().run(self.page, options=rules).response["violations"]
            assert found == [], f"{self.page.url} ({scheme}): {json.dumps(_short(found), indent=1)}"
        root = "document.documentElement"
        wide = self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
        assert wide <= 0, f"{self.page.url} is {wide} pixels too wide"

    def shoot(
        self,
        name: str,
        *,
        scheme: str = "light",
        height: int = 1150,
        full: bool = True,
        start: str = "body",
    ) -> None:
        """Leave a picture for the guides, if the environment asks for it (``SCREENSHOTS=1``)."""
        if not os.environ.get("SCREENSHOTS"):
            return
        IMAGES.mkdir(exist_ok=True)
        self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        width, whole = self.page.evaluate(
            "[document.documentElement.clientWidth, document.body.scrollHeight]"
        )
        top = int(self.page.locator(start).first.evaluate("e => e.getBoundingClientRect().top + scrollY"))
        clip = {"x": 0, "y": top, "width": width, "height": min(height if full else 900, whole - top)}
        self.page.screenshot(path=IMAGES / f"{name}.png", full_page=True, clip=clip)  # type: ignore[arg-type]


def _short(violations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def node(found: dict[str, Any]) -> dict[str, str]:
        return {"html": found["html"][:200], "why": found["failureSummary"][:300]}

    return [
        {"rule": each["id"], "help": each["help"], "nodes": [node(found) for found in each["nodes"][:4]]}
        for each in violations
    ]
