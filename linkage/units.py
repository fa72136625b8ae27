"""A run as units of work whose results are bytes, so that whoever runs it may keep them.

`linkage.run.link` asks for every unit by a name, in an order that the inputs decide. A service that keeps
what a unit returned, and gives it back when the same run is begun anew, has done nothing twice; the bytes of
the result are the same, since they always take this way. The units of a source pair are

- ``<a> × <b>: scan <filters> <threshold> <n>/<of>``: a range of rows of one exhaustive scan;
- ``<a> × <b>: link``: comparison, model, score and assignment over the pairs that were found.

Units follow one another and are never nested. What they return holds row numbers and probabilities, no
record_refs and no filters, and is to be kept like links are.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Called with a unit's name and the work; returns what the work returns, now or at an earlier time.
Unit = Callable[[str, Callable[[], bytes]], bytes]

_HEAD = "head"


def at_once(name: str, work: Callable[[], bytes]) -> bytes:
    """Do the work and keep nothing."""
    return work()


def prefixed(unit: Unit, prefix: str) -> Unit:
    """The same with ``prefix`` before every name."""
    return lambda name, work: unit(f"{prefix}: {name}", work)


def pack(head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """JSON-able figures and arrays as bytes; the same input gives the same bytes."""
    stream = io.BytesIO()
    text = np.frombuffer(json.dumps(head).encode(), np.uint8)
    everything: dict[str, Any] = {_HEAD: text, **arrays}
    np.savez(stream, **everything)
    return stream.getvalue()


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Inverse of `pack`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    return json.loads(arrays.pop(_HEAD).tobytes()), arrays
