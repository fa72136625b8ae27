"""Everything that somebody can read, as she would compare two services: all routes, headers and bodies.

What differs from service to service anyway (ids, digests, signatures, keys, tokens) is blotted out, its
length is not; so is what a clock says. Pictures are drawn from the drawings that are compared.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.routing import BaseRoute

from app.api.sessions import COOKIE
from app.flows import sessions
from tests.attacks.region import Region
from tests.world import Member

#: Made at random, or a function of what is: at least 16 letters and digits of an id, a digest or a key.
_DRAWN = re.compile(r"(?=[\w+/=-]*\d)[\w+/=-]{16,}")
#: Of headers: what says nothing of the answer.
_OWN = ("x-request-id", "set-cookie")
_NEVER = ("seconds", "_created", "requests_total", "python_", "process_")


def paths(routes: list[BaseRoute]) -> Iterator[str]:
    """Of every route that answers GET."""
    for route in routes:
        # Routers that were included are kept whole.
        yield from paths(list(getattr(getattr(route, "original_router", route), "routes", None) or []))
        if "GET" in (getattr(route, "methods", None) or ()):
            yield str(getattr(route, "path", ""))


def things_of(region: Region) -> dict[str, list[str]]:
    """What stands for the parameters of paths where a partnership has asked something."""
    releases = region.partnership.get("/agreements/cincinnati-nky/releases").json()["releases"]
    return {
        "agreement": ["cincinnati-nky"],
        "release": [each["id"] for each in releases],
        "run": [releases[0]["run"]],
        "number": ["1"],
        "name": ["table"],
        "index": ["0"],
    }


def observed(
    region: Region,
    member: Member | None,
    things: Mapping[str, list[str]],
    *,
    under: str = "/",
    asking: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Answers to all that may be asked by GET, with an API key or a session, or with neither.

    Parameters
    ----------
    things : mapping of str to list of str
        What stands for the parameters of paths; one that is missing is the word itself.
    under : str, optional
        Routes whose path begins so, and no others.
    asking : mapping of str to str, optional
        The query of a route, by its path.
    """
    told = asking or {}
    token = sessions.sign_in(region.service, member.api_key) if member is not None else ""
    by_key = {"Authorization": f"Bearer {member.api_key}"} if member is not None else {}
    by_page = {"Cookie": f"{COOKIE}={token}"} if member is not None else {}
    seen = {}
    listed = {path for path in paths(list(region.app.routes)) if path.startswith(under)}
    for path in sorted(each for each in listed if not each.endswith(".png")):
        programs, query = path.startswith("/v1"), told.get(path, "")
        for place in _filled(path, things):
            for accept in ("application/json", "text/csv") if programs else ("text/html",):
                headers = {**(by_key if programs else by_page), "Accept": accept}
                answer = region.client.get(place + query, headers=headers)
                seen[f"{accept} {_named(place, things)}"] = _told(answer)
    return seen


def _named(place: str, things: Mapping[str, list[str]]) -> str:
    """A path with numbers in place of ids, as it is called in both services."""
    for kind in ("release", "run"):
        for at, value in enumerate(things[kind]):
            place = place.replace(value, f"{kind}-{at}")
    return place


def _filled(path: str, things: Mapping[str, list[str]]) -> list[str]:
    places = [path]
    for name, kind in re.findall(r"{(\w+)(?::(\w+))?}", path):
        hole = f"{{{name}:{kind}}}" if kind else f"{{{name}}}"
        places = [place.replace(hole, value) for place in places for value in things.get(name, [name])]
    return places


def _told(answer: Any) -> tuple[Any, ...]:
    headers = {name: _blot(value) for name, value in answer.headers.items() if name not in _OWN}
    kind = answer.headers.get("content-type", "")
    if "spreadsheet" in kind:
        book = zipfile.ZipFile(io.BytesIO(answer.content))
        headers.pop("content-length", None)
        return answer.status_code, headers, {n: _blot(book.read(n).decode()) for n in book.namelist()}
    if kind.startswith("application/octet-stream"):
        return answer.status_code, headers, len(answer.content)
    lines = [line for line in answer.text.splitlines() if not any(word in line for word in _NEVER)]
    if "seconds" in answer.text:
        headers.pop("content-length", None)
    return answer.status_code, headers, _blot("\n".join(lines))


def _blot(text: str) -> str:
    return _DRAWN.sub(lambda found: f"<{len(found.group())}>", text)
