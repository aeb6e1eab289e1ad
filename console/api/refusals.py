"""How a route documents its refusals in OpenAPI, and what status a refusal of the casebook has."""

from __future__ import annotations

from typing import Any, Final

from alerts.case import Refused
from console.errors import BY_STATUS, Problem
from console.models import Error

LOGGED_IN: Final = (401, 403)
"""What every route with a log-in may answer."""

_STATUS: Final = {
    "not_found": 404,
    "role": 403,
    "other_unit": 403,
    "missing": 422,
    "too_long": 422,
    "wrong_text": 422,
    "wrong_value": 422,
    "no_such_action": 422,
    "weak_password": 422,
    "same_password": 422,
    "no_picture": 422,
    "wrong_picture": 422,
    "too_large_picture": 413,
    "key_reused": 422,
}
"""By the code of a :class:`Refused`; any other (state, stale) is a conflict with how things stand."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """FastAPI's ``responses`` for these statuses, each with the error's form and an example in both languages."""
    return {status: _refusal(status) for status in sorted({*statuses, 422, 503})}


def _refusal(status: int) -> dict[str, Any]:
    code, zh, en = BY_STATUS[status]
    example = {"error": {"code": code, "zh": zh, "en": en}}
    return {"model": Error, "description": en, "content": {"application/json": {"example": example}}}


def refused(refusal: Refused) -> Problem:
    """What the casebook refuses, with the status that fits."""
    return Problem(_STATUS.get(refusal.code, 409), refusal.code, refusal.zh, refusal.en)
