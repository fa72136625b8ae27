"""An analyst at work: choose, confirm, read, compare, take away; with a mouse, a phone, a keyboard."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from app.api.sessions import COOKIE
from app.flows import publish_release, sessions
from app.flows.cube_here import Bystander
from app.flows.publish_release import Question
from app.main import create_app
from app.settings import Settings
from app.store import cubes, releases
from app.web import partnership
from tests.browser.reading import read_csv, read_page
from tests.browser.region import AGREEMENT, COHORTS, Region, built, running
from tests.browser.visitor import PHONE, WIDE, Visitor

Visit = Callable[..., Visitor]

#: What the guide shows of an answer.
PICTURES: dict[tuple[str, int], dict[str, Any]] = {
    ("agreement", WIDE): {"height": 960},
    ("bars", WIDE): {"height": 1270},
    ("trend", WIDE): {"height": 1080, "scheme": "dark"},
    ("flows", WIDE): {"height": 620, "start": "#flows"},
    ("bars", PHONE): {"height": 1000, "start": "#table"},
}

HERE = f"/partnership/agreements/{AGREEMENT}"


def answer_path(indicator: str = "employed_q4", *by: str, cohort: str = COHORTS) -> str:
    return f"{HERE}/figures?indicator={indicator}&cohort={cohort}" + "".join(f"&by={name}" for name in by)


@pytest.fixture(scope="module")
def asked(region: Region) -> Region:
    """The region with some questions asked already."""
    caller = region.caller("partnership")
    for indicator, by in (
        ("employed_q4", ()),
        ("employed_q4", ("pathway",)),
        ("employed_q4", ("race_ethnicity",)),
        ("employed_q4", ("cohort_year",)),
        ("earnings_percentiles_y1", ()),
        ("self_sufficient", ()),
        ("contribution", ()),
    ):
        publish_release.request_release(region.service, caller, AGREEMENT, Question(indicator, COHORTS, by))
    return region


def log_size(region: Region) -> int:
    return int(httpx.get(f"{region.url}/v1/log/checkpoint").text.splitlines()[1])


def test_analyst_when_asking_for_the_first_time_confirms_then_reads_compares_and_takes_away(
    visit: Visit, region: Region, tmp_path: Path
) -> None:
    visitor = visit("partnership")
    page = visitor.open("/partnership")
    visitor.require_accessible()
    page.get_by_role("link", name=AGREEMENT).click()
    expect(page.get_by_role("heading", name="Ask for figures")).to_be_visible()
    page.get_by_label("Indicator").select_option(label="Attached to the labour market (KYSTATS)")
    page.get_by_label("Graduated from").select_option("2020-21")
    page.get_by_label("to", exact=True).select_option("2023-24")
    page.get_by_label("By", exact=True).select_option("pathway")
    page.get_by_role("button", name="Show figures").click()
    # Nothing is asked before it is confirmed: the first question freezes the tables.
    expect(page.get_by_text("This is the first question about this indicator")).to_be_visible()
    visitor.require_accessible()
    page.get_by_role("button", name="Make and freeze these tables").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Attached to the labour market (KYSTATS)")
    expect(page.locator(".lead")).to_contain_text("by pathway")
    # The next one is a press away.
    page.get_by_role("button", name="Sex", exact=True).click()
    expect(page.get_by_role("button", name="Sex", exact=True)).to_have_attribute("aria-pressed", "true")
    # Groups are compared where both may be shown; of this indicator that depends on what else is out.
    page = visitor.open(answer_path("employed_q4", "sex"))
    page.get_by_label("Compare with").select_option("Female")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="Gap to Female")).to_be_visible()
    shown = read_page(page.content())
    with page.expect_download() as download:
        page.get_by_role("link", name="Gap to Female as CSV").click()
    download.value.save_as(tmp_path / "gap.csv")
    _, rows = read_csv((tmp_path / "gap.csv").read_bytes().decode())
    assert [row["points"] for row in rows] == [row["points"] for row in shown["gap"]]
    for name in ("Workbook (XLSX)", "Chart of Gap to Female as SVG", "Chart of Gap to Female as PNG"):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        assert download.value.failure() is None
    # The permanent link shows the same to somebody else of the partnership, and puts nothing on record.
    link = page.get_by_text(re.compile("/releases/rel-")).first.inner_text()
    size = log_size(region)
    other = visit("partnership", width=PHONE)
    assert read_page(other.open(link.removeprefix(region.url)).content())["table"] == shown["table"]
    assert log_size(region) == size


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_answers_of_every_kind_when_shown_have_no_fault_that_axe_finds(
    visit: Visit, asked: Region, width: int
) -> None:
    visitor = visit("partnership", width=width)
    size = "wide" if width == WIDE else "phone"
    for name, path in (
        ("agreement", HERE),
        ("bars", answer_path("employed_q4", "race_ethnicity")),
        ("trend", answer_path("employed_q4", "cohort_year")),
        ("flows", answer_path("earnings_percentiles_y1")),
        ("bands", answer_path("self_sufficient")),
    ):
        visitor.open(path)
        # Colours do not depend on the width: both schemes are looked at on the wide page.
        both = width == WIDE and name != "bands"
        visitor.require_accessible(schemes=("light", "dark") if both else ("dark",))
        if (name, width) in PICTURES:
            visitor.shoot(f"partnership-{name}-{size}", **PICTURES[name, width])


def test_pages_of_words_when_shown_have_no_fault_that_axe_finds(visit: Visit, asked: Region) -> None:
    visitor = visit("partnership", width=PHONE)
    for path in ("/partnership/indicators", answer_path("contribution"), answer_path("employed_q2")):
        visitor.open(path)
        visitor.require_accessible(schemes=("dark",))


def test_looking_at_a_question_that_nobody_asked_puts_nothing_on_record(visit: Visit, asked: Region) -> None:
    size = log_size(asked)
    page = visit("partnership").open(answer_path("employed_q4", "sex", cohort="2021-22"))
    expect(page.get_by_role("heading", name="Not asked yet")).to_be_visible()
    assert log_size(asked) == size


def test_refused_question_says_what_it_was_refused_for_and_what_to_do(visit: Visit, asked: Region) -> None:
    visitor = visit("partnership", scripts=False)
    visitor.expected.add(422)
    page = visitor.open(answer_path("employed_q4", "pathway", cohort="2021-22"))
    page.get_by_role("button", name="Make and freeze these tables").click()
    expect(page.get_by_role("heading", name="This question was refused")).to_be_visible()
    expect(page.get_by_text("could be subtracted").first).to_be_visible()
    expect(page.get_by_text("NOT_IN_PLAN")).to_be_visible()
    page.goto(asked.url + HERE)
    expect(page.get_by_text("NOT_IN_PLAN").first).to_be_visible()


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))


def tab_to(page: Page, wanted: str, most: int = 40) -> None:
    """Press the tabulator until ``wanted`` has the focus, which must be seen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if focused(page) == wanted:
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            assert page.evaluate(outline) != "none", f"the focus on {wanted} cannot be seen"
            return
    raise AssertionError(f"the keyboard does not reach {wanted}")


