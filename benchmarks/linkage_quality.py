"""Quality of links: ours on encodings, Splink and recordlinkage on plaintext, clkhash + anonlink."""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from benchmarks import kept, linkage_cases, results
from crypto.encoding.profile import Profile, default_profile
from linkage.quality import Quality, compare_pairs
from linkage.run import Options, Source, link

Scored = list[tuple[int, int, float]]
_BLIND = 0.5
_CLKHASH_THRESHOLD = 0.8


def ours(profile: Profile) -> Callable[[linkage_cases.Case], Scored]:
    """Our engine through the real encoder; every pair from a probability of .01 on, for the oracle's sake."""

    def run(case: linkage_cases.Case) -> Scored:
        spec = profile.link_spec()
        one, made = case.once, case.agreed(profile)
        left = linkage_cases.encoded(case.left, made)
        sources = [Source("a", left, deduplicated=not case.within)]
        if not case.within:
            sources.append(Source("b", linkage_cases.encoded(case.right, made), deduplicated=one))
        scored: dict[tuple[int, int], float] = {}
        # The blind links are those of the default threshold; what lies below serves the oracle only.
        for threshold in (0.01, _BLIND):
            found = link(sources, spec, options=Options(threshold=threshold)).links
            if not case.within:  # duplicates within a source are another question
                found = found.filter(pc.not_equal(found["batch_a"], found["batch_b"]))
            rows = zip(
                (int(x, 16) for x in found["record_ref_a"].to_pylist()),
                (int(x, 16) for x in found["record_ref_b"].to_pylist()),
                found["probability"].to_pylist(),
                strict=True,
            )
            fresh = {(a, b): p for a, b, p in rows}
            if threshold == _BLIND:
                scored = {pair: p for pair, p in scored.items() if p < _BLIND}
            scored.update(fresh)
        return [(a, b, p) for (a, b), p in scored.items()]

    return run


def peer(name: str) -> Callable[[linkage_cases.Case], Scored]:
    """Splink or clkhash with anonlink, in their own environment."""

    def run(case: linkage_cases.Case) -> Scored:
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            pq.write_table(case.left, folder / "left.parquet")
            pq.write_table(case.right, folder / "right.parquet")
            about = {"within": case.within, "one_to_one": case.once, "threshold": _CLKHASH_THRESHOLD}
            (folder / "case.json").write_text(json.dumps(about))
            script = Path(__file__).with_name("linkage_peers.py")
            done = subprocess.run(
                [str(results.PEERS), str(script), name, text], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError(f"{name} failed on {case.name}: {done.stderr[-2000:]}")
            pairs = [
                (int(a), int(b), float(s)) for a, b, s in json.loads((folder / "pairs.json").read_text())
            ]
        if case.within:
            return [(min(a, b), max(a, b), s) for a, b, s in pairs]
        return one_to_one(pairs) if case.once and name == "splink" else pairs

    return run


def ecm(case: linkage_cases.Case) -> Scored:
    """recordlinkage's ECM over binary comparisons of plaintext, candidates by blocking as for Splink."""
    import recordlinkage

    left, right = case.left.to_pandas(), case.right.to_pandas()
    columns = [
        c for c in left.columns if c in right.columns and (left[c] != "").any() and (right[c] != "").any()
    ]
    index = recordlinkage.Index()
    for rule in (["ssn"], ["first_name"], ["last_name"], ["date_of_birth"], ["zip"]):
        if set(rule) <= set(columns):
            index.block(rule)
    one = None if case.within else right
    blocked = [f.mask(f == "") for f in (left, right)]
    candidates = index.index(blocked[0]) if case.within else index.index(*blocked)
    compare = recordlinkage.Compare()
    for c in columns:
        if c in ("first_name", "last_name", "street", "city"):
            compare.string(c, c, method="jarowinkler", threshold=0.85, label=c)
        else:
            compare.exact(c, c, label=c)
    vectors = compare.compute(candidates, left) if one is None else compare.compute(candidates, left, one)
    classifier = recordlinkage.ECMClassifier()
    classifier.fit(vectors)
    probability = classifier.prob(vectors)
    pairs = [(int(a), int(b), float(p)) for (a, b), p in probability.items()]
    if case.within:
        return [(min(a, b), max(a, b), p) for a, b, p in pairs]
    return one_to_one([p for p in pairs if p[2] >= 0.001]) if case.once else pairs


def digest(case: linkage_cases.Case) -> str:
    """SHA-256 over what a peer sees of a case."""
    total = hashlib.sha256(repr((case.within, case.many)).encode())
    for table in (case.left, case.right):
        for column in table.column_names:
            total.update(json.dumps([column, table[column].to_pylist()]).encode())
    return total.hexdigest()


def found_by(name: str, case: linkage_cases.Case, folder: Path | None) -> Scored:
    """What a method finds; computed once where a folder keeps the answers."""
    depends_on = digest(case) + ("" if name in _PEERS else kept.engine())
    found = kept.answer(folder, f"quality-{name}", depends_on, lambda: METHODS[name](case))
    return [(int(a), int(b), float(s)) for a, b, s in found]


def one_to_one(pairs: Scored) -> Scored:
    """The best matching of scored pairs by the sum of their scores, exact per component."""
    if not pairs:
        return pairs
    a = np.array([p[0] for p in pairs])
    b = np.array([p[1] for p in pairs])
    score = np.array([p[2] for p in pairs])
    _, i = np.unique(a, return_inverse=True)
    _, j = np.unique(b, return_inverse=True)
    n = i.max() + 1
    graph = coo_matrix((np.ones(len(i)), (i, j + n)), shape=(n + j.max() + 1,) * 2)
    part = connected_components(graph, directed=False)[1][i]
    order = np.argsort(part, kind="stable")
    kept: Scored = []
    for rows in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
        _, x = np.unique(i[rows], return_inverse=True)
        _, y = np.unique(j[rows], return_inverse=True)
        gain = np.zeros((x.max() + 1, y.max() + 1))
        gain[x, y] = score[rows]
        taken = np.zeros(gain.shape, bool)
        taken[linear_sum_assignment(gain, maximize=True)] = True
        kept += [pairs[r] for r, u, v in zip(rows, x, y, strict=True) if taken[u, v]]
    return kept


def closed(pairs: Scored) -> Scored:
    """Duplicates within a table as persons: records that links join through others are linked as well."""
    sure = [(a, b) for a, b, s in pairs if s >= _BLIND]
    if not sure:
        return pairs
    rows = np.array(sure)
    size = int(rows.max()) + 1
    graph = coo_matrix((np.ones(len(rows)), (rows[:, 0], rows[:, 1])), shape=(size, size))
    person = connected_components(graph, directed=False)[1]
    held = np.unique(rows)
    order = held[np.argsort(person[held], kind="stable")]
    scored = {(a, b): s for a, b, s in pairs}
    for members in np.split(order, np.flatnonzero(np.diff(person[order])) + 1):
        for a, b in combinations(sorted(members.tolist()), 2):
            scored[a, b] = max(scored.get((a, b), 0.0), _BLIND)
    return [(a, b, s) for (a, b), s in scored.items()]


def measure(pairs: Scored, truth: linkage_cases.Pairs) -> tuple[Quality, float]:
    """Quality at the blind threshold, and the best F1 that any threshold would have given."""
    blind = compare_pairs(
        [(str(a), f"r{b}") for a, b, s in pairs if s >= _BLIND], [(str(a), f"r{b}") for a, b in truth]
    )
    ordered = sorted(pairs, key=lambda p: -p[2])
    hits = np.cumsum([(a, b) in truth for a, b, _ in ordered]) if ordered else np.zeros(1)
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + len(truth))
    return blind, float(f1.max())


