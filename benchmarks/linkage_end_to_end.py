"""From people in clear to links: encoding, candidates, comparison, model, assignment; time and memory."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

from benchmarks import linkage_cases, results, world
from benchmarks.linkage_scale import memory
from crypto.encoding.profile import default_profile
from linkage.quality import compare_pairs
from linkage.run import Source, link

_PROFILES = ("field-level", "record-hardened")
_SIZES = ((2_000, 20_000), (10_000, 100_000))
_LARGE = ((50_000, 500_000),)
_OVERLAP = 0.5


def measure(left: int, right: int, profile_name: str) -> list[str]:
    """One pair of sources in this process."""
    rolls = world.two_rolls(left, right, _OVERLAP, (world.SCHOOL, world.SCHOOL), mix="usual", seed=29)
    case = linkage_cases.Case("", rolls.left, rolls.right, rolls.person_left, rolls.person_right)
    profile = default_profile(profile_name)
    begun = time.process_time()
    sources = [
        Source(name, linkage_cases.encoded(people, profile), deduplicated=True)
        for name, people in (("a", case.left), ("b", case.right))
    ]
    encoded = time.process_time()
    found = link(sources, profile.link_spec())
    linked = time.process_time()
    pairs = zip(*(found.links[f"record_ref_{x}"].to_pylist() for x in "ab"), strict=True)
    quality = compare_pairs(
        [(str(int(a, 16)), f"r{int(b, 16)}") for a, b in pairs],
        [(str(a), f"r{b}") for a, b in case.truth()],
    )
    return [
        f"{left:,} × {right:,}",
        profile_name,
        f"{left * right / 1e6:,.0f}",
        f"{found.report['pairs'][0]['candidates']:,}",
        f"{encoded - begun:,.0f}",
        f"{linked - encoded:,.0f}",
        f"{memory():.2f}",
        f"{quality.f1:.3f} ({quality.precision:.3f} / {quality.recall:.3f})",
    ]


def run(large: bool = False) -> None:
    """Each size and profile in a process of its own, so that memory is its own; writes the section."""
    rows = []
    for left, right in _LARGE if large else _SIZES:
        for name in _PROFILES:
            command = ["-m", "benchmarks.linkage_end_to_end", "--one", str(left), str(right), name]
            done = subprocess.run([sys.executable, *command], check=True, stdout=subprocess.PIPE)
            rows.append(json.loads(done.stdout))
            print(rows[-1], flush=True)
    head = ["records", "profile", "million pairs", "candidates", "encoding, s", "linking, s", "most GB"]
    text = (
        "Two schools' records of one population, half of the smaller in both (`benchmarks/world.py`). "
        "Processor time on two threads, from people in clear in memory to links; the largest memory of the "
        "process, people in clear included. F1 at a probability of one half (precision / recall).\n\n"
    )
    results.write_section(
        "Linkage end to end" + (", large" if large else ""),
        text + results.table([*head, "F1"], rows),
        command="python -m benchmarks.linkage_end_to_end" + (" --large" if large else ""),
        software=results.versions(["numpy", "numba", "scipy"]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="50,000 × 500,000 records")
    parser.add_argument("--one", nargs=3, metavar=("LEFT", "RIGHT", "PROFILE"), help="in this process")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(int(given.one[0]), int(given.one[1]), given.one[2])))
        return
    run(given.large)


if __name__ == "__main__":
    main()
