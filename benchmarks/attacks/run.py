"""``python -m benchmarks.attacks``: every attack on every profile, beside the plain CLK; writes sections.

An attack that scores below 95 % on the plain CLK says nothing about the other profiles: its rows are void,
and the section says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import results
from benchmarks.attacks import dictionary, frequency, graph, known_pairs, mining, sharing
from benchmarks.attacks.clk import plain_clk
from benchmarks.attacks.encodings import View, averaged, only_keys, simulated, stolen
from benchmarks.attacks.populations import Population, demo, febrl, overlapping
from crypto.encoding.profile import Profile, default_profile
from crypto.encoding.profile_families import FAMILIES

OVERLAPS = (1.0, 0.5, 0.2)
#: Graph matching takes minutes for more.
GRAPH_PERSONS = 5_000
#: Known pairs as shares of the population: 1 %, 5 %, 20 %, 50 % (50 to 2,500 of 5,000).
KNOWN = (0.01, 0.05, 0.2, 0.5)
#: Known pairs at most; of 50,000 persons 20 %. The work grows with the cube of their number.
MOST_KNOWN = 10_000
#: What the attacks must reach on the plain CLK, or the run is void.
LEAST_ON_PLAIN = 0.95

Figures = dict[str, float]


def known_figures(population: Population, profile: Profile) -> Figures:
    """Leak-SNR, known pairs, frequencies, bits that go together, and the wrong key."""
    victims, register = stolen(population, profile), simulated(population, profile)
    total = len(population.numbers)
    found = {"leak-SNR": known_pairs.leak_snr(register, population)}
    for share in (each for each in KNOWN if each * total <= MOST_KNOWN):
        rng = np.random.default_rng([11, total])
        name = f"known pairs, {share:.0%}"
        found[name] = known_pairs.attack(victims, register, max(10, round(share * total)), rng)
    found |= frequency_figures(victims, register)
    found["bits with a companion"] = max(mining.companions(view) for view in victims if not view.key)
    found["dictionary, wrong key"] = dictionary.attack(victims, stolen(population, profile, key=3))
    return found


def frequency_figures(victims: Sequence[View], register: Sequence[View]) -> Figures:
    """Of names, and of the filter that gives away most; nothing where no filter repeats (whole records)."""
    found = {
        mine.name: frequency.attack(mine, hers, np.random.default_rng(13))
        for mine, hers in zip(victims, register, strict=True)
        if frequency.repeats(mine)
    }
    named = {f"frequency, {name}": found[name] for name in ("surname", "given_name") if name in found}
    return named | ({"frequency, best filter": max(found.values())} if found else {})


def _groups(
    population: Population, overlap: float
) -> tuple[Population, Population, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Two groups that overlap, and the second's row of each person of the first."""
    mine, hers = overlapping(population, overlap, np.random.default_rng([12, round(100 * overlap)]))
    place = {number: row for row, number in enumerate(hers.numbers.tolist())}
    return mine, hers, np.array([place.get(number, -1) for number in mine.numbers.tolist()])


def mining_figures(population: Population, profile: Profile) -> Figures:
    """Pattern mining at every overlap."""
    found = {}
    for overlap in OVERLAPS:
        mine, hers, truth = _groups(population, overlap)
        found[f"pattern mining, {overlap:.0%}"] = mining.attack(stolen(mine, profile), hers, profile, truth)
    return found


def graph_figures(population: Population, profile: Profile) -> Figures:
    """Graph matching at every overlap."""
    found = {}
    some = population.take(np.arange(min(GRAPH_PERSONS, len(population.numbers))))
    for overlap in OVERLAPS:
        mine, hers, truth = _groups(some, overlap)
        found[f"graph matching, {overlap:.0%}"] = graph.attack(
            stolen(mine, profile), averaged(hers, profile), stolen(hers, profile, key=4), truth
        )
    return found


def sharing_figures(population: Population, profile: Profile) -> Figures:
    """Who shares composite keys with whom, at every overlap; nothing for profiles without keys."""
    keys = only_keys(profile)
    found: Figures = {}
    if keys is None:
        return found
    for overlap in OVERLAPS:
        mine, hers, truth = _groups(population, overlap)
        found[f"sharing of keys, {overlap:.0%}"] = sharing.attack(
            stolen(mine, keys), simulated(hers, keys), truth
        )
    return found


