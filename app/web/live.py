"""Parts of a page as server-sent events: each when it changed, until there is nothing more to come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from app.errors import ServiceError

#: Seconds between two looks, and for which one connection is served: then the browser connects anew, and
#: whether its session is still good is asked again.
LOOK_SECONDS: Final = 0.5
LONGEST: Final = 120.0


def stream(
    request: Request,
    first: Mapping[str, Any],
    look: Callable[[], Mapping[str, Any]],
    parts: Callable[[Mapping[str, Any]], Mapping[str, str]],
    over: Callable[[Mapping[str, Any]], bool],
) -> StreamingResponse:
    """Answer with events.

    Parameters
    ----------
    first : mapping
        What there is to show now.
    look : callable
        Looks again; runs beside the event loop.
    parts : callable
        Names of events and their markup, out of what was seen.
    over : callable
        Whether this was the last: ``ended`` is sent after it.
    """
    return StreamingResponse(
        _events(request, first, look, parts, over),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    request: Request,
    seen: Mapping[str, Any],
    look: Callable[[], Mapping[str, Any]],
    parts: Callable[[Mapping[str, Any]], Mapping[str, str]],
    over: Callable[[Mapping[str, Any]], bool],
) -> AsyncIterator[str]:
    shown: Mapping[str, str] = {}
    end = time.monotonic() + LONGEST
    while True:
        now = parts(seen)
        for name, text in now.items():
            if shown.get(name) != text:
                yield event(name, text)
        shown = now
        if over(seen):
            yield event("ended", "")
            return
        if await request.is_disconnected() or time.monotonic() > end:
            return
        await asyncio.sleep(LOOK_SECONDS)
        try:
            seen = await run_in_threadpool(look)
        except ServiceError:
            # It may not be looked at any more: the browser asks again, and is told so.
            return


def event(name: str, text: str) -> str:
    """One event; a line of nothing would end it."""
    lines = "".join(f"data: {line}\n" for line in text.splitlines() if line.strip()) or "data: \n"
    return f"event: {name}\n{lines}\n"
