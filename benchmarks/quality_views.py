"""The search for the hardened default: views, weights, widths and t, each linked by our engine and attacked.

A candidate is a list of views of a person (shares of a filter's set bits that names, birth date and address
get in an ordinary record), beside the view of the number with names that lets wage files be linked. Measured:
F1 at the engine's own threshold of one half, on FEBRL 4 at half overlap (numbers left out) and over all
pairs of feeds of the demo's scenario; known pairs at 20 and 50 % of 5,000 persons, on FEBRL and on whole
households.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.demo import scenario
from app.demo.selfcheck import read_text
from benchmarks import results
from benchmarks.attacks import known_pairs
from benchmarks.attacks.encodings import secret, simulated, stolen
from benchmarks.attacks.populations import Population, demo, febrl
from crypto.encoding.encode import Encoder, prepare, to_encodings
from crypto.encoding.keys import Keys
from crypto.encoding.profile import Profile, default_profile
from linkage.run import Source, link

#: Share of set bits of an ordinary record's plain filter.
FILL = 0.46
#: Tokens of an ordinary record: bigrams of both names, of the street, of the city; pairs of the date.
_NAME_TOKENS, _STREET_TOKENS, _CITY_TOKENS, _DATE_TOKENS = 14.5, 14, 10, 3
_PERSON = ("given_name", "surname", "birth_date", "street", "house_number", "city", "zip")


@dataclass(frozen=True)
class View:
    """Shares of names, birth date and address (their sum is 1), width in bits, t."""

    names: float
    birth: float
    address: float
    width: int = 8192
    t: int = 5

    def positions(self) -> dict[str, int]:
        """Positions a token, by field of :data:`_PERSON`."""
        total = -np.log(1 - FILL) * self.width
        name = self.names * total / _NAME_TOKENS
        found = {
            "given_name": name,
            "surname": name,
            "birth_date": self.birth * total / _DATE_TOKENS,
            "street": 0.27 * self.address * total / _STREET_TOKENS,
            "house_number": 0.18 * self.address * total,
            "city": 0.28 * self.address * total / _CITY_TOKENS,
            "zip": 0.27 * self.address * total,
        }
        return {field: round(number) for field, number in found.items() if number}


def _field(base: Mapping[str, Any], name: str, group: str, tokens: Mapping[str, Any]) -> dict[str, Any]:
    return {**base, "name": name, "group": group, "tokens": dict(tokens)}


def _filter(name: str, fields: Sequence[str], require: Sequence[str], width: int, t: int) -> dict[str, Any]:
    hardening = {"kind": "diffusion", "t": t, "width": width}
    made = {"name": name, "fields": list(fields), "require": list(require), "width": width}
    return {**made, "salt": name, "hardening": hardening, "levels": []}


#: Fields of composite keys: normaliser's field in the default profile, and its one token.
_PARTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "given": ("given_name", {"kind": "exact", "positions": 1}),
    "surname": ("surname", {"kind": "exact", "positions": 1}),
    "birth": ("birth_date", {"kind": "exact", "positions": 1}),
    "month": ("birth_date", {"kind": "code", "levels": [6], "positions": [1]}),
    "street": ("street", {"kind": "exact", "positions": 1}),
    "house": ("house_number", {"kind": "exact", "positions": 1}),
    "zip": ("zip", {"kind": "exact", "positions": 1}),
    "city": ("city", {"kind": "exact", "positions": 1}),
    "initial": ("given_name", {"kind": "exact", "positions": 1}),
    "middle": ("middle_initial", {"kind": "exact", "positions": 1}),
    "stem": ("surname", {"kind": "code", "levels": [3], "positions": [1]}),
    "call": ("given_name", {"kind": "code", "levels": [3], "positions": [1]}),
    "road": ("street", {"kind": "code", "levels": [5], "positions": [1]}),
}


def build(
    views: Sequence[View], *, identity: int = 2048, full_name: int = 0, keys: Sequence[str] = ()
) -> dict[str, Any]:
    """The profile document of a candidate.

    Parameters
    ----------
    views
        Of the person; the first has plain field names.
    identity
        Width of the view of number and names.
    full_name
        Width of a view in which only equal given name, surname and initial together tell; 0: none.
    keys
        Composite keys, each the names of its parts (:data:`_PARTS`) with ``+`` between.
    """
    document = default_profile("record-hardened").to_document()
    base = {field["name"]: field for field in document["fields"]}
    base["middle_initial"] = {
        **base["given_name"],
        "columns": ["middle_name", "middle_initial"],
        "normaliser": "initial",
        "missing": ["n/a", "nmn", "nmi", "unknown"],
    }
    fields, filters = [], []
    for number, view in enumerate(views):
        prefix = "" if number == 0 else f"v{number + 1}_"
        held = []
        for name, positions in view.positions().items():
            kind = {"birth_date": "date_pairs", "house_number": "exact", "zip": "exact"}.get(name, "qgram")
            tokens = {"kind": kind, "positions": positions} | ({"q": 2} if kind == "qgram" else {})
            group = "name" if name in ("given_name", "surname") else name
            fields.append(_field(base[name], prefix + name, prefix + group, tokens))
            held.append(prefix + name)
        require = ["|".join(prefix + name for name in ("birth_date", "zip") if prefix + name in held)]
        filters.append(_filter("person" + (prefix and str(number + 1)), held, require, view.width, view.t))
    bits = -np.log(1 - FILL) * identity
    fields.append(_field(base["ssn"], "ssn", "ssn", {"kind": "exact", "positions": round(0.62 * bits)}))
    for name in ("given_name", "surname"):
        tokens = {"kind": "qgram", "positions": round(0.38 * bits / _NAME_TOKENS), "q": 2}
        fields.append(_field(base[name], f"id_{name}", "id_name", tokens))
    filters.append(_filter("identity", ["ssn", "id_given_name", "id_surname"], ["ssn"], identity, 5))
    if full_name:
        tokens = {"kind": "exact", "positions": round(-np.log(1 - FILL) * full_name / 3)}
        held = ["given_name", "surname", "middle_initial"]
        fields += [_field(base[name], f"whole_{name}", f"whole_{name}", tokens) for name in held]
        held = [f"whole_{name}" for name in held]
        filters.append(_filter("full_name", held, held, full_name, 8))
    made_fields, made_filters = _keys(base, keys)
    return {**document, "fields": fields + made_fields, "filters": filters + made_filters}


def _keys(base: Mapping[str, Any], keys: Sequence[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    used = list(dict.fromkeys(part for key in keys for part in key.split("+")))
    fields = []
    for part in used:
        name, tokens = _PARTS[part]
        group = "key_name" if part in ("given", "surname") else f"key_{part}"
        made = _field(base[name], f"key_{part}", group, tokens)
        if part == "initial":
            made |= {"normaliser": "initial"}
        fields.append(made)
    filters = [
        {
            "name": "key_" + key.replace("+", "_"),
            "fields": [f"key_{part}" for part in key.split("+")],
            "require": [],
            "width": 64,
            "salt": key,
            "hardening": {"kind": "key"},
            "levels": [],
        }
        for key in keys
    ]
    return fields, filters


DEFAULT = "person heavy, 8192, t = 8, and sixteen keys (the default)"
_HEAVY = View(0.41, 0.34, 0.25)
#: In the order in which the linker prefers them: the rarer first.
FORMER_KEYS = (
    "initial+surname+birth",
    "given+zip+birth",
    "given+surname+month",
    "house+zip+birth",
    "street+birth",
    "surname+birth",
    "given+stem+house+zip",
    "given+stem+street+zip",
    "given+surname+zip",
    "given+surname+house",
    "given+street+house",
    "given+surname+middle",
)
#: So many that nearly every pair with errors in several fields has one of them left (docs/adr/0029).
KEYS = (
    "initial+surname+birth",
    "given+zip+birth",
    "given+surname+month",
    "house+zip+birth",
    "month+house+call",
    "birth+call",
    "birth+road",
    "birth+stem",
    "birth+zip",
    "house+stem+call+zip",
    "stem+call+road",
    "given+surname+zip",
    "given+surname+house",
    "house+stem+call",
    "given+street+house",
    "given+surname+middle",
)
_DATED = tuple(key for key in KEYS if "birth" in key or "month" in key)
CANDIDATES: Mapping[str, dict[str, Any]] = {
    DEFAULT: {"views": [replace(_HEAVY, t=8)], "keys": KEYS},
    "person heavy, 8192, t = 5, and the former twelve keys": {
        "views": [_HEAVY],
        "keys": FORMER_KEYS,
    },
    "person heavy, 8192, t = 8, and the former twelve keys": {
        "views": [replace(_HEAVY, t=8)],
        "keys": FORMER_KEYS,
    },
    "person heavy, 8192, t = 8, without keys": {"views": [replace(_HEAVY, t=8)]},
    "person heavy, 8192, t = 5, and sixteen keys": {"views": [_HEAVY], "keys": KEYS},
    "person heavy, 8192, t = 7, and sixteen keys": {"views": [replace(_HEAVY, t=7)], "keys": KEYS},
    "person heavy, 8192, t = 9, and sixteen keys": {"views": [replace(_HEAVY, t=9)], "keys": KEYS},
    "person heavy, 8192, t = 8, and the keys with a birth date": {
        "views": [replace(_HEAVY, t=8)],
        "keys": _DATED,
    },
    "address heavy, 8192, t = 5": {"views": [View(0.33, 0.17, 0.50)]},
    "middle, 8192, t = 5": {"views": [View(0.37, 0.25, 0.38)]},
    "person heavy, 8192, t = 6": {"views": [replace(_HEAVY, t=6)]},
    "person heavy, 4096, t = 5": {"views": [replace(_HEAVY, width=4096)]},
    "person heavy, 8192, t = 5, and full name, 128": {"views": [_HEAVY], "full_name": 128},
    "two views: person heavy, 8192, t = 6; address heavy, 4096, t = 7": {
        "views": [replace(_HEAVY, t=6), View(0.33, 0.17, 0.50, 4096, 7)]
    },
    "four views of 4096: all, t = 6; without address, t = 6; without names, t = 7; without date, t = 7": {
        "views": [
            View(0.40, 0.35, 0.25, 4096, 6),
            View(0.60, 0.40, 0.0, 4096, 6),
            View(0.0, 0.60, 0.40, 4096, 7),
            View(0.60, 0.0, 0.40, 4096, 7),
        ]
    },
}


@dataclass(frozen=True)
class Feed:
    """Records of one source, and who each is."""

    table: pa.Table
    person: NDArray[np.int64]


def febrl_feeds() -> dict[str, Feed]:
    """FEBRL 4, persons 0–3749 against 0–2499 and 3750–4999: 2,500 true pairs."""
    clean, damaged = febrl()
    kept_a, kept_b = clean.numbers < 3750, (damaged.numbers < 2500) | (damaged.numbers >= 3750)
    pair = (clean.take(np.flatnonzero(kept_a)), damaged.take(np.flatnonzero(kept_b)))
    return {name: Feed(part.table, part.numbers) for name, part in zip("ab", pair, strict=True)}


def demo_feeds(folder: Path, scale: float = 0.25) -> dict[str, Feed]:
    """The feeds of the demo's scenario, with all its noise."""
    made = scenario.generate(folder, scale=scale, seed=2026)
    truth = read_text(made.truth_file)
    columns = (truth[name].to_pylist() for name in ("person", "source", "id"))
    who = {(source, own): int(person) for person, source, own in zip(*columns, strict=True)}
    found = {}
    for feed in made.feeds:
        table = read_text(feed.people_file)
        ids = table[feed.agency.id_column].to_pylist()
        person = np.array([who[feed.agency.slug, own] for own in ids])
        found[feed.agency.slug] = Feed(table.drop_columns([feed.agency.id_column]), person)
    return found


