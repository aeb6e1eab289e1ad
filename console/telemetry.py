"""What a monitor asks: /metrics, /healthz, /readyz; and how long each route takes."""

from __future__ import annotations

import time
from typing import Any, Final

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HTTP_SECONDS: Final = Histogram(
    "patrolgrid_http_seconds",
    "Time from a request's arrival to the end of its answer, by route",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
STREAM: Final = "/api/v1/live"  # has no end worth timing: it is counted in patrolgrid_sse_clients


class Timed:
    """ASGI middleware: observes :data:`HTTP_SECONDS` by route template, never by address (that would be unbounded)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == STREAM:
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            HTTP_SECONDS.labels(method, _template(scope), str(status)).observe(time.perf_counter() - begun)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})


def _template(scope: Scope) -> str:
    if scope["path"].startswith("/static/"):
        return "/static"
    route: Any = scope.get("route")
    return str(getattr(route, "path", None) or "unmatched")
