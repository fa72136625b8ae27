"""What errors of linkage do to a rate, said beside it and never in its place.

With s = P(found | truly in the wage file) and f = P(found | truly not in it) the adjusted rate is
(p − f)/(s − f) (Rogan and Gladen 1978), with variance
{[π s(1−s) + (1−π) f(1−f)]/N + π² s(1−s)/n_s + (1−π)² f(1−f)/n_f}/(s−f)², 95 % by ±1.96, clipped to [0, 1].
Everything here is a function of published counts and of s and f, which are published with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any, Literal

from app.disclosure.protect_figures import one_decimal

Basis = Literal["truth pairs", "model-based"]

_Z = Decimal("1.96")


@dataclass(frozen=True)
class Rates:
    """Rates of linkage for one group.

    Attributes
    ----------
    s, f : Fraction
        P(found | truly in the wage file), P(found | truly not in it).
    n_s, n_f : int or None
        Records that each was measured on; None where it was not measured (``basis`` model-based), and then
        the interval holds the sampling error alone.
    basis : {"truth pairs", "model-based"}
    """

    s: Fraction
    f: Fraction
    n_s: int | None
    n_f: int | None
    basis: Basis

    def to_document(self) -> dict[str, Any]:
        """Return the parameters as they stand in an answer, three places; ``missed`` is what s leaves."""
        return {
            "s": _places(self.s, 3),
            "f": _places(self.f, 3),
            "missed": _places(1 - self.s, 3),
            "n_s": self.n_s,
            "n_f": self.n_f,
            "basis": self.basis,
        }


def adjust(n: int, found: int, rates: Rates) -> dict[str, str] | None:
    """Adjusted rate and its 95 % interval, per cent to 0.1; None where s is not above f.

    Parameters
    ----------
    n, found : int
        Published counts, ``n > 0``.
    rates : Rates

    Returns
    -------
    dict or None
        ``rate, low, high, exact, basis``; ``exact`` is the rate to six places, for differences.
    """
    s, f = rates.s, rates.f
    if s <= f:
        return None
    true = _clip((Fraction(found, n) - f) / (s - f))
    variance = (true * s * (1 - s) + (1 - true) * f * (1 - f)) / n
    if rates.n_s:
        variance += true**2 * s * (1 - s) / rates.n_s
    if rates.n_f:
        variance += (1 - true) ** 2 * f * (1 - f) / rates.n_f
    variance /= (s - f) ** 2
    with localcontext() as context:
        context.prec = 30
        half = Fraction(_Z * (Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt())
    return {
        "rate": one_decimal(100 * true),
        "low": one_decimal(100 * _clip(true - half)),
        "high": one_decimal(100 * _clip(true + half)),
        "exact": _places(100 * true, 6),
        "basis": rates.basis,
    }


def annotate(
    document: Mapping[str, Any], overall: Rates, groups: Mapping[str, Rates] | None = None
) -> dict[str, Any]:
    """Put adjusted rates beside the published ones.

    Parameters
    ----------
    document : mapping
        Of a protected table of found persons.
    overall : Rates
        For the total and every row without rates of its own.
    groups : mapping of str to Rates, optional
        By code of the table's one dimension.
    """
    own = groups or {}

    def beside(row: Mapping[str, Any]) -> dict[str, Any]:
        rates = own.get(next(iter(row["key"].values()), ""), overall)
        shown = row["rate"] is not None
        return {**row, "adjusted": adjust(row["n"], row["found"], rates) if shown else None}

    return {
        **document,
        "rows": [beside(row) for row in document["rows"]],
        "total": beside(document["total"]),
        "linkage": {
            "overall": overall.to_document(),
            "groups": {code: rates.to_document() for code, rates in own.items()},
            "note": _NOTES[overall.basis],
        },
    }


_NOTES: Mapping[Basis, str] = {
    "truth pairs": (
        "Adjusted rates allow for missed and false links, by the agencies' pairs of known truth: overall, or "
        "of a group where enough of its pairs failed. "
        "They stand beside the raw rates and do not replace them."
    ),
    "model-based": (
        "Adjusted rates allow for missed and false links, by the linkage model's own estimate (model-based: "
        "no pairs of known truth). They stand beside the raw rates and do not replace them."
    ),
}


def model_rates(quality: Mapping[str, Any], left: frozenset[str], right: frozenset[str]) -> Rates | None:
    """s and f as the model believes, from a run's coarse report.

    Parameters
    ----------
    quality : mapping
        ``pairs`` with ``batches, matches, expected_precision, expected_recall``, and ``sources``.
    left, right : frozenset of str
        Batches of completions, of wages.

    Returns
    -------
    Rates or None
        None where the report is too coarse to tell.
    """
    records = sum(each["records"] for each in quality["sources"] if each["batch"] in left)
    matches = right_ones = existing = Fraction(0)
    for pair in quality["pairs"]:
        one, other = pair["batches"]
        precision, recall = pair["expected_precision"], pair["expected_recall"]
        if not ({one, other} & left and {one, other} & right) or precision is None or not Fraction(recall):
            continue
        matches += pair["matches"]
        right_ones += pair["matches"] * Fraction(precision)
        existing += pair["matches"] * Fraction(precision) / Fraction(recall)
    if not matches or not existing:
        return None
    absent = records - existing
    s = right_ones / existing
    f = min((matches - right_ones) / absent, s) if absent > 0 else Fraction(0)
    return Rates(s, f, None, None, "model-based")


def _clip(value: Fraction) -> Fraction:
    return min(max(value, Fraction(0)), Fraction(1))


def _places(value: Fraction, places: int) -> str:
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return str(exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))
