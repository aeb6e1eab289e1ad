"""Filling detectors' states from the store: at once for those that matter at once, in the background for the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from psycopg import AsyncConnection

from alerts.rules import Rule, build_detector
from detectors.base import Batch, reads
from detectors.visits import visit_rows
from devices.readings import SECOND, Rows
from devices.site import Site
from server.fold import KINDS, Fold, Found, LateReadings, last_received
from server.waiting import NEVER, AlreadyRead, earlier
from store.stretches import MOST_ROWS, StretchTooLong, last_positions, late_alarms, next_slice, stretch
from store.visits import visits_spanning, visits_within

AHEAD: Final = 3600 * SECOND  # a device's clock may be ahead of ours; the pipeline refuses those that are further
FIRST: Final = 10 * SECOND  # of event time that is read at once, where it is not known yet how much there is
TIERS: Final = (2 * 3600.0, 8 * 3600.0)
"""Detectors that remember fixes of longer than each of these (s) are filled one after the other, behind those that do
not: a county's terminals send a million fixes an hour."""
MOST_READ: Final = 200_000
"""Readings of a kind in a slice of more than a second: where a quiet night ends, a long one is read again in parts."""
AT_ONCE: Final = 20  # batches that are caught up with in one turn
MOST_HELD: Final = 300_000  # readings; some 20 MB
EMPTY: Final[Mapping[str, LateReadings]] = MappingProxyType({})


