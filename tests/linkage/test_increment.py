"""Going on from an earlier run: nothing is redone, and the result says how it may differ."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from linkage import increment
from linkage.errors import LinkageError
from linkage.increment import Past
from linkage.run import LinkResult, Options, Source, link
from tests.linkage.synthetic import World, field_level_spec, make_world

SPEC = field_level_spec()


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(0.03, seed=21)


@pytest.fixture(scope="module")
def sources(world: World) -> list[Source]:
    return [Source(n, world.encodings[n]) for n in ("edu-ky", "edu-oh", "ui-oh", "np")]


@pytest.fixture(scope="module")
def first(sources: list[Source]) -> LinkResult:
    return link(sources[:3], SPEC)


def pairs_of(result: LinkResult) -> set[tuple[str, ...]]:
    names = ("batch_a", "record_ref_a", "batch_b", "record_ref_b")
    return set(zip(*(result.links[n].to_pylist() for n in names), strict=True))


def test_link_with_nothing_new_gives_the_past_byte_for_byte(sources: list[Source], first: LinkResult) -> None:
    # as it comes back from where it was kept
    past = Past(first.links, json.loads(json.dumps(first.report)), json.loads(json.dumps(first.learned)))
    again = link(sources[:3], SPEC, past=past)
    assert again.persons.equals(first.persons)
    assert again.links.equals(first.links)
    assert again.learned == first.learned
    assert again.report["incremental"]["computed"] == []  # type: ignore[index]


def test_link_of_a_new_batch_compares_only_it_and_tells_its_drift(
    sources: list[Source], first: LinkResult
) -> None:
    stages: list[str] = []
    grown = link(sources, SPEC, past=first.past(), progress=lambda stage, *_: stages.append(stage))
    told = grown.report["incremental"]
    assert isinstance(told, dict)
    assert all("np" in names for names in told["computed"])
    assert len(told["computed"]) == len(told["reused"]) == 3
    assert set(told["drift"]) == {f.name for f in SPEC.filters}
    assert not any("edu-ky × ui-oh" in stage for stage in stages)
    scratch = link(sources, SPEC)
    old, new = pairs_of(scratch), pairs_of(grown)
    assert len(old ^ new) <= 0.01 * len(old)
    # what was known stays as it was
    assert pairs_of(first) <= new


def test_link_whose_new_batch_drifts_far_says_so_among_its_doubts(
    sources: list[Source], first: LinkResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert increment.drifted({"zip": -2.5, "name": 1.9}) == [
        "new sources: strangers compare otherwise than in the earlier run, by zip; link from scratch"
    ]
    monkeypatch.setattr(increment, "DRIFTED", 0.0)
    doubts = link(sources, SPEC, past=first.past()).report["doubts"]
    assert isinstance(doubts, list)
    assert sum(doubt.startswith("new sources: ") for doubt in doubts) == len(SPEC.filters)


def test_link_of_a_changed_batch_compares_it_anew(sources: list[Source], first: LinkResult) -> None:
    fewer = sources[2].encodings
    kept = {n: replace(c, words=c.words[1:], present=c.present[1:]) for n, c in fewer.filters.items()}
    changed = replace(sources[2], encodings=replace(fewer, record_refs=fewer.record_refs[1:], filters=kept))
    told = link([*sources[:2], changed], SPEC, past=first.past()).report["incremental"]
    assert isinstance(told, dict)
    assert told["reused"] == [["edu-ky", "edu-oh"]]


def test_link_under_other_terms_than_the_past_is_refused(sources: list[Source], first: LinkResult) -> None:
    with pytest.raises(LinkageError, match="PAST_DIFFERS"):
        link(sources[:3], SPEC, options=Options(threshold=0.9), past=first.past())
    with pytest.raises(LinkageError, match="PAST_DIFFERS"):
        link(sources[:3], SPEC, options=Options(miss=0.01), past=first.past())
    missing = link(sources[:2], SPEC, options=Options(miss=0.01))
    with pytest.raises(LinkageError, match="PAST_DIFFERS"):
        link(sources[:3], SPEC, past=missing.past())
    with pytest.raises(LinkageError, match="PAST_INVALID"):
        Past(first.links, first.report, {})