METHODS: dict[str, Callable[[linkage_cases.Case], Scored]] = {
    "field-level": ours(default_profile("field-level")),
    "record-hardened": ours(default_profile("record-hardened")),
    "Splink": peer("splink"),
    "ECM": ecm,
    "clkhash": peer("clkhash"),
}
_PEERS = ("Splink", "ECM", "clkhash")


def evaluate(
    cases: Iterable[linkage_cases.Case], methods: Sequence[str], folder: Path | None = None
) -> Iterator[list[str]]:
    """Rows of the report, printed as they come."""
    for case in cases:
        truth = case.truth()
        row = [case.name, f"{len(truth):,}"]
        for name in methods:
            start = time.perf_counter()
            found = found_by(name, case, folder)
            blind, oracle = measure(closed(found) if case.within else found, truth)
            took = time.perf_counter() - start
            row.append(f"{blind.f1:.4f} ({oracle:.4f})")
            print(
                f"{case.name} | {name}: F1 {blind.f1:.4f} P {blind.precision:.4f} R {blind.recall:.4f} "
                f"oracle {oracle:.4f} ({took:.1f} s)",
                flush=True,
            )
        yield row


def run(
    methods: Sequence[str] = tuple(METHODS),
    only: str = "",
    write: bool = True,
    more: bool = False,
    folder: Path | None = None,
) -> None:
    """Measure the cases and write the section, anew after each: what is broken off leaves what it found."""
    cases = [c for c in linkage_cases.all_cases(more) if only in c.name]
    rows: list[list[str]] = []
    for row in evaluate(cases, methods, folder):
        rows.append(row)
        if write and not only:
            _write(rows, methods, more)


def _write(rows: Sequence[Sequence[str]], methods: Sequence[str], more: bool) -> None:
    text = (
        "F1 at the blind threshold (p ≥ .5; Dice ≥ .80 for clkhash + anonlink), in brackets the best F1 that "
        "any threshold gives. Ours see encodings only, made by the real encoder from the shipped profiles; "
        "Splink and recordlinkage's ECM see plaintext. Dates that are no dates were blanked; no identity "
        "number in FEBRL. Duplicates within a table count as persons: records that links join through others "
        "are linked as well, for every method.\n\n"
    )
    results.write_section(
        "Quality of linkage",
        text + results.table(["case", "true pairs", *methods], rows),
        command="python -m benchmarks.linkage_quality --more"
        if more
        else "python -m benchmarks linkage_quality",
        software=results.versions(["numpy", "recordlinkage"])
        + ", Splink 5.0.0, clkhash 0.18.3, anonlink 0.15.3",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linkage_quality", description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name contains this; nothing is written")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--more", action="store_true", help="the demo's region at half its noise as well")
    parser.add_argument("--keep", type=Path, help="folder in which answers are kept, to go on from")
    given = parser.parse_args()
    run(given.methods, given.only, not given.no_write, given.more, given.keep)
