"""The ASGI application: routes, problem documents, surroundings, and the service behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version

from fastapi import FastAPI

from app.api import (
    agreements,
    batches,
    health,
    indicators,
    log,
    objections,
    organizations,
    problems,
    releases,
    runs,
)
from app.api.limits import Limits
from app.api.middleware import Surroundings
from app.flows.identity import Identity
from app.flows.previews import Previews
from app.flows.seal_log import seal
from app.flows.service import open_service, require_storage, utc_now
from app.settings import Settings
from app.web import pages


def create_app(
    settings: Settings, *, clock: Callable[[], datetime] = utc_now, workers: bool = False
) -> FastAPI:
    """The application over the data that the settings name; with ``workers``, they make its cubes.

    Raises
    ------
    ServiceError
        As `open_service` and `require_storage`: a server that cannot work does not start.
    """
    service = replace(open_service(settings, clock=clock), makes_cubes=not workers)
    require_storage(service)
    # Entries that a crash left without a checkpoint are sealed before anybody can ask.
    seal(service)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.previews.close()
        service.close()

    app = FastAPI(
        title="Cohortlink",
        version=version("cohortlink"),
        summary="Links encoded records of education and workforce agencies; returns protected tables only.",
        lifespan=lifespan,
        # The framework's pages load scripts from elsewhere; ours are in app/web.
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.state.previews = Previews(service)
    app.state.identity = Identity(settings.oidc, clock) if settings.oidc else None
    app.state.blob_probe = health.Remembered(service.store.blobs.probe)
    app.state.limits = Limits(settings.rate_limit)
    for module in (organizations, agreements, batches, runs, releases, objections, indicators, log, health):
        app.include_router(module.router)
    pages.install(app)
    problems.install(app)
    app.add_middleware(Surroundings)
    return app
