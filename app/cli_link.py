"""``cohortlink link``: packages as agencies made them are linked offline, without a service."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer

from crypto.agency.progress import open_progress
from crypto.encoding.profile import Profile
from crypto.errors import PackageError, ProfileError
from crypto.wire import ENCODINGS_NAME, Manifest, read_encodings, verify_package

PROFILE_NAME: Final = "profile.json"


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
    pairs: Any = result.report["pairs"]
    for pair in pairs:
        _tell_expected(pair)
    for doubt in summary["doubts"]:
        typer.echo(f"Do not rely on this: {doubt}", err=True)


def _tell_expected(pair: Mapping[str, Any]) -> None:
    """What is expected of the links of two packages, and whether another threshold promises fewer errors."""
    rows = {row["threshold"]: row for row in pair["thresholds"]}
    own, advised = pair["threshold"], pair["advised_threshold"]
    errors = "precision {precision:.3f} and recall {recall:.3f}"
    told = f"{' × '.join(pair['sources'])}: expected {errors.format(**rows[own])}"
    if advised != own and not pair["warnings"]:
        told += f"; --threshold {advised:g} promises fewer errors, {errors.format(**rows[advised])}"
    typer.echo(told + ".")
