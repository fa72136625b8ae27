"""What the engine knows of a source: checked, in one order, with identical filters grouped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.types import Encodings, FilterColumn, FilterSpec, LinkSpec
from linkage.errors import LinkageError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """One batch to be linked.

    Attributes
    ----------
    name : str
        Unique in a run; becomes ``batch`` in the results.
    encodings : Encodings
    deduplicated : bool
        True: no person has two records in this source. False: records of the source are also linked with
        each other, and several of them may belong to one person.
    organization : str, optional
        Who submitted it; kept for the report. Two batches of one organization are two sources.
    """

    name: str
    encodings: Encodings
    deduplicated: bool = True
    organization: str | None = None


def checked(sources: Sequence[Source], spec: LinkSpec) -> list[Source]:
    """Sources by name and their records by record_ref, so that the order of rows cannot matter.

    Raises
    ------
    LinkageError
        ``NO_FILTERS``, ``DUPLICATE_FILTER``, ``DUPLICATE_SOURCE``, ``FILTER_WIDTH``, ``DUPLICATE_RECORD``.
    """
    if not spec.filters:
        raise LinkageError("NO_FILTERS", "The profile names no filter to compare.")
    if len({f.name for f in spec.filters}) < len(spec.filters):
        raise LinkageError("DUPLICATE_FILTER", "The profile names a filter twice.")
    if len({s.name for s in sources}) < len(sources):
        raise LinkageError("DUPLICATE_SOURCE", "Two sources have the same name.")
    return [replace(s, encodings=_ordered(s, spec)) for s in sorted(sources, key=lambda s: s.name)]


def _ordered(source: Source, spec: LinkSpec) -> Encodings:
    refs = source.encodings.record_refs
    order = np.argsort(refs, kind="stable")
    refs = refs[order]
    if len(refs) > 1 and bool(np.any(refs[1:] == refs[:-1])):
        raise LinkageError("DUPLICATE_RECORD", f"Source {source.name!r} has a record_ref twice.")
    filters = {}
    for wanted in spec.filters:
        column = source.encodings.filters.get(wanted.name)
        if column is None:
            continue
        if column.words.dtype != np.uint64 or column.words.shape[1] * 64 != wanted.width:
            raise LinkageError(
                "FILTER_WIDTH",
                f"Filter {wanted.name!r} of source {source.name!r} is not {wanted.width} bits wide.",
            )
        # An empty filter that claims to be present matches nothing: no information, like an absent one.
        words, present = column.words[order], column.present[order]
        filters[wanted.name] = FilterColumn(np.ascontiguousarray(words), present & words.any(axis=1))
    return Encodings(refs, filters)


def identical_groups(words: NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """Group identical filters: (group of each row, first row of each group).

    Rows are compared by a 64-bit mix of their words and then verified in full; in the practically impossible
    case of a collision the rows themselves are sorted.
    """
    if not len(words):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    mixed = np.zeros(len(words), np.uint64)
    for word in words.T:
        mixed = (mixed ^ word) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    _, first, groups = np.unique(mixed, return_index=True, return_inverse=True)
    if not np.array_equal(words, words[first[groups]]):
        _, first, groups = np.unique(words, axis=0, return_index=True, return_inverse=True)
    return groups.astype(np.int64).ravel(), first.astype(np.int64)


def excerpt(source: Source, records: int, names: Sequence[str]) -> Source:
    """The first records of a source, with some of its filters."""
    filters = {
        n: FilterColumn(column.words[:records], column.present[:records])
        for n, column in source.encodings.filters.items()
        if n in names
    }
    return replace(source, encodings=Encodings(source.encodings.record_refs[:records], filters))


def common_filters(a: Encodings, b: Encodings, spec: LinkSpec) -> list[str]:
    """Filters that at least one record of each side has, in the profile's order."""
    return [
        f.name
        for f in spec.filters
        if f.name in a.filters
        and f.name in b.filters
        and bool(a.filters[f.name].present.any())
        and bool(b.filters[f.name].present.any())
    ]


def with_union(sources: Sequence[Source], spec: LinkSpec) -> tuple[list[Source], LinkSpec]:
    """Add the union of the first plain filters where no single one tells most persons apart.

    A profile with one filter for the given name and one for the surname has none that is worth an exhaustive
    scan. The bitwise union of both, made under one key as they are, is the filter of the whole name, and the
    same for swapped names. Filters are united in the profile's order, among those that the most sources have,
    until three records of ten are distinct.
    """
    plain = [f for f in spec.filters if f.similarity == "dice" and not f.exact]
    filled = [s.encodings for s in sources if len(s.encodings)]
    held = {
        f.name: [e for e in filled if f.name in e.filters and e.filters[f.name].present.any()] for f in plain
    }
    most = max((len(e) for e in held.values()), default=0)
    usable = [f for f in plain if len(held[f.name]) == most > 0]
    if not usable:
        return list(sources), spec
    largest = max(filled, key=len)
    chosen: list[FilterSpec] = []
    for candidate in usable:
        if chosen and candidate.width != chosen[0].width:
            continue
        chosen.append(candidate)
        column = _union([largest.filters[f.name] for f in chosen if f.name in largest.filters])
        if len(identical_groups(column.words[column.present])[1]) >= 0.3 * column.present.sum():
            break
    if len(chosen) < 2:
        return list(sources), spec
    name = "|".join(f.name for f in chosen)
    united = FilterSpec(name, chosen[0].width, "dice", (), False)
    out = []
    for source in sources:
        filters = dict(source.encodings.filters)
        if all(f.name in filters for f in chosen):
            filters[name] = _union([filters[f.name] for f in chosen])
        out.append(replace(source, encodings=Encodings(source.encodings.record_refs, filters)))
    return out, replace(spec, filters=(united, *spec.filters))


def _union(columns: Sequence[FilterColumn]) -> FilterColumn:
    """Bitwise or; present where all parts are."""
    words = np.bitwise_or.reduce([c.words for c in columns])
    present = np.logical_and.reduce([c.present for c in columns])
    return FilterColumn(np.where(present[:, None], words, np.uint64(0)), present)
