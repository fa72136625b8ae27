"""``employed_q4`` by pathway × year × race × sex × county: ours beside Polars and pandas on the same files.

200,000 graduates, 5 million persons with wages, 8 quarters, 48 million wage rows with ``--full``; a twentieth
of that otherwise. Every contestant runs in a process of its own with two threads, reads the same Parquet
files, keeps the latest version of each report, sums over employers and states, and must count the same.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.results import PEERS, table, versions, write_section

FULL = {"graduates": 200_000, "persons": 5_000_000}
SMALL = {"graduates": 10_000, "persons": 250_000}
QUARTERS = tuple(f"{year}Q{n}" for year in (2022, 2023) for n in (1, 2, 3, 4))
BY = ("pathway", "cohort_year", "race_ethnicity", "sex", "county")
#: A person has a second employer in every fifth quarter.
SECOND = 5
COUNTIES = ("39061", "39017", "39165", "39025")
RACES = ("White", "BlackOrAfricanAmerican", "Asian")
LEVELS = ("01", "03", "05", "07")


def make(folder: Path, graduates: int, persons: int) -> int:
    """Write ``completion``, ``wage`` and ``persons`` and return the number of wage rows."""
    rng = np.random.default_rng(1)
    schools = _refs(rng, graduates)
    workers = np.sort(_refs(rng, persons))
    _completions(rng, schools, folder)
    rows = _wages(rng, workers, folder)
    # Nine graduates of ten have a record among the workers.
    linked = rng.permutation(persons)[:graduates]
    alone = rng.random(graduates) < 0.1
    ours = np.where(alone, persons + np.arange(graduates), linked)
    numbers = np.concatenate([ours, np.arange(persons)])
    batch = pa.concat_arrays([pa.array(["edu"] * graduates), pa.array(["wages"] * persons)])
    refs = pa.array(np.concatenate([schools, workers]))
    pq.write_table(
        pa.table({"person": numbers, "batch": batch, "record_ref": refs}), folder / "persons.parquet"
    )
    return rows


def _refs(rng: np.random.Generator, count: int) -> np.ndarray:
    raw = rng.bytes(16 * count).hex()
    return np.array([raw[32 * i : 32 * i + 32] for i in range(count)])


def _completions(rng: np.random.Generator, refs: np.ndarray, folder: Path) -> None:
    n = len(refs)
    # Awards of two academic years, whose reference quarters are the eight quarters of the wages.
    month = rng.integers(0, 24, n)
    dates = [f"{2021 + m // 12}-{m % 12 + 1:02d}-15" for m in month]
    columns = {
        "record_ref": refs,
        "completion_id": [f"c{i}" for i in range(n)],
        "award_kind": ["POSTSEC"] * n,
        "award_level": np.array(LEVELS)[rng.integers(0, len(LEVELS), n)],
        "award_date": dates,
        "race": np.array(RACES)[rng.integers(0, len(RACES), n)],
        "sex": np.array(["Male", "Female"])[rng.integers(0, 2, n)],
        "county_fips": np.array(COUNTIES)[rng.integers(0, len(COUNTIES), n)],
    }
    from crypto.facts import validate_facts

    whole = pa.table({name: pa.array(values) for name, values in columns.items()})
    pq.write_table(
        validate_facts("completion", whole, submitted_on=date(2026, 1, 1)), folder / "completion.parquet"
    )


def _wages(rng: np.random.Generator, refs: np.ndarray, folder: Path) -> int:
    from crypto.facts import SCHEMAS

    schema = SCHEMAS["wage"].arrow()
    employers = pa.array([rng.bytes(32).hex() for _ in range(50_000)])
    per_person, step, rows = len(QUARTERS), 100_000, 0
    with pq.ParquetWriter(folder / "wage.parquet", schema) as writer:
        for start in range(0, len(refs), step):
            mine = refs[start : start + step]
            person = np.repeat(np.arange(len(mine)), per_person)
            quarter = np.tile(np.arange(per_person), len(mine))
            again = np.flatnonzero((person + quarter) % SECOND == 0)
            person = np.concatenate([person, person[again]])
            quarter = np.concatenate([quarter, quarter[again]])
            order = np.argsort(person, kind="stable")
            person, quarter = person[order], quarter[order]
            n = len(person)
            cents = (rng.random(n) < 0.8) * rng.integers(1, 2_000_000, n)
            paid = employers.take(pa.array(rng.integers(0, len(employers), n)))
            given = {
                "record_ref": pa.array(mine).take(pa.array(person)),
                "state_fips": pa.array(["39"]).take(pa.array(np.zeros(n, np.int64))),
                "quarter": pa.array(QUARTERS).take(pa.array(quarter)),
                "employer_token": paid,
                "report_version": pa.array(np.ones(n, np.int32)),
                "wages": pa.array(cents).cast(pa.decimal128(19, 0)).cast(pa.decimal128(21, 2)),
                "adjustment": pa.array(np.zeros(n, np.bool_)),
                "source": pa.array(["UI"]).take(pa.array(np.zeros(n, np.int64))),
            }
            columns = [given.get(f.name, pa.nulls(n, f.type)) for f in schema]
            writer.write_table(pa.Table.from_arrays(columns, names=schema.names).cast(schema))
            rows += n
    return rows


def ours(folder: Path) -> dict[str, object]:
    """Tabulate with the product's own code."""
    from app.outcomes.reading import persons_with_awards, read_facts, read_wages, records_of
    from app.outcomes.tabulate import tabulate

    started = time.perf_counter()
    # As the service does: whose rows count is known before wages are read, and others are only checked.
    persons = pq.read_table(folder / "persons.parquet")
    records = records_of(persons, "wages", persons_with_awards(persons, ["edu"]))
    facts = {
        "completion": [("edu", read_facts("completion", str(folder / "completion.parquet")))],
        "wage": [("wages", read_wages(str(folder / "wage.parquet"), records))],
    }
    read = time.perf_counter()
    found = tabulate(
        "employed_q4",
        "2020-21..2022-23",
        BY,
        persons=persons,
        facts=facts,
        as_of=date(2026, 1, 1),
        code_lists={"county": COUNTIES},
    )
    done = time.perf_counter()
    cells = [(c.n, c.found) for c in found.cells if c.n]
    # Rows by year and pathway overlap; the peers count awards, and nobody here has two.
    return _report(started, read, done, found.total.n, found.total.found, len(cells))


