"""Linking two sources: candidates, comparison, model, competition, assignment; and the figures of it all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from linkage import assignment, dependence, frequency, learning, model, patterns, scoring
from linkage.errors import LinkageError
from linkage.figures import believed_missed, beyond_comparison, comparable_share, level_shares
from linkage.plan import ANY_KEY, Compared, Plan, scores_of
from linkage.records import Source
from linkage.result import Borrowed, PairResult

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Comparisons from which relatives can be told from matches.
RELATIVES_FROM = 2

#: Comparisons of fields that are filled, from which relatives can be told from matches even where nobody is
#: known to be different.
_APART_FROM = 4

#: Matches' worth of trust that a smaller source pair places in the m of larger ones.
_BORROWED = 20.0

#: Matches' worth of trust in that matches mostly agree, where nothing has taught better.
_EXPECTED = 20.0

#: Share of pairs that are still possible from which taking out the others is not worth a new estimate.
_WORTH_A_ROUND = 0.9

#: Share of the smaller source's records with a partner, below which relatives weigh among the links.
_FEW = 1 / 8

#: Believed precision from which few partners raise no doubt where fields are compared.
_SURE = 0.96

#: Times that records whose partner has become certain are taken out.
_ROUNDS = 3


def groups_of(plan: Plan, names: Sequence[str], kin: Compared | None) -> list[tuple[str, ...]]:
    """The comparisons of a source pair.

    Views are compared jointly only where pairs of different persons are known, for a joint comparison that
    stands alone cannot tell two classes apart.
    """
    groups = plan.groups_among(names)
    if kin is not None:
        return groups
    return [part for g in groups for part in ([(n,) for n in g] if plan.record_level(g) else [g])]


def refine_by_certainty(
    compared: Compared,
    sizes: Sequence[int],
    given_u: Sequence[bool],
    gaps: Sequence[model.Gaps],
    pseudo: Sequence[Floats],
    fit: model.Fit,
    counted: patterns.Patterns,
    which: Ints,
    odds: Floats,
    probability: Floats,
    records: tuple[int, int],
) -> Floats:
    """Log-odds with the records whose partner is certain taken out: fewer strangers, fewer rivals.

    Among the records that still look for a partner a weak agreement means more than among all of them, since
    the number of possible wrong pairs falls with the square. The match class is estimated anew for them: it
    holds no clear cases any more. Returned unchanged where that estimate fails.
    """
    found = compared.found
    certain = probability >= 0.99
    free_left = np.ones(records[0], np.bool_)
    free_right = np.ones(records[1], np.bool_)
    free_left[found.left[certain]] = False
    free_right[found.right[certain]] = False
    rest = free_left[found.left] & free_right[found.right]
    share = float(free_left.mean() * free_right.mean())
    if not certain.any() or not rest.any() or not 0 < share <= _WORTH_A_ROUND:
        return odds
    inside = np.bincount(which[rest], minlength=len(counted.candidates)).astype(np.float64)
    left_over = patterns.Patterns(counted.values, inside, counted.others * share)
    old = fit.parameters
    before = replace(
        old,
        pairs=old.pairs * share,
        matches=max(float(probability[rest].sum()), 1.0),
        relatives=tuple(x * share for x in old.relatives),
        foreseen=tuple(x * share for x in old.foreseen),
    )
    again = model.estimate(left_over, sizes, before, fixed_u=given_u, gaps=gaps, m_pseudo=pseudo)
    if not again.converged or again.parameters.matches < 1.0:
        return odds
    new = model.log_odds(counted.values, again.parameters)[which]
    return np.where(rest, np.maximum(new, odds), odds)


def among_the_free(compared: Compared, probability: Floats, records: tuple[int, int]) -> Floats:
    """What to add to the log-odds of pairs of which both records still look for a partner; 0 for others.

    Matches that are hard to tell are all among these, but of the strangers and relatives only as many as
    there are records left: a namesake whose own partner is certain is nobody's rival.
    """
    found, certain = compared.found, probability >= 0.99
    free_left, free_right = (np.ones(count, np.bool_) for count in records)
    free_left[found.left[certain]] = False
    free_right[found.right[certain]] = False
    share = float(free_left.mean() * free_right.mean())
    if share == 0:
        return np.zeros(len(probability))
    return np.where(free_left[found.left] & free_right[found.right], -np.log(share), 0.0)


def fit_pair(
    compared: Compared,
    kin: Compared | None,
    plan: Plan,
    names: Sequence[str],
    most: float,
    borrowed: Borrowed,
) -> tuple[model.Fit, patterns.Patterns, Ints, str]:
    """Estimate the model; comparisons that prove dependent among matches are joined, and it starts over."""
    while True:
        groups = groups_of(plan, names, kin)
        sizes = [plan.size(g) for g in groups]
        scores = [scores_of(plan, g) for g in groups]
        counted, which = compared.counted(plan, groups)
        inside = kin.counted(plan, groups)[0] if kin is not None else None
        r: model.Classes = ()
        foreseen: list[float] = []
        if kin is not None and inside is not None and len(groups) >= RELATIVES_FROM:
            own = plan.gaps_among(inside, groups)
            r, numbers = learning.relative_classes(inside, sizes, scores, own)
            foreseen = [number * compared.total / kin.total for number in numbers]
        gaps = plan.gaps_among(counted, groups)
        filled = int((counted.values >= 0).any(axis=0).sum())
        if kin is None and filled >= _APART_FROM and not any(plan.record_level(g) for g in groups):
            r, numbers = learning.relatives_among_all(counted, sizes, scores, gaps)
            foreseen = list(numbers)
        start, origin = learning.starting_values(counted, sizes, scores, compared.total, most, r, foreseen)
        # Record-level filters, and a comparison that stands alone, cannot be told apart without a known u.
        # Several views without known strangers teach each other.
        alone = len(groups) == 1
        given = [alone or plan.record_level(g) for g in groups]
        if kin is None:
            # But that one key in millions agrees by chance is known without any pairs.
            fields = any(not plan.record_level(g) and g != (ANY_KEY,) for g in groups)
            given = [(plan.record_level(g) and (alone or fields)) or g == (ANY_KEY,) for g in groups]
        start = learning.with_given_u(start, _known_u(kin, inside, plan, groups, sizes), given)
        start = model.evened(start, gaps)
        pseudo = [
            borrowed.get((g, s), _EXPECTED * m) + 1.0 / s
            for g, s, m in zip(groups, sizes, start.m, strict=True)
        ]
        fit = model.estimate(counted, sizes, start, m_pseudo=pseudo, fixed_u=given, gaps=gaps)
        if inside is None or not r:
            break
        matched = counted.candidates * expit(model.log_odds(counted.values, fit.parameters))
        among_others = dependence.correlations(inside.values, inside.candidates, scores)
        among = dependence.correlations(counted.values, matched, scores)
        if not any(map(plan.record_level, groups)):
            odds = partial(model.log_odds, p=fit.parameters)
            apart = dependence.correlations_apart(counted, scores, among_others, odds)
            among = np.maximum(among, apart)
        together = dependence.dependent(among, among_others)
        if not any(plan.merge(groups[g], groups[h]) for g, h in together):
            break
    labels = ["+".join(g) for g in groups]
    fit = model.doubts(fit, scores, labels, most, float(len(compared.found.left)))
    return fit, counted, which, origin


def _known_u(
    kin: Compared | None,
    inside: patterns.Patterns | None,
    plan: Plan,
    groups: Sequence[tuple[str, ...]],
    sizes: Sequence[int],
) -> list[Floats]:
    """How different persons compare: from pairs inside a source, else by the law of diffused filters."""
    shares = (
        list(model.random_shares(inside, sizes))
        if inside is not None
        else [np.full(s, 1.0 / s) for s in sizes]
    )
    for g, group in enumerate(groups):
        if not plan.record_level(group):
            continue
        levels = [plan.levels[n] for n in group]
        if kin is not None and len(group) > 1:
            shares[g] = learning.views_by_chance(
                kin.counted(plan, [(n,) for n in group])[0], levels, sizes[g], plan.near(group)
            )
        elif kin is None:
            shares[g] = learning.views_of_strangers(levels)
    return shares


def refine_by_frequency(
    compared: Compared,
    plan: Plan,
    names: Sequence[str],
    odds: Floats,
    competing: Callable[[Floats], Floats],
) -> tuple[Floats, Floats] | None:
    """Log-odds in which identical filters of the scanned comparison count by how rare they are.

    Returns
    -------
    (log-odds, log2 of what was added) of each candidate, or None
        None without a plain scanned filter, or beside no other comparison (which alone says who is a match).
    """
    scanned = next((rule for rule in compared.found.report if rule["rule"] == "scan" and rule["used"]), None)
    name = str(scanned["filters"][0]) if scanned is not None and isinstance(scanned["filters"], list) else ""
    if not name or plan.levels[name].spec.similarity != "dice":
        return None
    if len(plan.groups_among(names)) == 1:
        return None
    rivals = frequency.rivalry(
        compared.found.left, compared.found.right, competing(odds), compared.inside[name] >= 1.0
    )
    more = frequency.worth(rivals, odds, competing)
    return odds + more, more / np.log(2.0)


def _late_doubts(probability: Floats, records: int, known: Sequence[str], diffused: bool) -> list[str]:
    """Doubts that only the links themselves raise, of sources of which the smaller has ``records``.

    ``diffused``: records were compared by views of everything at once, which cannot tell a twin, a son who
    bears his father's name or a relative's number from an error in the same fields. Fields apart can, but
    where few have a partner those few are up against all the others' relatives.
    """
    if not len(probability):
        return [] if model.NO_MATCHES in known else [model.NO_MATCHES]
    if float(probability.mean()) < 0.8:
        return ["Fewer than four in five links are believed to be true."]
    if float(probability.mean()) < 0.9 and len(probability) < 0.05 * records:
        return ["The links are few and weak: perhaps nobody is in both sources."]
    if len(probability) < _FEW * records and (diffused or float(probability.mean()) < _SURE):
        return ["Few records have a partner: more of them are relatives than their probabilities say."]
    return []


def link_pair(
    a: Source,
    b: Source,
    compared: Compared,
    kin: Compared | None,
    plan: Plan,
    *,
    names: Sequence[str],
    threshold: float,
    left_once: bool,
    right_once: bool,
    borrowed: Borrowed,
    estimator: str,
) -> PairResult:
    """Link two sources (or one with itself) that have at least one filter in common."""
    found = compared.found
    most = float(min(len(a.encodings), len(b.encodings))) if left_once or right_once else compared.total
    fit, counted, which, origin = fit_pair(compared, kin, plan, names, most, borrowed)
    odds = model.log_odds(counted.values, fit.parameters)[which]
    weight = model.weights(counted.values, fit.parameters)[which]

    def competing(log_odds: Floats) -> Floats:
        return scoring.matching_marginals(
            found.left, found.right, np.exp(log_odds), left_once=left_once, right_once=right_once
        )

    groups = groups_of(plan, names, kin)
    own = {(g, plan.size(g)): _BORROWED * m for g, m in zip(groups, fit.parameters.m, strict=True)}
    probability = competing(odds)
    if estimator == "recordlinkage":
        swapped = learning.by_recordlinkage(counted, [scores_of(plan, g) for g in groups])
        if swapped is None:
            raise LinkageError(
                "ESTIMATOR_FAILED",
                f"recordlinkage's classifier finds no two classes in {a.name!r} × {b.name!r}.",
            )
        fit, counted = swapped
        odds = model.log_odds(counted.values, fit.parameters)[which]
        weight = model.weights(counted.values, fit.parameters)[which]
        probability, origin = competing(odds), "recordlinkage"
    elif left_once and right_once:
        finer = refine_by_frequency(compared, plan, names, odds, competing)
        if finer is not None:
            odds, weight = finer[0], weight + finer[1]
            probability = competing(odds)
            odds = odds + among_the_free(compared, probability, (len(a.encodings), len(b.encodings)))
            probability = competing(odds)
        elif any(plan.record_level(g) for g in groups):
            records = len(a.encodings), len(b.encodings)
            sizes = [plan.size(g) for g in groups]
            given = [plan.record_level(g) for g in groups]
            gaps = plan.gaps_among(counted, groups)
            pseudo = [2.0 * m for m in fit.parameters.m]
            for _ in range(_ROUNDS):
                odds = refine_by_certainty(
                    compared, sizes, given, gaps, pseudo, fit, counted, which, odds, probability, records
                )
                probability = competing(odds)
    alone = expit(odds)
    wanted = np.flatnonzero(alone >= threshold)
    gain = odds[wanted] - odds[wanted].min(initial=0.0) + 1e-9
    taken, greedy = assignment.assign(
        found.left[wanted], found.right[wanted], gain, left_once=left_once, right_once=right_once
    )
    chosen = wanted[taken & (probability[wanted] >= threshold)]
    comparable = [comparable_share(s.encodings, names) for s in (a, b)]
    missed = believed_missed(found, probability)
    missed += beyond_comparison(float(probability.sum()) + missed, comparable)
    smaller = min(len(a.encodings), len(b.encodings))
    diffused = any(plan.record_level(g) for g in groups)
    late = _late_doubts(probability[chosen], smaller, fit.warnings, diffused)
    fit = replace(fit, warnings=(*fit.warnings, *late))
    report: dict[str, object] = {
        "sources": [a.name, b.name],
        "records": [len(a.encodings), len(b.encodings)],
        "pairs": compared.total,
        "candidates": len(found.left),
        "rules": found.report,
        "start": origin,
        "converged": fit.converged,
        "iterations": fit.iterations,
        "warnings": list(fit.warnings),
        "comparisons": [list(g) for g in groups],
        "expected_matches": round(fit.parameters.matches, 3),
        "expected_relatives": [round(x, 3) for x in fit.parameters.relatives],
        "prior": fit.parameters.prior,
        "matches": len(chosen),
        "match_rate": len(chosen) / max(1, min(len(a.encodings), len(b.encodings))),
        "threshold": threshold,
        "model": level_shares(compared, plan, probability),
        "histogram": scoring.histogram(probability, weight),
        "comparable": [round(share, 6) for share in comparable],
        "believed_missed": round(missed, 3),
        "thresholds": (rows := scoring.thresholds_table(probability, missed, threshold)),
        "advised_threshold": scoring.advised_threshold(rows, threshold),
        "components_solved_greedily": greedy,
    }
    return PairResult(
        found.left[chosen], found.right[chosen], probability[chosen], weight[chosen], report, own
    )
