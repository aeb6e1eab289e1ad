"""Every refusal the console gives: a status, a stable code and one sentence in Chinese and in English."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

log = structlog.get_logger()


class Problem(HTTPException):
    """A request that is refused, with what the person is told. ``code`` never changes once published.

    It is an HTTPException because FastAPI lets only those through while it reads a body.
    """

    def __init__(self, status: int, code: str, zh: str, en: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, f"{code}: {en}", dict(headers or {}))
        self.code, self.zh, self.en = code, zh, en

    def response(self) -> JSONResponse:
        """The answer in the one form that all errors have."""
        body = {"error": {"code": self.code, "zh": self.zh, "en": self.en}}
        return JSONResponse(body, status_code=self.status_code, headers=self.headers)


def not_found(zh: str, en: str) -> Problem:
    """404: there is no such thing, or this account may not know of it."""
    return Problem(404, "not_found", f"找不到{zh}，或者不在您的辖区内", f"There is no {en}, or it is outside your area")


def wrong_value(zh: str, en: str) -> Problem:
    """422: the request is understood, but a value in it is not allowed."""
    return Problem(422, "wrong_value", zh, en)


BY_STATUS: dict[int, tuple[str, str, str]] = {
    400: ("bad_request", "请求格式不正确", "The request is malformed"),
    401: ("not_logged_in", "请先登录", "Log in first"),
    403: ("forbidden", "您的角色不能这样做", "Your role may not do this"),
    404: ("not_found", "没有这个地址", "There is nothing at this address"),
    405: ("wrong_method", "这个地址不接受这种请求方法", "This address does not take that method"),
    409: ("conflict", "当前状态下不能这样做", "This cannot be done in the present state"),
    413: ("too_large", "请求内容过大", "The request is too large"),
    415: ("wrong_type", "请求内容须为 JSON", "The request body must be JSON"),
    422: ("wrong_value", "请求中有不正确的值", "A value in the request is wrong"),
    429: ("too_many_tries", "尝试次数过多，请稍后再试", "Too many tries, wait a little"),
    500: ("internal", "服务器内部错误", "The server failed"),
    503: ("unavailable", "服务暂时不可用，请稍后再试", "Not available just now, try again shortly"),
}
"""What each status means where nothing more exact is known; also the examples in OpenAPI."""

# pydantic's error types in Chinese; {name} values come from the error's own context
_ZH = {
    "missing": "不能为空",
    "extra_forbidden": "不是本请求的字段",
    "json_invalid": "不是有效的 JSON",
    "int_parsing": "应为整数",
    "int_type": "应为整数",
    "float_parsing": "应为数字",
    "float_type": "应为数字",
    "finite_number": "应为有限的数字",
    "bool_parsing": "应为是或否",
    "string_type": "应为文字",
    "string_too_short": "至少 {min_length} 个字符",
    "string_too_long": "至多 {max_length} 个字符",
    "string_pattern_mismatch": "格式应为 {pattern}",
    "greater_than_equal": "应不小于 {ge}",
    "less_than_equal": "应不大于 {le}",
    "greater_than": "应大于 {gt}",
    "less_than": "应小于 {lt}",
    "literal_error": "应为 {expected} 之一",
    "datetime_from_date_parsing": "应为 ISO 8601 时间",
    "datetime_parsing": "应为 ISO 8601 时间",
    "timezone_aware": "时间须带时区",
    "model_attributes_type": "应为 JSON 对象",
    "dict_type": "应为 JSON 对象",
    "nul": "含有无法使用的字符",  # console.orders.Order
}


def _sentences(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """All of pydantic's complaints as one Chinese and one English sentence, each naming its field."""
    zh, en = [], []
    for error in errors:
        name = ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0])
        zh.append(f"{name}：{_ZH.get(error['type'], '值不正确').format_map(_Known(error.get('ctx', {})))}")
        en.append(f"{name}: {error['msg']}")
    return "；".join(zh), "; ".join(en)


class _Known(dict[str, Any]):
    """Leaves a placeholder that pydantic gave no value for out, rather than failing to report an error."""

    def __missing__(self, key: str) -> str:
        return ""


async def _problem(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Problem)
    return problem.response()


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code, zh, en = BY_STATUS.get(error.status_code, ("error", "请求失败", "The request failed"))
    return Problem(error.status_code, code, zh, en, error.headers).response()


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return wrong_value(*_sentences(error.errors())).response()


async def _database_away(request: Request, error: Exception) -> JSONResponse:
    log.warning("database_unreachable", path=request.url.path, error=str(error).strip())
    zh, en = "数据库暂时连接不上，请稍后再试", "The database cannot be reached just now, try again shortly"
    return Problem(503, "database_unreachable", zh, en, {"Retry-After": "3"}).response()


async def _failed(request: Request, error: Exception) -> JSONResponse:
    """The last resort: the log has the cause under a number, the person gets only the number."""
    number = uuid4().hex[:8]
    log.error("request_failed", number=number, path=request.url.path, traceback=plain_traceback(error))
    zh, en = f"服务器内部错误，编号 {number}", f"The server failed, number {number}"
    answer = Problem(500, "internal", zh, en).response()
    answer.headers.update({**request.app.state.security_headers, "Cache-Control": "no-store"})  # made outside the guard
    return answer


def plain_traceback(error: BaseException) -> str:
    """The traceback as text: log renderers that show local variables would show passwords and positions."""
    return "".join(traceback.format_exception(error))


def add_handlers(app: FastAPI) -> None:
    """Give every failure of ``app`` the one form."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(psycopg.OperationalError, _database_away)
    app.add_exception_handler(PoolTimeout, _database_away)
    app.add_exception_handler(Exception, _failed)
