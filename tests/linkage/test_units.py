"""A run by units: what was kept is not done again, and the result is the same, byte for byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from linkage import scanning
from linkage.run import LinkResult, Options, Source, link
from linkage.units import pack, unpack
from tests.linkage.synthetic import field_level_spec, make_world
from tests.linkage.test_run import as_bytes

SPEC = field_level_spec()


class Kept:
    """Keeps every unit, and dies after some of them."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.kept: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.done: list[str] = []
        self.dies_after = dies_after

    def __call__(self, name: str, work: Callable[[], bytes]) -> bytes:
        self.asked.append(name)
        if name not in self.kept:
            if self.dies_after is not None and len(self.done) >= self.dies_after:
                raise InterruptedError
            self.kept[name] = work()
            self.done.append(name)
        return self.kept[name]


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    world = make_world(0.02, seed=5)
    return [Source(n, world.encodings[n]) for n in ("edu-oh", "ui-oh", "np")]


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_UNIT_WORDS", 200 * 1200 * 16)


@pytest.fixture(scope="module")
def in_one_go(sources: list[Source]) -> LinkResult:
    return link(sources, SPEC)


@pytest.mark.usefixtures("small_units")
def test_link_in_small_units_gives_the_bytes_of_one_go(sources: list[Source], in_one_go: LinkResult) -> None:
    units = Kept()
    assert as_bytes(link(sources, SPEC, unit=units)) == as_bytes(in_one_go)
    assert len(set(units.asked)) == len(units.asked)
    assert sum(": scan name" in name for name in units.asked) > 3
    assert [name for name in units.asked if name.endswith(": link")][-1] == units.asked[-1]
    assert not any(str(ref) in "".join(units.asked) for ref in sources[0].encodings.record_refs)


@pytest.mark.usefixtures("small_units")
@pytest.mark.parametrize("dies_after", [0, 3, 7])
def test_link_that_dies_and_begins_anew_does_no_unit_twice(
    sources: list[Source], in_one_go: LinkResult, dies_after: int
) -> None:
    units = Kept(dies_after)
    with pytest.raises(InterruptedError):
        link(sources, SPEC, unit=units)
    done = list(units.done)
    units.dies_after = None
    # on another machine, with another number of threads
    again = link(sources, SPEC, unit=units, options=Options(threads=1))
    assert as_bytes(again) == as_bytes(in_one_go)
    assert again.learned == in_one_go.learned
    assert units.done[: len(done)] == done
    assert len(set(units.done)) == len(units.done)


def test_pack_of_the_same_figures_is_the_same_bytes_and_comes_back(in_one_go: LinkResult) -> None:
    columns = {"p": in_one_go.links["probability"].to_numpy()}
    data = pack({"a": [1, 0.1]}, columns)
    assert data == pack({"a": [1, 0.1]}, columns)
    head, arrays = unpack(data)
    assert head == {"a": [1, 0.1]}
    assert arrays["p"].tobytes() == columns["p"].tobytes()
