"""An agreement's document, read: what it permits. What it does not say is not permitted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import Problem, RefusedError
from app.flows.disclosure_terms import Disclosure
from app.flows.periods import Period, covers, meets, read_periods
from app.outcomes.cohort import Cohort
from app.outcomes.errors import OutcomesError
from crypto.canonical import canonical_json
from crypto.encoding.profile import Profile
from crypto.errors import CohortlinkError

DEFAULT_MIN_CELL = 10
MAX_DOCUMENT_BYTES = 1_000_000

Slug = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$")]
Text = Annotated[str, Field(max_length=4000)]
Word = Annotated[str, Field(min_length=1, max_length=80)]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
MinCell = Annotated[int, Field(ge=DEFAULT_MIN_CELL, le=100_000)]
DatasetKind = Literal["completion", "wage", "participation", "truth"]
PartyRole = Literal["data_owner", "recipient", "operator"]
Geography = Literal["nation", "state", "county"]

#: The smallest places that a dimension tells apart; a dimension that is not here tells none.
PLACES: Mapping[str, Geography] = {"state": "state", "state_of_work": "state", "county": "county"}
_FINENESS: Mapping[Geography, int] = {"nation": 0, "state": 1, "county": 2}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Party(_Strict):
    """An organization, as what it takes part, on what legal basis, and who signs for it."""

    organization: Slug
    role: PartyRole
    legal_basis: Text = ""
    signatory: Text = ""


class Dataset(_Strict):
    """One organization's facts of one kind; `fields` and `periods` say which (`*`: all).

    A period is a quarter (`2023Q1`), a year (`2022`, `2022-23`) or a range of either. An award belongs to
    the period of its date, a wage to that of its quarter, a participation to that of its entry.
    """

    organization: Slug
    kind: DatasetKind
    fields: list[Word] = Field(default=["*"], max_length=200)
    periods: list[Word] = Field(default=["*"], max_length=200)


class Document(_Strict):
    """DOMAIN: agreements as code."""

    id: Slug
    parties: list[Party] = Field(min_length=1, max_length=200)
    purpose: Annotated[str, Field(min_length=1, max_length=4000)]
    evaluated_program: Text | None = None
    datasets: list[Dataset] = Field(max_length=1000)
    recipients: list[Slug] = Field(max_length=200)
    indicators: list[Word] = Field(max_length=200)
    dimensions: list[Word] = Field(max_length=200)
    max_dimensions: Annotated[int, Field(ge=0, le=5)] = 1
    min_cell: MinCell | dict[Slug, MinCell]
    geography_floor: Geography | None = None
    effective: Day
    expires: Day
    retention_until: Day | None = None
    destroy_within_days: Annotated[int, Field(ge=0, le=36_500)] | None = None
    review_days: Annotated[int, Field(ge=0, le=3650)] = 0
    disclosure: Disclosure = Disclosure()
    audit_rights: Text | list[Text] | None = None
    linkage_profile: dict[str, Any]
    linkage_profile_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Terms:
    """What a version of an agreement permits.

    Attributes
    ----------
    document : Document
    highest_min_cell : int
        What a recipient may ask for.
    min_cell : int
        The largest that any party asks for, in persons.
    effective, expires : date
        In force from the beginning of `effective` until the beginning of `expires`, UTC.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        asked = document.min_cell if isinstance(document.min_cell, int) else max(document.min_cell.values())
        self.min_cell: int = max(DEFAULT_MIN_CELL, asked)
        self.highest_min_cell: int = max(self.min_cell, document.disclosure.asked_min_cell)
        self.effective = date.fromisoformat(document.effective)
        self.expires = date.fromisoformat(document.expires)

    @property
    def data_owners(self) -> frozenset[str]:
        """Those who must approve and may revoke."""
        return frozenset(party.organization for party in self.document.parties if party.role == "data_owner")

    @property
    def recipients(self) -> frozenset[str]:
        """Those who may ask for releases."""
        return frozenset(self.document.recipients)

    @property
    def indicators(self) -> tuple[str, ...]:
        return tuple(self.document.indicators)

    @property
    def dimensions(self) -> tuple[str, ...]:
        return tuple(self.document.dimensions)

    @property
    def named_tables(self) -> tuple[tuple[str, ...], ...]:
        """Tables that are planned by name, and with each the tables that it is the sum of."""
        parts = (
            part
            for table in self.document.disclosure.tables
            for size in range(1, len(table) + 1)
            for part in combinations(table, size)
        )
        return tuple(dict.fromkeys(parts))

    def permits_cohort(self, cohort: Cohort) -> bool:
        """Whether some owner's completions may be used for every month of the cohort."""
        wanted = Period.of_cohort(cohort)
        return any(
            covers(read_periods(item.periods), wanted)
            for item in self.document.datasets
            if item.kind == "completion"
        )

    def dataset(self, organization: str, kind: str) -> Dataset | None:
        """What this organization may submit of this kind, if anything."""
        return next(
            (
                item
                for item in self.document.datasets
                if item.organization == organization and item.kind == kind
            ),
            None,
        )

    def includes(self, other: Dataset) -> bool:
        """Whether everything that a dataset (of an earlier version) permitted is permitted still."""
        mine = self.dataset(other.organization, other.kind)
        if mine is None:
            return False
        fields = "*" in mine.fields or ("*" not in other.fields and set(other.fields) <= set(mine.fields))
        permitted, wanted = read_periods(mine.periods), read_periods(other.periods)
        if wanted is None:
            return fields and permitted is None
        return fields and all(covers(permitted, period) for period in wanted)

    def submitters(self, period: Period) -> frozenset[str]:
        """Who may submit awards of some month of a period."""
        return frozenset(
            item.organization
            for item in self.document.datasets
            if item.kind == "completion" and meets(read_periods(item.periods), period)
        )

    def submits(self, organization: str) -> bool:
        """Whether the organization may submit anything at all."""
        return any(item.organization == organization for item in self.document.datasets)

    def profile(self) -> Profile:
        """The linkage profile; it was checked when the agreement was proposed."""
        return Profile.from_document(self.document.linkage_profile)


