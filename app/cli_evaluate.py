"""``cohortlink evaluate``: links against known truth.

It needs the agencies' private crosswalks and the truth, and therefore runs only where somebody lawfully holds
them: in a pilot with invented or consented data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import typer

from crypto.errors import InputError
from linkage.quality import paired_difference, wilson


@dataclass(frozen=True)
class Scores:
    """Pairs of records of different batches, compared with the truth.

    Attributes
    ----------
    true_positives, false_positives, false_negatives : int
        Pairs that are linked and the same person; linked and not; the same person and not linked.
    """

    true_positives: int
    false_positives: int
    false_negatives: int

    def to_document(self) -> dict[str, Any]:
        """Precision, recall and F1, each with a 95 % interval, and the counts behind them."""
        tp, fp, fn = self.true_positives, self.false_positives, self.false_negatives
        jaccard = wilson(tp, tp + fp + fn)
        return {
            "precision": _figure(tp, tp + fp, wilson(tp, tp + fp)),
            "recall": _figure(tp, tp + fn, wilson(tp, tp + fn)),
            # F1 = 2J / (1 + J) with J = TP / (TP + FP + FN): monotone, so J's interval carries over.
            "f1": _figure(2 * tp, 2 * tp + fp + fn, tuple(2 * j / (1 + j) for j in jaccard)),
            "true_positives": tp,
            "false_positives": fp,
            "false_negatives": fn,
        }


def _figure(part: int, whole: int, interval: tuple[float, ...]) -> dict[str, Any]:
    return {
        "value": round(part / whole, 5) if whole else None,
        "low": round(interval[0], 5),
        "high": round(interval[1], 5),
    }


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Read the named columns of a CSV file as text.

    Raises
    ------
    InputError
        ``FILE_UNREADABLE`` or ``COLUMN_MISSING``.
    """
    try:
        with path.open("rb") as stream:
            header = stream.readline().decode("utf-8-sig").strip().split(",")
        names = [name.strip().strip('"') for name in header]
        options = pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        )
        table = pa_csv.read_csv(path, convert_options=options)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise InputError("FILE_UNREADABLE", f"{path.name} cannot be read as CSV in UTF-8") from error
    for column in columns:
        if column not in table.column_names:
            raise InputError("COLUMN_MISSING", f"{path.name} has no such column", column=column)
    return table.select(list(columns))


def read_truth(path: Path) -> pa.Table:
    """Truth as ``person, batch, id``; the column ``source`` may stand for ``batch``."""
    with path.open(encoding="utf-8-sig") as stream:
        header = stream.readline()
    batch = "batch" if "batch" in [h.strip().strip('"') for h in header.split(",")] else "source"
    return read_columns(path, ["person", batch, "id"]).rename_columns(["truth", "batch", "id"])


def label_records(links: pa.Table, truth: pa.Table, crosswalks: dict[str, pa.Table]) -> pa.Table:
    """Every record whose truth is known: ``batch``, ``person`` (as linked, or null) and ``truth``.

    A record that the truth knows and the links lack counts as linked to nobody.
    """
    names = sorted(crosswalks)
    keyed = pa.concat_tables(
        crosswalks[name].append_column("batch", pa.array([name] * crosswalks[name].num_rows, pa.string()))
        for name in names
    )
    known = keyed.join(truth, keys=["batch", "id"], join_type="inner")
    linked = links.select(["person", "batch", "record_ref"]).cast(
        pa.schema([("person", pa.int64()), ("batch", pa.string()), ("record_ref", pa.string())])
    )
    return known.join(linked, keys=["batch", "record_ref"], join_type="left outer").select(
        ["batch", "person", "truth"]
    )


def cross_batch_pairs(records: pa.Table, keys: Sequence[str]) -> int:
    """Pairs of records of different batches that agree in ``keys``; records with a null key pair with nobody.

    Of n records in a group, n_b of them in batch b, n(n − 1)/2 − Σ n_b(n_b − 1)/2
    = (n² − Σ n_b²)/2 pairs cross.
    """
    for key in keys:
        records = records.filter(pc.is_valid(records[key]))
    cells = records.group_by([*keys, "batch"]).aggregate([([], "count_all")])
    cells = cells.append_column("square", pc.multiply(cells["count_all"], cells["count_all"]))
    groups = cells.group_by(list(keys)).aggregate([("count_all", "sum"), ("square", "sum")])
    if groups.num_rows == 0:
        return 0
    whole = pc.multiply(groups["count_all_sum"], groups["count_all_sum"])
    return int(pc.sum(pc.subtract(whole, groups["square_sum"])).as_py()) // 2


def score(records: pa.Table) -> Scores:
    """Compare linked with true pairs; ``records`` as :func:`label_records` gives them."""
    both = cross_batch_pairs(records, ["person", "truth"])
    return Scores(
        true_positives=both,
        false_positives=cross_batch_pairs(records, ["person"]) - both,
        false_negatives=cross_batch_pairs(records, ["truth"]) - both,
    )


