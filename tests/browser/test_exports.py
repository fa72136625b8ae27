"""Page, CSV, workbook, drawing and interface are one object; and the adversary reads the exports."""

from __future__ import annotations

import html
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import openpyxl
import pytest

from app.api.sessions import COOKIE
from app.disclosure.table import Table
from app.flows import sessions
from app.flows.make_cube import source_of_run
from app.flows.show_indicators import dimension_labels
from app.outcomes.tabulate import tabulate_plan
from app.store import runs
from tests.attacks.populations import primary_only
from tests.attacks.test_single_table import K, complement, intervals, margin, rates_without_counts
from tests.browser.reading import FIGURES, Row, read_csv, read_page, read_texts, read_workbook, same
from tests.browser.region import AGREEMENT, COHORTS, Region

#: Indicator, by what, and which sheets there are.
QUESTIONS = [
    ("employed_q4", (), ("table",)),
    ("employed_q4", ("pathway",), ("table", "gap")),
    ("employed_q4", ("race_ethnicity",), ("table", "gap")),
    ("employed_q4", ("cohort_year",), ("table",)),
    ("employed_q4", ("state_of_work",), ("table", "linked")),
    ("employed_q4", ("sex",), ("table", "gap")),
    ("median_earnings_q2", ("pathway",), ("table",)),
    ("earnings_percentiles_y1", (), ("table", "flows")),
    ("self_sufficient", (), ("table", "bands")),
    ("contribution", (), ("table",)),
]


@pytest.fixture(scope="module")
def browser(region: Region) -> Iterator[httpx.Client]:
    """A client that is signed in as the partnership, as a browser is."""
    token = sessions.sign_in(region.service, region.api_keys["partnership"])
    with httpx.Client(
        base_url=region.url, cookies={COOKIE: token}, headers={"Accept": "text/html"}
    ) as client:
        yield client


@pytest.fixture(scope="module")
def api(region: Region) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {region.api_keys['partnership']}"}
    with httpx.Client(base_url=region.url + "/v1", headers=headers, timeout=300) as client:
        yield client


def ask(api: httpx.Client, indicator: str, by: tuple[str, ...]) -> dict[str, Any]:
    body = {"indicator": indicator, "cohort": COHORTS, "by": list(by), "where": {}}
    answer = api.post(f"/agreements/{AGREEMENT}/releases", json=body)
    assert answer.status_code == 201, answer.text
    release: dict[str, Any] = answer.json()
    return release


def by_interface(release: dict[str, Any], gap: dict[str, Any] | None) -> dict[str, list[Row]]:
    """The same rows out of the interface's documents, flattened here and not by the service."""
    table = release["table"]

    def flat(row: dict[str, Any]) -> Row:
        adjusted = row.get("adjusted") or {}
        more = {f"adjusted_{name}": adjusted.get(name) for name in ("rate", "low", "high")}
        linked = {"linked_rate": (row.get("matched") or {}).get("rate")}
        kept = {k: v for k, v in row.items() if k not in ("key", "adjusted", "matched")}
        if not kept.get("p50", kept.get("rate", "")) and "p50" in kept:
            kept = {k: v for k, v in kept.items() if k not in ("n", "found", "rate")}
        flattened = kept | (more if "adjusted" in row else {}) | (linked if "matched" in row else {})
        return {k: None if v is None else str(v) for k, v in flattened.items()}

    found = {"table": [flat(row) for row in (*table["rows"], table["total"])]}
    for name in ("bands", "flows"):
        if table.get(name):
            found[name] = [flat(row) for row in table[name]]
    if matches := table.get("match_rates"):
        whole = flat(matches[0]["total"])
        rows = [
            flat(row) | {"label": f"{dimension_labels()[match['by'][0]]}: {row['label']}"}
            for match in matches
            for row in match["rows"]
        ]
        found["linked"] = [
            {"linked": row.pop("found"), "linked_rate": row.pop("rate")} | row for row in (*rows, whole)
        ]
    if gap is not None:
        found["gap"] = [flat(row) for row in gap["rows"]]
    return found


