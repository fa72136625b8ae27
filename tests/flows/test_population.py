"""What is out about a cohort stands in the order in which it was charged, also within one second."""

from __future__ import annotations

from pathlib import Path

from app.flows import population
from app.flows.sign_agreement import standing
from app.store import agreements
from tests.attacks.region import COHORT, Analyst, random_people, region_of

INDICATORS = ("continued_education", "employed_q4", "employed_q2", "attached_kystats")


def test_cubes_charged_within_one_second_stand_in_the_order_of_the_log(
    tmp_path: Path, migrated_sqlite: Path
) -> None:
    people = random_people(71, 30, dimensions=("sex",))
    terms = {"indicators": list(INDICATORS), "dimensions": ["sex"], "max_dimensions": 1}
    with region_of(tmp_path, migrated_sqlite, people, **terms) as region:
        # The clock of these tests stands still.
        for name in INDICATORS:
            assert Analyst(region.partnership).ask(indicator=name)
        with region.service.store.reading("what is out") as tx:
            agreement = agreements.find(tx, "cincinnati-nky")
            assert agreement is not None
            found = standing(tx, agreement, region.service.now())
            out = population.published(tx, agreement.id, found.terms, COHORT)
    assert len({entry.created_at for entry in out}) == 1
    assert tuple(entry.indicator for entry in out) == INDICATORS