class Refill:
    """One fold over all that its detectors remember, in slices: each kind of reading from as far back as it is needed.

    ``read`` notes what is read; of what was received later than ``until`` (UTC µs) nothing is taken.
    """

    def __init__(self, fold: Fold, newest: int, read: AlreadyRead, until: int = NEVER) -> None:
        self._fold, self._newest, self._read, self._until = fold, newest, read, until
        site = fold.site
        self._mine = None if site.whole else [device.id for device in site.registry.devices]
        self._at = self._now = newest - max(fold.reach(kind) for kind in (*KINDS, "visits"))
        self._length = FIRST

    @property
    def reached(self) -> int:
        """Everything before this moment (UTC µs of event time) has been read."""
        return self._at

    def extend(self, newest: int, until: int) -> None:
        """Read on to a later end than was meant at first."""
        self._newest, self._until = newest, until

    @property
    def done(self) -> bool:
        """Whether everything has been read."""
        return self._at >= self._newest + AHEAD

    async def begin(self, conn: AsyncConnection) -> list[Found]:
        """What comes before the first slice: the visits, and alarms that came late."""
        fold, newest, mine = self._fold, self._newest, self._mine
        if fold.derives:
            since = newest - fold.reach("fixes")
            fold.start_visits(await visits_spanning(conn, since, mine), since, await last_positions(conn))
        known = await visits_within(conn, self._at, newest + AHEAD, mine)
        alarms = await late_alarms(conn, newest - fold.alarm_reach(), mine)
        return fold.recall(Batch(alarms, visits=visit_rows(known)), newest)

    async def slice(self, conn: AsyncConnection) -> list[Found]:
        """Read and fold the next stretch."""
        fold, begin, found = self._fold, self._at, list[Found]()
        reaches = {kind: self._newest - fold.reach(kind) for kind in KINDS}
        kinds = [kind for kind in KINDS if begin >= reaches[kind]]
        turns = [turn for turn in reaches.values() if turn > begin]
        end = min([begin + self._length, *turns, self._newest + AHEAD])
        shortest = end - begin <= SECOND
        try:
            batch = await stretch(conn, begin, end, self._mine, kinds, MOST_ROWS if shortest else MOST_READ)
        except StretchTooLong:
            if shortest:
                raise
            self._length = max((end - begin) // 8, SECOND)
            return found
        size = len(batch)
        batch = self._before(batch)
        if len(batch):
            self._read.add(batch)
            self._now = max(self._now, last_received(batch))
            found = fold.refill(batch, self._now, self._newest - end)
        self._at = end
        # Where little is stored, fewer and longer slices; from a turn on there are more kinds to read.
        self._length = FIRST if end in turns else next_slice(self._length, size)
        return found

    def _before(self, batch: Batch) -> Batch:
        if self._until == NEVER:
            return batch
        parts = (getattr(batch, kind) for kind in KINDS)
        return Batch(*(part[part["received"] <= self._until] for part in parts))


class Held(NamedTuple):
    """What others have folded already: a batch, or a tick; or visits that late fixes corrected."""

    batch: Batch
    visits: Rows
    now: int  # UTC µs
    corrected: bool = False


class Behind:
    """Detectors that still read the past while others follow what comes in: they take that afterwards, in the same
    order, so that they find what they would have found had everything waited for them.

    What was received from ``since`` to ``until`` (UTC µs) may be stored and come as a batch too; what was received
    later is taken as a batch alone.
    """

    def __init__(
        self,
        site: Site,
        rules: Sequence[Rule],
        newest: int,
        since: int,
        until: int,
        late: Mapping[str, LateReadings] = EMPTY,
    ) -> None:
        """``late``: readings that came late before, and may not have been folded again."""
        self.fold = Fold(site, rules, derives=False)
        self._late = late
        self._read = AlreadyRead(since)
        self._read.end(until)
        self._refill = Refill(self.fold, newest, self._read, until)
        self._begun = False
        self._held: deque[Held] = deque()
        self._readings = 0  # of what is held

    @property
    def level(self) -> bool:
        """Whether these detectors have come as far as the others."""
        return self._refill.done and not self._held

    def hold(self, batch: Batch, visits: Rows, now: int) -> None:
        """Keep what the others are folding at ``now`` (UTC µs); of ticks in a row the last is enough."""
        if self._held and not (len(batch) or len(visits) or len(self._held[-1].batch) or len(self._held[-1].visits)):
            self._held.pop()
        self._held.append(Held(batch, visits, now))
        self._readings += len(batch)

    @property
    def full(self) -> bool:
        """Whether more is held than should be; :meth:`leave_to_store` is called for then."""
        return self._readings > MOST_HELD and not self._refill.done

    def leave_to_store(self, newest: int, since: int, until: int) -> None:
        """Forget of what is held all that the reading has yet to come to: it is stored, and read with the rest, up to
        what was received ``until`` now. Arguments as at first."""
        held, reached = self._held, self._refill.reached
        self._held, self._readings = deque(), 0
        for batch, visits, now, corrected in held:
            passed = self._read.without(earlier(batch, reached))
            if len(passed) or len(visits):
                self._held.append(Held(passed, visits, now, corrected))
                self._readings += len(passed)
        self._read.begin_again(since)
        self._read.end(until)
        self._refill.extend(newest, until)

    def correct(self, visits: Rows, now: int) -> None:
        """Keep corrected visits, for those detectors that live on them."""
        self._held.append(Held(Batch(), visits, now, corrected=True))

    async def advance(self, conn: AsyncConnection) -> list[Found]:
        """One slice of the past, or some of what was held."""
        if not self._begun:
            found = await self._refill.begin(conn)
            self._begun = True
            return found
        if not self._refill.done:
            found = await self._refill.slice(conn)
            if self._refill.done:
                self.fold.late.clear()  # the store answers in event time: nothing in it is late
                self.fold.add_late(self._late)
            return found
        return self._caught_up()

    def _caught_up(self) -> list[Found]:
        found = list[Found]()
        for _ in range(min(AT_ONCE, len(self._held))):
            held = self._held.popleft()
            self._readings -= len(held.batch)
            if held.corrected:
                found += self.fold.receive(Batch(visits=held.visits), held.now)
            else:
                found += self.fold.step(self._read.without(held.batch), held.now, held.visits)
        return found


def tiers(rules: Sequence[Rule]) -> list[list[Rule]]:
    """The active rules by how long it takes to fill their detectors: the first at once, the others one after another;
    but for the first there may be fewer than :data:`TIERS`."""
    parts: list[list[Rule]] = [[] for _ in (*TIERS, 0)]
    for rule in rules:
        if rule.active:
            detector = build_detector(rule)
            long = [limit for limit in TIERS if "fixes" in reads(detector) and detector.memory > limit]
            parts[len(long)].append(rule)
    return [parts[0], *(part for part in parts[1:] if part)]
