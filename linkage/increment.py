"""A new batch against what is already linked: pairs of unchanged sources are taken over, not compared again.

What a run learnt (how filters are compared, what agreement was worth) is kept with its result. A later run on
more batches compares only pairs of sources of which one is new or changed, by the measures of the past, and
then makes persons of old and new links together. A run from scratch would have measured anew: it can differ
where the new batches' people compare differently, and the report says by how much they do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crypto.encoding.types import LinkSpec
from linkage.comparison import FilterLevels
from linkage.errors import LinkageError
from linkage.plan import ANY_KEY, Plan
from linkage.records import Source
from linkage.result import Borrowed, PairResult

FORMAT = "cohortlink-learned/1"

#: From so many standard deviations on a run has a doubt: every second pair of strangers of the new sources is
#: then as alike as one in forty was. Less is common where regions differ, and moves hardly a link.
DRIFTED = 2.0


def digest(source: Source) -> str:
    """SHA-256 over everything of a source (as `checked` orders it) that can move a result."""
    total = hashlib.sha256(repr((source.name, source.deduplicated)).encode())
    total.update(source.encodings.record_refs.tobytes())
    for name in sorted(source.encodings.filters):
        column = source.encodings.filters[name]
        total.update(repr((name, column.words.shape)).encode())
        total.update(column.words.tobytes())
        total.update(column.present.tobytes())
    return total.hexdigest()


def terms(spec: LinkSpec, threshold: float, estimator: str, miss: float = 0.0) -> dict[str, Any]:
    """What must be the same in two runs for one to go on from the other."""
    filters = [asdict(f) | {"levels": list(f.levels)} for f in spec.filters]
    said = {"filters": filters, "mode": spec.mode, "threshold": threshold, "estimator": estimator}
    return said | ({"miss": miss} if miss else {})


def learned(
    plan: Plan, borrowed: Borrowed, sources: Sequence[Source], about: Mapping[str, Any]
) -> dict[str, Any]:
    """JSON-able: what a later run needs beside the links and the report."""
    return {
        "format": FORMAT,
        "terms": dict(about),
        "sources": {s.name: digest(s) for s in sources},
        "levels": {
            name: {"thresholds": list(level.thresholds), "chance": level.chance, "spread": level.spread}
            for name, level in plan.levels.items()
        },
        "groups": [list(g) for g in plan.groups],
        "borrowed": [
            {"group": list(group), "size": size, "m": m.tolist()} for (group, size), m in borrowed.items()
        ],
    }


def remembered(report: Mapping[str, Any], learned: Mapping[str, Any]) -> bytes:
    """What `Past.read` needs beside the links; the same result gives the same bytes."""
    return json.dumps({"pairs": report["pairs"], "learned": learned}, sort_keys=True).encode()


class Past:
    """An earlier run to go on from.

    Parameters
    ----------
    links : pyarrow.Table
        Its `LinkResult.links`.
    report, knowledge : mapping
        Its `LinkResult.report` and `LinkResult.learned`, also after a way through JSON.

    Raises
    ------
    LinkageError
        ``PAST_INVALID`` if they are none.
    """

    def __init__(self, links: pa.Table, report: Mapping[str, Any], knowledge: Mapping[str, Any]) -> None:
        if knowledge.get("format") != FORMAT or "pairs" not in report:
            raise LinkageError("PAST_INVALID", "This is not what a linkage run has learnt.")
        self._links, self._report, self._known = links, report, knowledge

    @classmethod
    def read(cls, links: pa.Table, data: bytes) -> Past:
        """The run with these links that left this behind (`remembered`).

        Raises
        ------
        LinkageError
            ``PAST_INVALID``.
        """
        try:
            document = json.loads(data)
            return cls(links, {"pairs": document["pairs"]}, document["learned"])
        except (ValueError, KeyError, TypeError):
            raise LinkageError("PAST_INVALID", "This is not what a linkage run has learnt.") from None

    def check(self, about: Mapping[str, Any]) -> None:
        """Refuse to go on under other terms.

        Raises
        ------
        LinkageError
            ``PAST_DIFFERS`` naming what is not the same.
        """
        then = self._known["terms"]
        for key in sorted({*about, *then}):
            if then.get(key) != about.get(key):
                raise LinkageError("PAST_DIFFERS", f"The earlier run had other {key}; link from scratch.")

    def plan(self, spec: LinkSpec) -> Plan:
        """How filters were compared."""
        levels = {
            f.name: FilterLevels(
                f,
                tuple(self._known["levels"][f.name]["thresholds"]),
                self._known["levels"][f.name]["chance"],
                self._known["levels"][f.name]["spread"],
            )
            for f in spec.filters
        }
        return Plan(levels, [tuple(g) for g in self._known["groups"]])

    def borrowed(self) -> Borrowed:
        """What agreement was worth."""
        return {
            (tuple(b["group"]), int(b["size"])): np.array(b["m"], np.float64) for b in self._known["borrowed"]
        }

    def unchanged(self, sources: Sequence[Source]) -> set[str]:
        """Names of the sources that took part as they are now."""
        return {s.name for s in sources if self._known["sources"].get(s.name) == digest(s)}

    def result(self, a: Source, b: Source) -> PairResult | None:
        """The links of two unchanged sources; None if they were not compared."""
        names = [a.name, b.name]
        report = next((r for r in self._report["pairs"] if r["sources"] == names), None)
        if report is None:
            return None
        links = self._links
        mine = links.filter(pc.and_(pc.equal(links["batch_a"], a.name), pc.equal(links["batch_b"], b.name)))

        def rows(source: Source, column: str) -> Any:
            # `checked` has put record_refs in order
            return np.searchsorted(source.encodings.record_refs, mine[column].to_numpy().astype("<U32"))

        return PairResult(
            rows(a, "record_ref_a").astype(np.int64),
            rows(b, "record_ref_b").astype(np.int64),
            mine["probability"].to_numpy(),
            mine["weight"].to_numpy(),
            report,
        )


def drift(past: Plan, fresh: Plan) -> dict[str, float]:
    """By how many standard deviations strangers of the new pairs are more alike than those of the past."""
    return {
        name: round((fresh.levels[name].chance - level.chance) / max(level.spread, 1e-6), 6)
        for name, level in past.levels.items()
        if name != ANY_KEY and fresh.levels[name].spread > 0
    }


def drifted(found: Mapping[str, float]) -> list[str]:
    """Doubts about a run that went on by measures which do not fit its new sources."""
    far = sorted(name for name, by in found.items() if abs(by) >= DRIFTED)
    return [
        f"new sources: strangers compare otherwise than in the earlier run, by {name}; link from scratch"
        for name in far
    ]