def test_keyboard_alone_suffices_from_signing_in_to_the_answer(visit: Visit, asked: Region) -> None:
    visitor = visit()
    page = visitor.open(f"/sign-in?next={HERE}")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    tab_to(page, "api_key")
    page.keyboard.type(asked.api_keys["partnership"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Ask for figures")).to_be_visible()
    tab_to(page, "by0")
    page.keyboard.type("Coh")
    tab_to(page, "Show figures")
    page.keyboard.press("Enter")
    expect(page.locator(".lead")).to_contain_text("by cohort year")
    tab_to(page, "Race and ethnicity")
    page.keyboard.press("Space")
    expect(page.locator(".lead")).to_contain_text("by race and ethnicity")
    tab_to(page, "Workbook (XLSX)")


def test_paper_when_printed_has_figures_and_words_but_no_forms(visit: Visit, asked: Region) -> None:
    page = visit("partnership").open(answer_path("employed_q4", "pathway"))
    page.emulate_media(media="print")
    for hidden in (page.get_by_role("navigation").first, page.get_by_role("button").first):
        expect(hidden).not_to_be_visible()
    for shown in ("Definition.", "Coverage.", "SHA-256 of the table"):
        expect(page.get_by_text(shown).first).to_be_visible()
    expect(page.get_by_role("rowheader", name="Certificate").first).to_be_visible()
    assert len(page.pdf(format="A4")) > 10_000


def test_form_when_it_is_not_one_of_this_session_or_comes_from_elsewhere_asks_nothing(asked: Region) -> None:
    token = sessions.sign_in(asked.service, asked.api_keys["partnership"])
    csrf = sessions.resume(asked.service, token).csrf
    size = log_size(asked)
    form = {"indicator": "employed_q4", "first": COHORTS, "by": "sex", "confirmed": "yes"}
    headers = {"Accept": "text/html", "Origin": asked.url}
    with httpx.Client(base_url=asked.url, cookies={COOKIE: token}, headers=headers) as client:
        for change, more in (
            ({}, {}),
            ({"csrf": "0" * 64}, {}),
            ({"csrf": csrf}, {"Origin": "https://elsewhere.invalid"}),
            ({"csrf": csrf}, {"Sec-Fetch-Site": "cross-site"}),
        ):
            answer = client.post(f"{HERE}/figures", data=form | change, headers=more)
            assert answer.status_code == 403
            assert "This form was not accepted" in answer.text
    assert log_size(asked) == size


@pytest.fixture
def unattended(
    region: Region,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Region]:
    """The region that nobody asked anything yet, served as if workers made its cubes, and there are none."""
    monkeypatch.setattr(partnership, "PATIENCE", 0.0)
    copied = tmp_path / "data"
    shutil.copytree(built(tmp_path_factory) / "data", copied)
    app = create_app(replace(Settings.for_data(copied), rate_limit=0), clock=region.clock, workers=True)
    with running(app) as url:
        yield replace(region, url=url, service=app.state.service)


def before(region: Region, visitor: Visitor) -> Visitor:
    """The same browser before another service."""
    visitor.region = region
    return visitor.signed_in("partnership")


def begin(visitor: Visitor, indicator: str) -> Page:
    """Ask for something that nobody makes yet."""
    page = visitor.open(answer_path(indicator))
    page.get_by_role("button", name="Make and freeze these tables").click()
    expect(page.get_by_role("heading", name="The tables are being made and protected")).to_be_visible()
    return page


def test_answer_when_it_takes_long_appears_in_place_and_without_scripts_by_itself(
    visit: Visit, unattended: Region
) -> None:
    visitor, plain = (before(unattended, visit("partnership", scripts=on)) for on in (True, False))
    page = begin(visitor, "median_earnings_q2")
    visitor.require_accessible()
    path = page.url.removeprefix(unattended.url)
    assert '<noscript><meta http-equiv="refresh"' in plain.open(path).content()
    with unattended.service.store.reading() as tx:
        release = releases.find(tx, path.rsplit("/", 1)[-1])
    assert release is not None
    assert release.cube_id is not None
    with unattended.service.store.transaction() as tx:
        cube = cubes.find(tx, release.cube_id)
        assert cube is not None
        cube.stage, cube.done, cube.total = "tabulate", 40, 100
    # The server says so; the page is not loaded again.
    loaded = len(visitor.addresses)
    expect(page.get_by_role("status")).to_have_text("Counting")
    expect(page.get_by_text("40 %")).to_be_visible()
    assert len(visitor.addresses) == loaded
    Bystander(unattended.service, release.cube_id).look()
    for each in (page, plain.page):
        expect(each.get_by_role("heading", level=1)).to_contain_text("edian")
        expect(each.get_by_label("Headline figure")).to_contain_text("$")
    visitor.require_accessible()


def test_answer_when_it_is_not_wanted_any_more_can_be_cancelled(visit: Visit, unattended: Region) -> None:
    visitor = before(unattended, visit("partnership", scripts=False))
    page = begin(visitor, "median_earnings_q2")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="This question was refused")).to_be_visible()
    expect(page.get_by_text("Somebody cancelled it")).to_be_visible()


def test_owner_of_the_data_reads_the_same_answer_and_is_offered_no_question(
    visit: Visit, asked: Region
) -> None:
    visitor = visit("ohio-education")
    listed = publish_release.list_releases(asked.service, asked.caller("ohio-education"), AGREEMENT)
    release = next(each["id"] for each in listed if each["question"]["by"] == ["pathway"])
    page = visitor.open(f"/releases/{release}")
    visitor.require_accessible(schemes=("light",))
    expect(page.get_by_label("Headline figure")).to_contain_text("%")
    assert page.get_by_role("button", name="Show figures").count() == 0
    visitor.open(HERE, expect=404)
