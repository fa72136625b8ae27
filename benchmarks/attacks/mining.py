"""Pattern mining: bits that are set together betray the positions of frequent tokens, and these the persons.

After Christen, Vidanage, Ranbaduge and Schnell, "Pattern-mining based cryptanalysis of Bloom filters"
(PAKDD 2018), in four steps, none of which needs a key or a known pair:

1. Two bits that correlate are the seed of a pattern; records that set both are searched for the bit that
   they set most often beyond its share among all, and so on, until all that is left is bits which they all
   set: the closed pattern of one token (with those that it always brings along), and who bears it.
2. In the attacker's register every token has a frequency, a number of positions and frequencies together with
   others; patterns and tokens are assigned by the first two, and then by the third until nothing changes.
3. A record has the tokens whose patterns it sets.
4. Each record is given to the person of the register under whose tokens it is likeliest; the clearest of
   these tell the tokens of all patterns anew, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.attacks.encodings import View
from benchmarks.attacks.populations import Population
from crypto.encoding.encode import Prepared, prepare
from crypto.encoding.profile import Profile
from crypto.encoding.profile_parts import Field
from crypto.encoding.tokens import MAX_OCCURRENCES, gather, occurrences, tokenise

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Bits are of one group if they correlate this many standard deviations beyond chance.
_SIGNIFICANT = 6.0
#: Patterns that are looked for, seeds that are tried, and share of a pattern's bearers who set a bit of it.
_MOST_PATTERNS, _MOST_SEEDS, _ALL = 150, 1200, 0.985
#: Bearers, as a share of all, and bits of a pattern that is kept.
_LEAST_SHARE, _MOST_SHARE, _LEAST_BITS = 0.04, 0.75, 5
#: Probability that the bearer of a token sets its pattern.
_SETS = 0.95
#: Bits after which bearers are pure enough to see which bits all of them set.
_SEED_BITS = 5
#: Correlation from which two patterns are of one token.
_SAME = 0.9
#: Rounds of company, and of learning from the clearest.
_TURNS, _ROUNDS = 12, 25


def correlated(view: View) -> NDArray[np.float32]:
    """Correlation of every two bits over the persons, shape (width, width), the diagonal zero."""
    signs = view.signs[view.present]
    centred = signs - signs.mean(axis=0)
    spread = centred.std(axis=0)
    centred /= np.where(spread == 0, np.float32(1), spread)
    found: NDArray[np.float32] = (centred.T @ centred) / np.float32(len(signs))
    np.fill_diagonal(found, 0)
    return found


def companions(view: View) -> float:
    """Share of the bits that have a significantly correlated companion, beyond what chance gives.

    Six standard deviations make .00001 of the bits' pairs by chance, that is nothing; a bit with a companion
    is the start of a pattern, one without holds none.
    """
    limit = _SIGNIFICANT / np.sqrt(max(int(view.present.sum()), 1))
    return float((correlated(view).max(axis=1) > limit).mean())


@dataclass(frozen=True)
class Patterns:
    """Patterns: bits of each, shape (patterns, width), and who bears it, shape (persons, patterns)."""

    bits: Bools
    borne: Bools


def patterns(view: View) -> Patterns:
    """Grow patterns from the most correlated pairs of bits, those that no pattern holds yet."""
    bits = view.signs < 0
    share = bits.mean(axis=0)
    links = np.triu(correlated(view))
    some = np.flatnonzero(links > _SIGNIFICANT / np.sqrt(len(bits)))
    order = some[np.argsort(-links.ravel()[some])][: 20 * _MOST_SEEDS]
    found: dict[bytes, tuple[Bools, Bools]] = {}
    tried = 0
    for one, other in zip(*np.unravel_index(order, links.shape), strict=True):
        if tried >= _MOST_SEEDS or len(found) >= _MOST_PATTERNS:
            break
        if any(pattern[one] and pattern[other] for pattern, _ in found.values()):
            continue
        tried += 1
        pattern, borne = _grown(bits, share, [int(one), int(other)])
        if pattern.sum() >= _LEAST_BITS and _LEAST_SHARE <= borne.mean() <= _MOST_SHARE:
            found.setdefault(pattern.tobytes(), (pattern, borne))
    if not found:
        return Patterns(np.zeros((0, bits.shape[1]), np.bool_), np.zeros((len(bits), 0), np.bool_))
    kept = _different(list(found.values()))
    return Patterns(np.stack([p for p, _ in kept]), np.stack([b for _, b in kept], axis=1))


def _different(found: list[tuple[Bools, Bools]]) -> list[tuple[Bools, Bools]]:
    """Of patterns that the same persons bear, the first."""
    borne = np.stack([b for _, b in found], axis=1).astype(np.float32)
    alike = np.triu(np.atleast_2d(np.corrcoef(borne.T)) > _SAME, 1)  # of one pattern numpy makes a scalar
    return [found[place] for place in np.flatnonzero(~alike.any(axis=0))]


def _grown(bits: Bools, share: Floats, seed: list[int]) -> tuple[Bools, Bools]:
    borne: Bools = np.asarray(bits[:, seed].all(axis=1))
    chosen = list(seed)
    while len(chosen) < _SEED_BITS and borne.any():
        # The surest sign of the token is a bit that its bearers set and others seldom do.
        here = bits[borne].mean(axis=0)
        gain = (here - share) / np.sqrt(share * (1 - share) + 1e-9)
        gain[chosen] = -np.inf
        best = int(gain.argmax())
        chosen.append(best)
        borne = borne & bits[:, best]
    if not borne.any():
        return np.zeros(len(share), np.bool_), borne
    pattern: Bools = (bits[borne].mean(axis=0) >= _ALL) & (share < _ALL)
    return pattern, np.asarray(bits[:, pattern].all(axis=1))


@dataclass(frozen=True)
class Vocabulary:
    """Tokens of the register: who has each, shape (persons, tokens), and bits that its bearers all set."""

    borne: Bools
    bits: Floats


def vocabulary(population: Population, profile: Profile, name: str) -> Vocabulary:
    """The frequent tokens of the fields of one filter, as the profile cuts them."""
    prepared = prepare(population.table, profile)
    item = next(item for item in profile.filters if item.name == name)
    members = [profile.field(field) for field in item.fields if field in prepared.fields]
    groups = dict.fromkeys(field.group for field in members)
    made = [_tokens_of(prepared, [f for f in members if f.group == group]) for group in groups]
    borne = np.concatenate([columns for columns, _ in made], axis=1)
    positions = np.concatenate([counts for _, counts in made])
    share = borne.mean(axis=0)
    together = borne.T.astype(np.float32) @ borne.astype(np.float32)
    brought = together / np.maximum(borne.sum(axis=0), 1)[:, None]
    # Bits of the token and of those that it brings along, but for those that everybody has.
    bits = (brought >= _ALL) @ (positions * (share < _ALL))
    common = (share >= _LEAST_SHARE) & (share <= _MOST_SHARE)
    return Vocabulary(borne[:, common], bits[common])


def _tokens_of(prepared: Prepared, fields: Sequence[Field]) -> tuple[Bools, Floats]:
    """Tokens of the fields of one key group: who has each, and how many positions it sets."""
    texts: dict[str, int] = {}
    part: dict[int, int] = {}
    rows_of, ids_of = [], []
    for field in fields:
        column = prepared.fields[field.name].column
        made = tokenise(column.values, field.tokens)
        place = np.array([texts.setdefault(text, len(texts)) for text in made.texts], np.int64)
        part |= dict(zip(place.tolist(), made.part.tolist(), strict=True))
        rows, ids = gather(made, column.codes)
        rows_of.append(rows)
        ids_of.append(place[ids])
    rows, ids, numbers = occurrences(np.concatenate(rows_of), np.concatenate(ids_of))
    keys, inverse = np.unique(ids * MAX_OCCURRENCES + numbers, return_inverse=True)
    borne = np.zeros((prepared.rows, len(keys)), np.bool_)
    borne[rows, inverse] = True
    positions = fields[0].tokens.positions
    return borne, np.array([positions[part[int(key) // MAX_OCCURRENCES]] for key in keys], np.float64)


def assigned(found: Patterns, known: Vocabulary) -> Ints:
    """The token of every pattern."""
    count = len(found.borne)
    mine, hers = found.borne.astype(np.float64), known.borne.astype(np.float64)
    together, expected = mine.T @ mine / count, hers.T @ hers / len(hers)
    noise = np.sqrt(2 * expected * (1 - expected) / min(count, len(hers))) + 0.004
    share = np.diag(expected)
    single = ((np.diag(together)[:, None] - share) / np.diag(noise)) ** 2
    width = found.bits.shape[1]
    bits = width * (1 - np.exp(-known.bits / width))
    single += np.minimum(((found.bits.sum(axis=1)[:, None] - bits) / (2 + 0.1 * bits)) ** 2, 9)
    cost = single
    for turn in range(_TURNS):
        two = np.partition(cost, 1, axis=1)[:, :2]
        token = cost.argmin(axis=1)
        # Those of whom one token fits much better than the next; their company tells the others apart.
        clear = (two[:, 1] - two[:, 0]) / (1 + two[:, 0])
        sure = np.argsort(-clear)[: max(8, len(token) * (turn + 2) // (_TURNS + 1))]
        company = (together[:, None, sure] - expected[None][:, :, token[sure]]) / noise[None][
            :, :, token[sure]
        ]
        cost = single + np.minimum(company**2, 25).sum(axis=2)
    return np.asarray(cost.argmin(axis=1))


def _likelihood(found: Patterns, present: Bools, hers: NDArray[np.float32]) -> Floats:
    """Log-likelihood that record i is of person j, up to a constant for each record.

    ``hers``: who of the register has the token of each pattern.
    """
    share = np.clip(hers.mean(axis=0), 0.01, 0.99)
    # Who has a token sets its pattern (but for tokens that a pattern asks for besides); others do by chance.
    chance = np.clip((found.borne.mean(axis=0) - share * _SETS) / (1 - share), 0.01, 0.5)
    mine = (found.borne & present[:, None]).astype(np.float32)
    absent = present[:, None].astype(np.float32) - mine
    present_weight, absent_weight = np.log(_SETS / chance), np.log((1 - _SETS) / (1 - chance))
    return np.asarray(mine @ (hers * present_weight).T + absent @ (hers * absent_weight).T, dtype=np.float64)


def _learned(found: Patterns, known: Vocabulary, score: Floats) -> Ints:
    """Each pattern's token, as borne by the persons to whom records are given most clearly."""
    two = np.partition(score, -2, axis=1)[:, -2:]
    clear = np.argsort(two[:, 0] - two[:, 1])[: max(50, len(score) // 10)]
    mine = found.borne[clear].astype(np.float64)
    hers = known.borne[score[clear].argmax(axis=1)].astype(np.float64)
    mine -= mine.mean(axis=0)
    hers -= hers.mean(axis=0)
    length = np.outer(np.linalg.norm(mine, axis=0), np.linalg.norm(hers, axis=0)) + 1e-9
    return np.asarray((mine.T @ hers / length).argmax(axis=1))


def attack(views: Sequence[View], population: Population, profile: Profile, truth: Ints) -> float:
    """Share of the persons on both sides who are re-identified.

    Parameters
    ----------
    views
        Stolen encodings.
    population
        The attacker's register.
    profile
    truth : ndarray of int64, shape (n_victims,)
        Row of the register, −1 for those who are not in it; used to count hits only.
    """
    mined = [
        (patterns(view), vocabulary(population, profile, view.name), view) for view in views if not view.key
    ]
    held = [part for part in mined if part[0].borne.shape[1] and part[1].borne.shape[1]]
    both = np.flatnonzero(truth >= 0)
    if not held or not len(both):
        return 0.0
    tokens = [assigned(found, known) for found, known, _ in held]
    score = np.zeros(0)
    for _ in range(_ROUNDS):
        score = np.zeros((len(truth), len(population.numbers)))
        for (found, known, view), token in zip(held, tokens, strict=True):
            score += _likelihood(found, view.present, known.borne[:, token].astype(np.float32))
        before, tokens = tokens, [_learned(found, known, score) for found, known, _ in held]
        if all((old == new).all() for old, new in zip(before, tokens, strict=True)):
            break
    return float((score.argmax(axis=1)[both] == truth[both]).mean())
