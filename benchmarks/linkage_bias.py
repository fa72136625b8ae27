"""What linkage error does to `employed_q4`: hard links, expected counts and the missed-mass correction."""

from __future__ import annotations

import csv
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from app.demo import scenario
from benchmarks import linkage_cases, results
from crypto.encoding.profile import default_profile
from linkage.run import LinkResult, Options, Source, link

_SCALE, _SEED = 0.1, 5
_EDUCATION, _WAGES = "ohio-education", ("ohio-workforce", "kentucky-workforce")
#: Pairs from this probability on take part in expected counts.
_FAINT = 0.05


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _people(feed: scenario.Feed) -> pa.Table:
    with feed.people_file.open() as stream:
        names = stream.readline().strip().replace('"', "").split(",")
    options = pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    return pa_csv.read_csv(feed.people_file, convert_options=options)


def _fourth_quarter(day: str) -> str:
    number = int(day[:4]) * 4 + (int(day[5:7]) - 1) // 3 + 4
    return f"{number // 4}Q{number % 4 + 1}"


class Region:
    """The demo's graduates of one state, whether they truly worked, and what two states' wages say."""

    def __init__(self, folder: Path) -> None:
        made = scenario.generate(folder, scale=_SCALE, seed=_SEED)
        self.feeds = {f.agency.slug: f for f in made.feeds}
        self.tables = {s: _people(self.feeds[s]) for s in (_EDUCATION, *_WAGES)}
        self.ids = {s: t[self.feeds[s].agency.id_column].to_pylist() for s, t in self.tables.items()}
        worked = {
            (s, row[self.feeds[s].agency.id_column], row["quarter"])
            for s in _WAGES
            for row in _rows(self.feeds[s].facts_file)
        }
        first: dict[str, str] = {}
        for row in _rows(self.feeds[_EDUCATION].facts_file):
            own, day = row[self.feeds[_EDUCATION].agency.id_column], row["award_date"]
            first[own] = min(first.get(own, day), day)
        self.quarter = [_fourth_quarter(first[own]) if own in first else "" for own in self.ids[_EDUCATION]]
        self.worked = worked
        person = {(r["source"], r["id"]): r["person"] for r in _rows(made.truth_file)}
        workers: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for slug in _WAGES:
            for own in self.ids[slug]:
                workers[person[slug, own]].append((slug, own))
        self.true = [
            any((s, w, q) in worked for s, w in workers[person[_EDUCATION, own]])
            for own, q in zip(self.ids[_EDUCATION], self.quarter, strict=True)
        ]
        self.no_number = [not x for x in self.tables[_EDUCATION]["ssn"].to_pylist()]

    def linked(self, profile_name: str, threshold: float) -> LinkResult:
        profile = default_profile(profile_name)
        sources = [Source(s, linkage_cases.encoded(t, profile)) for s, t in self.tables.items()]
        return link(sources, profile.link_spec(), options=Options(threshold=threshold))

    def employed(self, found: LinkResult) -> list[float]:
        """Per graduate the probability that one of the linked workers is she and worked in the quarter."""
        absent = [1.0] * len(self.true)
        names = ("batch_a", "record_ref_a", "batch_b", "record_ref_b", "probability")
        for a, ref_a, b, ref_b, p in zip(*(found.links[n].to_pylist() for n in names), strict=True):
            if _EDUCATION not in (a, b):
                continue
            own, other, slug = (ref_a, ref_b, b) if a == _EDUCATION else (ref_b, ref_a, a)
            if slug in _WAGES:
                row = int(own, 16)
                if (slug, self.ids[slug][int(other, 16)], self.quarter[row]) in self.worked:
                    absent[row] *= 1.0 - p
        return [1.0 - x for x in absent]


def _correction(found: LinkResult) -> float:
    """Factor by which matches are believed to outnumber those among the candidates."""
    pairs = found.report["pairs"]
    assert isinstance(pairs, list)
    ours = [p for p in pairs if _EDUCATION in p["sources"]]
    seen, missed = (sum(float(p[k]) for p in ours) for k in ("expected_matches", "believed_missed"))
    return (seen + missed) / max(seen, 1.0)


def run() -> None:
    """Measure and write the section."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        region = Region(Path(folder))
        groups: dict[str, Callable[[int], bool]] = {
            "all": lambda row: True,
            "with a number": lambda row: not region.no_number[row],
            "without a number": lambda row: region.no_number[row],
        }
        for profile in ("field-level", "record-hardened"):
            firm, faint = region.linked(profile, 0.5), region.linked(profile, _FAINT)
            hard = [float(x > 0) for x in region.employed(firm)]
            expected, factor = region.employed(faint), _correction(faint)
            for name, member in groups.items():
                own = [row for row in range(len(hard)) if member(row)]
                true = 100 * sum(region.true[row] for row in own) / len(own)
                estimates = [100 * sum(x[row] for row in own) / len(own) for x in (hard, expected)]
                estimates.append(min(100.0, estimates[1] * factor))
                rows.append([f"{profile}, {name}", f"{len(own):,}", f"{true:.1f}"])
                rows[-1] += [f"{x:.1f} ({x - true:+.1f})" for x in estimates]
                print(" | ".join(rows[-1]), flush=True)
    text = (
        "Share of the demo's Ohio graduates with wages in the fourth quarter after their first award, in "
        "percent; in brackets the difference from the truth in points. Links at p ≥ .5 counted as one each; "
        f"expected counts over pairs with p ≥ {_FAINT}; these times the believed share of matches missed.\n\n"
    )
    head = ["profile and group", "graduates", "true", "hard links", "expected counts", "with missed mass"]
    results.write_section(
        "Bias of employed_q4 from linkage",
        text + results.table(head, rows),
        command="python -m benchmarks.linkage_bias",
        software=results.versions(["numpy"]),
    )


if __name__ == "__main__":
    run()
