"""The first page and the vendored documentation."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.web.pages import HERE
from tests.world import EDUCATION, WORKFORCE, World


class Outline(HTMLParser):
    """Addresses, headings, scripts and inline handlers of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.inline: list[str] = []
        self.language = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"href", "src"}:
                self.addresses.append(value or "")
            if name.startswith("on") or name == "style":
                self.inline.append(f"{tag} {name}")
            if (tag, name) == ("html", "lang"):
                self.language = value or ""


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_page_when_opened_loads_nothing_from_elsewhere_and_runs_no_inline_script(
    sqlite_world: World, path: str
) -> None:
    answer = sqlite_world.client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    page = Outline(answer.text)
    assert page.language == "en"
    assert page.inline == []
    assert [a for a in page.addresses if not a.startswith(("/", "#"))] == []
    for address in page.addresses:
        if address.startswith("/static/"):
            assert sqlite_world.client.get(address).status_code == 200, address


def test_first_page_when_opened_has_no_script_and_one_main_heading(sqlite_world: World) -> None:
    page = Outline(sqlite_world.client.get("/").text)
    assert "script" not in page.tags
    assert page.tags.count("h1") == 1
    assert page.tags.count("main") == 1


def test_first_page_when_nothing_is_set_up_says_what_to_do_next(sqlite_world: World) -> None:
    text = sqlite_world.client.get("/").text
    assert "What to do next" in text
    assert "Ready" in text
    assert re.search(r"\d+ entr(y|ies)", text)


def test_first_page_when_there_is_an_agreement_names_nobody(sqlite_world: World) -> None:
    agreement = sqlite_world.agree()
    text = sqlite_world.client.get("/").text
    assert "What to do next" not in text
    for name in (agreement, EDUCATION, WORKFORCE):
        assert name not in text


def test_first_page_when_a_key_is_missing_says_what_is_to_be_seen_to(sqlite_world: World) -> None:
    sqlite_world.service.settings.keyring("links").unlink()
    text = sqlite_world.client.get("/").text
    assert "Not ready" in text
    assert "links keyring" in text


def test_vendored_assets_when_listed_carry_their_licence_and_no_source_map() -> None:
    folder = HERE / "static" / "swagger-ui"
    assert {"LICENSE.md", "NOTICE.md"} <= {path.name for path in folder.iterdir()}
    assert "sourceMappingURL" not in Path(folder / "swagger-ui.css").read_text()
