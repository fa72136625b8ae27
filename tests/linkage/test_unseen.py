"""The engine on a population that nothing was tuned on, by the real encoder: it does not collapse."""

from __future__ import annotations

import pytest

from benchmarks import linkage_cases, linkage_unseen, world
from benchmarks.linkage_unseen import Wanted
from crypto.encoding.profile import default_profile
from linkage.run import Source, link

SCHOOLS = (world.SCHOOL, world.SCHOOL)
WAGES = (world.SCHOOL, world.WAGES)


def found(wanted: Wanted, profile: str) -> tuple[float, float, float, int, list[str]]:
    """F1, precision, believed precision, links, doubts."""
    case = wanted.case()
    made = linkage_unseen.ours(case, profile)
    q = linkage_unseen.quality(made["pairs"], case.truth())
    return q.f1, q.precision, made["believed"] or 1.0, len(made["pairs"]), made["doubts"]


# Floors some points below what was measured; Splink on the same people in clear: .69 to .92.
@pytest.mark.parametrize(
    ("overlap", "kinds", "profile", "floor"),
    [
        (0.05, SCHOOLS, "field-level", 0.80),
        (0.5, SCHOOLS, "field-level", 0.93),
        (0.5, SCHOOLS, "record-hardened", 0.88),
        (0.95, WAGES, "field-level", 0.90),
        (0.95, WAGES, "record-hardened", 0.82),
    ],
)
def test_link_of_people_never_seen_keeps_its_quality_and_knows_it(
    overlap: float, kinds: tuple[world.Roll, world.Roll], profile: str, floor: float
) -> None:
    f1, precision, believed, _, _ = found(Wanted("", 600, 3000, overlap, kinds), profile)
    assert f1 >= floor
    assert abs(precision - believed) <= 0.12


@pytest.mark.parametrize("kinds", [SCHOOLS, WAGES])
def test_link_of_schools_without_a_person_in_common_links_nobody_and_says_so(
    kinds: tuple[world.Roll, world.Roll],
) -> None:
    _, _, _, links, doubts = found(Wanted("", 600, 3000, 0.0, kinds), "field-level")
    assert links <= 6
    assert doubts or not links


def test_link_of_hardened_filters_without_a_person_in_common_is_doubted() -> None:
    _, _, _, links, doubts = found(Wanted("", 600, 3000, 0.0, SCHOOLS), "record-hardened")
    assert links <= 10
    assert doubts


def test_link_of_hardened_filters_with_few_persons_in_common_takes_few_relatives_for_them() -> None:
    f1, precision, _, _, doubts = found(Wanted("", 600, 3000, 0.05, SCHOOLS, seed=31), "record-hardened")
    assert precision >= 0.68
    assert f1 >= 0.78
    assert doubts


def test_link_of_schools_with_few_persons_in_common_is_doubted() -> None:
    _, precision, believed, _, doubts = found(Wanted("", 1000, 5000, 0.05, SCHOOLS), "field-level")
    assert precision < believed
    assert doubts


def test_link_of_people_many_of_whom_moved_counts_their_addresses_once() -> None:
    """Movers once fell out of the match class, which then took every part of an address for certain."""
    program = (world.SCHOOL, world.PROGRAM)
    f1, precision, *_ = found(Wanted("", 600, 3000, 0.95, program), "field-level")
    assert f1 >= 0.92
    assert precision >= 0.95


def test_link_of_the_same_persons_finds_nearly_all_of_them() -> None:
    f1, precision, *_ = found(Wanted("", 1000, 1000, 1.0, SCHOOLS), "field-level")
    assert f1 >= 0.97
    assert precision >= 0.99


def test_link_within_a_source_of_families_that_holds_nobody_twice_merges_no_household() -> None:
    case = Wanted("", 1200, 10, 0.0, SCHOOLS).case()
    profile = default_profile("field-level")
    only = Source("a", linkage_cases.encoded(case.left, profile), deduplicated=False)
    result = link([only], profile.link_spec())
    assert result.links.num_rows <= 12
    assert result.report["doubts"]
