"""Log in, log out, who am I, and one's own password."""

from __future__ import annotations

import math

import psycopg
import structlog
from fastapi import APIRouter, Request, Response
from psycopg_pool import PoolTimeout

from alerts.case import Refused
from console.api.refusals import LOGGED_IN, refusals, refused
from console.auth import COOKIE, OneTime, drop_cookie, set_cookie
from console.desk import TheDesk
from console.errors import Problem
from console.models import Me
from console.orders import LogIn, NewPassword
from store.accounts import Account, LogInRefused, account_of, change_password, log_in, log_out

log = structlog.get_logger()
session = APIRouter(prefix="/api/v1/session", tags=["session"])
me = APIRouter(prefix="/api/v1/me", tags=["session"])


def _me(account: Account) -> Me:
    return Me.model_validate(account)


@session.post("", summary="Log in", responses=refusals(401, 403, 429))
async def begin(order: LogIn, request: Request, response: Response, desk: TheDesk) -> Me:
    """Sets the cookie `patrolgrid_session`. A one-time password is good for one log-in, in which it must be changed.

    Too many failures, of one name or from one address, have to wait: 429 with `Retry-After` in seconds.
    """
    address = request.client.host if request.client else ""
    if wait := desk.failures.attempt(address):
        log.warning("log_in_throttled", address=address)
        raise _too_many(wait)
    try:
        async with desk.hashing, desk.pool.connection() as conn:
            token = await log_in(conn, order.name, order.password, hours=desk.session_hours)
            account = await account_of(conn, token)
    except LogInRefused as refusal:
        log.warning("log_in_refused", address=address, name=order.name, code=refusal.code)
        raise _log_in_problem(refusal, 401) from refusal
    except (psycopg.OperationalError, PoolTimeout):
        desk.failures.give_back(address)  # an outage is nobody's guess
        raise
    desk.failures.give_back(address)
    if account is None:  # shut out in this very moment
        raise Problem(401, "wrong_password", "用户名或密码不正确", "The name or the password is wrong")
    log.info("logged_in", address=address, name=account.name, role=account.role)
    set_cookie(response, token, desk)
    return _me(account)


@session.delete("", summary="Log out", status_code=204, responses=refusals(403))
async def end(request: Request, response: Response, desk: TheDesk) -> None:
    """Ends the session and its live streams; no error when it has ended already."""
    if token := request.cookies.get(COOKIE):
        async with desk.pool.connection() as conn:
            await log_out(conn, token)
    drop_cookie(response, desk)


@me.get("", summary="Who am I", responses=refusals(*LOGGED_IN))
async def read_me(caller: OneTime) -> Me:
    """The account that is logged in."""
    return _me(caller.account)


@me.post("/password", summary="Change one's own password", responses=refusals(*LOGGED_IN, 409, 429))
async def new_password(order: NewPassword, caller: OneTime, desk: TheDesk) -> Me:
    """Ends all other sessions of the account. A one-time password must be changed so before anything else."""
    try:
        async with desk.hashing, desk.pool.connection() as conn:
            await change_password(conn, caller.account, order.old, order.new, keep=caller.token)
            account = await account_of(conn, caller.token)
    except LogInRefused as refusal:
        raise _log_in_problem(refusal, 422) from refusal  # not 401: the session still holds
    except Refused as refusal:
        raise refused(refusal) from refusal
    log.info("password_changed", name=caller.account.name)
    return _me(account or caller.account)


def _log_in_problem(refusal: LogInRefused, status: int) -> Problem:
    if refusal.code == "too_many_tries":
        return _too_many(refusal.wait)
    return Problem(status, refusal.code, refusal.zh, refusal.en)


def _too_many(wait: float) -> Problem:
    seconds = math.ceil(wait)
    zh, en = f"尝试次数过多，请在 {seconds} 秒后再试", f"Too many tries, wait {seconds} s"
    return Problem(429, "too_many_tries", zh, en, {"Retry-After": str(seconds)})
