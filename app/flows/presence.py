"""Of each record, whether it was encoded and whether with a strong identifier: read from its filters.

A filter is absent where the fields that it needs were missing, so which filters a record has tells what its
agency held, and nothing of what that was. The tabulator never opens encodings: these two bits travel beside
the persons that a run found, and coverage notes are made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crypto.encoding.profile import Profile
from crypto.encoding.profile_parts import Filter

if TYPE_CHECKING:
    from linkage.run import Source

Flags = NDArray[np.bool_]


def strong_filters(profile: Profile) -> frozenset[str] | None:
    """Filters that only a record with a strong identifier has; None if filters do not tell who had one.

    They do not where such a field may be missing from a filter that is there all the same, or where another
    program's schema decides what its encodings hold.
    """
    strong = {field.name for field in profile.fields if field.strong}
    holding = [item for item in profile.filters if strong & set(item.fields)]
    if profile.clk_schema is not None or not all(_needs(item, strong) for item in holding):
        return None
    return frozenset(item.name for item in holding)


def _needs(item: Filter, strong: set[str]) -> bool:
    """Whether nobody has the filter who lacks all of some fields."""
    return (
        item.composite
        or set(item.fields) <= strong
        or any(set(choice.split("|")) <= strong for choice in item.require)
    )


def presence_of(persons: pa.Table, sources: Sequence[Source], profile: Profile) -> pa.Table:
    """Columns ``encoded`` and ``strong`` (null where encodings do not tell), row by row of a run's persons.

    A table of its own: the persons stay what anybody gets who links the same packages.

    Parameters
    ----------
    persons : pa.Table
        As `linkage.run.LinkResult.persons`: every record of every source, once.
    sources : sequence of Source
        What was linked; references ascend.
    profile : Profile
    """
    telling = strong_filters(profile)
    encoded = np.zeros(persons.num_rows, np.bool_)
    strong = np.zeros(persons.num_rows, np.bool_)
    for source in sources:
        at = np.flatnonzero(pc.equal(persons["batch"], source.name).to_numpy(zero_copy_only=False))
        # Both sides hold the same references: the nth in order of the one is the nth of the other.
        order = pc.sort_indices(persons["record_ref"].take(pa.array(at))).to_numpy()
        encoded[at[order]] = _any(source, frozenset(source.encodings.filters))
        strong[at[order]] = _any(source, telling or frozenset())
    told = pa.array(strong) if telling is not None else pa.nulls(persons.num_rows, pa.bool_())
    return pa.table({"encoded": pa.array(encoded), "strong": told})


def _any(source: Source, names: frozenset[str]) -> Flags:
    present = np.zeros(len(source.encodings), np.bool_)
    for name in names:
        column = source.encodings.filters[name]
        # An empty filter that claims to be there holds nothing: the linker takes it for absent too.
        present |= column.present & column.words.any(axis=1)
    return present
