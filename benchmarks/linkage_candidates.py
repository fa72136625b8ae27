"""Which pairs are looked at, and how many of the true ones: by identical filters and keys, by scans."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks import linkage_cases, results
from crypto.encoding.profile import Profile, default_profile
from linkage.plan import find, make_plan, sample_pairs
from linkage.records import Source, checked, with_union
from linkage.run import Options
from linkage.scan.inputs import silent

_PROFILES = ("field-level", "record-hardened")


def _row(case: linkage_cases.Case, profile: Profile) -> list[str]:
    """Candidates as a run with default options chooses them, and their recall by kind of rule."""
    made = case.agreed(profile)
    sources = [Source("a", linkage_cases.encoded(case.left, made), deduplicated=not case.within)]
    if not case.within:
        sources.append(Source("b", linkage_cases.encoded(case.right, made), deduplicated=True))
    ordered, spec = with_union(checked(sources, profile.link_spec()), profile.link_spec())
    a, b = ordered[0], ordered[-1]
    sample = sample_pairs(a, b, spec, 1)
    found = find(a, b, make_plan([sample], spec), sample, Options().limits(), None, silent)
    used = [rule["rule"] for rule in found.report if rule["used"]]
    truth = {
        (min(pair), max(pair)) if case.within else pair
        for pair in ((int(i), int(j)) for i, j in _rows(case.truth(), a, b))
    }
    width = len(b.encodings)
    true = np.isin(found.left * width + found.right, np.array(sorted(i * width + j for i, j in truth)))
    recall = []
    for kind in ("identical", "scan"):
        bits = sum(1 << min(n, 31) for n, rule in enumerate(used) if rule == kind)
        recall.append(f"{(true & ((found.rules & np.uint32(bits)) > 0)).sum() / len(truth):.2%}")
    return [
        f"{len(truth):,}",
        f"{sample.total:,.0f}",
        f"{len(found.left):,}",
        f"{true.sum() / len(truth):.2%}",
        *recall,
    ]


def _rows(truth: linkage_cases.Pairs, a: Source, b: Source) -> Iterator[tuple[int, int]]:
    """Rows of the case's tables to rows of the sources, which are ordered by reference."""
    place_a, place_b = (
        {int(ref, 16): row for row, ref in enumerate(source.encodings.record_refs.tolist())}
        for source in (a, b)
    )
    return ((place_a[i], place_b[j]) for i, j in truth)


def run() -> None:
    """Write the section."""
    rows = []
    for case in linkage_cases.all_cases(False):
        for name in _PROFILES:
            rows.append([case.name, name, *_row(case, default_profile(name))])
            print(rows[-1], flush=True)
    head = ["case", "profile", "true pairs", "pairs in all", "candidates", "recall"]
    text = (
        "Which pairs a run with default options compares in full, and which share of the true ones is among "
        "them: by any rule, by identical filters and composite keys alone (what blocking would leave), by "
        "the exhaustive scans alone.\n\n"
    )
    results.write_section(
        "Candidates",
        text + results.table([*head, "by identical ones", "by scans"], rows),
        command="python -m benchmarks linkage_candidates",
        software=results.versions(["numpy"]),
    )
