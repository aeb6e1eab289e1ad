"""What stands before every request: security headers, no orders from other sites, no huge bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.errors import BY_STATUS, Problem

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_BODY: Final = 64 * 1024  # bytes; the largest honest body is a note
LARGER: Final = {"/api/v1/duties/import": 8 * 2**20, "/api/v1/attachments": 8 * 2**20}
"""Routes that take files, by path, and how large these may be. Such a route reads its body only after the log-in."""


def tile_source(tile_url: str) -> str:
    """What the content policy must allow for the map's tiles: their origin, or "" where they are our own or none.

    Raises:
        ValueError: the address is neither ``http(s)://host/…{z}…`` nor a path on this server.
    """
    if not tile_url or (tile_url.startswith("/") and not tile_url.startswith("//")):
        return ""
    url = urlsplit(tile_url)
    if url.scheme not in ("http", "https") or not url.hostname or not set(url.netloc).isdisjoint("{};, '\"\\@"):
        raise ValueError(f"tile address {tile_url!r}: expected https://host/…/{{z}}/{{x}}/{{y}}.png or a path /…")
    return f"{url.scheme}://{url.netloc}"


def security_headers(tile_url: str, *, https: bool) -> dict[str, str]:
    """The headers of every answer. The policy lets MapLibre have its blob worker and the tiles' host, nothing else."""
    tiles = f" {source}" if (source := tile_source(tile_url)) else ""
    policy = (
        "default-src 'self'; script-src 'self'; style-src 'self'; font-src 'self'; "
        f"img-src 'self' data: blob:{tiles}; connect-src 'self'{tiles}; "
        "worker-src 'self' blob:; child-src 'self' blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(self)",
    }
    if https:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers


def from_our_pages(headers: Mapping[str, str]) -> bool:
    """Whether a request that changes something comes from our own pages, or from no browser at all.

    A browser says where a request was made: by Sec-Fetch-Site on secure addresses, by Origin with every unsafe method.
    A program such as curl sends neither and holds no cookie that somebody else could abuse. The scheme of Origin is not
    compared, as a proxy in front may speak HTTPS for us.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")


class Guard:
    """ASGI middleware; outermost, so that its headers are on every answer including failures."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], larger: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._headers = dict(headers)
        self._larger = {**LARGER, **(larger or {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")  # answers of the API belong to one person
            await send(message)

        problem = self._refusal(scope)
        if problem is not None:
            await problem.response()(scope, receive, send_with_headers)
            return
        await self._app(scope, _limited(receive, self._largest(scope)), send_with_headers)

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if scope["method"] not in SAFE and not from_our_pages(headers):
            zh, en = "拒绝来自其他网站的请求", "A request from another site is refused"
            return Problem(403, "other_site", zh, en)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._largest(scope):
            return Problem(413, *BY_STATUS[413])
        if b"%00" in scope["query_string"]:  # no text of the database can hold it
            return Problem(
                422, "wrong_value", "地址中含有无法使用的字符", "The address holds a character that is not taken"
            )
        return None

    def _largest(self, scope: Scope) -> int:
        return self._larger.get(scope["path"], LARGEST_BODY)


def _limited(receive: Receive, most: int) -> Receive:
    """The same, but a body without a stated length may not grow beyond the limit either."""
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > most:
                raise Problem(413, *BY_STATUS[413])
        return message

    return limited
