"""When data must be destroyed."""

from __future__ import annotations

from datetime import date

import pytest

from app.flows.agreement_terms import parse_terms
from app.flows.retention import due_on
from tests.world import WORKFORCE, World, agreement_document


@pytest.mark.parametrize(
    ("retention_until", "within", "revoked", "due"),
    [
        ("2028-06-30", 30, None, date(2028, 1, 31)),
        ("2028-01-05", 30, None, date(2028, 1, 5)),
        ("2028-06-30", 30, date(2026, 12, 1), date(2026, 12, 31)),
        ("2028-06-30", None, date(2026, 12, 1), date(2028, 6, 30)),
        (None, None, None, None),
    ],
)
def test_data_are_due_at_the_earlier_of_what_the_agreement_promises(
    retention_until: str | None, within: int | None, revoked: date | None, due: date | None
) -> None:
    terms = parse_terms(agreement_document(retention_until=retention_until, destroy_within_days=within))
    assert due_on(terms, revoked) == due


def test_an_agreement_shows_when_its_data_are_due_that_they_are_late_and_who_asked(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    identifier = world.agree()
    path = f"/agreements/{identifier}"

    def shown() -> dict[str, object]:
        found: dict[str, object] = world.education.get(path).json()["destruction"]
        return found

    nobody = {"requested_by": None, "requested_at": None}
    assert shown() == {"due_on": "2028-01-31", "overdue": False} | nobody
    body = world.workforce.state(identifier, "agreement-revocation")
    world.workforce.post(f"{path}/revocations", body)
    assert shown() == {"due_on": "2026-12-22", "overdue": False} | nobody
    world.clock.advance(days=32)
    assert shown() == {"due_on": "2026-12-22", "overdue": True} | nobody
    world.workforce.post(f"{path}/destruction")
    assert (shown()["requested_by"], shown()["overdue"]) == (WORKFORCE, True)
    world.operator.post(f"{path}/destruction")
    assert (shown()["requested_by"], shown()["overdue"]) == (WORKFORCE, False)
