"""Backtests: a rule and another form of it over stored history, side by side in one pass.

Readings are fed as they were judged live: in event time, or, for detectors that follow reception, in the order in which
they arrived, with a tick every :data:`TICK` seconds in which the feed was heard. A time in which nothing at all arrived
counts as not listened to. What came late is known at once here; live it was found later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
from psycopg import AsyncConnection

from alerts.backtest import PROPOSED, Book, as_json, compare, proposed_from
from alerts.rules import Rule
from detectors.base import Batch, reads
from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, Rows, joined_rows, rows
from devices.site import Site, micros
from server.fold import KINDS, Fold, last_received
from server.refill import AHEAD
from server.watch import SETTLED
from store.alerts import storable
from store.stretches import last_before, stretch
from store.visits import visits_spanning

SLICE: Final = 600 * SECOND  # of event time read at once
TICK: Final = 10 * SECOND
HEARD: Final = 60 * SECOND  # after the last arrival the feed counts as heard for so long
_DTYPES: Final = {"fixes": FIX, "sightings": SIGHTING, "samples": SAMPLE}

Progress = Callable[[float], Awaitable[None]]
"""Told now and then which share of the history is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a backtest shows, as plain JSON in :meth:`as_json`."""

    present: Rule
    proposed: Rule
    since: datetime
    until: datetime
    readings: int
    alerts: dict[str, list[dict[str, Any]]]  # kept, added, gone

    def as_json(self) -> dict[str, Any]:
        """For ``--json``, the API and the map."""
        counts = {name: len(alerts) for name, alerts in self.alerts.items()}
        counts |= {"present": counts["kept"] + counts["gone"], "proposed": counts["kept"] + counts["added"]}
        return {
            "rule": self.present.code,
            "detector": self.present.detector,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "readings": self.readings,
            "present": {"settings": dict(self.present.settings), "clear_after": self.present.clear_after},
            "proposed": {"settings": dict(self.proposed.settings), "clear_after": self.proposed.clear_after},
            "counts": counts,
            **self.alerts,
        }


async def backtest(
    conn: AsyncConnection,
    site: Site,
    rule: Rule,
    wishes: dict[str, str],
    since: datetime,
    until: datetime,
    progress: Progress,
) -> Outcome:
    """Run ``rule`` and its form with ``wishes`` over what is stored from ``since`` to ``until``.

    Raises:
        RuleError: a wish names no threshold, or a value that it does not take.
        ValueError: ``since`` is not before ``until``.
    """
    if since >= until:
        raise ValueError(f"the history begins at {since} and ends at {until}: expected since before until")
    proposed = replace(proposed_from(rule, wishes), code=rule.code + PROPOSED, active=True)
    books = {rule.code: Book(replace(rule, active=True)), proposed.code: Book(proposed)}
    fold = Fold(site, [book.rule for book in books.values()])
    readings = 0
    async for batch, now, done in _history(conn, fold, micros(since), micros(until)):
        readings += len(batch)
        for found_by, finding in fold.step(batch, now):
            books[found_by.code].take([finding])
        await progress(done)
    slack = max(rule.clear_after, proposed.clear_after)
    sides = compare(books[rule.code].alerts(since), books[proposed.code].alerts(since), slack)
    plain = {
        name: [storable(as_json(alert, site)) for alert in getattr(sides, name)] for name in ("kept", "added", "gone")
    }
    return Outcome(rule, replace(proposed, code=rule.code), since, until, readings, plain)


async def _history(
    conn: AsyncConnection, fold: Fold, since: int, until: int
) -> AsyncIterator[tuple[Batch, int, float]]:
    """The readings in the order in which they are to be judged: (batch, our clock, share done)."""
    (watcher, *_) = fold.watchers
    wanted = {"fixes" if kind == "visits" else kind for kind in reads(watcher.detector)}  # visits come from fixes
    begin = since - max(fold.reach(kind) for kind in (*KINDS, "visits"))
    stays = await visits_spanning(conn, begin)
    fold.start_visits(stays, begin, await last_before(conn, [d.id for d in fold.site.registry.devices], begin))
    arrivals = _Arrivals(begin) if watcher.detector.by_reception else None
    now = begin
    for start in range(begin, until, SLICE):
        end = min(start + SLICE, until)
        batch = await stretch(conn, start, end, kinds=wanted)
        done = (end - begin) / (until - begin)
        if arrivals is not None:
            for some, clock in arrivals.take(batch, end):
                yield some, clock, done
        elif len(batch):
            now = max(now, last_received(batch))
            yield batch, now, done
    if arrivals is not None:
        for some, clock in arrivals.take(Batch(), until + AHEAD):
            yield some, min(clock, until), 1.0
    else:
        yield Batch(), max(now, until) + SETTLED, 1.0


class _Arrivals:
    """Puts slices of event time back into the order of arrival."""

    def __init__(self, begin: int) -> None:
        self._now = begin
        self._heard = begin
        self._waiting: dict[str, Rows] = {kind: rows(dtype) for kind, dtype in _DTYPES.items()}

    def take(self, batch: Batch, until: int) -> list[tuple[Batch, int]]:
        """What had arrived by ``until`` (UTC µs), tick by tick; what arrived later waits for a later slice."""
        ready: dict[str, Rows] = {}
        for kind, waiting in self._waiting.items():
            known = joined_rows(waiting.dtype, [waiting, getattr(batch, kind)])
            known = known.take(np.argsort(known["received"], kind="stable"))
            cut = int(np.searchsorted(known["received"], until))
            ready[kind], self._waiting[kind] = known[:cut], known[cut:]
        return list(self._ticks(ready, until))

    def _ticks(self, ready: dict[str, Rows], until: int) -> Iterator[tuple[Batch, int]]:
        beats = np.unique(np.concatenate([part["received"] // TICK for part in ready.values()])) * TICK + TICK
        ends = {kind: np.searchsorted(part["received"], beats) for kind, part in ready.items()}
        for number, beat in enumerate(beats.tolist()):
            yield from self._pause(beat)
            parts = {k: p[ends[k][number - 1] if number else 0 : ends[k][number]] for k, p in ready.items()}
            self._heard = self._now = max(self._now, beat)
            yield Batch(**parts), self._now
        yield from self._pause(until)

    def _pause(self, until: int) -> Iterator[tuple[Batch, int]]:
        """Ticks without a reading, as long as the feed counts as heard."""
        while self._now + TICK < until and self._now + TICK <= self._heard + HEARD:
            self._now += TICK
            yield Batch(), self._now
