"""Files and match rates of one cube, read together by one who solves them as linear programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.api.sessions import COOKIE
from app.flows import sessions
from tests.attacks import adversary, twin
from tests.attacks.adversary import FOUND, MISSED, K, Layer, System, one_layer, same_persons
from tests.attacks.exports import from_csv, from_workbook, match_rates
from tests.attacks.region import Q2, Q4, Analyst, Region, Someone, published_codes, random_people, region_of

DIMENSIONS = ("sex", "race_ethnicity")
#: Linked, though without wages in the quarter that is asked: half of those who would be missed.
PEOPLE = [
    each.working(Q2) if not each.works() and at % 2 else each
    for at, each in enumerate(random_people(21, 400, rate=0.6, skew=0.8, dimensions=DIMENSIONS))
]
CODES = {each.name: published_codes(each, DIMENSIONS) for each in PEOPLE}


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Region]:
    with region_of(tmp_path_factory.mktemp("exported"), migrated_sqlite, PEOPLE) as made:
        yield made


def layer(documents: list[Any], *, linked: bool = False) -> Layer:
    def state(someone: Someone) -> int:
        return FOUND if (bool(someone.wages) if linked else someone.works(Q4)) else MISSED

    return Layer(documents, {each.name: state(each) for each in PEOPLE}, CODES)


def taken_away(region: Region) -> dict[str, list[Any]]:
    """Everything that may be asked: as documents, as CSV, as workbooks."""
    found: dict[str, list[Any]] = {"document": [], "csv": [], "workbook": []}
    Analyst(region.partnership).everything(DIMENSIONS, filters=True)
    token = sessions.sign_in(region.service, region.partnership.api_key)
    for release in region.partnership.get("/agreements/cincinnati-nky/releases").json()["releases"]:
        if release["status"] != "GRANTED" or None in release["question"].get("where", {}).values():
            continue
        here = f"/releases/{release['id']}"
        found["document"].append(region.partnership.get(here).json()["table"])
        found["csv"].append(from_csv(region.partnership.get(here, headers={"Accept": "text/csv"}).text))
        book = region.client.get(f"{here}/workbook.xlsx", headers={"Cookie": f"{COOKIE}={token}"})
        assert book.status_code == 200, book.text
        found["workbook"].append(from_workbook(book.content))
    return found


def recovered(documents: list[Any]) -> list[str]:
    below = adversary.small(documents) + adversary.contradictions(documents)
    layers = [layer(documents)]
    return below + System(layers, one_layer).at_most() + System(layers, one_layer).pinned()


def figures(documents: list[Any]) -> list[Any]:
    rows = (row for each in documents for row in [*each["rows"], each["total"]])
    return [(row["n"], row["found"], row["rate"]) for row in rows]


def test_files_hold_what_documents_hold_and_give_no_small_group(region: Region) -> None:
    answers = taken_away(region)
    for kind in ("csv", "workbook"):
        assert [each["by"] for each in answers[kind]] == [each["by"] for each in answers["document"]]
        assert figures(answers[kind]) == figures(answers["document"])
        assert not recovered(answers[kind])


def test_files_give_small_groups_where_the_small_cell_rule_is_alone(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin.hide_small_cells_alone(monkeypatch)
    with region_of(tmp_path, migrated_sqlite, PEOPLE) as made:
        assert recovered(taken_away(made)["csv"])


def nested(pattern: tuple[int, ...]) -> bool:
    """Whoever has wages in the quarter is linked."""
    return same_persons(pattern) and pattern[0] <= pattern[1]


def bare_matches(documents: list[Any]) -> list[Any]:
    """Match rates of the same groups with the small-cell rule alone (test only)."""
    tables = []
    for document in match_rates(documents):
        rows = []
        for row in [*document["rows"], document["total"]]:
            inside = [each for each in PEOPLE if row["key"].items() <= CODES[each.name].items()]
            n, found = len(inside), sum(bool(each.wages) for each in inside)
            shown = min(n, found, n - found) >= K
            counts = {"n": n if n >= K else None, "found": found if shown else None}
            rows.append({"key": row["key"], "rate": None, **counts})
        tables.append({"by": document["by"], "rows": rows[:-1], "total": rows[-1]})
    return tables


def test_match_rates_beside_a_crossed_cube_tell_of_nobody_linked_and_not_found(region: Region) -> None:
    answers = Analyst(region.partnership).everything(DIMENSIONS)
    linked = match_rates(answers)
    assert any(row["found"] is not None for each in linked for row in [*each["rows"], each["total"]])
    layers = [layer(answers), layer(linked, linked=True)]
    assert not adversary.small(linked)
    assert not System(layers, nested).at_most()
    assert not System(layers, nested).pinned()
    careless = [layer(answers), layer(bare_matches(answers), linked=True)]
    assert System(careless, nested).at_most() or System(careless, nested).pinned()