def linked(feeds: Mapping[str, Feed], profile: Profile) -> tuple[int, int, int]:
    """Correct links, wrong ones and true pairs, over all pairs of feeds, at the engine's own threshold."""
    keys = Keys(secret(1), profile)
    sources = []
    for name, feed in feeds.items():
        rows = np.arange(feed.table.num_rows)
        refs = np.array([f"{row:032x}" for row in rows], dtype="<U32")
        encoder = Encoder(prepare(feed.table, profile), profile, keys)
        sources.append(Source(name, to_encodings(refs, encoder.chunks(rows), profile), True, name))
    links = link(sources, profile.link_spec()).links.to_pydict()
    ends = (links[name] for name in ("batch_a", "record_ref_a", "batch_b", "record_ref_b"))
    same = [
        feeds[a].person[int(ref_a, 16)] == feeds[b].person[int(ref_b, 16)]
        for a, ref_a, b, ref_b in zip(*ends, strict=True)
    ]
    names = sorted(feeds)
    true = sum(len(np.intersect1d(feeds[a].person, feeds[b].person)) for a in names for b in names if a < b)
    return sum(same), len(same) - sum(same), true


def f1(correct: int, wrong: int, true: int) -> str:
    """F1 to four places, with precision and recall."""
    precision, recall = correct / max(1, correct + wrong), correct / max(1, true)
    return f"{2 * correct / max(1, correct + wrong + true):.4f} ({precision:.3f} / {recall:.3f})"


