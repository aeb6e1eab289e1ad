"""Who is asking, and whether the role allows it: the session cookie and the rule that every route names.

Every route under ``/api`` depends on :func:`require`; the cookie is HttpOnly and SameSite=Strict, and ``console.guard``
refuses orders from other sites besides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Response
from fastapi.security import APIKeyCookie

from console.desk import Desk, TheDesk
from console.errors import BY_STATUS, Problem
from console.sight import Sight, sight_of
from store.accounts import Account, account_of
from store.database import reading

COOKIE: Final = "patrolgrid_session"
AT_CONSOLE: Final = ("viewer", "operator", "unit", "supervisor", "admin")
"""Those who work at the console."""
ROLES: Final = (*AT_CONSOLE, "grid")
_scheme = APIKeyCookie(name=COOKIE, auto_error=False, description="Given by POST /api/v1/session")


@dataclass(frozen=True, slots=True)
class Caller:
    """The logged-in account behind a request, with what it may see."""

    account: Account
    sight: Sight
    token: str


def set_cookie(response: Response, token: str, desk: Desk) -> None:
    """Give the browser its session."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(desk.session_hours * 3600),
        path="/",
        secure=desk.secure_cookie,
        httponly=True,
        samesite="strict",
    )


def drop_cookie(response: Response, desk: Desk) -> None:
    """Take it back."""
    response.delete_cookie(COOKIE, path="/", secure=desk.secure_cookie, httponly=True, samesite="strict")


async def caller_of(desk: Desk, token: str | None) -> Caller | None:
    """Who holds this session; None when it is unknown, has ended, or the account is no longer active."""
    if not token:
        return None
    async with reading(desk.pool) as conn:
        account = await account_of(conn, token)
    if account is None:
        return None
    ground = await desk.ground()
    return Caller(account, sight_of(account.role, account.unit, account.area, ground.site), token)


def require(*roles: str, one_time: bool = False) -> Callable[..., Awaitable[Caller]]:
    """The dependency of a route that these roles may use; an admin always may.

    With a one-time password an account may do nothing but change it, except on routes marked ``one_time``.

    Raises:
        ValueError: no role, or one that does not exist.
    """
    if not roles or set(roles) - set(ROLES):
        raise ValueError(f"roles {roles!r}: expected some of {', '.join(ROLES)}")
    allowed = {*roles, "admin"}

    async def check(desk: TheDesk, token: Annotated[str | None, Depends(_scheme)]) -> Caller:
        caller = await caller_of(desk, token)
        if caller is None:
            raise Problem(401, *BY_STATUS[401])
        if caller.account.one_time and not one_time:
            zh, en = "请先修改一次性密码", "Change the one-time password first"
            raise Problem(403, "password_change_required", zh, en)
        if caller.account.role not in allowed:
            raise Problem(403, *BY_STATUS[403])
        return caller

    return check


Anyone = Annotated[Caller, Depends(require(*AT_CONSOLE))]
"""Every role at the console, once the one-time password is changed: all but a grid worker."""
Known = Annotated[Caller, Depends(require(*ROLES))]
"""Every role, grid workers too."""
OneTime = Annotated[Caller, Depends(require(*ROLES, one_time=True))]
"""Every role, also before."""
Reporters = Annotated[Caller, Depends(require("grid", "operator", "unit", "supervisor"))]
"""Those who report what they see: everybody but a viewer."""
Staff = Annotated[Caller, Depends(require("operator", "unit", "supervisor"))]
"""Everybody but a viewer."""
Desks = Annotated[Caller, Depends(require("operator", "supervisor"))]
"""Those who sit in the centre."""
Chiefs = Annotated[Caller, Depends(require("supervisor"))]
"""Those who supervise, and admins."""