@pytest.mark.parametrize(("indicator", "by", "names"), QUESTIONS)
def test_answer_when_taken_from_page_csv_workbook_and_interface_is_the_same_cell_by_cell(
    browser: httpx.Client, api: httpx.Client, indicator: str, by: tuple[str, ...], names: tuple[str, ...]
) -> None:
    release = ask(api, indicator, by)
    here = f"/releases/{release['id']}"
    page = read_page(browser.get(here).text)
    assert set(page) == set(names)
    gap = None
    if "gap" in names:
        reference = re.search(r'reference=([^"&]+)', browser.get(here).text)
        assert reference is not None
        gap = api.get(f"{here}/gap", params={"reference": reference[1]}).json()
    truth = by_interface(release, gap)
    workbook = read_workbook(browser.get(f"{here}/workbook.xlsx").content)
    assert set(workbook) == set(page) == set(truth)
    for name in names:
        _, rows = read_csv(browser.get(f"{here}/{name}.csv").text)
        same(page[name], truth[name])
        same(rows, truth[name])
        same(workbook[name], truth[name])
    # What the interface gives as CSV is the page's first CSV.
    plain = api.get(here, headers={"Accept": "text/csv"}).text
    assert plain == browser.get(f"{here}/table.csv").text


@pytest.mark.parametrize(("indicator", "by", "names"), QUESTIONS)
def test_drawing_when_exported_says_no_figure_that_its_table_does_not_show(
    browser: httpx.Client, api: httpx.Client, indicator: str, by: tuple[str, ...], names: tuple[str, ...]
) -> None:
    release = ask(api, indicator, by)
    here = f"/releases/{release['id']}"
    page = read_page(browser.get(here).text)
    for name in names:
        answer = browser.get(f"{here}/{name}.svg")
        assert answer.headers["content-disposition"].startswith("attachment")
        texts = read_texts(answer.text)
        shown = {str(value) for row in page[name] for value in row.values() if value is not None}
        said = {
            number.replace(",", "").replace("−", "-").lstrip("+$")
            for text in texts[2:]
            if "Coverage:" not in text and "Release " not in text and "identifier" not in text
            for number in re.findall(r"[-−+$]?\d[\d,]*\.\d+|\$[\d,]{4,}", text)
        }
        assert said <= shown | {"0.0"}, said - shown
        assert "<script" not in answer.text
        assert "http" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    picture = browser.get(f"{here}/table.png")
    assert picture.content.startswith(b"\x89PNG")


def documents_of(tables: list[tuple[dict[str, str], list[Row]]], by: list[list[str]]) -> list[dict[str, Any]]:
    """What the attack suite reads, out of nothing but exports."""

    def row(each: Row, names: list[str]) -> dict[str, Any]:
        counts = {name: int(each[name] or 0) if each.get(name) else None for name in ("n", "found")}
        key = {name: each[name] for name in names}
        return {
            "key": key,
            "label": each["label"],
            "status": each["status"],
            "rate": each.get("rate"),
            **counts,
        }

    return [
        {
            "by": names,
            "additive": about["rows"] == "add up to the total",
            "rows": [row(each, names) for each in rows[:-1]],
            "total": row(rows[-1], names),
        }
        for (about, rows), names in zip(tables, by, strict=True)
    ]


def taken_away(browser: httpx.Client, here: str, kind: str) -> tuple[dict[str, str], list[Row]]:
    """The table of an answer out of one of the ways in which it leaves, and what stands before it."""
    about, rows = read_csv(browser.get(f"{here}/table.csv").text)
    if kind == "workbook":
        rows = read_workbook(browser.get(f"{here}/workbook.xlsx").content)["table"]
    elif kind == "page":
        codes = [{k: v for k, v in row.items() if k not in FIGURES} for row in rows]
        read = read_page(browser.get(here).text)["table"]
        rows = [left | right for left, right in zip(codes, read, strict=True)]
    return about, rows


