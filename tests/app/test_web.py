"""The first page and the vendored documentation."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.auth import Role
from app.web import pages
from app.web.charts.canvas import standalone_rules
from app.web.signing_in import where_to
from app.web.site import HERE
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


@pytest.mark.parametrize(
    ("asked", "page"),
    [
        ("/partnership/agreements/x?by=sex", "/partnership/agreements/x?by=sex"),
        ("", "/partnership"),
        ("//elsewhere.invalid/", "/partnership"),
        ("/\\elsewhere.invalid/", "/partnership"),
        ("https://elsewhere.invalid/", "/partnership"),
        ("/a\nSet-Cookie: x", "/partnership"),
        ("/v1/agreements", "/partnership"),
        ("/sign-out", "/partnership"),
    ],
)
def test_page_after_signing_in_is_the_one_that_was_asked_for_if_it_is_ours(asked: str, page: str) -> None:
    assert where_to(asked, Role.PARTNERSHIP) == page


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/healthz/nothing"])
@pytest.mark.parametrize("accept", ["text/html,*/*;q=0.8", "application/json", "*/*"])
def test_error_is_a_page_for_who_asks_for_pages_and_a_problem_document_for_the_interface(
    sqlite_world: World, path: str, accept: str
) -> None:
    answer = sqlite_world.client.get(path, headers={"Accept": accept})
    assert answer.status_code == 404
    is_page = path == "/nothing" and accept.startswith("text/html")
    kind = "text/html; charset=utf-8" if is_page else "application/problem+json"
    assert answer.headers["content-type"] == kind
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_unexpected_error_on_a_page_is_a_page_with_a_request_id_and_no_trace(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("secret-value")

    monkeypatch.setattr(pages.queries, "checks", break_down)
    answer = sqlite_world.client.get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.text
    assert "secret-value" not in answer.text
    assert "Traceback" not in answer.text


def test_link_from_elsewhere_comes_back_by_itself_so_that_the_cookie_is_sent(sqlite_world: World) -> None:
    given = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site"}
    answer = sqlite_world.client.get("/partnership", headers=given, follow_redirects=False)
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0">' in answer.text
    given["Sec-Fetch-Site"] = "same-origin"
    answer = sqlite_world.client.get("/partnership", headers=given, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/partnership")


def contrast(one: str, other: str) -> float:
    """WCAG 2: (lighter + .05) / (darker + .05) of the relative luminances."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_when_compared_have_the_contrast_that_letters_and_drawings_need(scheme: str) -> None:
    sheet = (HERE / "static" / "site.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", sheet, re.S)
    token = dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-f]{6})", blocks[0 if scheme == "light" else 1]))
    for ground in ("--ground", "--paper"):
        for letters in ("--ink", "--muted", "--accent", "--accent-dark"):
            assert contrast(token[letters], token[ground]) >= 4.5, (letters, ground)
        for drawn in ("--chart-1", "--chart-2", "--chart-3", "--chart-4", "--chart-rest", "--strong-line"):
            assert contrast(token[drawn], token[ground]) >= 3, (drawn, ground)
    for name in ("good", "waiting", "bad", "plain"):
        assert contrast(token[f"--{name}"], token[f"--{name}-ground"]) >= 4.5, name
    assert contrast(token["--on-accent"], token["--accent"]) >= 4.5
    assert contrast(token["--focus-ink"], token["--focus"]) >= 4.5


def test_style_of_an_exported_drawing_holds_colours_and_no_name_of_one() -> None:
    rules = standalone_rules()
    assert ".c-1{" in rules.replace(" ", "")
    assert "var(" not in rules
    assert "url(" not in rules