def leaked_key(clean: Population, damaged: Population, profile: Profile) -> Figures:
    """The dictionary of clean records against damaged records of the same persons, secret known."""
    found = dictionary.attack(stolen(damaged, profile), stolen(clean, profile))
    return {"dictionary, leaked key": found}


def void(figures: Mapping[str, Figures]) -> list[str]:
    """Attacks that are too weak on the plain CLK to say anything of the other profiles."""
    attacks = ("graph matching", "pattern mining")
    plain = figures["plain CLK"]
    most_known = [name for name in plain if name.startswith("known pairs")][-1:]
    needed = most_known + [f"{attack}, {overlap:.0%}" for attack in attacks for overlap in OVERLAPS]
    return [name for name in needed if name in plain and plain[name] < LEAST_ON_PLAIN]


def section(population: Population, figures: Mapping[str, Figures]) -> str:
    """The figures of one population as Markdown."""
    names = list(dict.fromkeys(name for found in figures.values() for name in found))

    def cell(name: str, value: float | None) -> str:
        if value is None:
            return "–"
        return f"{value:.4f}" if name == "leak-SNR" else f"{100 * value:.2f} %"

    rows = [[name, *(cell(name, found.get(name)) for found in figures.values())] for name in names]
    weak = void(figures)
    verdict = (
        f"**Void: {'; '.join(weak)}.** On the plain CLK they stay below {LEAST_ON_PLAIN:.0%}, so these rows "
        "say nothing of the other profiles. The other rows are valid.\n\n"
        if weak
        else "Valid: the attacks break the plain CLK.\n\n"
    )
    graphs = (
        f"graph matching is played on the first {GRAPH_PERSONS:,} persons"
        if any("graph" in name for name in names)
        else "graph matching was not played"
    )
    return (
        f"{len(population.numbers):,} persons of {population.name}, clean text on both sides. Shares of "
        "persons re-identified; chance is one in the number of persons. Overlaps are shares of the "
        "encoded persons who are in the attacker's register, which is as large and holds as many strangers; "
        f"known pairs are shares of the persons whose encoding she knows to begin with; {graphs}. "
        "She knows the profile and adapts to every t. With the leaked key she encodes her register as it is; "
        f"of FEBRL 4 the victims are then the damaged records.\n\n{verdict}"
        + results.table(["attack", *figures], rows)
    )


def run(
    profiles: Mapping[str, Profile],
    populations: list[Population],
    with_graphs: bool,
    say: Callable[[str], None],
) -> None:
    """Play all attacks and write a section for each population."""
    clean, damaged = febrl()
    for population in populations:
        figures: dict[str, Figures] = {}
        for name, profile in {"plain CLK": plain_clk(), **profiles}.items():
            say(f"{population.name}, {len(population.numbers):,} persons: {name}")
            figures[name] = known_figures(population, profile) | mining_figures(population, profile)
            figures[name] |= sharing_figures(population, profile)
            if with_graphs:
                figures[name] |= graph_figures(population, profile)
            rows = np.arange(min(len(population.numbers), GRAPH_PERSONS))
            victims = damaged if population.name == clean.name else population
            figures[name] |= leaked_key(population.take(rows), victims.take(rows), profile)
        title = f"Attacks on encodings: {population.name}, {len(population.numbers):,} persons"
        results.write_section(
            title,
            section(population, figures),
            command=" ".join(["python -m benchmarks.attacks", *sys.argv[1:]]),
            software=results.versions(["numpy", "scipy"]),
        )
        for weak in void(figures):
            say(f"void: {weak}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.add_argument("--persons", type=int, default=5000, help="of the demo population, up to 50,000")
    parser.add_argument("--no-graphs", action="store_true", help="leave out graph matching (needs n² memory)")
    parser.add_argument("--only", choices=["febrl", "demo"], help="one population")
    parser.add_argument("--family", choices=FAMILIES, nargs="*", default=FAMILIES)
    parser.add_argument("--profile", type=Path, nargs="*", default=[], help="more profiles, as JSON")
    given = parser.parse_args()
    profiles = {family: default_profile(family) for family in given.family}
    profiles |= {path.stem: Profile.load(path) for path in given.profile}
    populations = []
    if given.only != "demo":
        populations.append(febrl()[0])
    if given.only != "febrl":
        populations.append(demo(given.persons))
    run(profiles, populations, not given.no_graphs, print)
