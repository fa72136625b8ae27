"""Charts of a run: they say what the coarse figures say, and where those are bounds, that they are bounds."""

from __future__ import annotations

import math
import re
from typing import Any

from app.web.run_charts import (
    evidence,
    histogram_chart,
    histogram_rows,
    rates_chart,
    threshold_chart,
    threshold_words,
    weights_chart,
)

MODEL = [
    {"comparison": "given_name|surname", "m": ["0.010", "0.090", "0.900"], "u": ["0.990", "0.010", "0.000"]},
    {"comparison": "ssn", "m": ["0.000", "1.000"], "u": ["1.000", "0.000"]},
    {"comparison": "sex", "m": ["0.000", "1.000"], "u": ["0.000", "1.000"]},
]


def pair(rate: str | None, *organizations: str) -> dict[str, Any]:
    return {"organizations": organizations, "match_rate": rate}


def test_a_weight_is_the_logarithm_of_the_shares_and_a_bound_where_one_is_shown_as_zero() -> None:
    closest, middle, far = evidence(MODEL[:1])
    assert (closest.comparison, closest.level) == ("given name and surname", "closest")
    assert closest.bits == math.log2(0.9 / 0.0005) and closest.bound == "least"
    assert closest.said == "at least +10.8"
    assert middle.bits == math.log2(9) and middle.bound == ""
    assert far.said == "−6.6"


def test_where_both_shares_are_too_rare_nothing_is_said() -> None:
    agree, differ = evidence(MODEL[2:])
    assert (agree.bits, agree.bound) == (0.0, "")
    assert (differ.bits, differ.said) == (None, "–")
    assert "too rare to say" in weights_chart(MODEL, "Weights", "w").inline


def test_a_chart_has_a_name_a_description_and_no_style_of_its_own() -> None:
    drawings = [
        weights_chart(MODEL, "Weights of A & B", "w0"),
        histogram_chart({"weight_from": -20, "weights": [0, 12, 0, 240]}, "Scores", "s0"),
        rates_chart([pair("0.77", "a", "b"), pair(None, "a", "<c>")], "Rates", "r0"),
    ]
    for drawing in drawings:
        svg = str(drawing.inline)
        assert re.search(r'role="img" aria-labelledby="(\w+)-title \1-desc"', svg)
        assert "<title" in svg and "<desc" in svg
        assert "style" not in svg and "<c>" not in svg and "A & B" not in svg
    assert "a × <c>: too few to say" in drawings[2].text


def test_a_histogram_runs_from_the_first_to_the_last_bin_that_is_not_empty() -> None:
    assert histogram_rows({"weight_from": -20, "weights": [0, 0, 12, 0, 24, 0]}) == [
        (-18, 12), (-17, 0), (-16, 24)
    ]  # fmt: skip
    assert histogram_rows({"weight_from": -20, "weights": [0, 0]}) == []
    assert "no pairs to show" in histogram_chart({"weight_from": -20, "weights": [0]}, "S", "s").text


def test_bars_are_as_long_as_the_rates_are_high() -> None:
    svg = str(rates_chart([pair("0.50", "a", "b"), pair("0.25", "a", "c")], "Rates", "r").inline)
    tracks = [float(each) for each in re.findall(r'class="track"[^>]* width="([\d.]+)"', svg)]
    bars = [float(each) for each in re.findall(r'class="for"[^>]* width="([\d.]+)"', svg)]
    assert bars == [tracks[0] * 0.5, tracks[0] * 0.25]


def thresholds(advised: str, warnings: list[str] | None = None) -> dict[str, Any]:
    shares = {"0.20": ("0.91", "0.97"), "0.50": ("0.98", "0.93"), "0.90": ("1.00", "0.80")}
    return {
        "threshold": "0.50",
        "advised_threshold": advised,
        "warnings": warnings or [],
        "thresholds": [{"threshold": t, "precision": p, "recall": r} for t, (p, r) in shares.items()],
    }


def test_the_advice_says_what_another_threshold_gives_and_takes() -> None:
    assert threshold_words(thresholds("0.50")).startswith("Stay at 0.50")
    assert threshold_words(thresholds("0.50")).endswith(
        "From 0.50 on about as many links are expected to be false "
        "as are missed, so that rates are least off."
    )
    lower, higher = threshold_words(thresholds("0.20")), threshold_words(thresholds("0.90"))
    assert "recall 0.97 instead of 0.93, at a precision of 0.91 instead of 0.98" in lower
    assert "precision 1.00 instead of 0.98, at a recall of 0.80 instead of 0.93" in higher
    assert threshold_words(thresholds("0.20", ["no"])).startswith("Do not choose")
    assert threshold_words({"warnings": []}) == ""


def test_a_chart_of_thresholds_draws_both_lines_and_marks_the_runs_own() -> None:
    drawing = threshold_chart(thresholds("0.50"), "Thresholds", "t0")
    svg = str(drawing.inline)
    assert svg.count("<polyline") == 2 and "this run" in svg
    assert "from 0.20: precision 0.91, recall 0.97" in drawing.text
    lines = re.findall(r'<polyline class="(\w+)" points="([^"]+)"', svg)
    heights = {kind: [float(at.split(",")[1]) for at in points.split()] for kind, points in lines}
    assert heights["precision"] == sorted(heights["precision"], reverse=True)
    assert heights["recall"] == sorted(heights["recall"])
