"""Screening on arrival: a wrong secret or missing hardening is found whatever the manifest says of itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.errors import RefusedError
from app.flows.screening import refuse_by_policy
from crypto.encoding.profile import default_profile
from crypto.encoding.screening import LEAST_RECORDS
from crypto.wire import encodings_schema
from tests.world import HARDENED, PROFILE, World, keyed_package, make_package, make_refs, parquet, under

COUNT = LEAST_RECORDS // 2


def structured(key: int, seed: int) -> bytes:
    """Filters whose bits are as frequent as the secret makes them: what names do to plain filters."""
    spec = PROFILE.link_spec()
    secret, rng = np.random.default_rng(1000 + key), np.random.default_rng(seed)
    columns: dict[str, Any] = {"record_ref": make_refs(COUNT, seed)}
    for item in spec.filters:
        frequency = secret.beta(2, 3, item.width)
        bits = rng.random((COUNT, item.width), np.float32) < frequency
        columns[item.name] = [row.tobytes() for row in np.packbits(bits, axis=1)]
    return parquet(pa.table(columns, schema=encodings_schema(spec)))


def test_batch_under_another_secret_with_the_right_check_value_is_rejected_and_says_what_to_do(
    world: World,
) -> None:
    world.agree()
    first = make_package(count=COUNT, encodings=structured(1, 1))
    assert world.submit(world.education, first).json()["screening"]["others"] == []
    wrong = make_package(kind="wage", count=COUNT, seed=2, encodings=structured(2, 2))
    answer = world.submit(world.workforce, wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "SCREENING_FAILED")
    assert [problem["code"] for problem in answer.json()["problems"]] == ["WRONG_KEY"]
    right = make_package(kind="wage", count=COUNT, seed=3, encodings=structured(1, 3))
    accepted = world.submit(world.workforce, right).json()
    assert accepted["state"] == "ACCEPTED"
    assert [other["key"] for other in accepted["screening"]["others"]] == ["same"]


@pytest.mark.parametrize(
    ("key", "count", "said"),
    [(1, LEAST_RECORDS, "same"), (2, LEAST_RECORDS, "strangers"), (2, 2 * LEAST_RECORDS, "WRONG_KEY")],
)
def test_hardened_batches_of_strangers_with_the_right_check_value_are_told_by_keys_that_none_have_in_common(
    sqlite_world: World, key: int, count: int, said: str
) -> None:
    world = sqlite_world
    world.agree(**under(HARDENED))
    assert (
        world.submit(world.education, keyed_package(1, 1, count, "completion")).json()["state"] == "ACCEPTED"
    )
    answer = world.submit(world.workforce, keyed_package(key, 2, count)).json()
    if said == "WRONG_KEY":
        assert [problem["code"] for problem in answer["problems"]] == [said]
        return
    assert [other["key"] for other in answer["screening"]["others"]] == [said]


def test_secrets_of_one_agencys_batches_are_not_compared(world: World) -> None:
    world.agree()
    world.submit(world.education, make_package(count=COUNT, encodings=structured(1, 1)))
    again = make_package(count=COUNT, seed=2, encodings=structured(2, 2))
    assert world.submit(world.education, again).json()["screening"]["others"] == []


def test_batch_that_repeats_an_earlier_one_of_its_agency_says_so_and_of_no_other(world: World) -> None:
    world.agree()
    first = world.submit(world.education, make_package(count=COUNT, encodings=structured(1, 1))).json()
    assert first["screening"]["earlier"] == []
    half = mixed(structured(1, 1), structured(1, 4), seed=5)
    again = world.submit(world.education, make_package(count=COUNT, seed=5, encodings=half)).json()
    assert again["screening"]["earlier"] == [{"batch": first["id"], "share": "0.50"}]
    other = make_package(kind="wage", count=COUNT, seed=6, encodings=mixed(half, half, seed=6))
    assert world.submit(world.workforce, other).json()["screening"]["earlier"] == []


def mixed(one: bytes, other: bytes, seed: int) -> bytes:
    """The first half of one file's filters and of another's, shuffled, under references of their own."""
    tables = [pq.read_table(pa.BufferReader(each)) for each in (one, other)]
    both = pa.concat_tables([tables[0].slice(0, COUNT // 2), tables[1].slice(0, COUNT - COUNT // 2)])
    order, refs = np.random.default_rng(seed).permutation(COUNT), pa.array(make_refs(COUNT, seed))
    return parquet(both.take(pa.array(order)).set_column(0, both.schema.field(0), refs))


def figures(**changes: Any) -> dict[str, Any]:
    one = {"present": 5_000, "empty": 0, "fill": "0.5000", "bit_std": "0.0090"}
    filters = {item.name: one | changes for item in HARDENED.link_spec().filters}
    return {"records": 5_000, "duplicates": 0, "filters": filters, "others": []}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"bit_std": "0.1770"}, "NOT_HARDENED"),
        ({"empty": 1}, "EMPTY_FILTER"),
        ({"fill": "0.9700"}, "FILL_TOO_HIGH"),
    ],
)
def test_figures_that_no_sound_batch_has_when_judged_are_refused_by_filter(
    changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(RefusedError) as refusal:
        refuse_by_policy(figures(**changes), HARDENED.link_spec())
    assert {(problem.code, problem.column) for problem in refusal.value.problems} == {
        ("FEW_VALUES" if code == "NOT_HARDENED" and item.similarity == "key" else code, item.name)
        for item in HARDENED.link_spec().filters
    }


def test_plain_filters_where_the_profile_says_plain_when_judged_pass() -> None:
    plain = default_profile("field-level").link_spec()
    one = {"present": 5_000, "empty": 0, "fill": "0.3000", "bit_std": "0.1770"}
    filters = {item.name: dict(one) for item in plain.filters}
    refuse_by_policy({"records": 5_000, "duplicates": 0, "filters": filters, "others": []}, plain)


def test_sound_figures_of_a_hardened_batch_when_judged_pass() -> None:
    refuse_by_policy(figures(), HARDENED.link_spec())
    refuse_by_policy(figures(present=2_000, bit_std="0.1770"), HARDENED.link_spec())  # too few to tell
