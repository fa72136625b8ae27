"""An invented table of self-sufficiency thresholds for the demo's counties: about no real cost of living."""

from __future__ import annotations

import csv
from pathlib import Path

#: Dollars a year for one adult in 2020, by county.
_BASE = {
    "39061": 30_000,
    "39017": 29_000,
    "39165": 30_500,
    "39025": 28_000,
    "21037": 27_500,
    "21117": 28_000,
    "21015": 29_000,
}
#: Per cent of that, by family type: adults, infants, preschoolers, school-age children, teenagers.
_FAMILIES = {"a1i0p0s0t0": 100, "a1i0p1s0t0": 155, "a1i0p2s0t0": 190, "a1i0p2s1t0": 220}


def write_thresholds(path: Path) -> None:
    """Write the table as CSV, 2019 to 2027, 3 per cent of the base more each year."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            ["source", "version", "county_fips", "family_type", "year", "annual_amount", "licence_note"]
        )
        for county, base in _BASE.items():
            for family, per_cent in _FAMILIES.items():
                for year in range(2019, 2028):
                    amount = base * per_cent * (100 + 3 * (year - 2020)) // 10_000
                    writer.writerow(
                        [
                            "Cohortlink demo (fictitious)",
                            "1",
                            county,
                            family,
                            year,
                            amount,
                            "Invented; free to use.",
                        ]
                    )
