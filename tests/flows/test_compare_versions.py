"""The readable difference between two versions of an agreement: whether each change permits more or less."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from app.flows.compare_versions import Change, compare, words
from crypto.encoding.profile import default_profile
from tests.world import EDUCATION, PARTNERSHIP, WORKFORCE, agreement_document


def changes(after: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Change]:
    found = compare(before or agreement_document(), after)
    return {change.what: change for section in found for change in section.changes}


def test_the_same_version_compared_with_itself_gives_nothing() -> None:
    assert compare(agreement_document(), agreement_document()) == []


@pytest.mark.parametrize(
    ("field", "value", "what", "effect"),
    [
        ("indicators", ["employed_q4", "gap"], "Indicator: gap", "more"),
        ("indicators", [], "Indicator: employed_q4", "less"),
        ("dimensions", ["pathway", "county"], "Dimension: county", "more"),
        ("max_dimensions", 3, "Dimensions that may be crossed", "more"),
        ("geography_floor", "state", "Smallest place told apart", "less"),
        ("geography_floor", None, "Smallest place told apart", "more"),
        ("min_cell", 10, "Minimum cell, the largest that any party asks for", "more"),
        ("min_cell", 30, "Minimum cell, the largest that any party asks for", "less"),
        ("review_days", 7, "Days in which owners see a table before its recipients", "less"),
        ("effective", "2025-01-01", "In force from", "more"),
        ("expires", "2027-01-01", "In force until", "less"),
        ("retention_until", None, "Data kept until at most", "more"),
        ("retention_until", "2028-01-30", "Data kept until at most", "less"),
        ("destroy_within_days", 365, "Days after the end by which data are destroyed", "more"),
        ("destroy_within_days", None, "Days after the end by which data are destroyed", "more"),
    ],
)
def test_a_change_of_terms_says_whether_it_permits_more_or_less(
    field: str, value: Any, what: str, effect: str
) -> None:
    forward = changes(agreement_document(**{field: value}))
    assert forward[what].effect == effect
    backward = changes(agreement_document(), agreement_document(**{field: value}))
    assert backward[what].effect == {"more": "less", "less": "more"}[effect]


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        (["*"], ["2022-23"], "less"),
        (["2022-23"], ["*"], "more"),
        (["2022-23"], ["2022-23", "2023-24"], "more"),
        (["2021-22..2023-24"], ["2022-23"], "less"),
        (["2021-22"], ["2022-23"], "more"),
        (["2022-23", "2023-24"], ["2022-23..2023-24"], ""),
    ],
)
def test_a_change_of_periods_is_judged_by_the_months_that_they_cover(
    before: list[str], after: list[str], effect: str
) -> None:
    def document(periods: list[str]) -> dict[str, Any]:
        made = agreement_document()
        made["datasets"][0]["periods"] = periods
        return made

    found = changes(document(after), document(before))
    assert found[f"completion of {EDUCATION}: periods"].effect == effect


def test_fields_that_come_and_go_together_permit_more() -> None:
    old, new = agreement_document(), agreement_document()
    old["datasets"][0]["fields"] = ["award_kind", "sex"]
    new["datasets"][0]["fields"] = ["award_kind", "race"]
    change = changes(new, old)[f"completion of {EDUCATION}: fields"]
    assert (change.before, change.after, change.effect) == ("award_kind, sex", "award_kind, race", "more")


def test_parties_and_data_sets_that_join_or_leave_are_named() -> None:
    new = agreement_document()
    new["parties"].append({"organization": "college", "role": "data_owner"})
    new["datasets"] = [new["datasets"][0], {"organization": "college", "kind": "completion"}]
    found = changes(new)
    assert found["college as data owner"].effect == "more"
    assert found["completion of college"].effect == "more"
    assert found[f"wage of {WORKFORCE}"].effect == "less"
    assert PARTNERSHIP not in str(found)


def test_a_changed_text_is_shown_word_by_word() -> None:
    assert words("one year after graduation", "two years after graduation") == (
        ("removed", "one year "),
        ("added", "two years "),
        ("same", "after graduation"),
    )
    change = changes(agreement_document(purpose="Employment one year after"))["Purpose"]
    assert change.effect == ""
    assert "".join(text for kind, text in change.words if kind != "added") == change.before
    assert "".join(text for kind, text in change.words if kind != "removed") == change.after


def test_another_profile_is_shown_place_by_place_with_its_risk() -> None:
    hardened = default_profile("record-hardened")
    new = agreement_document(
        linkage_profile=hardened.to_document(), linkage_profile_hash=hardened.fingerprint
    )
    found = changes(new)
    assert (found["risk"].before, found["risk"].after, found["risk"].effect) == ("high", "low", "less")
    assert found["family"].after == "record-hardened"
    assert any(what.endswith("further places") for what in found)


def test_the_order_of_lists_is_no_difference() -> None:
    new = agreement_document()
    for name in ("parties", "datasets"):
        new[name] = list(reversed(copy.deepcopy(new[name])))
    assert compare(agreement_document(), new) == []