@pytest.fixture(scope="module")
def truth(region: Region) -> list[Table]:
    """What the adversary would like to know, to judge her by."""
    service = region.service
    with service.store.reading() as tx:
        run = runs.latest_succeeded(tx, AGREEMENT)
    assert run is not None
    source = source_of_run(service, service.plane("facts"), service.plane("links"), run, None)
    names = [by[0] for indicator, by, _ in QUESTIONS if indicator == "employed_q4" and by]
    given = {name: getattr(source, name) for name in ("persons", "facts", "as_of", "owners")}
    return list(tabulate_plan("employed_q4", COHORTS, names, **given))


def aligned(truth: Sequence[Table], documents: Sequence[dict[str, Any]]) -> list[Table]:
    """The true tables in the order of the documents, which must have their rows."""
    by_plan = {table.by: table for table in truth}
    found = [by_plan[tuple(document["by"])] for document in documents]
    for table, document in zip(found, documents, strict=True):
        assert len(table.cells) == len(document["rows"])
    return found


@pytest.mark.parametrize("kind", ["csv", "workbook", "page"])
def test_exports_when_the_adversary_reads_them_all_give_her_nothing_below_the_minimum(
    browser: httpx.Client, api: httpx.Client, truth: list[Table], kind: str
) -> None:
    asked = [by for indicator, by, _ in QUESTIONS if indicator == "employed_q4"]
    releases = [ask(api, "employed_q4", by) for by in asked]
    exports = [taken_away(browser, f"/releases/{each['id']}", kind) for each in releases]
    documents = documents_of(exports, [list(by) for by in asked])
    judged = aligned(truth, documents)
    for attack in (complement, rates_without_counts, margin):
        assert attack(documents) == [], attack.__name__
    # All of them together as linear programs: as they are, with known empty groups, with every size known.
    for knowledge in ({}, {"know_empty": True}, {"know_n": True}):
        assert intervals(documents, judged, **knowledge) == [], knowledge
    # Where only small groups are hidden, the same programs find something.
    bare = [primary_only(table, K) for table in judged]
    assert intervals(bare, judged, know_n=True) + intervals(bare, judged)
    assert margin(bare)


def test_drawing_when_the_adversary_reads_its_words_gives_the_rates_of_the_table_and_no_others(
    browser: httpx.Client, api: httpx.Client
) -> None:
    for by in (("pathway",), ("race_ethnicity",), ("sex",)):
        here = f"/releases/{ask(api, 'employed_q4', by)['id']}"
        _, rows = read_csv(browser.get(f"{here}/table.csv").text)
        (said,) = re.findall(r"<desc[^>]*>([^<]*)<", browser.get(f"{here}/table.svg").text)
        for row in rows[:-1]:
            read = f"{row['rate']} percent" if row["rate"] else "(rate )?not shown"
            assert re.search(rf"(^|[;.] ){re.escape(html.escape(str(row['label'])))}: {read}", said), row[
                "label"
            ]
        assert said.count("percent") == sum(row["rate"] is not None for row in rows[:-1])


def test_rows_when_not_shown_differ_in_their_names_alone(browser: httpx.Client, api: httpx.Client) -> None:
    release = ask(api, "employed_q4", ("race_ethnicity",))
    text = browser.get(f"/releases/{release['id']}").text
    table = text[text.index('id="sheet-table"') : text.index("</table>", text.index('id="sheet-table"'))]
    rows = re.findall(r'<tr[^>]*data-status="withheld">(.*?)</tr>', table, re.S)
    assert len(rows) >= 2
    assert len({re.sub(r'data-name="label">[^<]*<', "", row) for row in rows}) == 1


def test_export_when_somebody_else_asks_for_it_is_absent(region: Region, api: httpx.Client) -> None:
    release = ask(api, "employed_q4", ())
    for organization in ("auditor", "operator"):
        token = sessions.sign_in(region.service, region.api_keys[organization])
        with httpx.Client(base_url=region.url, cookies={COOKIE: token}) as client:
            for name in ("", "/table.csv", "/workbook.xlsx", "/table.svg", "/table.png"):
                answer = client.get(f"/releases/{release['id']}{name}", headers={"Accept": "text/html"})
                assert answer.status_code == 404, (organization, name)
    with httpx.Client(base_url=region.url) as nobody:
        answer = nobody.get(f"/releases/{release['id']}/table.csv", headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["location"][:8]) == (303, "/sign-in")


