"""The chart shows what the table shows, in a picture and in words."""

from __future__ import annotations

from xml.etree import ElementTree

from app.demo.chart import alternative, bar_chart

TABLE = {
    "rows": [
        {"label": "Certificate", "rate": "74.6"},
        {"label": "Bachelor's degree", "rate": None},
    ]
}
SVG = "{http://www.w3.org/2000/svg}"


def test_bar_chart_withheld_row_has_a_word_and_no_bar() -> None:
    drawn = bar_chart(TABLE, "Employed one year after graduation", "2020-21 to 2023-24")
    root = ElementTree.fromstring(drawn)
    texts = {element.text for element in root.iter(f"{SVG}text")}
    assert {"74.6 %", "withheld", "Certificate", "Bachelor's degree"} <= texts
    assert root.attrib["role"] == "img"
    assert root.find(f"{SVG}desc") is not None
    assert "http" not in drawn.replace("http://www.w3.org/", "")


def test_alternative_says_every_row() -> None:
    said = alternative("Title", TABLE["rows"])
    assert said == "Bar chart. Title. Certificate: 74.6 percent; Bachelor's degree: withheld."
