"""Previews that owners of the data ask for on their pages: made beside the server's work, one at a time.

What a preview says is a figure about what nobody has released. It is kept in this process's memory for an
hour, for the organization that asked, and nowhere else; only that it was made is on the log. A server that
ends takes its previews with it: there is nothing to clean up, and they are asked for again.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import structlog

from app.auth import Caller, Role
from app.errors import ConflictError, ForbiddenError, NotFoundError, RefusedError, ServiceError
from app.flows.ask_figures import years
from app.flows.preview_release import preview_release
from app.flows.service import Service
from app.flows.sign_agreement import Standing, standing, unknown, visible
from app.outcomes.indicators import INDICATORS
from app.store import releases, runs
from crypto.errors import CohortlinkError

KEPT: Final = timedelta(hours=1)
#: Policies that one preview may compare.
MOST: Final = 6
#: Minimum cells offered beside the agreement's own, and how many.
_CELLS: Final = (15, 20, 25, 30, 40, 50, 75, 100)
_OFFERED: Final = 4
_DEEPEST: Final = 3

log = structlog.get_logger()

State = Literal["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"]
OPEN: Final = ("QUEUED", "RUNNING")


class _StoppedError(Exception):
    """Nobody waits for it any more."""


@dataclass(frozen=True)
class Preview:
    """A preview as it is now.

    Attributes
    ----------
    id, agreement, organization : str
    asked : mapping
        ``indicator``, ``cohort``, ``min_cells``, ``depths``.
    state : str
    stage : str
    percent : int
        Of the stage.
    found : mapping or None
        As `preview_release` gives it.
    error : ServiceError or None
    """

    id: str
    agreement: str
    organization: str
    asked: Mapping[str, Any]
    created_at: datetime
    state: State = "QUEUED"
    stage: str = ""
    percent: int = 0
    found: Mapping[str, Any] | None = None
    error: ServiceError | None = None


def offer(service: Service, caller: Caller, agreement_id: str) -> dict[str, Any]:
    """What an owner may preview under the terms that are before the owners.

    Returns
    -------
    dict
        ``agreement``, ``version``, ``min_cell``, ``indicators`` (documents), ``years``, ``span`` (the years
        to begin with), ``min_cells``, ``depths``, ``depth`` (the agreement's own), ``linked`` (whether there
        is a run).

    Raises
    ------
    NotFoundError
        ``AGREEMENT_UNKNOWN``.
    ForbiddenError
        ``PREVIEW_NOT_PERMITTED``.
    """
    with service.store.reading("offer of previews") as tx:
        found = standing(tx, visible(tx, caller, agreement_id), service.now())
        _require_owner(found, caller)
        linked = runs.latest_succeeded(tx, agreement_id) is not None
        published = [entry.cohort for entry in releases.ledger_of_agreement(tx, agreement_id)]
    terms = found.terms
    offered = years(found, service.now())
    span = published[-1].split("..") if published else [year for year in offered if "-" in year][-4:]
    depth = max(1, terms.document.max_dimensions)
    return {
        "agreement": agreement_id,
        "version": found.version.version,
        "min_cell": terms.min_cell,
        "indicators": [
            INDICATORS[name].to_document()
            for name in terms.indicators
            if name in INDICATORS and INDICATORS[name].disclosure in ("proportion", "bands")
        ],
        "years": offered,
        "span": (span[0], span[-1]) if span else ("", ""),
        "min_cells": [terms.min_cell, *(k for k in _CELLS if k > terms.min_cell)][:_OFFERED],
        "depths": list(range(1, min(max(depth, 2), _DEEPEST, len(terms.dimensions)) + 1)),
        "depth": depth,
        "linked": linked,
    }


def _require_owner(found: Standing, caller: Caller) -> None:
    """Owners only, and none who is a recipient too: a preview tells what a release withholds.

    Raises
    ------
    NotFoundError, ForbiddenError
    """
    if caller.role is not Role.AGENCY or caller.organization not in found.terms.data_owners:
        raise unknown()
    if caller.organization in found.terms.recipients:
        raise ForbiddenError(
            "Whoever receives the figures may not see what is withheld from them.", "PREVIEW_NOT_PERMITTED"
        )


@dataclass
class Previews:
    """The previews of one server; safe to share between threads."""

    service: Service
    _kept: dict[str, Preview] = field(default_factory=dict)
    _stopped: set[str] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _worker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "preview"))

    def start(
        self,
        caller: Caller,
        agreement_id: str,
        indicator: str,
        cohort: str,
        min_cells: Sequence[int],
        depths: Sequence[int],
    ) -> Preview:
        """Queue a preview.

        Raises
        ------
        NotFoundError, ForbiddenError
            As :func:`offer`.
        RefusedError
            ``PREVIEW_INVALID``: none, or too many, policies.
        ConflictError
            ``PREVIEW_RUNNING``: the organization waits for one already.
        """
        offered = offer(self.service, caller, agreement_id)
        cells = sorted({*min_cells} & {*offered["min_cells"]})
        deep = sorted({*depths} & {*offered["depths"]})
        if not 0 < len(cells) * len(deep) <= MOST:
            raise RefusedError(
                "PREVIEW_INVALID", f"Choose minimum cells and depths that make 1 to {MOST} pairs."
            )
        asked = {"indicator": indicator, "cohort": cohort, "min_cells": cells, "depths": deep}
        made = Preview(
            f"pre-{secrets.token_hex(12)}", agreement_id, caller.organization, asked, self.service.now()
        )
        with self._guard:
            self._forget(made.created_at)
            if any(
                each.organization == caller.organization and each.state in OPEN
                for each in self._kept.values()
            ):
                raise ConflictError("PREVIEW_RUNNING", "You wait for a preview already; look at that first.")
            self._kept[made.id] = made
        self._worker.submit(self._make, made.id)
        return made

    def show(self, caller: Caller, preview_id: str) -> Preview:
        """A preview that the caller's organization asked for, on this server, within the hour.

        Raises
        ------
        NotFoundError
            ``PREVIEW_UNKNOWN``; ``AGREEMENT_UNKNOWN`` once it is no owner any more.
        ForbiddenError
        """
        with self._guard:
            self._forget(self.service.now())
            found = self._kept.get(preview_id)
        if found is None or caller.role is not Role.AGENCY or found.organization != caller.organization:
            raise NotFoundError(
                "PREVIEW_UNKNOWN", "There is no such preview, or its hour is over; ask for it again."
            )
        with self.service.store.reading("may preview") as tx:
            agreement = visible(tx, caller, found.agreement)
            _require_owner(standing(tx, agreement, self.service.now()), caller)
        return found

    def stop(self, caller: Caller, preview_id: str) -> None:
        """Stop a preview at its next sign of progress; one that has ended stays as it is."""
        if self.show(caller, preview_id).state in OPEN:
            self._stopped.add(preview_id)

    def close(self) -> None:
        """Stop what is being made."""
        with self._guard:
            self._stopped |= {*self._kept}
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _make(self, preview_id: str) -> None:
        preview = self._kept[preview_id]

        def told(stage: str, done: int, total: int) -> None:
            if preview_id in self._stopped:
                raise _StoppedError
            # In hundredths: how many goals a proof has would tell of groups.
            self._now(preview_id, stage=stage, percent=100 * done // total if total else 0)

        try:
            self._now(preview_id, state="RUNNING")
            told("", 0, 0)
            found = preview_release(
                self.service, preview.agreement, **preview.asked, progress=told, actor=preview.organization
            )
        except _StoppedError:
            self._now(preview_id, state="CANCELLED")
        except (ServiceError, CohortlinkError) as error:
            self._now(preview_id, state="FAILED", error=ServiceError(error.code, 422, error.detail))
        except Exception as error:  # noqa: BLE001 (a thread has nobody above it to tell)
            # What went wrong may name values: the page says that it did, the log where.
            log.error("preview failed", error=type(error).__name__)
            unexpected = ServiceError("INTERNAL", 500, "Something went wrong; ask again.")
            self._now(preview_id, state="FAILED", error=unexpected)
        else:
            self._now(preview_id, state="SUCCEEDED", found=found)

    def _now(self, preview_id: str, **changes: Any) -> None:
        with self._guard:
            self._kept[preview_id] = replace(self._kept[preview_id], **changes)

    def _forget(self, now: datetime) -> None:
        for old in [
            each.id for each in self._kept.values() if each.state not in OPEN and now - each.created_at > KEPT
        ]:
            del self._kept[old]
            self._stopped.discard(old)
