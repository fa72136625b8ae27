"""Indicators as they are declared, and figures made from published tables."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from app.api.dependencies import PROBLEMS, Body, CallerDep, ServiceDep
from app.flows import load_thresholds, show_indicators

router = APIRouter(prefix="/v1", tags=["indicators"], responses=PROBLEMS)

Reference = Annotated[str, Query(min_length=1, max_length=80, examples=["White"])]


@router.get("/indicators")
def every(_caller: CallerDep) -> dict[str, Any]:
    """Every indicator: definition, numerator, denominator, dimensions, additivity, how it is protected."""
    return {"indicators": show_indicators.list_indicators()}


@router.get("/releases/{release}/gap")
def gap(release: str, reference: Reference, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Gaps of a release's groups to a reference group, in points and as ratios (recipients, data owners)."""
    return show_indicators.show_gap(service, caller, release, reference)


@router.get("/releases/{release}/trend")
def trend(release: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """The series of a release by cohort year, with break-in-series flags (recipients, data owners)."""
    return show_indicators.show_trend(service, caller, release)


class ThresholdTable(Body):
    """A table of self-sufficiency thresholds, as CSV."""

    csv: str = Field(
        max_length=load_thresholds.MAX_SIZE,
        examples=["source,version,county_fips,family_type,year,annual_amount,licence_note\n"],
    )


@router.post("/thresholds", status_code=201)
def load(body: ThresholdTable, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Put a table of self-sufficiency thresholds in use, whole or not at all (operator)."""
    return load_thresholds.load(service, caller, body.csv)
