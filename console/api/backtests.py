"""Backtests: what other thresholds would have alerted, asked for here and run beside the console."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, status

from alerts.backtest import proposed_from
from alerts.officers import evidence_shown
from alerts.rules import Rule, RuleError, build_detector
from console.api.paging import Before, Limit
from console.api.refusals import LOGGED_IN, refusals
from console.auth import Caller, Desks
from console.desk import Desk, TheDesk
from console.errors import not_found, wrong_value
from console.models import Text
from console.models_backtests import (
    BacktestDetail,
    BacktestOut,
    BacktestPage,
    NewBacktest,
    RuleThresholds,
    Threshold,
)
from detectors.labels import label
from store.backtests import ask_backtest, get_backtest, list_backtests

backtests = APIRouter(prefix="/api/v1/backtests", tags=["backtests"], responses=refusals(*LOGGED_IN))
BacktestId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The backtest's id")]
LONGEST: Final = timedelta(days=92)


@backtests.get("", summary="The backtests that were asked for, newest first")
async def read_backtests(caller: Desks, desk: TheDesk, limit: Limit = 50, before: Before = None) -> BacktestPage:
    """Without their results."""
    async with desk.pool.connection() as conn:
        found, more = await list_backtests(conn, limit, before)
    return BacktestPage(items=[BacktestOut.model_validate(item) for item in found], next=more)


@backtests.get("/thresholds", summary="What can be tried")
async def read_thresholds(caller: Desks, desk: TheDesk) -> list[RuleThresholds]:
    """The thresholds of every rule's detector, with their present values."""
    ground = await desk.ground()
    return [
        RuleThresholds(rule=rule.code, detector=rule.detector, thresholds=_thresholds(rule)) for rule in ground.rules
    ]


def _thresholds(rule: Rule) -> list[Threshold]:
    detector: Any = build_detector(rule)
    values = {f.name: getattr(detector, f.name) for f in dataclasses.fields(detector) if f.init}
    return [_threshold(rule, *item) for item in {**values, "clear_after": rule.clear_after}.items()]


def _threshold(rule: Rule, name: str, value: Any) -> Threshold:
    found = label(rule.detector, name)
    return Threshold(name=name, label=Text(zh=found.words.zh, en=found.words.en), unit=found.unit, value=value)


@backtests.post("", summary="Ask for a backtest", status_code=status.HTTP_202_ACCEPTED)
async def ask(order: NewBacktest, caller: Desks, desk: TheDesk) -> BacktestDetail:
    """It waits its turn, one runs at a time; look at it again by its id."""
    rules = {rule.code: rule for rule in (await desk.ground()).rules}
    if order.rule not in rules:
        raise wrong_value(f"没有规则“{order.rule}”", f"There is no rule {order.rule!r}")
    if not order.since < order.until <= datetime.now(UTC) + timedelta(minutes=1) or order.until - order.since > LONGEST:
        raise wrong_value(
            f"时间段须在过去，且不超过 {LONGEST.days} 天",
            f"The stretch must lie in the past and be {LONGEST.days} days at most",
        )
    try:
        proposed_from(rules[order.rule], order.set)
    except RuleError as error:
        raise wrong_value(f"阈值不正确：{error.zh}", f"Wrong threshold: {error}") from error
    async with desk.pool.connection() as conn:
        number = await ask_backtest(conn, order.rule, order.set, order.since, order.until, caller.account.name)
    desk.start_backtests()
    return await _detail(number, caller, desk)


@backtests.get("/{backtest_id}", summary="A backtest with what it showed", responses=refusals(404))
async def read_backtest(backtest_id: BacktestId, caller: Desks, desk: TheDesk) -> BacktestDetail:
    """Alerts outside the account's area are left out of the lists, and counted. Evidence is shown as in an alert."""
    return await _detail(backtest_id, caller, desk)


async def _detail(number: int, caller: Caller, desk: Desk) -> BacktestDetail:
    async with desk.pool.connection() as conn:
        found = await get_backtest(conn, number)
    if found is None:
        raise not_found("该回测", "such backtest")
    if found.result is not None:
        registry = (await desk.ground()).site.registry
        for side in ("kept", "added", "gone"):
            found.result[side] = [alert for alert in found.result[side] if caller.sight.area(alert["area"])]
            for alert in found.result[side]:
                if not evidence_shown(alert["subject"], alert["evidence"], registry, caller.sight.device):
                    alert["evidence"] = None
    return BacktestDetail.model_validate(found)
