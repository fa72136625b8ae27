"""What the auditor's pages verify: a log that was changed is told, and where."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from app.errors import ServiceError
from app.flows.audit_views import Selection
from app.flows.auditor_views import checkpoint_view, prove, timeline, verify_log
from app.flows.organizations import authenticate
from app.store.models import LogEntry
from tests.world import World


def test_every_entry_is_proven_step_by_step_to_the_root_that_is_signed(sqlite_world: World) -> None:
    sqlite_world.agree()
    service = sqlite_world.service
    caller = authenticate(service, f"Bearer {sqlite_world.auditor.api_key}")
    size = timeline(service, caller, Selection()).size
    for index in range(size):
        proven = prove(service, caller, index)
        assert proven.ok, proven.checks
        assert proven.entry.index == index
        assert proven.steps[-1].result == proven.root
        covered = {index}.union(*(range(step.first, step.last + 1) for step in proven.steps))
        assert covered == set(range(proven.size))
    with pytest.raises(ServiceError, match="ENTRY_UNKNOWN"):
        prove(service, caller, size + 100)


def test_a_timeline_goes_back_page_by_page_to_the_beginning(sqlite_world: World) -> None:
    sqlite_world.agree()
    service = sqlite_world.service
    caller = authenticate(service, f"Bearer {sqlite_world.auditor.api_key}")
    seen, before = [], None
    while True:
        page = timeline(service, caller, Selection(limit=3), before)
        seen += [entry.index for entry in page.entries]
        before = page.older
        if before is None:
            break
    assert seen == list(reversed(range(page.size)))
    kinds = timeline(service, caller, Selection(kind="agreement.*")).entries
    assert {entry.kind.partition(".")[0] for entry in kinds} == {"agreement"}


def test_an_entry_that_was_changed_in_the_tables_fails_where_it_stands_and_in_the_whole(
    sqlite_world: World,
) -> None:
    sqlite_world.agree()
    service = sqlite_world.service
    caller = authenticate(service, f"Bearer {sqlite_world.auditor.api_key}")
    assert verify_log(service, caller).ok
    assert checkpoint_view(service, caller).signed
    with service.store.transaction() as tx:
        row = tx.session.get(LogEntry, 5)
        assert row is not None
        changed = row.leaf.replace(b'"actor":"operator"', b'"actor":"0perator"')
        assert changed != row.leaf
        tx.session.execute(update(LogEntry).where(LogEntry.index == 5).values(leaf=changed))
    proven = prove(service, caller, 5)
    assert [check.name for check in proven.checks if not check.ok] == ["path"]
    report = verify_log(service, caller)
    assert not report.ok
    assert report.first_wrong_entry is not None and report.first_wrong_entry <= 5
