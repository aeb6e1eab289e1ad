"""Beginning, going on and ending of something that is judged again and again, with hysteresis.

It begins when it was seen ``confirm`` times in a row, and ends when it was clearly gone as often in a row, or was not
confirmed again for ``hold``. After a silence of more than ``longest`` + ``hold`` it is forgotten without an end. So
what an episode is depends on its last ``longest`` + ``hold`` alone: a state that was filled with so much says the same
as one that never stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from devices.readings import SECOND


@dataclass(frozen=True, slots=True)
class Pace:
    """When it begins, ends and is told again; ``hold``, ``renew`` and ``longest`` in µs."""

    confirm: int
    hold: int
    renew: int  # told once in every such bucket of the clock
    longest: int  # the earliest beginning that is told

    @classmethod
    def of(cls, confirm: int, hold: float, renew: float, longest: float) -> Pace:
        """From seconds."""
        return cls(confirm, int(hold * SECOND), int(renew * SECOND), int(longest * SECOND))


class Told(NamedTuple):
    """Something to tell of an episode."""

    since: int  # UTC µs, at most ``longest`` ago
    step: int  # 1 or 2: how bad; of the last time it was confirmed
    ended: bool
    at_least: bool  # it began earlier


@dataclass(slots=True)
class Episode:
    """One thing that goes on or not. Times are UTC µs and never go back."""

    since: int | None = None
    step: int = 0
    _kept: int = 0  # when it was last confirmed
    _looked: int = 0
    _first: int = 0  # of the present run of looks that saw it
    _seen: int = 0  # looks in a row that saw it, that saw it at its second step, that saw it gone
    _worse: int = 0
    _gone: int = 0

    @property
    def idle(self) -> bool:
        """Nothing goes on or is about to: a look that sees nothing may be left out."""
        return self.since is None and not self._seen

    def look(self, at: int, step: int, pace: Pace, *, gone: bool) -> Told | None:
        """Judge once more: ``step`` 0 (not seen), 1 or 2; ``gone``: clearly not there. Returns what is to be told."""
        looked, self._looked = self._looked, at
        if at - looked > pace.longest + pace.hold:  # of so long ago a state that was filled anew knows nothing
            self.since, self._seen, self._worse, self._gone = None, 0, 0, 0
        if step and not self._seen:
            self._first = at
        self._seen = self._seen + 1 if step else 0
        self._worse = self._worse + 1 if step > 1 else 0
        self._gone = self._gone + 1 if gone and not step else 0
        confirmed = 2 if self._worse >= pace.confirm else int(self._seen >= pace.confirm)
        if self.since is None:
            if not confirmed:
                return None
            self.since, self.step, self._kept = self._first, confirmed, at
            return self._told(at, pace)
        before = self.step
        if confirmed:
            self.step, self._kept = confirmed, at
        if self._gone >= pace.confirm or (not step and at - self._kept > pace.hold):
            told = self._told(at, pace)._replace(ended=True)
            self.since = None
            return told
        due = at // pace.renew != looked // pace.renew
        return self._told(at, pace) if due or self.step > before else None

    def _told(self, at: int, pace: Pace) -> Told:
        begun = at if self.since is None else self.since
        since = max(begun, at - pace.longest)
        return Told(since, self.step, ended=False, at_least=since > begun)
