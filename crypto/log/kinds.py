"""What an entry of each kind says: closed bodies, checked when written and again by every reader.

A body that says more than is declared here is refused on both sides. That is what keeps a count that nobody
thought about out of the log, and what lets :mod:`crypto.log.rules` rely on what it reads. A kind changes its
body only together with ``ENTRY_VERSION``; ``docs/data-model.md`` describes the kinds in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from crypto.errors import LogError

Check = Callable[[Any], bool]

_HEX64 = re.compile(r"[0-9a-f]{64}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,79}", re.ASCII)
_MAX_TEXT = 4000


def _text(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= _MAX_TEXT


def _hex(value: Any) -> bool:
    return type(value) is str and _HEX64.fullmatch(value) is not None


def _day(value: Any) -> bool:
    return type(value) is str and _DAY.fullmatch(value) is not None


def _code(value: Any) -> bool:
    return type(value) is str and _CODE.fullmatch(value) is not None


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _positive(value: Any) -> bool:
    return type(value) is int and value > 0


def _flag(value: Any) -> bool:
    return type(value) is bool


def _object(value: Any) -> bool:
    return type(value) is dict


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: type(value) is list and all(map(check, value))


def _counts(value: Any) -> bool:
    return type(value) is dict and all(map(_count, value.values()))


def _fields(**shape: Check) -> Check:
    names = shape.keys()
    return lambda value: (
        type(value) is dict and value.keys() == names and all(shape[name](value[name]) for name in names)
    )


def _parameters(value: Any) -> bool:
    """What a run was asked for with; ``since`` stands in it only if it goes on from an earlier run."""
    return (
        type(value) is dict
        and _hex(value.get("profile"))
        and _text(value.get("software"))
        and ("since" not in value or _SINCE(value["since"]))
    )


_FILE = _fields(name=_text, sha256=_hex, rows=_count)
_SINCE = _fields(run=_text, links_sha256=_hex, learned_sha256=_hex)
_INPUT = _fields(batch=_text, organization=_text, manifest_sha256=_hex)
_ASKED = _fields(indicator=_or_none(_text), cohort=_or_none(_text), by=_list_of(_text))


def _where(value: Any) -> bool:
    return type(value) is dict and all(_text(name) and _or_none(_text)(value[name]) for name in value)


def _question(value: Any) -> bool:
    """A question; ``where`` (dimension to code) stands in it only if it has a filter."""
    if type(value) is not dict:
        return False
    return _where(value.get("where", {})) and _ASKED({name: value[name] for name in value if name != "where"})


_VERSION: Final[Mapping[str, Check]] = {"version": _positive, "hash": _hex}
_BATCH: Final[Mapping[str, Check]] = {"batch": _text, "manifest_sha256": _hex}
_CREDENTIAL: Final[Mapping[str, Check]] = {
    "organization": _text,
    "credential": _text,
    "kind": _text,
    "key_id": _hex,
}
_RUN: Final[Mapping[str, Check]] = {
    "run": _text,
    "agreement_version": _positive,
    "inputs": _list_of(_INPUT),
}

#: Kind → the fields that its body has.
KINDS: Final[Mapping[str, Mapping[str, Check]]] = {
    "organization.created": {"organization": _text, "name": _text},
    "credential.created": {**_CREDENTIAL, "role": _or_none(_text)},
    "credential.revoked": _CREDENTIAL,
    "agreement.proposed": {
        **_VERSION,
        "profile": _hex,
        "min_cell": _positive,
        "data_owners": _list_of(_text),
        "recipients": _list_of(_text),
        "effective": _day,
        "expires": _day,
    },
    "agreement.review": _VERSION,
    "agreement.approved": {**_VERSION, "key_id": _hex},
    "agreement.revoked": {**_VERSION, "key_id": _hex},
    "agreement.suspended": {"version": _positive},
    "agreement.resumed": {"version": _positive, "state": _code},
    "batch.accepted": {
        **_BATCH,
        "agreement_version": _positive,
        "key_id": _hex,
        "epoch": _positive,
        "profile": _hex,
        "coverage": _counts,
        "files": _list_of(_FILE),
    },
    "batch.rejected": {**_BATCH, "code": _code},
    "batch.withdrawn": _BATCH,
    "batch.superseded": {**_BATCH, "by": _text},
    "run.started": {**_RUN, "parameters": _parameters},
    "run.finished": {
        **_RUN,
        "parameters": _parameters,
        "persons_sha256": _hex,
        "links_sha256": _hex,
        "quality": _object,
    },
    "run.failed": {**_RUN, "code": _code},
    "run.cancelled": {**_RUN, "code": _code},
    "run.replayed": {
        "run": _text,
        "same": _flag,
        "persons_sha256": _hex,
        "links_sha256": _hex,
        "cubes": _list_of(_fields(ledger=_text, cube_sha256=_hex)),
        "software": _text,
    },
    "release.requested": {"release": _text, "question": _question},
    "release.granted": {
        "release": _text,
        "ledger": _text,
        "run": _text,
        "question": _question,
        "table_sha256": _hex,
        "cube_sha256": _hex,
        "min_cell": _positive,
        "cells": _counts,
    },
    "release.refused": {"release": _text, "question": _question, "code": _code},
    "release.approved": {"release": _text},
    "release.objected": {"release": _text},
    "release.previewed": {
        "run": _text,
        "indicator": _text,
        "cohort": _text,
        "dimensions": _list_of(_text),
        "policies": _list_of(_fields(min_cell=_positive, depth=_count)),
    },
    "release.reviewed": {"release": _text, "approved_by": _list_of(_text)},
    "ledger.charged": {
        "ledger": _text,
        "run": _text,
        "indicator": _text,
        "cohort": _text,
        "min_cell": _positive,
        "cube_sha256": _hex,
        "charged": _positive,
        "total": _positive,
    },
    "destruction.due": {},
    "destruction.done": {
        "type": _text,
        "agreement": _text,
        "method": _text,
        "datasets": _list_of(_object),
        "runs": _list_of(_text),
        "derivatives": _list_of(_object),
        "keys": _list_of(_object),
        "remains": _object,
        "requested_by": _text,
        "executed_by": _text,
        "executed_at": _text,
    },
    "keys.rotated": {
        "planes": _list_of(_fields(plane=_text, key_id=_text, dropped=_list_of(_text))),
        "data_keys": _count,
    },
    "thresholds.loaded": {"source": _text, "version": _text, "sha256": _hex},
    "log.read": {"credential": _text, "role": _text, "start": _count},
    "log.rekeyed": {"old": _text, "new": _text, "signature": _object},
}

#: Kind → fields that a body may have besides; entries from before they existed lack them.
OPTIONAL: Final[Mapping[str, Mapping[str, Check]]] = {
    "run.finished": {"presence_sha256": _hex, "learned_sha256": _hex},
    "ledger.charged": {
        "basis": _object,
        "vintage": _positive,
        "epsilon": _or_none(_text),
        "dropped": _list_of(_list_of(_text)),
        "proof_sha256": _hex,
    },
}

#: Kinds that belong to no agreement; all others belong to one.
UNBOUND: Final = frozenset(
    {
        "organization.created",
        "credential.created",
        "credential.revoked",
        "keys.rotated",
        "thresholds.loaded",
        "log.read",
        "log.rekeyed",
    }
)


def check_body(kind: str, agreement: str | None, body: Mapping[str, object]) -> None:
    """Check that a body says exactly what entries of its kind say.

    Parameters
    ----------
    kind
        As in the entry.
    agreement
        The entry's agreement, or None.
    body
        The entry's body.

    Raises
    ------
    LogError
        ``ENTRY_KIND`` for a kind that this program does not know, ``ENTRY_BODY`` naming the field that is
        missing, unknown or not of its form.
    """
    shape = KINDS.get(kind)
    if shape is None:
        raise LogError("ENTRY_KIND", "an entry of a kind that this program does not know")
    if (agreement is None) is not (kind in UNBOUND):
        raise LogError("ENTRY_BODY", f"{kind}: belongs to {'no' if kind in UNBOUND else 'an'} agreement")
    more = {name: check for name, check in OPTIONAL.get(kind, {}).items() if name in body}
    shape = {**shape, **more}
    if body.keys() != shape.keys():
        odd = min(body.keys() ^ shape.keys())
        raise LogError("ENTRY_BODY", f"{kind}: {'unknown' if odd in body else 'missing'} field {odd!r}")
    for name, check in shape.items():
        if not check(body[name]):
            raise LogError("ENTRY_BODY", f"{kind}: field {name!r} is not of its form")