def test_workbook_when_made_twice_is_the_same_file(browser: httpx.Client, api: httpx.Client) -> None:
    here = f"/releases/{ask(api, 'employed_q4', ('pathway',))['id']}/workbook.xlsx"
    assert browser.get(here).content == browser.get(here).content


#: What a workbook of xlsxwriter consists of: no comments, drawings, links, queries or properties of our own.
PARTS = re.compile(
    r"\[Content_Types\]\.xml|_rels/\.rels|docProps/(core|app)\.xml|xl/_rels/workbook\.xml\.rels"
    r"|xl/(workbook|sharedStrings|styles|theme/theme1|worksheets/sheet\d)\.xml"
)
DRAWN = {"svg", "title", "desc", "style", "g", "path", "rect", "line", "circle", "text", "tspan"}


def words_of(text: str) -> str:
    """All that a page says, on one line."""
    body = re.sub(r"<(script|style|head)\b.*?</\1>", " ", text, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", body)).split())


@pytest.mark.parametrize("by", [(), ("race_ethnicity",)])
def test_files_when_taken_away_hold_nothing_in_corners_that_the_page_does_not_show(
    browser: httpx.Client, api: httpx.Client, by: tuple[str, ...]
) -> None:
    release = ask(api, "employed_q4", by)
    here = f"/releases/{release['id']}"
    text = browser.get(here).text
    page, said = read_page(text), words_of(text)
    comments, rows = read_csv(browser.get(f"{here}/table.csv").text)
    for name in ("definition", "coverage", "protection", "linkage", "note"):
        assert comments.get(name, "") in said, name
    data = browser.get(f"{here}/workbook.xlsx").content
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        assert [name for name in parts.namelist() if not PARTS.fullmatch(name)] == []
        assert not parts.comment
        properties = re.findall(r">([^<]+)<", parts.read("docProps/core.xml").decode())
        outline = parts.read("xl/workbook.xml").decode() + parts.read("docProps/app.xml").decode()
    at = release["created_at"][:19]
    assert [each for each in properties if each.strip() and not each.startswith(at)] == []
    assert "hidden" not in outline.lower() and "definedName" not in outline
    book = openpyxl.load_workbook(io.BytesIO(data))
    assert [sheet.title.lower() for sheet in book.worksheets] == ["about", *page]
    about, *tables = book.worksheets
    known = {*comments, *comments.values(), *(str(v) for row in rows for v in row.values())}
    assert {str(cell.value) for row in about.iter_rows() for cell in row} <= known
    for sheet in tables:
        assert all(part.hidden is False for part in (*sheet.row_dimensions.values(),))
        assert all(part.hidden is False for part in (*sheet.column_dimensions.values(),))
        cells = [cell for row in sheet.iter_rows() for cell in row]
        assert [cell.coordinate for cell in cells if cell.comment or cell.hyperlink] == []
        assert sheet.max_row == 1 + len(page[sheet.title.lower()])
        assert len({cell.column for cell in cells}) == sheet.max_column
    for name, shown in page.items():
        if (answer := browser.get(f"{here}/{name}.svg")).status_code == 200:
            assert set(re.findall(r"<([A-Za-z]+)", answer.text)) <= DRAWN
            assert not re.search(r"<!--|<\?|\sdata-|\son\w+=|metadata", answer.text)
            if name == "table" and by:
                # One bar for each rate that is shown, and one in the legend: what is withheld has no length.
                rates = [row for row in shown[:-1] if row["rate"] is not None]
                assert len(re.findall(r'class="c-1"', answer.text)) == len(rates) + 1
    picture = browser.get(f"{here}/table.png").content
    assert {*chunk_names(picture)} <= {b"IHDR", b"IDAT", b"IEND", b"pHYs"}


def chunk_names(png: bytes) -> list[bytes]:
    """Names of the parts of a picture; texts and times would have parts of their own."""
    names, at = [], 8
    while at < len(png):
        names.append(png[at + 4 : at + 8])
        at += 12 + int.from_bytes(png[at : at + 4], "big")
    return names
