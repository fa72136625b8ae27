"""The fault campaign: `kill -9` at random moments, and every storage call that fails once.

    python -m benchmarks.faults [--kills 200] [--minutes 30] [--seed 1]

The stories and their checks are those of `tests/faults`; this counts and reports.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.results import table, versions, write_section
from tests import postgres
from tests.faults.processes import DaskWorkers
from tests.faults.stage import Stage
from tests.faults.story import Tally, tell
from tests.flows.linkage_world import make_packages

KILLS_PER_STORY = 13


def campaign(kills: int, minutes: float, seed: int) -> tuple[Tally, int, list[str]]:
    """Tell stories until so many processes were killed, on each database in turn."""
    tally, stories, problems = Tally(), 0, []
    end = time.monotonic() + minutes * 60
    folder = postgres.binaries()
    if folder is None:
        raise SystemExit("PostgreSQL is not installed: the campaign needs it")
    with tempfile.TemporaryDirectory() as name, postgres.running_cluster(folder) as cluster:
        root = Path(name)
        packages = make_packages(root / "region")
        stages = [Stage(root / "sqlite", packages), Stage(root / "postgres", packages, cluster)]
        dask = DaskWorkers(root / "dask")
        while tally.kills.total() < kills and time.monotonic() < end:
            stage, out = stages[stories % 2], root / f"story-{stories}"
            out.mkdir()
            try:
                told = tell(
                    stage.copy(out / "data"),
                    stage.cast,
                    out,
                    seed=seed + stories,
                    kills=min(KILLS_PER_STORY, kills - tally.kills.total()),
                    dask=dask,
                )
                tally.add(told)
                if not told.clean:
                    problems.append(f"seed {seed + stories}: {told.lost} {told.double} {told.wrong}")
            except Exception as error:  # noqa: BLE001 (a story that breaks off is a finding, and is counted)
                problems.append(f"seed {seed + stories}: {type(error).__name__}: {str(error)[:3000]}")
            stories += 1
            print(f"{stories} stories, {tally.kills.total()} kills", *problems[-1:], flush=True)
        dask.stop()
    return tally, stories, problems


def report(tally: Tally, stories: int, problems: list[str]) -> str:
    """The section's text."""
    phases: Counter[str] = Counter()
    for moment, count in tally.kills.items():
        phases[moment] += count
    rows = [(moment, str(count)) for moment, count in sorted(phases.items())]
    kills = table(["Killed during", "times"], [*rows, ("**all**", str(tally.kills.total()))])
    done = table(
        ["Acknowledged", "number"],
        [(what, str(count)) for what, count in sorted(tally.acknowledged.items())],
    )
    found = table(
        ["Found afterwards", "number"],
        [
            ("acknowledged and lost", str(len(tally.lost))),
            ("done twice", str(len(tally.double))),
            ("wrong (links differ, log does not verify, keys or blobs left)", str(len(tally.wrong))),
            ("stories that broke off", str(sum("Error" in item for item in problems))),
        ],
    )
    return (
        f"{stories} whole stories over HTTP, SQLite and PostgreSQL in turn: five approvals, five batches, "
        "two runs on a Dask cluster, a release, a revocation and a destruction each, while API, worker and "
        "Dask workers are killed with `kill -9` at random moments and started again at once. Calls "
        f"repeated after a broken connection: {tally.repeated}.\n\n{kills}\n{done}\n{found}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    tally, stories, problems = campaign(given.kills, given.minutes, given.seed)
    print(*problems, sep="\n")
    write_section(
        "Faults: killed processes",
        report(tally, stories, problems),
        command=f"python -m benchmarks.faults --kills {given.kills} --minutes {given.minutes} "
        f"--seed {given.seed}",
        software=versions(["dbos", "sqlalchemy"]),
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
