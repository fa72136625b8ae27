"""A run that goes on from an earlier one, beside one from scratch over the same encodings."""

from __future__ import annotations

import csv
import tempfile
import time
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from app.demo import scenario
from benchmarks import linkage_cases, results
from crypto.encoding.profile import default_profile
from crypto.encoding.types import LinkSpec
from linkage.run import LinkResult, Options, Source, link

_SCALE, _SEED, _PROFILE = 0.03, 5, "field-level"

#: Batch, record, batch, record; batches in order.
Link = tuple[str, str, str, str]


class Region:
    """The demo's five agencies, encoded, and who is who."""

    def __init__(self, folder: Path, scale: float) -> None:
        made = scenario.generate(folder, scale=scale, seed=_SEED)
        profile = default_profile(_PROFILE)
        self.spec: LinkSpec = profile.link_spec()
        self.sources: list[Source] = []
        with made.truth_file.open(newline="", encoding="utf-8") as stream:
            person = {(row["source"], row["id"]): row["person"] for row in csv.DictReader(stream)}
        of: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for feed in made.feeds:
            table, name = _people(feed), feed.agency.slug
            self.sources.append(Source(name, linkage_cases.encoded(table, profile)))
            for row, own in enumerate(table[feed.agency.id_column].to_pylist()):
                of[person[name, own]].append((name, f"{row:032x}"))
        self.truth: set[Link] = {
            (*a, *b) for found in of.values() for a, b in combinations(sorted(found), 2) if a[0] != b[0]
        }

    def f1(self, links: set[Link]) -> float:
        return 2 * len(links & self.truth) / (len(links) + len(self.truth))


def _people(feed: scenario.Feed) -> pa.Table:
    with feed.people_file.open() as stream:
        names = stream.readline().strip().replace('"', "").split(",")
    options = pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    return pa_csv.read_csv(feed.people_file, convert_options=options)


def _links(result: LinkResult) -> set[Link]:
    names = ("batch_a", "record_ref_a", "batch_b", "record_ref_b")
    return set(zip(*(result.links[name].to_pylist() for name in names), strict=True))


def _row(region: Region, scratch: set[Link], seconds: float, new: Source) -> list[str]:
    """What comes of a region in which this source is the new one."""
    options = Options(threads=1)
    first = link([s for s in region.sources if s is not new], region.spec, options=options)
    past = first.past()
    begun = time.process_time()
    grown = link(region.sources, region.spec, options=options, past=past)
    took = time.process_time() - begun
    told, found = grown.report["incremental"], _links(grown)
    assert isinstance(told, dict)
    if not _links(first) <= found:
        raise RuntimeError("a link of the earlier run is not in the later one")
    drift = max(told["drift"].items(), key=lambda item: abs(item[1]))
    return [
        new.name,
        f"{len(told['computed'])} of {len(told['computed']) + len(told['reused'])}",
        f"{took:.1f}",
        f"{seconds / took:.1f} ×",
        f"{len(found ^ scratch):,}",
        f"{region.f1(found):.4f}",
        f"{drift[1]:+.3f} ({drift[0]})",
    ]


def run(scale: float = _SCALE) -> None:
    """Measure and write the section; a lost link of the earlier run voids it."""
    with tempfile.TemporaryDirectory() as folder:
        region = Region(Path(folder), scale)
    link(region.sources, region.spec, options=Options(threads=1))  # compiles
    begun = time.process_time()
    whole = link(region.sources, region.spec, options=Options(threads=1))
    seconds, scratch = time.process_time() - begun, _links(whole)
    rows = [_row(region, scratch, seconds, new) for new in region.sources]
    records = sum(len(source.encodings) for source in region.sources)
    text = (
        f"The demo's region at scale {scale} ({records:,} records of five agencies, seed {_SEED}, profile "
        f"`{_PROFILE}`), each agency in turn as the one whose batch is new. From scratch over all five: "
        f"{seconds:.1f} s of processor time, {len(scratch):,} links, F1 {region.f1(scratch):.4f} against the "
        "truth. Every link of the earlier run is in the later one. Drift is that of the filter that drifts "
        "most, in standard deviations; from 2 on a run has a doubt.\n\n"
    )
    head = [
        "new batch of",
        "pairs compared",
        "processor time, s",
        "sooner",
        "links that differ from scratch",
        "F1",
        "drift",
    ]
    results.write_section(
        "Going on from an earlier run",
        text + results.table(head, rows),
        command="python -m benchmarks.linkage_increment",
        software=results.versions(["numpy", "numba", "scipy"]),
    )
    print("\n".join(" | ".join(row) for row in rows))


if __name__ == "__main__":
    run()
