"""How long an answer takes: withheld, absent, unknown and not permitted, in many requests that take turns.

No clock is trusted: within each round every class is asked once, in an order drawn anew, and only ranks of
the differences within rounds count. A difference must be found in every one of several tries: a noisy minute
of the machine makes none, and a real one is there whenever it is looked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import wilcoxon

from app.flows import answer_release
from tests.attacks.region import COHORT, Analyst, Region, Someone, random_people, region_of
from tests.attacks.test_over_http import FEW, RELEASES

PEOPLE = [*random_people(11, 120, skew=0.5), *(Someone(f"few{at}", FEW) for at in range(5))]
#: Rounds of a try, tries, and how rare a difference is to be by chance within one try.
ROUNDS, TRIES, CHANCE = 24, 3, 1e-3
WITHHELD, ABSENT = "NativeHawaiianOrOtherPacificIslander", "RaceAndEthnicityUnknown"
Question = Mapping[str, Any]

#: What is asked, by class: within groups, and within groups of a dimension that is not permitted.
WITHIN: Mapping[str, Question] = {
    "withheld": {"by": ["sex"], "where": {"race_ethnicity": WITHHELD}},
    "absent": {"by": ["sex"], "where": {"race_ethnicity": ABSENT}},
    "unknown": {"by": ["sex"], "where": {"race_ethnicity": "Klingon"}},
}
NOT_PERMITTED: Mapping[str, Question] = {
    "populated": {"by": ["sex"], "where": {"county": "39061"}},
    "nobody's": {"by": ["sex"], "where": {"county": "39001"}},
}


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Region]:
    with region_of(
        tmp_path_factory.mktemp("timed"), migrated_sqlite, PEOPLE, dimensions=["sex", "race_ethnicity"]
    ) as made:
        Analyst(made.partnership).ask(("sex",))
        yield made


def seconds(region: Region, question: Question) -> float:
    body = {"indicator": "employed_q4", "cohort": COHORT} | dict(question)
    start = time.perf_counter()
    region.partnership.post(RELEASES, body)
    return time.perf_counter() - start


def told_apart(region: Region, classes: Mapping[str, Question]) -> list[str]:
    """Pairs of classes of which one takes longer than the other, in every try."""
    names, rng = list(classes), np.random.default_rng(1)
    suspect = list(combinations(names, 2))
    for _ in range(TRIES):
        rounds = []
        for _ in range(ROUNDS):
            taken = {names[at]: seconds(region, classes[names[at]]) for at in rng.permutation(len(names))}
            rounds.append(taken)
        differences = {(a, b): wilcoxon([each[a] - each[b] for each in rounds]).pvalue for a, b in suspect}
        suspect = [pair for pair in suspect if differences[pair] < CHANCE]
        if not suspect:
            break
    return [f"{a} and {b}" for a, b in suspect]


@pytest.mark.parametrize("classes", [WITHIN, NOT_PERMITTED])
def test_time_of_an_answer_tells_no_class_of_groups_from_another(
    region: Region, classes: Mapping[str, Question]
) -> None:
    assert told_apart(region, classes) == []


def test_time_tells_withheld_from_absent_where_withheld_rows_are_looked_at_longer(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = float(np.median([seconds(region, WITHIN["absent"]) for _ in range(9)]))
    real = answer_release.pick

    def slower(cube: Any, by: Any, where: Any = None) -> Any:
        # For groups that somebody is in: long enough to stand out on a machine that does much else.
        time.sleep(2 * usual if where == WITHIN["withheld"]["where"] else 0)
        return real(cube, by, where)

    monkeypatch.setattr(answer_release, "pick", slower)
    assert told_apart(region, {name: WITHIN[name] for name in ("withheld", "absent")})