def rate_found(records: pa.Table, of: str, others: Sequence[str]) -> dict[str, Any]:
    """The rate that links are for: which share of one batch's persons is in other batches, and its bias.

    A person counts once, however many records the batch has of her. Who is linked to somebody else's record
    counts as found, as it would in a release: errors of both kinds are in the bias.

    Returns
    -------
    dict
        ``of``, ``in``, ``persons``, the share ``linked``, the share that is ``true``, and their difference
        ``bias`` with a 95 % interval (:func:`linkage.quality.paired_difference`).
    """
    elsewhere = records.filter(pc.is_in(records["batch"], pa.array(others, pa.string())))
    own = records.filter(pc.equal(records["batch"], of))
    for column, flag in (("person", "linked"), ("truth", "true")):
        found = pc.is_in(own[column], elsewhere[column].combine_chunks().drop_null())
        own = own.append_column(flag, found)
    persons = own.group_by("truth").aggregate([("linked", "any"), ("true", "any")])
    linked, true = persons["linked_any"], persons["true_any"]
    only_linked, only_true = _count(pc.and_not(linked, true)), _count(pc.and_not(true, linked))
    count = persons.num_rows
    return {
        "of": of,
        "in": list(others),
        "persons": count,
        "linked": round(_count(linked) / count, 5) if count else None,
        "true": round(_count(true) / count, 5) if count else None,
        "bias": _figure(only_linked - only_true, count, paired_difference(only_linked, only_true, count)),
    }


def _count(flags: pa.ChunkedArray) -> int:
    return int(pc.sum(flags).as_py() or 0)


def evaluate(links: pa.Table, truth: pa.Table, crosswalks: dict[str, pa.Table]) -> dict[str, Any]:
    """Scores and rates over all batches and for each pair of them, with what could not be judged."""
    records = label_records(links, truth, crosswalks)
    names = sorted(crosswalks)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    judged = links.filter(pc.is_in(links["batch"].cast(pa.string()), pa.array(names))).num_rows
    in_links = records.filter(pc.is_valid(records["person"])).num_rows
    return {
        "overall": score(records).to_document(),
        "pairs": [
            {
                "batches": [a, b],
                **score(records.filter(pc.is_in(records["batch"], pa.array([a, b])))).to_document(),
                "rates": [rate_found(records, a, [b]), rate_found(records, b, [a])],
            }
            for a, b in pairs
        ],
        "rates": [rate_found(records, a, [b for b in names if b != a]) for a in names],
        "records": records.num_rows,
        "records_without_truth": judged - in_links,
        "records_missing_from_links": records.num_rows - in_links,
    }


def _parse_crosswalk(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise typer.BadParameter("expected NAME=FILE, NAME being the batch's name", param_hint="--crosswalk")
    return name, Path(path)


def evaluate_command(
    links: Annotated[Path, typer.Option(help="What `cohortlink link` wrote.")],
    truth: Annotated[Path, typer.Option(help="CSV with the columns person, batch (or source), id.")],
    crosswalk: Annotated[
        list[str], typer.Option(metavar="NAME=FILE", help="Private crosswalk (id, record_ref) of a batch.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Precision, recall and F1 of links against known truth, and the bias of the rates that rest on them.

    Each has a 95 % interval. The rate is the share of a batch's persons who are found in the other batches;
    --json has it for each pair of batches, too.
    """
    files = dict(_parse_crosswalk(item) for item in crosswalk)
    if len(files) < 2:
        raise typer.BadParameter("at least two batches are needed to judge links", param_hint="--crosswalk")
    crosswalks = {name: read_columns(path, ["id", "record_ref"]) for name, path in files.items()}
    try:
        table = pq.read_table(links, columns=["person", "batch", "record_ref"])
    except (OSError, pa.ArrowException) as error:
        raise InputError("FILE_UNREADABLE", f"{links.name} is not a file of links") from error
    result = evaluate(table, read_truth(truth), crosswalks)
    if result["records"] == 0:
        raise InputError(
            "TRUTH_UNMATCHED", "no record of the crosswalks occurs in the truth; check the names"
        )
    if as_json:
        typer.echo(json.dumps(result))
        return
    for title, figures in [("all pairs", result["overall"])] + [
        (" × ".join(pair["batches"]), pair) for pair in result["pairs"]
    ]:
        typer.echo(
            f"{title}: "
            + ", ".join(
                f"{name} {_shown(figures[key])}"
                for name, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
            )
        )
    for rate in result["rates"]:
        if rate["persons"]:
            typer.echo(
                f"{rate['of']}, share found in another batch: linked {rate['linked']:.3f}, "
                f"true {rate['true']:.3f}, bias {_shown(rate['bias'], sign='+')}"
            )
    if result["records_without_truth"]:
        typer.echo(f"{result['records_without_truth']} records have no known truth and were not judged.")


def _shown(figure: dict[str, Any], sign: str = "") -> str:
    if figure["value"] is None:
        return "undefined"
    value, low, high = (f"{figure[key]:{sign}.3f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
