"""What an honest log says of a linkage run: over which batches, and from which earlier run it went on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from crypto.log.standing import Standing


def started(found: Standing, body: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with the start of a run, where an agreement stands so."""
    if body["run"] in found.started:
        yield "a run is started twice"
    made_for = (body["agreement_version"], body["parameters"]["profile"])
    if made_for != (found.version, found.terms["profile"]):
        yield "made for another version or profile than the one that stands"
    yield from _inputs(found, body)
    yield from _carried_on(found, body)


def finished(found: Standing, body: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with the end of a run, where an agreement stands so."""
    begun = found.started.get(body["run"])
    if begun is None or begun["inputs"] != body["inputs"]:
        yield "it was not started, or with other inputs"
    elif begun["parameters"].get("since") != body["parameters"].get("since"):
        yield "it was started from another run than the one that it went on from"
    if body["run"] in found.finished:
        yield "a run is finished twice"
    if body["agreement_version"] != found.version:
        yield "made for another version than the one that stands"
    yield from _inputs(found, body)
    yield from _carried_on(found, body)
    yield from _taken_over(found, body)


def _inputs(found: Standing, body: Mapping[str, Any]) -> Iterator[str]:
    for each in body["inputs"]:
        if found.batches.get(each["batch"]) != (each["organization"], each["manifest_sha256"]):
            yield f"batch {each['batch']} was not submitted so, or was withdrawn"


def _carried_on(found: Standing, body: Mapping[str, Any]) -> Iterator[str]:
    """The earlier run left what was taken over, was made alike, and rests on nothing that was withdrawn."""
    since = body["parameters"].get("since")
    if since is None:
        return
    before = found.finished.get(since["run"])
    if before is None:
        yield f"it goes on from run {since['run']}, which never finished"
        return
    left = {name: before.get(name) for name in ("links_sha256", "learned_sha256")}
    if left != {name: since[name] for name in left}:
        yield f"it took over other links or measures than run {since['run']} left"
    if _made_by(before) != _made_by(body):
        yield f"run {since['run']} had another profile or other options"
    gone = sorted(_rests_on(found, since["run"]) & found.withdrawn)
    if gone:
        yield f"it carries on what rests on batch {gone[0]}, which was withdrawn"


def _made_by(body: Mapping[str, Any]) -> tuple[Any, Any]:
    """What two runs must have alike; an option that is none is as one that was not known yet."""
    profile, options = (body["parameters"].get(name) for name in ("profile", "options"))
    if not isinstance(options, dict):
        return profile, options
    return profile, {name: each for name, each in options.items() if each is not None}


def _rests_on(found: Standing, run: str) -> set[str]:
    """Batches that a run has read, or a run behind it."""
    read: set[str] = set()
    seen: set[str] = set()
    body = found.finished.get(run)
    while body is not None and body["run"] not in seen:
        seen.add(body["run"])
        read |= _batches(body)
        since = body["parameters"].get("since")
        body = found.finished.get(since["run"]) if since else None
    return read


def _batches(body: Mapping[str, Any]) -> set[str]:
    return {each["batch"] for each in body["inputs"]}


def _taken_over(found: Standing, body: Mapping[str, Any]) -> Iterator[str]:
    """Only pairs of batches are taken over that both runs have read."""
    pairs = body["quality"].get("pairs")
    told = [pair for pair in pairs if isinstance(pair, dict)] if isinstance(pairs, list) else []
    since = body["parameters"].get("since")
    before = found.finished.get(since["run"]) if since else None
    both = _batches(body) & _batches(before) if before else set()
    for pair in told:
        of = pair.get("batches")
        names = [each for each in of if isinstance(each, str)] if isinstance(of, list) else [""]
        if pair.get("taken_over") and not both.issuperset(names):
            yield "it took over a pair of batches that no earlier run had read"
            return
