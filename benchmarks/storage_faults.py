"""Every storage call of every flow fails once, before and after it took effect; this counts and reports.

    python -m benchmarks.storage_faults [--step 1] [--minutes 30]

Flows, scenes and checks are those of `tests/faults/scenes.py`. `--step 5` tries one outcome of five. Where
the minutes do not suffice, each flow gets its share of them and tries outcomes drawn at random.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.results import table, versions, write_section
from tests import objectstore, postgres
from tests.faults.scenes import FLOWS, Storage, fail_once, make_scenes, one_linkage, play_through
from tests.flows.linkage_world import make_packages


def campaign(step: int, minutes: float) -> tuple[dict[tuple[str, str], list[int]], list[str]]:
    """By (storage and calls, flow): outcomes there are and outcomes tried; and what was found wrong."""
    folder = postgres.binaries()
    if folder is None:
        raise SystemExit("PostgreSQL is not installed: the campaign needs it")
    counts: dict[tuple[str, str], list[int]] = {}
    problems: list[str] = []
    end = time.monotonic() + minutes * 60
    left = 4 * len(FLOWS)
    draw = random.Random(1)
    with (
        tempfile.TemporaryDirectory() as name,
        postgres.running_cluster(folder) as cluster,
        objectstore.running_server() as server,
        objectstore.credentials(server),
        one_linkage(),
    ):
        root = Path(name)
        packages = make_packages(root / "region")
        for where, storage in (
            ("SQLite, directory", Storage()),
            ("PostgreSQL, S3", Storage(cluster=cluster, objects=server)),
        ):
            scenes = make_scenes(root / where.replace(" ", ""), packages, storage)
            for statements, calls in ((False, "blobs and commits"), (True, "SQL statements")):
                for flow, (scene, _) in FLOWS.items():
                    played = play_through(scenes[scene], flow, root / "clean", statements=statements)
                    outcomes = [(at, after) for at in range(len(played.calls)) for after in (False, True)]
                    tried, chosen = 0, outcomes[::step]
                    draw.shuffle(chosen)
                    enough = time.monotonic() + (end - time.monotonic()) / left
                    left -= 1
                    for at, after in chosen:
                        if time.monotonic() > enough:
                            break
                        try:
                            fail_once(
                                scenes[scene],
                                flow,
                                played,
                                root / "one",
                                at,
                                after=after,
                                statements=statements,
                            )
                        except Exception as error:  # noqa: BLE001 (a finding, and is counted)
                            problems.append(f"{where}: {type(error).__name__}: {str(error)[:500]}")
                        tried += 1
                    counts[f"{where}: {calls}", flow] = [len(outcomes), tried]
                    print(where, calls, flow, tried, "of", len(outcomes), *problems[-1:], flush=True)
    return counts, problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30)
    given = parser.parse_args()
    counts, problems = campaign(given.step, given.minutes)
    print(*problems, sep="\n")
    tried: Counter[str] = Counter()
    rows = []
    for where in dict.fromkeys(place for place, _ in counts):
        cells = []
        for flow in FLOWS:
            there, done = counts[where, flow]
            cells.append(f"{done} of {there}")
            tried[where] += done
        rows.append((where, *cells))
    text = (
        "One call fails once, before or after it took effect (full disk, I/O error, time-out and reset in "
        "turn); then rows, blobs, keys and log must say the same, and the flow, repeated, must end as if "
        "nothing had been. Outcomes tried, of those there are:\n\n"
        + table(("storage and calls", *FLOWS), rows)
        + f"\nTried {tried.total()}; neither the old nor the new state, or a log that does not verify: "
        f"{len(problems)}.\n"
    )
    write_section(
        "Faults: storage that fails once",
        text,
        command=f"python -m benchmarks.storage_faults --step {given.step} --minutes {given.minutes}",
        software=versions(["obstore", "sqlalchemy", "moto"]),
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
