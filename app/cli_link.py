"""``cohortlink link`` and ``cohortlink evaluate``: pilots and evaluation, offline, without a service.

``link`` reads packages as agencies made them; ``evaluate`` needs the agencies' private crosswalks and known
truth, and therefore runs only where somebody lawfully holds them: in a pilot with invented or consented data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import typer

from crypto.agency.progress import open_progress
from crypto.encoding.profile import Profile
from crypto.errors import InputError, PackageError, ProfileError
from crypto.wire import ENCODINGS_NAME, Manifest, read_encodings, verify_package
from linkage.quality import wilson

app = typer.Typer()

PROFILE_NAME: Final = "profile.json"


# --------------------------------------------------------------------------- link


def name_packages(directories: Sequence[Path]) -> dict[str, Path]:
    """Batch name (the directory's own name) to directory.

    Raises
    ------
    PackageError
        ``BATCH_NAME_TWICE``: two directories share a name, and the links could not tell their records apart.
    """
    named: dict[str, Path] = {}
    for directory in directories:
        name = directory.resolve().name
        if name in named:
            raise PackageError(
                "BATCH_NAME_TWICE",
                f"two packages are named {name!r}; rename one directory, since the batch column names it",
            )
        named[name] = directory
    return named


def find_profile(manifests: dict[str, Manifest], packages: dict[str, Path], given: Path | None) -> Profile:
    """The one profile under which all packages were encoded.

    Taken from ``--profile``, else from a ``profile.json`` in a package. Its fingerprint must be the one that
    every manifest names: filters of different profiles hold unrelated bits.

    Raises
    ------
    ProfileError
        ``PROFILE_NEEDED`` where there is none, ``PROFILE_MISMATCH`` naming the first package that differs.
    """
    if given is None:
        given = next((d / PROFILE_NAME for d in packages.values() if (d / PROFILE_NAME).is_file()), None)
    if given is None:
        raise ProfileError(
            "PROFILE_NEEDED",
            "the packages name their profile by fingerprint only; give the file that they were encoded with "
            "as --profile FILE",
        )
    profile = Profile.load(given)
    for name, manifest in manifests.items():
        if manifest.profile != profile.fingerprint:
            raise ProfileError(
                "PROFILE_MISMATCH",
                f"package {name!r} was encoded with profile {manifest.profile[:12]}…, "
                f"the given profile is {profile.fingerprint[:12]}…",
            )
    return profile


def check_same_keys(manifests: dict[str, Manifest]) -> None:
    """Refuse packages of different secrets: nothing would match, and the result would look like an answer.

    Raises
    ------
    PackageError
        ``KCV_MISMATCH``, or ``AGREEMENT_MISMATCH`` for another agreement or epoch.
    """
    first_name, first = next(iter(manifests.items()))
    for name, manifest in manifests.items():
        if (manifest.agreement, manifest.epoch) != (first.agreement, first.epoch):
            raise PackageError(
                "AGREEMENT_MISMATCH",
                f"packages {first_name!r} and {name!r} are of different agreements or epochs",
            )
        if manifest.kcv != first.kcv:
            raise PackageError(
                "KCV_MISMATCH", f"packages {first_name!r} and {name!r} were encoded with different secrets"
            )


def write_links(persons: pa.Table, out: Path) -> None:
    """Write the links beside their final name and move them there, so that no half file is ever read."""
    draft = out.with_name(out.name + ".part")
    pq.write_table(persons.select(["person", "batch", "record_ref", "probability"]), draft)
    os.replace(draft, out)  # noqa: PTH105


def summary_of_links(persons: pa.Table, packages: dict[str, Path], out: Path) -> dict[str, Any]:
    """Counts for the person at the keyboard: records, persons, and persons found in two or more batches."""
    per_person = persons.group_by("person").aggregate([("batch", "count_distinct")])
    shared = pc.sum(pc.greater(per_person["batch_count_distinct"], 1)).as_py() or 0
    return {
        "out": str(out),
        "batches": sorted(packages),
        "records": persons.num_rows,
        "persons": per_person.num_rows,
        "persons_in_several_batches": int(shared),
    }


@app.command("link")
def link_command(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Packages that agencies made, one directory each.")
    ],
    out: Annotated[Path, typer.Option(help="Parquet file to write: person, batch, record_ref, probability.")],
    profile: Annotated[
        Path | None,
        typer.Option(help="Profile of the encodings; default: profile.json in a package, if there is one."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Also write the figures of quality to this file.")
    ] = None,
    within: Annotated[
        bool,
        typer.Option(
            "--within",
            help="A package may hold a person several times: also look for duplicates within each. "
            "One package is then enough.",
        ),
    ] = False,
    threshold: Annotated[
        float, typer.Option(help="Probability from which two records count as one person, in (0, 1].")
    ] = 0.5,
    memory: Annotated[
        int | None,
        typer.Option(help="Megabytes for the candidates of each two packages; default: as needed."),
    ] = None,
    scan_threshold: Annotated[
        float | None,
        typer.Option(
            help="Similarity of two encodings from which the exhaustive scan keeps a pair, in (0, 1]; "
            "default: as low as the number of pairs allows, for the most recall."
        ),
    ] = None,
    miss: Annotated[
        float,
        typer.Option(
            help="Most that a pair just at the scan's threshold may be missed with, in [0, 1). Beside a "
            "--scan-threshold of .56 or more hardened encodings are then scanned faster by far; the "
            "--report says what is missed at most."
        ),
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Link packages offline and write which records are one person.

    With COHORTLINK_DASK_ADDRESS (tls://…) and COHORTLINK_DASK_CA, _CERT and _KEY a Dask cluster compares.
    """
    # Not at the top: compiled kernels and their libraries take longer to load than most commands take to run.
    from linkage.distributed import Cluster
    from linkage.errors import LinkageError
    from linkage.run import Options, Source, link

    packages = name_packages(directories)
    if len(packages) < 2 and not within:
        raise PackageError(
            "TOO_FEW_PACKAGES", "linking needs at least two packages, or --within to find duplicates in one"
        )
    manifests = {name: verify_package(directory) for name, directory in packages.items()}
    check_same_keys(manifests)
    spec = find_profile(manifests, packages, profile).link_spec()
    sources = [
        Source(
            name=name,
            encodings=read_encodings(directory / ENCODINGS_NAME, spec),
            deduplicated=not within,
        )
        for name, directory in packages.items()
    ]
    try:
        cluster = Cluster.from_environment(os.environ)
        options = Options(
            threshold=threshold, scan_threshold=scan_threshold, memory_mb=memory, miss=miss, cluster=cluster
        )
        with open_progress() as progress:
            result = link(sources, spec, options=options, progress=progress)
    except LinkageError as error:
        raise PackageError(error.code, error.detail) from error
    write_links(result.persons, out)
    if report is not None:
        report.write_text(json.dumps(result.report, indent=2, sort_keys=True) + "\n")
    summary = summary_of_links(result.persons, packages, out) | {"doubts": result.report["doubts"]}
    if as_json:
        typer.echo(json.dumps(summary))
        return
    typer.echo(
        f"{summary['records']} records of {len(packages)} batches are {summary['persons']} persons; "
        f"{summary['persons_in_several_batches']} of them are in several batches. Written to {out}."
    )
    for doubt in summary["doubts"]:
        typer.echo(f"Do not rely on this: {doubt}", err=True)


# --------------------------------------------------------------------------- evaluate


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


def evaluate(links: pa.Table, truth: pa.Table, crosswalks: dict[str, pa.Table]) -> dict[str, Any]:
    """Scores over all pairs of batches and for each pair, with what could not be judged."""
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
            }
            for a, b in pairs
        ],
        "records": records.num_rows,
        "records_without_truth": judged - in_links,
        "records_missing_from_links": records.num_rows - in_links,
    }


def _parse_crosswalk(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise typer.BadParameter("expected NAME=FILE, NAME being the batch's name", param_hint="--crosswalk")
    return name, Path(path)


@app.command("evaluate")
def evaluate_command(
    links: Annotated[Path, typer.Option(help="What `cohortlink link` wrote.")],
    truth: Annotated[Path, typer.Option(help="CSV with the columns person, batch (or source), id.")],
    crosswalk: Annotated[
        list[str], typer.Option(metavar="NAME=FILE", help="Private crosswalk (id, record_ref) of a batch.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Precision, recall and F1 of links against known truth, each with a 95 % interval."""
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
    if result["records_without_truth"]:
        typer.echo(f"{result['records_without_truth']} records have no known truth and were not judged.")


def _shown(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "undefined"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
