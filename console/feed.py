"""What the live hub tells, read from the store: the row that changed and who may see it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from console.answers import alert_out, case_out, position
from console.desk import GroundCache
from console.live import News
from console.models import RejectNews
from console.sight import Sight
from devices.readings import SECOND
from devices.registry import Device
from store.casebook import get_alert, get_case
from store.desk import account_names, notice_case, units_before
from store.readings import get_reject, last_positions

_OVERLAP: Final = 60 * SECOND
"""A batch may commit later than another that was received after it, by as long as a commit may take; so each frame asks
again for this stretch and leaves out what was told already."""


class StoreFeed:
    """A :class:`console.live.Feed` on the database."""

    def __init__(self, pool: AsyncConnectionPool, grounds: GroundCache) -> None:
        self._pool, self._grounds = pool, grounds
        self._told: NDArray[np.int64] = np.zeros(0, np.int64)  # by device id: the reception that was told last

    def site_changed(self) -> None:
        """Forget the cached site."""
        self._grounds.forget()

    async def newest(self) -> int | None:
        """The newest reception of any position, UTC µs. What is known now counts as told."""
        async with self._pool.connection() as conn:
            fixes = await last_positions(conn)
        if not len(fixes):
            return None
        self._remember(fixes["device"], fixes["received"])
        return int(fixes["received"].max())

    async def moved(self, since: int | None) -> tuple[list[News], int | None]:
        """The positions received after ``since`` (None: all) that were not told yet, and the newest reception."""
        registry = (await self._grounds.get()).site.registry
        async with self._pool.connection() as conn:
            fixes = await last_positions(conn, None if since is None else since - _OVERLAP)
        if not len(fixes):
            return [], since
        self._grow(int(fixes["device"].max()) + 1)
        newest = max(int(fixes["received"].max()), since or 0)
        fresh = fixes[fixes["received"] != self._told[fixes["device"]]]
        self._remember(fresh["device"], fresh["received"])
        known = {device.id: device for device in registry.devices}
        return [_moved(fix, known[int(fix["device"])]) for fix in fresh if int(fix["device"]) in known], newest

    async def changed(self, kind: str, number: int) -> News | None:
        """An alert, the case of a notice, a case or a reject; None when it is gone or nobody's business."""
        async with self._pool.connection() as conn:
            if kind == "alert":
                return await _alert(conn, number)
            if kind == "reject":
                return await _reject(conn, number)
            case_id = number if kind == "case" else await notice_case(conn, number)
            return None if case_id is None else await _case(conn, case_id)

    def _remember(self, devices: NDArray[np.int32], received: NDArray[np.int64]) -> None:
        self._grow(int(devices.max(initial=-1)) + 1)
        self._told[devices] = received

    def _grow(self, size: int) -> None:
        if size > len(self._told):
            self._told = np.concatenate([self._told, np.zeros(size - len(self._told), np.int64)])


def _moved(fix: np.void, device: Device) -> News:
    def seen_by(sight: Sight) -> bool:
        return sight.device(device)

    return News(device.code, position(fix, device).model_dump_json().encode(), seen_by)


async def _alert(conn: AsyncConnection, alert_id: int) -> News | None:
    alert = await get_alert(conn, alert_id)
    if alert is None:
        return None
    case = None if alert.case_id is None else await get_case(conn, alert.case_id)

    def seen_by(sight: Sight) -> bool:
        return sight.alert(alert.area, case.unit if case else None, case.called if case else ())

    return News("alert", alert_out(alert).model_dump_json().encode(), seen_by)


async def _case(conn: AsyncConnection, case_id: int) -> News | None:
    case = await get_case(conn, case_id)
    if case is None:
        return None
    told = case_out(case, await account_names(conn, [case.owner]), datetime.now(UTC))

    before = await units_before(conn, case_id)

    def seen_by(sight: Sight) -> bool:
        return sight.case(case.area, case.unit, case.called)

    def lost_by(sight: Sight) -> bool:
        return sight.own_unit in before

    return News("case", told.model_dump_json().encode(), seen_by, lost_by)


async def _reject(conn: AsyncConnection, reject_id: int) -> News | None:
    reject = await get_reject(conn, reject_id)
    if reject is None:
        return None
    told = RejectNews(id=reject.id, reason=reject.reason, topic=reject.topic)
    return News("reject", told.model_dump_json().encode(), Sight.rejects)