def parse_terms(document: Mapping[str, Any]) -> Terms:
    """Read an agreement's document.

    Raises
    ------
    RefusedError
        `AGREEMENT_INVALID` with a problem for each place that is wrong; no values.
    """
    if len(_canonical(document)) > MAX_DOCUMENT_BYTES:
        raise RefusedError("AGREEMENT_INVALID", "The document is larger than 1 MB.")
    try:
        parsed = Document.model_validate(dict(document))
    except ValidationError as error:
        raise RefusedError(
            "AGREEMENT_INVALID",
            "The agreement is not as it must be.",
            [_problem(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()],
        ) from None
    problems = _inconsistencies(parsed)
    if problems:
        raise RefusedError("AGREEMENT_INVALID", "The agreement contradicts itself.", problems)
    return Terms(parsed)


def _canonical(document: Mapping[str, Any]) -> bytes:
    try:
        return canonical_json(document)
    except CohortlinkError as error:
        raise RefusedError("AGREEMENT_INVALID", error.detail) from None


def _inconsistencies(document: Document) -> list[Problem]:
    problems: list[Problem] = []
    organizations = {party.organization for party in document.parties}
    if len({(party.organization, party.role) for party in document.parties}) < len(document.parties):
        problems.append(_problem("parties", "a party is there twice in the same role"))
    owners = {party.organization for party in document.parties if party.role == "data_owner"}
    if not owners:
        problems.append(_problem("parties", "there is no data_owner"))
    receivers = {party.organization for party in document.parties if party.role == "recipient"}
    problems += [
        _problem(f"recipients.{at}", "is not a party with the role recipient")
        for at, recipient in enumerate(document.recipients)
        if recipient not in receivers
    ]
    problems += [
        _problem(f"datasets.{at}.organization", "is not a party with the role data_owner")
        for at, dataset in enumerate(document.datasets)
        if dataset.organization not in owners
    ]
    if isinstance(document.min_cell, dict) and not document.min_cell:
        problems.append(_problem("min_cell", "names nobody"))
    if isinstance(document.min_cell, dict) and not set(document.min_cell) <= organizations:
        problems.append(_problem("min_cell", "names an organization that is not a party"))
    asked = document.min_cell if isinstance(document.min_cell, int) else max([0, *document.min_cell.values()])
    problems += [
        _problem(f"disclosure.{place}", why)
        for place, why in document.disclosure.problems(document.dimensions, asked)
    ]
    problems += _date_problems(document) + _period_problems(document) + _place_problems(document)
    try:
        fingerprint = Profile.from_document(document.linkage_profile).fingerprint
    except CohortlinkError as error:
        problems.append(Problem(error.code, error.detail, column="linkage_profile"))
    else:
        if fingerprint != document.linkage_profile_hash:
            problems.append(_problem("linkage_profile_hash", "is not the fingerprint of linkage_profile"))
    return problems


def _date_problems(document: Document) -> list[Problem]:
    problems = []
    days: dict[str, date] = {}
    for name in ("effective", "expires", "retention_until"):
        text = getattr(document, name)
        if text is None:
            continue
        try:
            days[name] = date.fromisoformat(text)
        except ValueError:
            problems.append(_problem(name, "is not a day of the calendar"))
    if {"effective", "expires"} <= days.keys() and days["effective"] >= days["expires"]:
        problems.append(_problem("expires", "is not after effective"))
    return problems


def _period_problems(document: Document) -> list[Problem]:
    problems = []
    for at, dataset in enumerate(document.datasets):
        try:
            read_periods(dataset.periods)
        except OutcomesError:
            problems.append(_problem(f"datasets.{at}.periods", "is no quarter, year or range of these"))
    pairs = [(dataset.organization, dataset.kind) for dataset in document.datasets]
    problems += [
        _problem(f"datasets.{at}", "is there twice") for at, pair in enumerate(pairs) if pair in pairs[:at]
    ]
    return problems


def _place_problems(document: Document) -> list[Problem]:
    """Dimensions that tell smaller places apart than the floor allows."""
    if document.geography_floor is None:
        return []
    finest = _FINENESS[document.geography_floor]
    return [
        _problem(f"dimensions.{at}", "tells smaller places apart than geography_floor allows")
        for at, dimension in enumerate(document.dimensions)
        if dimension in PLACES and _FINENESS[PLACES[dimension]] > finest
    ]


def _problem(place: str, detail: str) -> Problem:
    return Problem("INVALID", detail, column=place)
