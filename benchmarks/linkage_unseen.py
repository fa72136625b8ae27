"""Quality of links on populations that nothing was tuned on (`benchmarks.world`), beside Splink."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import kept, linkage_cases, results, world
from benchmarks.linkage_quality import digest, peer
from crypto.encoding.profile import default_profile
from linkage.quality import Quality, compare_pairs
from linkage.run import Source, link

_PROFILES = ("field-level", "record-hardened")
_BLIND = 0.5


@dataclass(frozen=True)
class Wanted:
    """Two rolls of one population: sizes, the share of the left that is in both, what is written down."""

    name: str
    left: int
    right: int
    overlap: float
    kinds: tuple[world.Roll, world.Roll]
    mix: str = "usual"
    seed: int = 23

    def case(self) -> linkage_cases.Case:
        made = world.two_rolls(self.left, self.right, self.overlap, self.kinds, mix=self.mix, seed=self.seed)
        return linkage_cases.Case(self.name, made.left, made.right, made.person_left, made.person_right)


_KINDS: Mapping[str, tuple[world.Roll, world.Roll]] = {
    "school × school": (world.SCHOOL, world.SCHOOL),
    "school × program, no numbers": (world.SCHOOL, world.PROGRAM),
    "school × wages, no dates": (world.SCHOOL, world.WAGES),
}


def cases(left: int, right: int) -> Iterator[Wanted]:
    """All that is measured."""
    for name, kinds in _KINDS.items():
        for overlap in (0.05, 0.5, 0.95):
            yield Wanted(f"{name}, {overlap:.0%} in both", left, right, overlap, kinds)
        yield Wanted(f"{name}, nobody in both", left, right, 0.0, kinds)
    for mix in ("Garcia", "Nguyen"):
        name = "school × school"
        yield Wanted(f"{name}, 50% in both, {mix}", left, right, 0.5, _KINDS[name], mix)
    yield Wanted("school × school, the same persons", left, left, 1.0, _KINDS["school × school"])
    both = (world.WAGES, world.WAGES)
    yield Wanted("wages × wages of two states, 10% in both", 3 * left, 3 * left, 0.1, both)


def ours(case: linkage_cases.Case, profile_name: str) -> dict[str, Any]:
    """What the engine finds on encodings, at the blind threshold, and what it believes of it."""
    profile = default_profile(profile_name)
    sides = {"a": case.left, "b": case.right}
    sources = [Source(name, linkage_cases.encoded(table, profile)) for name, table in sides.items()]
    found = link(sources, profile.link_spec())
    rows = (found.links[name].to_pylist() for name in ("record_ref_a", "record_ref_b"))
    pairs = [(int(a, 16), int(b, 16)) for a, b in zip(*rows, strict=True)]
    probability = found.links["probability"].to_numpy()
    return {
        "pairs": pairs,
        "believed": float(probability.mean()) if len(pairs) else None,
        "doubts": found.report["doubts"],
    }


def splink(case: linkage_cases.Case) -> list[tuple[int, int]] | None:
    """Splink's pairs at the blind threshold; None where it fails."""
    try:
        return [(a, b) for a, b, p in peer("splink")(case) if p >= _BLIND]
    except RuntimeError:
        return None


def quality(pairs: Sequence[Sequence[int]], truth: linkage_cases.Pairs) -> Quality:
    """Of pairs of rows against the true ones."""
    return compare_pairs([(str(a), f"r{b}") for a, b in pairs], [(str(a), f"r{b}") for a, b in truth])


def _shown(q: Quality, found: int) -> str:
    if not q.correct + q.missed:
        return f"{found} links"
    return f"{q.f1:.3f} ({q.precision:.3f} / {q.recall:.3f})"


def row(wanted: Wanted, folder: Path | None) -> list[str]:
    """One case, all methods."""
    case = wanted.case()
    truth, seen = case.truth(), digest(case)
    cells = [wanted.name, f"{len(truth):,}"]
    for name in _PROFILES:
        made = kept.answer(folder, f"unseen-{name}", seen + kept.engine(), lambda name=name: ours(case, name))
        believed = f"; believed {made['believed']:.3f}" if made["believed"] is not None and truth else ""
        doubt = "; doubted" if made["doubts"] else ""
        cells.append(_shown(quality(made["pairs"], truth), len(made["pairs"])) + believed + doubt)
    pairs = kept.answer(folder, "unseen-Splink", seen, lambda: splink(case))
    cells.append("fails" if pairs is None else _shown(quality(pairs, truth), len(pairs)))
    return cells


def run(left: int, right: int, folder: Path | None) -> None:
    """Measure and write the section, anew after each case: what is broken off leaves what it found."""
    rows: list[list[str]] = []
    for wanted in cases(left, right):
        rows.append(row(wanted, folder))
        print(" | ".join(rows[-1]), flush=True)
        _write(left, right, rows)


def _write(left: int, right: int, rows: Sequence[Sequence[str]]) -> None:
    text = (
        f"{left:,} persons against {right:,} two years later, of a population with other names and errors "
        "than the demo's: numbers missing in 30 % of a school's records and birth dates in 20 %, marriages, "
        "moves, twins, juniors, nicknames, swapped and doubled names, numbers with wrong digits, of a "
        "relative, or a filler, days and months swapped, birthdays set to 1 January. F1 (precision / recall) "
        "of links at p ≥ .5, no threshold tuned; *believed*: the precision that the links' own probabilities "
        "promise; *doubted*: the run itself says not to rely on it. Ours see encodings only, Splink sees "
        "plaintext; *fails*: its estimation ends in an error.\n\n"
    )
    results.write_section(
        "Quality of linkage on populations not seen before",
        text + results.table(["case", "true pairs", *_PROFILES, "Splink"], rows),
        command=f"python -m benchmarks.linkage_unseen --left {left} --right {right}",
        software=results.versions(["numpy"]) + ", Splink 5.0.0",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linkage_unseen", description=__doc__)
    parser.add_argument("--left", type=int, default=1000)
    parser.add_argument("--right", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="folder in which answers are kept, to go on from")
    given = parser.parse_args()
    run(given.left, given.right, given.keep)
