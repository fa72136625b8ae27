"""What may be said of a run: its figures of quality, coarsened before they are stored, shown or logged.

The log and the pages are read by people who may learn nothing about fewer persons than the minimum cell. So
no exact count of pairs or matches is kept anywhere: every count is rounded *down to a multiple of the minimum
cell* k. Each is then known only to within k, also after subtracting counts from one another or from exact
totals, and everything below k looks like nothing. Rates are computed from the rounded counts, so that nothing
can be solved back. Estimates of the model (m, u, prior, expected errors) are real numbers that no single
person determines; they are cut to three places.

Figures travel as decimal strings, since canonical JSON has no other numbers than whole ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from crypto.canonical import canonical_json, digest_of

#: Of an entry's 65,535 bytes, the rest being for inputs and parameters.
_LOGGED_BYTES: Final = 40_000
#: Minimum cells of matches from which shares at several thresholds are told.
_SHARES_FROM: Final = 10


def coarse(count: int, min_cell: int) -> int:
    """A count as it may be said: rounded down to a multiple of the minimum cell (persons or pairs)."""
    return count - count % min_cell


def decimal(value: float, places: int = 3) -> str:
    """A figure as a decimal string, half up."""
    return str(Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def rate(part: int, whole: int, min_cell: int) -> str | None:
    """Share of two counts, from their coarse values; None where the whole is too small to say."""
    base = coarse(whole, min_cell)
    return decimal(coarse(part, min_cell) / base, 2) if base else None


def small(value: float) -> str:
    """A figure far below one, to two significant digits, as a decimal string."""
    return f"{value:.1e}"


def coarse_report(report: Mapping[str, Any], min_cell: int, since: str | None = None) -> dict[str, Any]:
    """The linker's report as it may be stored, shown and logged.

    Parameters
    ----------
    report : mapping
        `linkage.run.LinkResult.report`.
    min_cell : int
        The agreement's effective minimum cell, in persons.
    since : str, optional
        The run that it went on from.
    """
    organizations = {source["name"]: source["organization"] for source in report["sources"]}
    told = report.get("incremental")
    taken_over = [tuple(pair) for pair in told["reused"]] if told else []
    return {
        "counts_rounded_down_to": min_cell,
        "sources": [
            {
                "batch": source["name"],
                "organization": source["organization"],
                "records": coarse(source["records"], min_cell),
            }
            for source in report["sources"]
        ],
        "persons": coarse(report["persons"], min_cell),
        "links": coarse(report["links"], min_cell),
        "pairs": [
            _pair(pair, organizations, min_cell)
            | ({"taken_over": tuple(pair["sources"]) in taken_over} if told else {})
            for pair in report["pairs"]
        ],
        **({"incremental": _incremental(report, since, min_cell)} if told else {}),
        # The engine's own sentences, out of a fixed list: they name batches and filters, and hold no figure.
        "doubts": list(report["doubts"]),
    }


def _incremental(report: Mapping[str, Any], since: str | None, k: int) -> dict[str, Any]:
    """What was taken over, and by how much strangers of the new sources compare differently.

    Which pairs they are is said of each pair. Of new sources with fewer records than the minimum cell the
    drift is not said: it would be nearly a figure about single persons.
    """
    told = report["incremental"]
    old = {name for pair in told["reused"] for name in pair}
    new = sum(source["records"] for source in report["sources"] if source["name"] not in old)
    return {
        "since": since,
        "taken_over": len(told["reused"]),
        "compared": len(told["computed"]),
        "drift": {name: decimal(by) for name, by in told["drift"].items()} if coarse(new, k) else {},
    }


def logged_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """A coarse report as the log can hold it: an entry has 64 KiB at most, and pairs grow with the square.

    What does not fit is named by the digest of the whole report, which the service shows. Doubts are never
    left out altogether: at last each is said once, without the pairs of batches that it is about.
    """
    if len(canonical_json(report)) <= _LOGGED_BYTES:
        return dict(report)
    short = {name: value for name, value in report.items() if name != "pairs"}
    pairs = [
        {name: value for name, value in pair.items() if name not in ("histogram", "model", "thresholds")}
        for pair in report["pairs"]
    ]
    short |= {"report_sha256": digest_of(report), "pairs": pairs}
    if len(canonical_json(short)) > _LOGGED_BYTES:
        short["pairs"] = []
        short["doubts"] = sorted({doubt.partition(": ")[2] for doubt in report["doubts"]})
    return short


def _pair(pair: Mapping[str, Any], organizations: Mapping[str, str | None], k: int) -> dict[str, Any]:
    matches, records = int(pair["matches"]), [int(n) for n in pair["records"]]
    enough = coarse(matches, k) > 0
    expected = next(row for row in pair["thresholds"] if row["threshold"] == pair["threshold"])
    histogram = pair["histogram"]
    return {
        "batches": list(pair["sources"]),
        "organizations": [organizations[name] for name in pair["sources"]],
        "compared": coarse(int(pair["pairs"]), k),
        "candidates": coarse(int(pair["candidates"]), k),
        "matches": coarse(matches, k),
        "match_rate": rate(matches, min(records), k),
        # Share of each side's records that have any of the filters compared here; the rest can match nobody.
        "comparable": [
            rate(round(share * count), count, k)
            for share, count in zip(pair["comparable"], records, strict=True)
        ],
        "converged": bool(pair["converged"]),
        "iterations": int(pair["iterations"]),
        "warnings": list(pair["warnings"]),
        "prior": small(pair["prior"]) if enough else None,
        # With few matches an expected share is nearly a count.
        "expected_precision": decimal(expected["precision"]) if enough else None,
        "expected_recall": decimal(expected["recall"]) if enough else None,
        **_thresholds(pair, matches, k),
        "histogram": {
            "probability_tenths": _bins(histogram["probability_tenths"], k),
            "weight_from": int(histogram["weight_from"]),
            "weights": _bins(histogram["weights"], k),
        },
        "model": [_comparison(each) for each in pair.get("model", ())] if enough else [],
    }


def _thresholds(pair: Mapping[str, Any], matches: int, k: int) -> dict[str, Any]:
    """What other thresholds would give; nothing with few matches: shares would tell how many they are."""
    told = matches >= _SHARES_FROM * k
    return {
        "threshold": decimal(pair["threshold"], 2),
        "thresholds": [
            {
                "threshold": decimal(row["threshold"], 2),
                "precision": decimal(row["precision"], 2),
                "recall": decimal(row["recall"], 2),
            }
            for row in (pair["thresholds"] if told else ())
        ],
        "advised_threshold": decimal(pair["advised_threshold"], 2) if told else None,
    }


def _comparison(each: Mapping[str, Any]) -> dict[str, Any]:
    """m and u of a comparison's levels: shares among matches and among all other pairs."""
    return {
        "comparison": str(each["comparison"]),
        "m": [decimal(value) for value in each["m"]],
        "u": [decimal(value) for value in each["u"]],
    }


def _bins(counts: Sequence[int], k: int) -> list[int]:
    return [coarse(int(count), k) for count in counts]
