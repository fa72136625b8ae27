"""Dimensions by which a table may be split: where codes come from, and how rows relate to the total."""

from __future__ import annotations

from dataclasses import dataclass

from app.disclosure.table import Rows
from crypto.facts import code_list


@dataclass(frozen=True)
class Dimension:
    """One way to split a cohort.

    Attributes
    ----------
    id, label : str
    rows : Rows
        Whose award a row looks at, and hence whether rows overlap.
    codes : str or None
        The code list whose order is the grid. None: the list belongs to the agreement or the cohort.
    residual : tuple of str, or None
        Code and label of the last row, for everybody whom the list does not name.
    parent : str or None
        The dimension that this one refines (`refined` tells which code lies in which).
    column : str or None
        Column of the code list that holds the codes; None for its first.
    rule : str
        What decides in which row somebody stands, where the label does not say it. Told in every answer.
    place : bool
        Whether its codes, but the residual, name places of residence: such rows tell of no employer.
    """

    id: str
    label: str
    rows: Rows = Rows.PARTITION
    codes: str | None = None
    residual: tuple[str, str] | None = None
    parent: str | None = None
    column: str | None = None
    rule: str = ""
    place: bool = False

    def grid(self, given: tuple[str, ...] | None) -> tuple[tuple[str, str], ...]:
        """Codes and labels in order: the given codes or the whole list, then the residual."""
        labels = self._labels()
        codes = given if given is not None else tuple(labels)
        last = (self.residual,) if self.residual else ()
        rest = {code for code, _ in last}
        return tuple((code, labels.get(code, code)) for code in codes if code not in rest) + last

    def _labels(self) -> dict[str, str]:
        if self.codes is None:
            return {}
        listed = code_list(self.codes)
        return listed.groups(self.column) if self.column else listed.labels


def refined(dimension: Dimension) -> dict[str, str]:
    """Own codes to those of the dimension that is refined; the residual and what has none are missing."""
    if dimension.parent is None or dimension.codes is None:
        return {}
    listed = code_list(dimension.codes)
    if dimension.id == "county":
        return {code: code[:2] for code in listed.codes}
    return {row["code"]: row[dimension.parent] for row in listed.rows}


_NOT_STATED = ("NOT_STATED", "Not stated")
_ELSEWHERE = ("OTHER", "Elsewhere or not stated")
_NO_PROGRAM = ("NONE", "No program of the agreement")

#: Dimensions of a person's spells in programs rather than of her award.
OF_PROGRAMS = frozenset({"program", "provider"})

DIMENSIONS: dict[str, Dimension] = {
    dimension.id: dimension
    for dimension in (
        Dimension("pathway", "Pathway", Rows.OVERLAPPING, "pathways"),
        Dimension(
            "award_level",
            "Award level",
            Rows.OVERLAPPING,
            "award_levels",
            ("NOT_POSTSEC", "Not a postsecondary award"),
            parent="pathway",
        ),
        Dimension("cohort_year", "Cohort year", Rows.OVERLAPPING),
        Dimension("sex", "Sex", codes="sexes"),
        Dimension("race_ethnicity", "Race and ethnicity", codes="race_ethnicity"),
        Dimension("age_band", "Age at award", codes="age_bands", residual=_NOT_STATED),
        Dimension("state", "State of residence at award", codes="states", residual=_ELSEWHERE, place=True),
        Dimension(
            "county",
            "County of residence at award",
            codes="counties",
            residual=_ELSEWHERE,
            parent="state",
            place=True,
        ),
        Dimension("institution", "Institution", residual=_NOT_STATED),
        Dimension("cip_family", "CIP family", codes="cip_families", residual=_NOT_STATED),
        Dimension(
            "state_of_work",
            "State of work",
            Rows.PLACES,
            "states",
            ("OTHER", "Other states"),
            rule="Whoever was paid in several states stands in the row of each.",
        ),
        Dimension(
            "naics_sector",
            "NAICS sector of the main job",
            Rows.PLACES,
            "naics_sectors",
            ("99", "Unclassified or not stated"),
            column="sector",
            rule="The main job is with the employer that paid most in the quarter, over all states and "
            "accounts, in the industry and state where it paid most. Of equals the one that paid most in one "
            "industry and state counts, then the first by NAICS code. A row is shown only where at least 3 "
            "employers paid, and none above 80 per cent of its wages.",
        ),
        Dimension("program", "Program entered by then", Rows.OVERLAPPING, "program_types", _NO_PROGRAM),
        Dimension("provider", "Program provider", Rows.OVERLAPPING, residual=_NO_PROGRAM),
    )
}