def _report(started: float, read: float, done: float, n: int, found: int, cells: int) -> dict[str, object]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {
        "read_s": read - started,
        "tabulate_s": done - read,
        "peak_gib": peak,
        "n": n,
        "found": found,
        "cells": cells,
    }


_PEER = """
import json, sys, time, resource
folder, kind = sys.argv[1], sys.argv[2]
keys = ["pathway", "year", "race", "sex", "county_fips"]
versions = ["person", "state_fips", "quarter", "employer_token", "account_token"]
wanted = ["record_ref", "state_fips", "quarter", "employer_token", "account_token", "report_version", "wages"]
levels = {"01": "CERTIFICATE", "03": "ASSOCIATE", "05": "BACHELOR", "07": "GRADUATE"}
started = time.perf_counter()
if kind == "polars":
    import polars as pl
    wages = pl.read_parquet(folder + "/wage.parquet", columns=wanted)
    awards = pl.read_parquet(folder + "/completion.parquet")
    persons = pl.read_parquet(folder + "/persons.parquet")
    read = time.perf_counter()
    year = pl.col("award_date").str.slice(0, 4).cast(pl.Int32)
    month = pl.col("award_date").str.slice(5, 2).cast(pl.Int32)
    a = (
        awards.lazy()
        .join(persons.lazy().filter(pl.col("batch") == "edu"), on="record_ref")
        .with_columns(
            pathway=pl.col("award_level").replace_strict(levels),
            year=year - (month < 7).cast(pl.Int32),
            reference=pl.format("{}Q{}", year + 1, (month - 1) // 3 + 1),
        )
    )
    w = (
        wages.lazy()
        .join(persons.lazy().filter(pl.col("batch") == "wages"), on="record_ref")
        .join(a.select("person").unique(), on="person", how="semi")
        .sort("report_version", descending=True)
        .unique(versions, keep="first")
        .group_by("person", "quarter")
        .agg(pl.col("wages").sum())
        .filter(pl.col("wages") > 0)
    )
    out = (
        a.join(w, left_on=["person", "reference"], right_on=["person", "quarter"], how="left")
        .group_by(keys)
        .agg(n=pl.len(), m=pl.col("wages").is_not_null().sum())
        .collect()
    )
    done = time.perf_counter()
    n, m, cells = out["n"].sum(), out["m"].sum(), len(out)
else:
    import pandas as pd
    import pyarrow.parquet as pq
    text = ["record_ref", "state_fips", "quarter", "employer_token", "account_token"]
    read_table = pq.read_table(folder + "/wage.parquet", columns=wanted, read_dictionary=text)
    read_table = read_table.set_column(6, "wages", read_table["wages"].cast("double"))
    wages = read_table.to_pandas(self_destruct=True, split_blocks=True)
    del read_table
    awards = pd.read_parquet(folder + "/completion.parquet")
    persons = pd.read_parquet(folder + "/persons.parquet")
    read = time.perf_counter()
    edu, others = persons[persons.batch == "edu"], persons[persons.batch == "wages"]
    a = awards.merge(edu[["person", "record_ref"]], on="record_ref")
    year, month = a.award_date.str[:4].astype(int), a.award_date.str[5:7].astype(int)
    a["pathway"] = a.award_level.map(levels)
    a["year"] = year - (month < 7)
    a["reference"] = (year + 1).astype(str) + "Q" + ((month - 1) // 3 + 1).astype(str)
    mine = others[others.person.isin(a.person)][["person", "record_ref"]]
    # Only graduates' rows, by the codes of the categories: text of 48 million rows would not fit.
    w = wages[wages.record_ref.isin(mine.record_ref)].copy()
    for name in text:
        w[name] = w[name].astype(object)
    w = w.merge(mine, on="record_ref")
    w = w.sort_values("report_version", ascending=False).drop_duplicates(versions)
    w = w.groupby(["person", "quarter"], as_index=False).wages.sum()
    w = w[w.wages > 0]
    j = a.merge(w, how="left", left_on=["person", "reference"], right_on=["person", "quarter"])
    out = j.groupby(keys).agg(n=("person", "size"), m=("wages", "count"))
    done = time.perf_counter()
    n, m, cells = int(out.n.sum()), int(out.m.sum()), len(out)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
times = {"read_s": read - started, "tabulate_s": done - read, "peak_gib": peak}
print(json.dumps(times | {"n": n, "found": m, "cells": cells}))
"""


