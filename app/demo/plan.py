"""The fixed figures of the demo's region: who takes part, how many, how likely, how noisy.

Illustrative; no claim about real people, agencies or places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FIRST_YEAR = 2020
"""Academic year 2020-21 is the first of four."""
N_YEARS = 4
FIRST_QUARTER = 2020 * 4
"""2020Q1 as year × 4 + (quarter − 1); the wage files hold 24 quarters from here."""
N_QUARTERS = 24

OHIO, KENTUCKY = 0, 1
STATE_FIPS = ("39", "21")
COMPLETIONS_A_YEAR = (6000, 2400)
WAGE_PERSONS = (60_000, 25_000)
SHARE_IN_BOTH_STATES = 0.015
SHARE_SECOND_AWARD = 0.04

NONPROFIT_PERSONS = 900
NONPROFIT_IN_EDUCATION = 0.60


@dataclass(frozen=True)
class Pathway:
    """One way to a credential: how common, how well it leads to work, what its facts look like."""

    code: str
    share: float
    found_q4: float
    median_wage: int
    ages: tuple[int, int]
    award_kind: str
    award_level: str = ""
    credential_type: str = ""
    hse_type: str = ""
    id_system: str = "UNITID"
    yearly_rhythm: Literal["spring", "even"] = "spring"


PATHWAYS = (
    Pathway(
        "HSE", 0.10, 0.58, 5_200, (17, 32), "HSE", hse_type="GED", id_system="STATE", yearly_rhythm="even"
    ),
    Pathway(
        "INDUSTRY",
        0.0893,
        0.70,
        8_200,
        (18, 48),
        "INDUSTRY",
        credential_type="IndustryCertification",
        id_system="STATE",
        yearly_rhythm="even",
    ),
    Pathway("CERTIFICATE", 0.20, 0.76, 7_600, (18, 42), "POSTSEC", award_level="02"),
    Pathway(
        "APPRENTICESHIP",
        0.06,
        0.88,
        13_500,
        (20, 42),
        "APPRENTICESHIP",
        credential_type="ApprenticeshipCertificate",
        id_system="RAPIDS",
        yearly_rhythm="even",
    ),
    Pathway("ASSOCIATE", 0.17, 0.80, 8_900, (19, 40), "POSTSEC", award_level="03"),
    Pathway("BACHELOR", 0.38, 0.74, 11_800, (21, 31), "POSTSEC", award_level="05"),
    # A programme that has just begun: so few persons that its row must be withheld.
    Pathway("GRADUATE", 0.0007, 0.80, 13_000, (23, 40), "POSTSEC", award_level="07"),
)
"""In rising order of the credential. Shares are our own choice."""

STACKED_AWARDS = (("CERTIFICATE", "ASSOCIATE"), ("ASSOCIATE", "BACHELOR"), ("HSE", "CERTIFICATE"))
"""Pairs of awards that one person earns, earlier first."""

WORK_PLACES = ("ohio", "kentucky", "both", "elsewhere")
WORK_SHARES = ((0.80, 0.08, 0.03, 0.09), (0.30, 0.56, 0.05, 0.09))
"""Where graduates of Ohio, of Kentucky work; *elsewhere* leaves no trace in either wage file."""
SHARE_REACHABLE = 0.91

WAGE_SIGMA = 0.55
NON_GRADUATE_MEDIAN = 6_400
SHARE_SECOND_JOB = 0.05
SHARE_AMENDED = 0.005
JOB_CHANGE = 0.07
"""Chance a quarter that a worker changes employer."""
STICKINESS = 0.85
"""Chance a quarter that being in or out of work is not drawn anew."""

COUNTIES = (
    (("39061", 0.52), ("39017", 0.22), ("39165", 0.13), ("39025", 0.13)),
    (("21117", 0.42), ("21037", 0.25), ("21015", 0.33)),
)

RACES = (
    ("White", 0.765, "general"),
    ("BlackOrAfricanAmerican", 0.135, "black"),
    ("Hispanic", 0.045, "hispanic"),
    ("Asian", 0.018, "east_asian"),
    ("Asian", 0.017, "south_asian"),
    ("TwoOrMoreRaces", 0.017, "general"),
    ("AmericanIndianOrAlaskaNative", 0.003, "general"),
)
"""Group, share, name pool. ``Hispanic`` is held as ethnicity, with race White or unknown."""

MISSING_SSN_FACTOR = (0.82, 1.25, 1.9, 1.8, 1.8, 1.0, 1.2)
"""By race group: who lacks a number is not spread evenly, and so neither are linkage errors. Mean about 1."""
NAME_CHANGE_FACTOR = (1.1, 0.7, 0.7, 0.5, 0.5, 1.0, 1.0)


@dataclass(frozen=True)
class NoiseRates:
    """Chances, each of the records (or of the eligible records, where a name says so)."""

    ssn_missing: float = 0.06
    ssn_missing_hse: float = 0.10
    ssn_missing_nonprofit: float = 0.35
    ssn_wrong: float = 0.005
    typo: float = 0.015
    nickname: float = 0.05
    swapped: float = 0.004
    suffix_in_surname: float = 0.006
    hyphen_split: float = 0.5
    surname_change: float = 0.04
    second_surname_dropped: float = 0.25
    romanisation: float = 0.04


NOISE = NoiseRates()


@dataclass(frozen=True)
class Agency:
    """One feed: who sends it, in which folder, under which id column, with which facts."""

    slug: str
    title: str
    short: str
    kind: Literal["education", "workforce", "nonprofit"]
    state: int
    id_column: str
    facts_kind: str


AGENCIES = (
    Agency(
        slug="ohio-education",
        title="Ohio education agency",
        short="OH education",
        kind="education",
        state=OHIO,
        id_column="student_id",
        facts_kind="completion",
    ),
    Agency(
        slug="kentucky-education",
        title="Kentucky education agency",
        short="KY education",
        kind="education",
        state=KENTUCKY,
        id_column="student_id",
        facts_kind="completion",
    ),
    Agency(
        slug="ohio-workforce",
        title="Ohio workforce agency",
        short="OH workforce",
        kind="workforce",
        state=OHIO,
        id_column="worker_id",
        facts_kind="wage",
    ),
    Agency(
        slug="kentucky-workforce",
        title="Kentucky workforce agency",
        short="KY workforce",
        kind="workforce",
        state=KENTUCKY,
        id_column="worker_id",
        facts_kind="wage",
    ),
    Agency(
        slug="riverside-bridges",
        title="Riverside Bridges, a nonprofit program",
        short="nonprofit",
        kind="nonprofit",
        state=OHIO,
        id_column="client_id",
        facts_kind="participation",
    ),
)
