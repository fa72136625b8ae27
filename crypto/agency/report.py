"""What an agency is told of its own file: fields, filters, leakage, and what to look at. Counts, no value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from crypto.encoding import risk
from crypto.encoding.encode import Encoder, Prepared
from crypto.encoding.profile import Profile
from crypto.encoding.stronger import found_again, stronger

#: Persons on whom fill and leak-SNR are measured.
SAMPLE: Final = 2_000
#: Of a filter that is diffused; a sparser one is nearly linear in its tokens.
LEAST_FILL: Final = 0.40
LEAST_PERSONS_FOR_LEAK: Final = 100
#: Bits; a plain filter with less has values that stand out by their frequency.
LEAST_ENTROPY: Final = 12.0


def expected_entropy(people: Prepared, fields: Sequence[str]) -> tuple[float, bool]:
    """Collision entropy, in bits, of the values of some fields together, over the persons that have any.

    Minus the logarithm to base 2 of the chance that two persons agree in all of them. Where no two of the
    sample do, the figure is the logarithm of the number of pairs, and the second value True: at least that.
    """
    columns = [people.columns[name].codes for name in fields if name in people.columns]
    if not columns:
        return 0.0, False
    values = np.stack(columns, axis=1)
    values = values[(values >= 0).any(axis=1)]
    _, counts = np.unique(values, axis=0, return_counts=True)
    pairs = len(values) * (len(values) - 1) // 2
    alike = int((counts * (counts - 1) // 2).sum())
    return (float(np.log2(pairs / max(alike, 1))), alike == 0) if pairs else (0.0, True)


def filter_report(
    profile: Profile,
    encoder: Encoder,
    people: Prepared,
    leak: Mapping[str, risk.Leak],
    present: dict[str, int],
    persons: int,
) -> list[dict[str, Any]]:
    """What each filter holds: ``present`` of ``persons`` have it; all else is of ``people``, a sample."""
    fill, advice = encoder.fill(np.arange(people.rows)), risk.advice(leak)
    found = []
    for item in profile.filters:
        share = fill[item.name]
        entropy, at_least = expected_entropy(people, item.fields)
        found.append(
            {
                "filter": item.name,
                "present": present[item.name],
                "share": round(present[item.name] / persons, 4),
                "fill": None if share is None else round(share, 4),
                "leak_snr": round(leak[item.name].snr, 4) if item.name in leak else None,
                "needed_t": advice.get(item.name),
                "entropy": round(entropy, 1),
                "entropy_is_at_least": at_least,
            }
        )
    return found


def warnings(fields: list[dict[str, Any]], filters: list[dict[str, Any]], sample: int) -> list[str]:
    """What a person at the agency should look at before anything leaves."""
    found = _field_warnings(fields)
    absent = [item["filter"] for item in filters if not item["share"]]
    if absent:
        found.append(f"{_named('filter', absent)}: absent for everybody")
    for item in filters:
        if not item["share"]:
            continue
        if item["leak_snr"] is None:
            if sample >= LEAST_PERSONS_FOR_LEAK and item["entropy"] < LEAST_ENTROPY:
                found.append(
                    f"filter {item['filter']}: {item['entropy']:.1f} bits of entropy only, and not diffused: "
                    "the frequency of its values can be read off"
                )
            continue
        if item["fill"] is not None and item["fill"] < LEAST_FILL:
            found.append(
                f"filter {item['filter']}: fill {item['fill']:.2f} is below {LEAST_FILL}; sparse filters leak"
            )
        if sample >= LEAST_PERSONS_FOR_LEAK and (item["leak_snr"] or 0.0) > risk.MOST_LEAK_SNR:
            needed = item["needed_t"]
            found.append(
                f"filter {item['filter']}: leak-SNR {item['leak_snr']:.3f} is above {risk.MOST_LEAK_SNR}; "
                + (
                    f"t = {needed} would be needed"
                    if needed
                    else "no t is enough: add fields that tell apart"
                )
            )
    return found


def stronger_report(
    profile: Profile, people: Prepared, leaks: Mapping[str, risk.Leak]
) -> tuple[Profile | None, dict[str, Any] | None]:
    """The profile that would leak no more than allowed on these persons, and what it would cost.

    Returns
    -------
    (Profile or None, dict or None)
        Both None where the profile itself is good enough, or the persons are too few to tell. Of the dict,
        ``t`` is None if no t is enough; ``found`` tells for one, two and three wrong columns of a record how
        many persons would still be told from strangers.
    """
    if people.rows < LEAST_PERSONS_FOR_LEAK or risk.together(leaks) <= risk.MOST_LEAK_SNR:
        return None, None
    other = stronger(profile, leaks)
    if other is None:
        return None, {"t": None, "leak_snr": None, "fingerprint": None, "found": [], "file": None}
    t = {item.name: item.hardening.t for item in other.filters if item.hardening}
    changed = {name: new for name, new in t.items() if name in leaks and leaks[name].t != new}
    leak = float(np.sqrt(sum(each.by_t[t[name] - 1] ** 2 for name, each in leaks.items())))
    shares = found_again(people, {"now": profile, "stronger": other})
    return other, {
        "t": changed,
        "leak_snr": round(leak, 4),
        "fingerprint": other.fingerprint,
        "found": [{name: round(share, 4) for name, share in each.items()} for each in shares],
        "file": None,
    }


def leak_warnings(leaks: Mapping[str, risk.Leak], told: Mapping[str, Any] | None, sample: int) -> list[str]:
    """Why `encode` would refuse the file, and what the parties can agree on instead."""
    if told is None:
        return []
    few = "" if sample >= risk.LEAST_PERSONS else f" (not refused below {risk.LEAST_PERSONS:,} persons)"
    leak = f"{risk.together(leaks):.3f}, above {risk.MOST_LEAK_SNR}{few}"
    words = f"all filters together have a leak-SNR of {leak}"
    if told["t"] is None:
        return [f"{words}; no t is enough: the parties must agree on more persons in one file"]
    with_t = ", ".join(f"{name} t = {t}" for name, t in told["t"].items())
    cost = "; ".join(
        f"with {damaged} wrong {_columns(damaged)} {each['now']:.1%} of your persons are told from strangers "
        f"now, {each['stronger']:.1%} then"
        for damaged, each in enumerate(told["found"], 1)
    )
    then = f"with {with_t} it would be {told['leak_snr']:.3f}"
    return [f"{words}; {then}. What that costs where a record has no identity number: {cost}"]


def _columns(number: int) -> str:
    return "column" if number == 1 else "columns"


def _field_warnings(fields: list[dict[str, Any]]) -> list[str]:
    """One line for whatever is true of several fields, as of those that read one column."""
    said: dict[str, list[str]] = {}
    for field in fields:
        name, cells = field["field"], field.get("unusable")
        if field["column"] is None:
            said.setdefault("no column; what is made of it is absent for everybody", []).append(name)
        elif field["share"] < 0.5:
            said.setdefault(f"filled for {field['share']:.1%} of rows only", []).append(name)
        if field.get("distinct") == 1:
            said.setdefault("one single value; it tells nobody apart", []).append(name)
        if cells:
            said.setdefault(f"{cells} cells hold nothing usable", []).append(name)
    return [f"{_named('field', names)}: {words}" for words, names in said.items()]


def _named(noun: str, names: list[str]) -> str:
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(names)}"
