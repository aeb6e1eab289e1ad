"""The pages: ``/`` for those who are logged in, ``/login`` for the others, ``/report`` for phones, and their files.

Every file is answered with ``no-cache`` and an ETag: a browser keeps it and asks each time whether it is still good, so
that a new version is there at the next reload, and ES modules can import each other by plain names.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Cookie, Request, Response
from fastapi.responses import RedirectResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from console.auth import COOKIE, caller_of
from console.desk import TheDesk
from console.report_page import report_worker

STATIC: Final = Path(__file__).parent / "static"
_REVALIDATE: Final = {"Cache-Control": "no-cache"}
# not on every machine's own list; a module served as text/plain is refused by the browser
_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".geojson": "application/geo+json",
    ".pbf": "application/x-protobuf",
    ".webmanifest": "application/manifest+json",
}

pages = APIRouter(include_in_schema=False)


class Files(StaticFiles):
    """StaticFiles with revalidation, and with the right types whatever the machine's list says."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or 304 when the browser's copy is still good."""
        answer = await super().get_response(path, scope)
        answer.headers.update(_REVALIDATE)
        kind = _TYPES.get(Path(path).suffix)
        if kind is not None and answer.status_code == 200:
            answer.headers["Content-Type"] = kind
        return answer


async def _page(request: Request, name: str) -> Response:
    files: Files = request.app.state.files
    return await files.get_response(name, request.scope)


@pages.get("/")
async def map_page(
    request: Request,
    desk: TheDesk,
    patrolgrid_session: Annotated[str | None, Cookie(alias=COOKIE)] = None,
) -> Response:
    """The console itself; who is not logged in, or has still to change the one-time password, is sent to the log-in.

    A grid worker's own page is that of reports.
    """
    caller = await caller_of(desk, patrolgrid_session)
    if caller is None or caller.account.one_time:
        return RedirectResponse("/login", status_code=303, headers={"Cache-Control": "no-store"})
    if caller.account.role == "grid":
        return RedirectResponse("/report", status_code=303, headers={"Cache-Control": "no-store"})
    return await _page(request, "index.html")


@pages.get("/login")
async def login_page(request: Request) -> Response:
    """The log-in, which also changes a one-time password."""
    return await _page(request, "login.html")


@pages.get("/report")
async def report_page(request: Request) -> Response:
    """Where what is seen is reported. The same for everybody, as a phone keeps it; the page asks who it is."""
    return await _page(request, "report.html")


@pages.get("/report-worker.js")
async def report_worker_script(request: Request) -> Response:
    """The service worker of that page; at the top, as it may only serve what is below its own address."""
    files: Files = request.app.state.files
    assert files.directory is not None
    script = await asyncio.to_thread(report_worker, Path(files.directory))
    return Response(script, media_type=_TYPES[".js"], headers=_REVALIDATE)
