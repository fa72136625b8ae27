"""Questions as addresses, forms and words: an indicator, a cohort, by what, within what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from app.flows.ask_figures import spell
from app.flows.publish_release import Question
from app.web import words
from app.web.names import dimension_name, titles

#: What a refusal means to whoever asked, and what to do about it. The codes are those of the interface.
REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "INDICATOR_NOT_PERMITTED": (
        "The agreement does not list this indicator.",
        "Propose a new version of the agreement; every data owner has to sign it.",
    ),
    "DIMENSION_NOT_PERMITTED": (
        "The agreement does not list this dimension, or the indicator does not have it.",
        "Choose another, or propose a new version of the agreement.",
    ),
    "PERIOD_NOT_PERMITTED": (
        "The agreement does not cover every month of this cohort.",
        "Choose years that lie within the agreement's periods.",
    ),
    "RECIPIENT_NOT_PERMITTED": (
        "Your organization is no recipient of this agreement.",
        "Propose a new version of the agreement that names you as one.",
    ),
    "NOT_IN_PLAN": (
        "The answer could be subtracted from one that is published, or is no table of this agreement's plan.",
        "Ask for a cohort that is published, with fewer dimensions or without a filter.",
    ),
    "BAD_COHORT": ("The years are not a cohort.", "Choose years of one kind, the earlier one first."),
    "REFERENCE_QUARTER_OPEN": (
        "The wages that are needed for the last graduates of this cohort are not over yet.",
        "Choose an earlier last year.",
    ),
    "RUN_MISSING": ("Nothing is linked under this agreement yet.", "Ask the operator to start a run."),
    "RUN_OUTDATED": (
        "A batch of the newest run was withdrawn or replaced.",
        "Ask the operator to start a new run.",
    ),
    "AGREEMENT_CHANGED": ("Something changed while the answer was made.", "Ask again."),
    "THRESHOLDS_MISSING": (
        "No table of self-sufficiency thresholds is in use.",
        "Ask the operator to load one.",
    ),
    "AGREEMENT_SUSPENDED": (
        "A data owner or the operator holds the agreement for the time being.",
        "Talk to them; the approvals stand.",
    ),
    "AGREEMENT_NOT_ACTIVE": ("The agreement is not in force.", "See which approvals are missing."),
    "AGREEMENT_EXPIRED": ("The agreement has run out.", "Propose a new version."),
    "AGREEMENT_REVOKED": (
        "A data owner has withdrawn from the agreement.",
        "Talk to that owner. What was published before can still be read.",
    ),
    "NOT_WITH_PROGRAMS": (
        "A program's contribution is not published under an agreement that has tables by program.",
        "Ask for the tables by program instead.",
    ),
    "MIN_CELL_TOO_SMALL": ("The agreement asks for a larger minimum cell.", "Leave it out."),
    "MIN_CELL_TOO_LARGE": (
        "The agreement lets nobody ask for so large a minimum cell: it would hold for everybody.",
        "Ask for a smaller one, or leave it out.",
    ),
    "PUBLISHED_DATA_GONE": (
        "Data of figures that are published on these persons were withdrawn or destroyed.",
        "What is published stays; nothing more can be proven safe beside it.",
    ),
    "OTHER_METHOD": (
        "Figures on these persons are published under another method of protection.",
        "Ask under the agreement that published them.",
    ),
    "BUDGET_EXHAUSTED": (
        "The budget of privacy that the agreement grants for these persons is spent.",
        "Use what is published, or agree on a larger budget.",
    ),
    "PLAN_TOO_LARGE": (
        "The agreement's plan has more tables than can be proven together.",
        "Agree on fewer dimensions, or fewer of them at a time.",
    ),
    "WORKER_LOST": ("The process that made the tables was lost, again and again.", "Tell the operator."),
    "CANCELLED": ("Somebody cancelled it before it was made.", "Ask again if it is still wanted."),
    "RELEASE_OBJECTED": ("A data owner objected to this answer in review.", "Talk to that owner."),
}


@dataclass(frozen=True)
class Asked:
    """A question as somebody typed or chose it; nothing of it is known to be permitted.

    Attributes
    ----------
    indicator, cohort : str
    by : tuple of str
    where : tuple of str
        Each ``dimension=code``.
    """

    indicator: str
    cohort: str
    by: tuple[str, ...] = ()
    where: tuple[str, ...] = ()

    @classmethod
    def of(cls, indicator: str, cohort: str, by: Sequence[str], where: Sequence[str]) -> Asked:
        """Without the choices that were left open."""
        return cls(indicator, spell(cohort), tuple(filter(None, by)), tuple(filter(None, where)))

    @classmethod
    def again(cls, release: Mapping[str, Any]) -> Asked:
        """The question that a release answers."""
        asked = release["question"]
        where = tuple(f"{name}={code}" for name, code in (asked.get("where") or {}).items())
        return cls(asked["indicator"] or "", asked["cohort"] or "", tuple(asked["by"]), where)

    @property
    def query(self) -> str:
        """As the query of an address: the permanent link."""
        pairs = [("indicator", self.indicator), ("cohort", self.cohort)]
        return urlencode(pairs + [("by", x) for x in self.by] + [("where", x) for x in self.where])

    @property
    def question(self) -> Question:
        """As the flows take it."""
        return Question(self.indicator, self.cohort, self.by, dict(each.split("=", 1) for each in self.where))

    @property
    def words(self) -> str:
        """*Employed one year after graduation, 2020–21 to 2023–24, by pathway*."""
        return f"{titles().get(self.indicator, self.indicator) or 'an unknown indicator'}, {self.whom}"

    @property
    def whom(self) -> str:
        """*2020–21 to 2023–24, by pathway*."""
        said = [words.cohort(self.cohort) or "unknown years"]
        said += ["by " + " and ".join(map(dimension_name, self.by))] * bool(self.by)
        for name, _, code in (each.partition("=") for each in self.where):
            said.append(f"within {dimension_name(name)}: {words.spaced(code)}")
        return ", ".join(said)

    @property
    def is_readable(self) -> bool:
        """Whether every filter names a dimension and a code."""
        return all("=" in each for each in self.where)

    def path(self, agreement: str) -> str:
        """Its page."""
        return f"/partnership/agreements/{agreement}/figures?{self.query}"


def subtitle(table: Mapping[str, Any], codes: Mapping[tuple[str, str], str]) -> str:
    """*Graduates of 2020–21 to 2023–24, by pathway, within sex: Female*."""
    parts = [f"Graduates of {words.cohort(table['cohort'])}"]
    if table["by"]:
        parts.append("by " + " and ".join(map(dimension_name, table["by"])))
    for name, code in (table.get("where") or {}).items():
        said = codes.get((name, code), code) if code is not None else "not a known code"
        parts.append(f"within {dimension_name(name)}: {said}")
    return ", ".join(parts)


def refusal(code: str) -> tuple[str, str] | None:
    """Why, and what to do; None for what is no refusal of a question."""
    return REFUSALS.get(code)
