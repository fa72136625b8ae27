"""Charts and answers out of documents alone: every treatment, two dimensions, nothing shown at all."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import vl_convert

from app.flows.release_sheets import sheets
from app.web import answers
from app.web.charts import Bar, Chart, Group, Point, Span, bars, columns, gaps, line, matrix, ranges


def row(label: str, n: int | None, found: int | None, **key: str) -> dict[str, Any]:
    rate = None if n is None or found is None else f"{100 * found / n:.1f}"
    status = "published" if rate else "count_only" if n else "withheld"
    return {"key": key, "label": label, "status": status, "n": n, "found": found, "rate": rate}


def release(by: list[str], rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    table = {
        "title": "Employed",
        "indicator": "employed_q4",
        "definition": "d",
        "cohort": "2022-23",
        "by": by,
        "rows": rows,
        "total": row("Total", 200, 150),
        "coverage": {"text": "<Ohio & Kentucky>"},
        "vintage": "FINAL",
        "policy": {"method": "suppression", "min_cell": 10},
        "additive": True,
        "notes": [],
    }
    return {"id": "rel-1", "agreement": "a", "agreement_state": "ACTIVE", "table": table | more}


def drawn(document: dict[str, Any]) -> Chart:
    part = answers.parts(document, sheets(document), "Graduates of 2022–23")[0]
    assert part.chart is not None
    return part.chart


def test_table_of_two_dimensions_when_drawn_groups_rows_under_the_first_ones_words() -> None:
    rows = [
        row(f"{pathway} / {sex}", 50, 30, pathway=pathway, sex=sex)
        for pathway in ("Certificate", "Bachelor")
        for sex in ("Female", "Male")
    ]
    chart = drawn(release(["pathway", "sex"], rows))
    assert "Certificate: Female: 60.0 percent" in chart.text
    texts = re.findall(r">([^<]+)</text>", chart.inline)
    assert texts.count("Certificate") == texts.count("Bachelor") == 2
    assert "Certificate / Female" not in texts


def test_match_rates_beside_a_crossed_table_are_drawn_by_dimension_against_that_of_all() -> None:
    by_sex = {
        "by": ["sex"],
        "rows": [row("Women", 120, 90, sex="Female"), row("Men", None, None, sex="Male")],
        "total": row("Total", 200, 150),
    }
    by_pathway = {"by": ["pathway"], "rows": [row("GED", 80, 60, pathway="GED")], "total": by_sex["total"]}
    document = release(["pathway", "sex"], [], match_rates=[by_pathway, by_sex])
    part = answers.parts(document, sheets(document), "Graduates of 2022–23")[-1]
    assert part.sheet.name == "linked"
    assert part.chart is not None
    assert "Pathway: GED: 75.0 percent; Sex: Women: 75.0 percent; Sex: Men: not shown." in part.chart.text
    assert "All: 75.0 %" in part.chart.file()


def test_table_with_more_rows_than_can_be_read_is_not_drawn() -> None:
    rows = [row(f"County {i}", 50, 30, county=str(i)) for i in range(answers.MOST_ROWS + 1)]
    document = release(["county"], rows)
    assert answers.parts(document, sheets(document), "")[0].chart is None


def test_count_without_a_rate_says_so_and_what_is_not_shown_has_no_bar() -> None:
    chart = drawn(release(["sex"], [row("Female", 50, None, sex="F"), row("Male", None, None, sex="M")]))
    assert "rate not shown" in chart.inline
    assert chart.text.count("not shown") == 2
    bars_of_rows = re.findall(r'<rect [^>]*height="16"', chart.inline)
    assert bars_of_rows == []


CHARTS = [
    bars("a", "T & <b>", "s", [Group((Bar("one", "58.1", ("60.2", "52.0", "68.1")), Bar("two", None)))]),
    line("b", "T", "s", [Point("2020-21", "74.0"), Point("2021-22", None), Point("2022-23", "70.1")]),
    line("c", "T", "s", [Point("2020-21", None)]),
    gaps("d", "T", "s", [("one", "-8.6", "-8.2"), ("two", None, None)]),
    matrix("e", "T", "s", ["Retail"], ["Ohio"], {("Retail", "Ohio"): "1.0"}, whole=[("Rest", None)]),
    matrix("f", "T", "s", [], [], {}),
    ranges("g", "T", "s", [Span("one", "9500"), Span("two", "30300", "20100", "41000"), Span("three", None)]),
    columns("h", "T", "s", [("1", 3.0, "3"), ("2", -1.0, "−1"), ("3", 0.0, "0")]),
    columns("i", "T", "s", []),
]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_chart_when_drawn_is_named_described_and_without_style_of_its_own(chart: Chart) -> None:
    both = ET.fromstring(f"<both>{chart.inline}</both>")
    assert len(both) == 2
    for svg in both:
        assert svg.get("role") == "img"
        named = (svg.get("aria-labelledby") or "").split()
        assert named == [child.get("id") for child in svg][:2]
        assert "nan" not in ET.tostring(svg, encoding="unicode")
        assert not [each for each in svg.iter() if "style" in each.attrib or each.tag.endswith("style")]
    ids = re.findall(r' id="([^"]+)"', chart.inline)
    assert len(set(ids)) == len(ids)
    assert vl_convert.svg_to_png(chart.file()).startswith(b"\x89PNG")
