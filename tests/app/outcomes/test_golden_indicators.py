"""The golden cases of the other indicators, with exactly their inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest

from app.disclosure.figures import Contribution
from app.disclosure.policy import Policy
from app.disclosure.protect import protect
from app.disclosure.protect_figures import protect_contribution
from app.disclosure.table import Cell, Coverage, Description
from app.outcomes.derived import gap
from app.outcomes.figures import Source, bands, contribution, quantiles, standardise
from app.outcomes.linkage_error import Rates, adjust, annotate
from app.outcomes.measures import Preset, attached, band
from app.outcomes.tabulate import tabulate
from app.outcomes.thresholds import Thresholds, parse_thresholds
from tests.app.outcomes.builders import completion, facts, participation, persons, token, wage
from tests.app.outcomes.test_golden import by_race

AS_OF = date(2026, 11, 22)
POLICY = Policy(10, b"a secret of the tests, 32 bytes..")
BATCHES = {"edu-1": "edu", "oh-1": "39", "ky-1": "21", "np-1": "np"}
Row = Mapping[str, object]


def source(
    people: Sequence[str], awards: Sequence[Row], wages: Sequence[Row], thresholds: Thresholds | None = None
) -> Source:
    given: dict[str, list[tuple[str, pa.Table]]] = {"completion": [("edu-1", facts("completion", awards))]}
    for batch, state in (("oh-1", "39"), ("ky-1", "21")):
        given.setdefault("wage", []).append(
            (batch, facts("wage", [row for row in wages if row["state_fips"] == state]))
        )
    return Source(persons(people, BATCHES), given, AS_OF, thresholds=thresholds)


# ---------------------------------------------------------------- 6 and 7: linkage error


def test_rate_of_280_in_400_adjusted_by_measured_linkage_is_73_4_with_its_interval() -> None:
    rates = Rates(Fraction(95, 100), Fraction(1, 100), 200, 300, "truth pairs")
    found = adjust(400, 280, rates)
    assert found is not None
    assert (found["rate"], found["low"], found["high"]) == ("73.4", "70.3", "76.5")
    row = {"key": {}, "label": "Total", "status": "published", "n": 400, "found": 280, "rate": "70.0"}
    beside = annotate({"rows": [], "total": row}, rates)
    assert beside["total"]["rate"] == "70.0"
    assert beside["total"]["adjusted"] == found


def test_gap_of_five_points_is_mostly_linkage_error_where_one_group_links_worse() -> None:
    groups = {
        "White": (120, 90),
        "BlackOrAfricanAmerican": (60, 42),
        "HispanicOrLatino": (24, 18),
        "Asian": (30, 19),
    }
    document = protect(by_race(groups), POLICY).table(["race_ethnicity"]).to_document()
    rates = {
        "BlackOrAfricanAmerican": Rates(Fraction(90, 100), Fraction(0), None, None, "truth pairs"),
        "White": Rates(Fraction(96, 100), Fraction(0), None, None, "truth pairs"),
    }
    overall = Rates(Fraction(94, 100), Fraction(0), None, None, "truth pairs")
    raw = gap(document, "White")
    adjusted = annotate(document, overall, rates)
    both = gap(adjusted, "White")
    rows = {row["key"]["race_ethnicity"]: row for row in both["rows"]}
    assert rows["BlackOrAfricanAmerican"]["points"] == "-5.0"
    assert rows["BlackOrAfricanAmerican"]["ratio"] == "0.933"
    assert rows["BlackOrAfricanAmerican"]["adjusted_points"] == "-0.3"
    shown = {row["key"]["race_ethnicity"]: row["adjusted"] for row in adjusted["rows"]}
    assert shown["BlackOrAfricanAmerican"]["rate"] == "77.8"
    assert shown["White"]["rate"] == "78.1"
    # Withheld as the rates themselves are.
    assert rows["HispanicOrLatino"]["points"] is None
    assert rows["Asian"]["points"] is None
    assert [row["points"] for row in raw["rows"]] == [row["points"] for row in both["rows"]]


# ---------------------------------------------------------------- 8: retention


def test_retention_recognises_the_same_employer_across_accounts_and_states() -> None:
    x, y, z = (token("FEIN", name) for name in "XYZ")
    two, four = "2022Q4", "2023Q2"
    archetypes: dict[str, list[tuple[str, str, str, str]]] = {
        "A": [("39", two, x, "a"), ("39", four, x, "a")],
        "B": [("39", two, x, "a"), ("39", two, y, "a"), ("39", four, y, "a")],
        "C": [("39", two, x, "a"), ("39", four, z, "a")],
        "D": [("39", two, x, "a")],
        "E": [("39", four, x, "a")],
        "F": [("39", two, x, "oh"), ("21", four, x, "ky")],
    }
    people = [f"{name}{i}" for name in archetypes for i in range(10)]
    wages = [
        wage(person, state, quarter, 5000, employer_token=employer, account_token=token("account", account))
        for person in people
        for state, quarter, employer, account in archetypes[person[0]]
    ]
    awards = [completion(person, award_date="2022-05-14") for person in people]
    given = source(people, awards, wages)
    table = tabulate("retained", "2021-22", (), persons=given.persons, facts=given.facts, as_of=AS_OF)
    assert (table.total.n, table.total.found) == (50, 30)
    assert protect([table], POLICY).table(()).total.rate == "60.0"


# ---------------------------------------------------------------- 9: medians, protection off


@pytest.mark.parametrize(("last", "median"), [(["9000"], "5600"), ([], "5500")])
def test_median_of_positive_wages_sums_employers_and_halves_an_even_middle(
    last: list[str], median: str
) -> None:
    amounts = [["0"], ["1200"], ["5400"], ["5600"], ["3000", "3500"], *([last] if last else [])]
    people = [f"p{i}" for i in range(len(amounts))]
    wages = [
        wage(person, "39", "2022Q4", amount, employer_token=token(n), account_token=token(n))
        for person, parts in zip(people, amounts, strict=True)
        for n, amount in enumerate(parts)
    ]
    awards = [completion(person, award_date="2022-05-14") for person in people]
    figure = quantiles("median_earnings_q2", "2021-22", (), source(people, awards, wages))
    assert figure.total.values["p50"][0] == Decimal(median)


# ---------------------------------------------------------------- 10: attachment, protection off

PSEO = [
    (["3200"] * 4, True),
    (["6000", "6700", "0", "0"], False),
    (["4000", "4000", "4000", "0"], False),
    (["3171.875"] * 4, False),
    (["4300", "4300", "4300", "0"], True),
]
KYSTATS = [
    (["3000", "0", "0", "0"], False),
    (["1500", "1500", "0", "0"], True),
    (["1000", "1000", "999.99", "0"], False),
]


@pytest.mark.parametrize(
    ("preset", "quarters", "expected"),
    [*(("pseo", *case) for case in PSEO), *(("kystats", *case) for case in KYSTATS)],
)
def test_attachment_of_one_person_follows_the_preset(
    preset: Preset, quarters: Sequence[str], expected: bool
) -> None:
    assert attached(preset, [Decimal(text) for text in quarters]) is expected


@pytest.mark.parametrize(
    ("indicator", "cases", "counts"), [("attached_pseo", PSEO, (5, 2)), ("attached_kystats", KYSTATS, (3, 1))]
)
def test_attachment_of_a_cohort_counts_those_whom_the_preset_names(
    indicator: str, cases: Sequence[tuple[Sequence[str], bool]], counts: tuple[int, int]
) -> None:
    # Facts hold whole cents: 12,687.50 in four quarters is two of 3,171.87 and two of 3,171.88.
    cents = {"3171.875": ["3171.87", "3171.88"]}
    people = [f"p{i}" for i in range(len(cases))]
    wages = []
    for person, (amounts, _) in zip(people, cases, strict=True):
        for at, amount in enumerate(amounts):
            exact = cents.get(amount, [amount] * 2)[at % 2]
            wages.append(wage(person, "39", f"2022Q{at + 3}" if at < 2 else f"2023Q{at - 1}", exact))
    awards = [completion(person, award_date="2022-05-14") for person in people]
    given = source(people, awards, wages)
    table = tabulate(indicator, "2021-22", (), persons=given.persons, facts=given.facts, as_of=AS_OF)
    assert (table.total.n, table.total.found) == counts


# ---------------------------------------------------------------- 11: self-sufficiency, protection off


def thresholds(**changes: str) -> Thresholds:
    row = {
        "source": "test",
        "version": "1",
        "family_type": "a1i0p0s0t0",
        "licence_note": "invented",
    }
    amounts = {"39061": "30000", "21117": "28000"}
    return parse_thresholds(
        [
            {**row, "county_fips": county, "year": year, "annual_amount": amount, **changes}
            for county, amount in amounts.items()
            for year in ("2022", "2023")
        ]
    )


def test_self_sufficiency_goes_by_the_threshold_of_the_county() -> None:
    cases = [
        ("39061", "7500", "SELF_SUFFICIENT"),
        ("39061", "7499.99", "ON_PATH"),
        ("21117", "7000", "SELF_SUFFICIENT"),
        ("21117", "3500", "ON_PATH"),
        ("21117", "3499", "BELOW"),
        ("39061", None, "NOT_FOUND"),
    ]
    people = [f"p{i}" for i in range(len(cases))]
    awards = [
        completion(person, award_date="2022-05-14", county_fips=county)
        for person, (county, _, _) in zip(people, cases, strict=True)
    ]
    wages = [
        wage(person, "39", "2023Q2", amount)
        for person, (_, amount, _) in zip(people, cases, strict=True)
        if amount is not None
    ]
    given = source(people, awards, wages, thresholds())
    provisional = Source(given.persons, given.facts, date(2023, 9, 1), thresholds=given.thresholds)
    figure = bands("self_sufficient", "2021-22", provisional)
    assert dict(zip(figure.codes, figure.counts, strict=True)) == {
        "SELF_SUFFICIENT": 2,
        "ON_PATH": 2,
        "BELOW": 1,
        "NOT_FOUND": 1,
    }
    amounts = {"39061": Decimal(30000), "21117": Decimal(28000)}
    for county, amount, expected in cases:
        assert band([Decimal(amount or 0)], amounts[county]) == expected


# ---------------------------------------------------------------- 12: contribution

STRATA = [(Cell(40, 32), Cell(200, 150)), (Cell(60, 42), Cell(100, 60))]


def test_contribution_standardises_the_comparison_group_to_the_participants() -> None:
    participants, comparison, rate = standardise(STRATA)
    assert (participants.n, participants.found) == (100, 74)
    assert Fraction(comparison.found, comparison.n) == Fraction(70, 100)
    assert rate == Fraction(66, 100)
    about = Description("contribution", "", "", "2021-22", "FINAL", Coverage(""))
    figure = Contribution(about, participants, comparison, Cell(400, 284), rate)
    document = protect_contribution(figure, POLICY).to_document()
    assert document["total"]["rate"] == "74.0"
    assert document["total"]["standardised_rate"] == "66.0"
    assert document["total"]["difference_points"] == "8.0"
    assert document["total"]["contributed_points"] == "2.0"
    assert document["label"] == "association, not effect"
    assert "150" not in str(document)


def test_contribution_counted_from_facts_gives_the_same_figures() -> None:
    people, awards, wages, spells = [], [], [], []
    for stratum, (ours, theirs) in zip(("03", "05"), STRATA, strict=True):
        for takes_part, cell in ((True, ours), (False, theirs)):
            for i in range(cell.n):
                person = f"{stratum}-{takes_part}-{i}"
                people.append(person)
                awards.append(completion(person, award_level=stratum, award_date="2022-05-14"))
                if i < cell.found:
                    wages.append(wage(person, "39", "2023Q2", 5000))
                if takes_part:
                    spells.append(participation(person, entry_date="2021-01-10"))
    given = source(people, awards, wages)
    whole = Source(
        given.persons, {**given.facts, "participation": [("np-1", facts("participation", spells))]}, AS_OF
    )
    document = protect_contribution(contribution("2021-22", whole), POLICY).to_document()
    assert (document["total"]["difference_points"], document["total"]["contributed_points"]) == ("8.0", "2.0")