def run(*, full: bool = False) -> None:
    """Measure all three and write the section."""
    size = FULL if full else SMALL
    with tempfile.TemporaryDirectory(prefix="tabulation-") as name:
        # In a process of its own, so that what it needed is not counted as anybody's peak.
        code = f"from benchmarks.tabulation import *; print(make(Path({name!r}), **{size!r}))"
        rows = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
        print(f"{rows:,} wage rows", flush=True)
        found = {
            "Cohortlink (DuckDB, limit 4 GB)": _child([sys.executable, "-m", "benchmarks.tabulation", name]),
            "Polars": _child([str(PEERS), "-c", _PEER, name, "polars"]),
            "pandas": _child([sys.executable, "-c", _PEER, name, "pandas"]),
        }
    lines = [
        [who, *(f"{each[key]:.1f}" for key in ("read_s", "tabulate_s", "peak_gib"))]
        if each
        else [who, "did not finish", "", ""]
        for who, each in found.items()
    ]
    counts = {(each["n"], each["found"]) for each in found.values() if each}
    assert len(counts) == 1, counts
    text = (
        f"`employed_q4` by {' × '.join(BY)}: {size['graduates']:,} graduates, {size['persons']:,} persons "
        f"with wages, {len(QUARTERS)} quarters, {rows:,} wage rows, two threads. All count the same.\n\n"
        + table(["", "read Parquet, s", "tabulate, s", "peak, GiB"], lines)
        + "\nOurs reads a piece at a time and keeps graduates' rows alone, so part of its work stands in the "
        "first column. It also checks that every fact has a person and no record two, and works in exact "
        "decimals; pandas sums floats."
    )
    flag = " --full" if full else ""
    write_section(
        f"Tabulation{' at full size' if full else ''}",
        text,
        command=f"python -m benchmarks.tabulation{flag}",
        software=versions(("duckdb", "pandas", "pyarrow")) + ", Polars " + _polars(),
    )
    print(text)


def _polars() -> str:
    code = "import polars; print(polars.__version__)"
    return subprocess.run([str(PEERS), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def _child(command: list[str]) -> dict[str, float]:
    limits = {"POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **limits})
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return {}
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(command[-1], answer, flush=True)
    return answer


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tabulation", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="tabulate what is there (a contestant)")
    parser.add_argument("--full", action="store_true", help="48 million wage rows")
    given = parser.parse_args()
    if given.folder:
        print(json.dumps(ours(given.folder)))
    else:
        run(full=given.full)
