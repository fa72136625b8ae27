"""One peer on one case, run as a program in the peers' own environment: people in clear in, pairs out.

``python linkage_peers.py splink|clkhash FOLDER`` reads ``left.parquet``, ``right.parquet``, ``case.json`` and
writes ``pairs.json``: [[row left, row right, score], ...] with a score that is a probability for Splink.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def _read(folder: Path, name: str, missing: str | None) -> pa.Table:
    """Lower case, trimmed; empty cells as ``missing``."""
    table = pq.read_table(folder / f"{name}.parquet")
    columns = {}
    for column in table.column_names:
        text = pc.utf8_lower(pc.utf8_trim_whitespace(table[column]))
        columns[column] = pc.if_else(pc.equal(text, ""), pa.scalar(missing, pa.string()), text)
    return pa.table(columns)


def splink_pairs(folder: Path, case: dict) -> list:  # type: ignore[type-arg]
    import splink.comparison_library as cl
    from splink import Linker, SettingsCreator, block_on
    from splink.backends.duckdb import DuckDBAPI

    frames = [_read(folder, name, None) for name in (("left",) if case["within"] else ("left", "right"))]
    shared = [
        c
        for c in frames[0].column_names
        if all(c in f.column_names and f[c].null_count < len(f) for f in frames)
    ]
    frames = [f.select(shared).append_column("unique_id", pa.array(range(len(f)))) for f in frames]
    makers = {
        "ssn": lambda c: cl.DamerauLevenshteinAtThresholds(c, [1, 2]),
        "date_of_birth": lambda c: cl.DamerauLevenshteinAtThresholds(c, [1, 2]),
        "zip": lambda c: cl.DamerauLevenshteinAtThresholds(c, [1, 2]),
        "street": lambda c: cl.JaroWinklerAtThresholds(c, [0.9, 0.7]),
        "city": lambda c: cl.JaroWinklerAtThresholds(c, [0.9, 0.7]),
        "house_number": cl.ExactMatch,
        "sex": cl.ExactMatch,
        "middle_name": cl.ExactMatch,
    }
    strong = [
        ("ssn",),
        ("first_name", "last_name"),
        ("date_of_birth", "zip"),
        ("last_name", "zip"),
        ("first_name", "date_of_birth"),
        ("last_name", "date_of_birth"),
        ("first_name", "zip"),
        ("street", "house_number"),
    ]
    # Generous: these cases are small, and blocking is not to decide the comparison.
    single = [("ssn",), ("first_name",), ("last_name",), ("date_of_birth",), ("zip",), ("street",)]
    rules = [block_on(*r) for r in single if set(r) <= set(shared)]
    rules.append("l.first_name = r.last_name and l.last_name = r.first_name")
    rules.append(block_on("substr(last_name, 1, 4)", "substr(first_name, 1, 1)"))
    settings = SettingsCreator(
        link_type="dedupe_only" if case["within"] else "link_only",
        comparisons=[cl.ForenameSurnameComparison("first_name", "last_name")]
        + [makers[c](c) for c in shared if c in makers],
        blocking_rules_to_generate_predictions=rules,
        em_convergence=1e-5,
        max_iterations=100,
    )
    api = DuckDBAPI()
    names = ("a", "b")[: len(frames)]
    linker = Linker(
        [api.register(f, dataset_display_name=n) for f, n in zip(frames, names, strict=False)], settings
    )
    training = linker.training
    deterministic = [r for r in strong if set(r) <= set(shared)][:3]
    training.estimate_probability_two_random_records_match([block_on(*r) for r in deterministic], recall=0.8)
    training.estimate_u_using_random_sampling(max_pairs=5e6, seed=1)
    compared = [{"first_name", "last_name"}, *({c} for c in shared if c in makers)]
    for rule in deterministic:
        if all(columns & set(rule) for columns in compared):
            continue  # nothing is left to be estimated, and Splink writes SQL that is none
        training.estimate_parameters_using_expectation_maximisation(block_on(*rule))
    found = linker.inference.predict(threshold_match_probability=0.001).as_pyarrow_table()
    columns = ("unique_id_l", "unique_id_r", "match_probability")
    return [list(row) for row in zip(*(found[c].to_pylist() for c in columns), strict=False)]


def clkhash_pairs(folder: Path, case: dict) -> list:  # type: ignore[type-arg]
    import anonlink
    from clkhash import clk
    from clkhash.schema import from_json_dict

    frames = [_read(folder, name, "") for name in ("left", "right")]
    columns = [
        c
        for c in frames[0].column_names
        if all(c in f.column_names and any(f[c].to_pylist()) for f in frames)
    ]
    features = [
        {
            "identifier": c,
            "format": {"type": "string", "encoding": "utf-8", "case": "mixed", "minLength": 0},
            "hashing": {
                "comparison": {
                    "type": "ngram",
                    "n": 1 if c in ("date_of_birth", "zip", "ssn") else 2,
                    "positional": c in ("date_of_birth", "zip", "ssn"),
                },
                "strategy": {"bitsPerToken": 15},
                "hash": {"type": "blakeHash"},
            },
        }
        for c in columns
    ]
    schema = from_json_dict(
        {
            "version": 3,
            "clkConfig": {
                "l": 1024,
                "kdf": {"type": "HKDF", "hash": "SHA256", "info": "", "salt": "", "keySize": 64},
            },
            "features": features,
        }
    )

    def filters(frame: pa.Table) -> list:  # type: ignore[type-arg]
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows(zip(*(frame[c].to_pylist() for c in columns), strict=False))
        text.seek(0)
        return clk.generate_clk_from_csv(
            text, "secret", schema, validate=False, progress_bar=False, max_workers=1
        )

    left = filters(frames[0])
    data = [left, left] if case["within"] else [left, filters(frames[1])]
    found = anonlink.candidate_generation.find_candidate_pairs(
        data, anonlink.similarities.dice_coefficient_accelerated, case["threshold"]
    )
    similarity, _, (rows_a, rows_b) = found
    if case["one_to_one"]:
        groups = anonlink.solving.greedy_solve(found)
        score = {(a, b): s for s, a, b in zip(similarity, rows_a, rows_b, strict=False)}
        pairs = [tuple(r for _, r in sorted(g)) for g in groups]
        return [[a, b, score[a, b]] for a, b in pairs]
    return [
        [a, b, s] for s, a, b in zip(similarity, rows_a, rows_b, strict=False) if not case["within"] or a < b
    ]


if __name__ == "__main__":
    here = Path(sys.argv[2])
    about = json.loads((here / "case.json").read_text())
    run = {"splink": splink_pairs, "clkhash": clkhash_pairs}[sys.argv[1]]
    (here / "pairs.json").write_text(json.dumps(run(here, about)))
