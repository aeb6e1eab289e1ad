"""The console's ASGI application: REST under /api/v1, the live stream, the pages, and what a monitor asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from socket import socket
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from console.api.alerts import alerts
from console.api.around import around
from console.api.assessment import assessment, assessment_pages
from console.api.attachments import attachments
from console.api.backtests import backtests
from console.api.cases import cases
from console.api.categories import categories
from console.api.devices import devices
from console.api.dispatch import dispatch
from console.api.duties import duties
from console.api.exports import exports
from console.api.heat import heat_map
from console.api.letters import letters
from console.api.live import stream
from console.api.me import me, session
from console.api.notices import notices
from console.api.ownership import ownership
from console.api.probes import probes
from console.api.rejects import rejects
from console.api.reports import reports
from console.api.silences import silences
from console.api.site import site
from console.desk import Checks, Desk, GroundCache
from console.errors import add_handlers, plain_traceback
from console.feed import StoreFeed
from console.guard import Guard, security_headers
from console.intake import Intake, tidy_always
from console.live import Live
from console.pages import STATIC, Files, pages
from console.replay import Publish, publisher
from console.telemetry import Timed
from store.signing import KeyFile

log = structlog.get_logger()

TAGS: Final = [
    {"name": "session", "description": "Log in and out; who am I. 登录与账号"},
    {"name": "site", "description": "The place: zones, areas, units, rules. 辖区与围栏"},
    {"name": "devices", "description": "Terminals, cameras, sensors: positions and tracks. 设备与轨迹"},
    {"name": "alerts", "description": "What was found. 预警"},
    {"name": "silences", "description": "What is kept from being told, and planned maintenance. 静默与检修"},
    {"name": "backtests", "description": "What other thresholds would have alerted. 回测"},
    {"name": "cases", "description": "What people handle. 事件"},
    {"name": "reports", "description": "What people saw: taken in once, with pictures. 上报"},
    {"name": "notices", "description": "What was sent to whom and why. 通知"},
    {"name": "ownership", "description": "Cases that are nobody's, and the joint decision. 权属认定"},
    {"name": "duties", "description": "Who is responsible for what where. 职责清单"},
    {"name": "assessment", "description": "The figures of units and areas. 考核"},
    {"name": "rejects", "description": "Messages that could not be taken in. 被拒消息"},
    {"name": "live", "description": "What happens now, by server-sent events. 实时推送"},
    {"name": "monitoring", "description": "For a monitor; no log-in. 运行监测"},
]
DESCRIPTION: Final = """Where a county's patrols are, what is going wrong, and whether it was finished.

Log in with `POST /api/v1/session`; the cookie it sets is the key to everything else. Times are ISO 8601 in UTC, places
degrees WGS-84. Every refusal has the form `{"error": {"code", "zh", "en"}}`. A page of a list gives `next`; send it
back as `before`. What an account sees is limited to its area, and for the role *unit* to its unit's cases."""


def create_app(
    pool: AsyncConnectionPool,
    *,
    database_url: str,
    mqtt_url: str = "",
    publish: Publish | None = None,
    start_backtests: Callable[[], None] = lambda: None,
    checks: Checks = list,
    tile_url: str = "",
    tile_attribution: str = "",
    session_hours: float = 12.0,
    secure_cookie: bool = False,
    intake: Intake | None = None,
    key: KeyFile | None = None,
    static: Path = STATIC,
    frame: float = 1.0,
    beat: float = 15.0,
    backlog: int = 256,
) -> FastAPI:
    """The console on an open pool. It touches no network before its lifespan begins.

    ``database_url`` is for LISTEN. ``publish`` puts a replayed reject on the broker; without it ``mqtt_url`` is used
    for one connection a message. ``start_backtests`` is called when a backtest was asked for. ``checks`` says what
    readiness rests on beside the database (such as a worker in the same process). ``key`` signs exports. ``frame`` and
    ``beat`` are the live stream's seconds between position frames and between heart-beats, ``backlog`` the events that
    may wait for a slow page. Run it with :class:`ConsoleServer`, whose shutdown ends the streams.

    Raises:
        ValueError: a value is not what it should be, or neither ``publish`` nor ``mqtt_url`` is given.
    """
    if session_hours <= 0:
        raise ValueError(f"session_hours {session_hours} must be positive")
    headers, intake = security_headers(tile_url, https=secure_cookie), intake or Intake()
    grounds = GroundCache(pool)
    live = Live(pool, database_url, StoreFeed(pool, grounds), frame=frame, beat=beat, backlog=backlog)
    app = _bare_app(headers, {} if intake.media is None else {"/api/v1/attachments": intake.media.most_bytes})
    app.state.desk = Desk(
        pool=pool,
        live=live,
        grounds=grounds,
        publish=publish or publisher(mqtt_url),
        start_backtests=start_backtests,
        checks=checks,
        tile_url=tile_url,
        tile_attribution=tile_attribution,
        session_hours=session_hours,
        secure_cookie=secure_cookie,
        intake=intake,
        key=key,
    )
    app.state.security_headers, app.state.files = headers, Files(directory=static)
    add_handlers(app)
    for router in (
        session,
        me,
        site,
        categories,
        devices,
        alerts,
        silences,
        backtests,
        dispatch,
        cases,
        around,
        reports,
        attachments,
        letters,
        exports,
        heat_map,
        notices,
        ownership,
        duties,
        assessment,
        assessment_pages,
        rejects,
        stream,
        probes,
        pages,
    ):
        app.include_router(router)
    app.mount("/static", app.state.files, name="static")
    return app


def _bare_app(headers: dict[str, str], larger: dict[str, int]) -> FastAPI:
    """The application without its routes: what it says of itself, and what stands before every request."""
    return FastAPI(
        title="PatrolGrid",
        summary="Patrols, alerts and cases of a county's governance centre. 巡格",
        description=DESCRIPTION,
        version=version("patrolgrid"),
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # both pages load their scripts from elsewhere, which the content policy forbids
        redoc_url=None,
        openapi_tags=TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=_lifespan,
        middleware=[
            Middleware(Timed),
            Middleware(Guard, headers=headers, larger=larger),
            Middleware(GZipMiddleware, minimum_size=2048, compresslevel=4),
        ],
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep the hub of the live stream and the tidying of intake running beside the requests."""
    desk: Desk = app.state.desk
    tasks = [
        asyncio.create_task(desk.live.run(), name="live"),
        asyncio.create_task(tidy_always(desk.pool, desk.intake), name="tidy"),
    ]
    for task in tasks:
        task.add_done_callback(_ended)
    try:
        yield
    finally:
        desk.live.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)  # a failure was told when it happened


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error(f"{task.get_name()}_failed", traceback=plain_traceback(error))


class ConsoleServer(uvicorn.Server):
    """Uvicorn that ends the live streams first: it would otherwise wait for them for ever before the lifespan ends."""

    def __init__(self, app: FastAPI, host: str = "127.0.0.1", port: int = 8080, **config: object) -> None:
        given = {"host": host, "port": port, "log_config": None, "timeout_graceful_shutdown": 3, "ws": "none", **config}
        super().__init__(uvicorn.Config(app, **given))  # type: ignore[arg-type]
        self._live: Live = app.state.desk.live

    @property
    def port(self) -> int:
        """The port it really listens on, once ``started``."""
        return int(self.servers[0].sockets[0].getsockname()[1])

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """End the streams, then everything else."""
        self._live.close()
        await super().shutdown(sockets)
