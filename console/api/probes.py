"""For a monitor, without log-in: metrics, liveness, readiness. None of them names a person or a place."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from console.desk import Desk, TheDesk
from console.models import Check, Health, Readiness
from store.alerts import OPEN_ALERTS
from store.database import AWAY
from store.desk import answering, open_alerts

log = structlog.get_logger()
probes = APIRouter(tags=["monitoring"])
_PATIENCE = 3.0  # seconds for a connection: a monitor must hear of an outage, not wait for its end


@probes.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
async def metrics(desk: TheDesk) -> Response:
    """Everything this process counts, and the open alerts as they are now."""
    try:
        async with desk.pool.connection(_PATIENCE) as conn:
            OPEN_ALERTS.set(await open_alerts(conn))
    except AWAY as error:
        OPEN_ALERTS.set(float("nan"))  # an old number would say that all is well
        log.warning("open_alerts_unknown", error=str(error).strip())
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@probes.get("/healthz", summary="Is the process alive")
async def healthz() -> Health:
    """It is when this answers; nothing else is looked at."""
    return Health(ok=True)


@probes.get(
    "/readyz",
    summary="Can work be done",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Something it rests on is missing; `checks` says what"}},
)
async def readyz(desk: TheDesk) -> JSONResponse:
    """The database, the live stream's ear, and whatever else runs in this process."""
    checks = [await _database(desk), Check(name="live", ok=(live := desk.live.state())[0], detail=live[1])]
    checks += [Check(name=name, ok=good, detail=detail) for name, good, detail in desk.checks()]
    ready = all(check.ok for check in checks)
    return JSONResponse(Readiness(ready=ready, checks=checks).model_dump(), status_code=200 if ready else 503)


async def _database(desk: Desk) -> Check:
    try:
        async with desk.pool.connection(_PATIENCE) as conn:
            await answering(conn)
    except AWAY as error:
        return Check(name="database", ok=False, detail=type(error).__name__)  # its text may name host and user
    return Check(name="database", ok=True, detail="answers")