def _attacked(population: Population, profile: Profile) -> list[str]:
    victims, register = stolen(population, profile), simulated(population, profile)
    total = len(population.numbers)
    hits = [
        known_pairs.attack(victims, register, round(share * total), np.random.default_rng([11, total]))
        for share in (0.2, 0.5)
    ]
    leak = known_pairs.leak_snr(register, population)
    return [f"{leak:.3f}", " / ".join(f"{100 * share:.2f}" for share in hits)]


def run(names: Sequence[str] = ()) -> None:
    """Measure the candidates (all, or those named) beside field-level filters, and write the section."""
    profiles = {"field-level filters": default_profile("field-level")}
    profiles |= {name: Profile.from_document(build(**made)) for name, made in CANDIDATES.items()}
    populations = [febrl()[0], demo(5000)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cases = [febrl_feeds(), demo_feeds(Path(folder))]
        for name, profile in profiles.items():
            if names and name not in names:
                continue
            row = [name, *(f1(*linked(feeds, profile)) for feeds in cases)]
            if profile.family == "record-hardened":
                for population in populations:
                    row += _attacked(population, profile)
            rows.append(row + ["–"] * (7 - len(row)))
            print(" | ".join(rows[-1]), flush=True)
            _write(rows)


def _write(rows: Sequence[Sequence[str]]) -> None:
    """After every candidate: a search that is broken off leaves what it found."""
    head = ["profile", "FEBRL F1 (P / R)", "demo F1 (P / R)", "FEBRL leak", "known 20 / 50 %"]
    text = (
        "F1 at a probability of one half, no threshold tuned. Leak-SNR of all views together; known pairs: "
        "share of the others re-identified, in per cent, with 1,000 and 2,500 of 5,000 persons known; "
        "households: a whole population of the demo's region, with families, twins and namesake sons.\n\n"
        + results.table([*head, "households leak", "known 20 / 50 %"], rows)
    )
    results.write_section("Views of the hardened profile", text, command="python -m benchmarks.quality_views")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality_views", description=__doc__)
    parser.add_argument("name", nargs="*", help="candidates; default: all")
    parser.add_argument("--print", metavar="NAME", help="print a candidate's profile document and stop")
    given = parser.parse_args()
    if given.print:
        print(json.dumps(build(**CANDIDATES[given.print]), indent=2))
    else:
        run(given.name)


if __name__ == "__main__":
    main()
