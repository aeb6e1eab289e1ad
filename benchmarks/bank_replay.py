"""One world of the bank through the product: messages → codecs and checks → batches → visits, detectors → alerts.

What a worker does with a database is done here with the same parts in memory: the ingest steps, the fold of the watch,
triage. Only the broker and the store are left out.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import numpy as np

from alerts.alert import Alert
from alerts.rules import Rule
from alerts.triage import triage
from benchmarks.bank_late import Late
from detectors.base import Batch
from devices.readings import SECOND, Rows
from devices.registry import Registry
from devices.site import Site, moment
from devices.site_folder import SiteFolder
from ingest.messages import Message
from ingest.pipeline import Pipeline
from ingest.steps import check_area, check_place, check_time, decode, resolve
from ingest.work import Work
from server.fold import Fold
from simulators.bank.stage import Played
from simulators.chance import dice, name_key

KINDS = ("fixes", "sightings", "samples")
PACKET_IDS = 65_535  # of MQTT
REFOLD_EVERY = 10 * SECOND  # as the watch does
CUTS = ((6 * 3600.0, (2.0, 15.0)), (2 * 86_400.0, (15.0, 40.0)), (math.inf, (200.0, 400.0)))
"""A world's length (s) up to which so many seconds lie between one batch and the next: long worlds in longer ones."""


@dataclass(slots=True)
class Raised:
    """An alert as it stands at the end, with when and where it was first there (a boat goes on). ``news``: it was
    alerted as happening now."""

    alert: Alert
    at: int  # UTC µs of our clock
    news: bool
    lon: float
    lat: float


@dataclass(slots=True)
class Outcome:
    """What became of a world: its alerts, how many readings were refused, and how long its terminals were on."""

    raised: list[Raised] = field(default_factory=list)
    rejects: int = 0
    readings: int = 0
    terminal_days: float = 0.0
    findings: int = 0


def site_of(folder: SiteFolder) -> Site:
    """The site of a folder, with ids for its devices."""
    registry = Registry(replace(device, id=number) for number, device in enumerate(folder.devices, 1))
    plans = getattr(folder, "plans", ())
    return Site(folder.areas, folder.zones, folder.units, registry, folder.name, folder.name_en, plans)


def replay(played: Played, rules: Sequence[Rule]) -> Outcome:
    """Fold a whole world; the same arguments give the same outcome."""
    site = site_of(played.folder)
    work = asyncio.run(_decoded(arrivals(played), site))
    outcome = Outcome(rejects=len(work.rejects), readings=sum(len(kind.rows) for kind in work.kinds))
    outcome.terminal_days = _terminal_days(work.fixes.rows)
    fold = Fold(site, rules)
    late = Late(fold)
    book: dict[tuple[str, Any], Raised] = {}
    current: dict[tuple[str, Any], Alert] = {}
    refold_at, numbers = played.start + REFOLD_EVERY, count(1)
    for now, batch in batches(played, work):
        late.keep(batch)
        found = fold.step(batch, now)
        late.note_visits()
        if fold.late and now >= refold_at:
            found += late.refold(now)
            refold_at = now + REFOLD_EVERY
        outcome.findings += len(found)
        if not found:
            continue
        for change in triage(found, list(current.values()), moment(now)):
            key = (change.alert.fingerprint, change.alert.episode)
            if change.step == "merged":
                del current[key]
                take_in(book[change.alert.fingerprint, change.into], book.pop(key))
                continue
            # With a number: of alerts without one triage does not say that they were taken in.
            current[key] = replace(change.alert, id=change.alert.id or next(numbers))
            known = book.get(key)
            if known is None:
                book[key] = Raised(change.alert, now, change.news, change.alert.lon, change.alert.lat)
            else:
                known.alert = change.alert
                if change.news and not known.news:
                    known.at, known.news = now, True
    outcome.raised = sorted(book.values(), key=lambda raised: raised.at)
    return outcome


def take_in(one: Raised, part: Raised) -> None:
    """Two alerts turned out to be one, which people know of since the first of them was news."""
    if part.news:
        one.at, one.news = min(one.at, part.at) if one.news else part.at, True


# ── From messages to batches ────────────────────────────────────────────────────────────────────────────────────────
def arrivals(played: Played) -> list[Message]:
    """The messages as they arrive: each device's link has its own delay, now and then seconds; none overtakes another
    of its device."""
    last: dict[str, int] = {}
    links: dict[str, Any] = {}
    found = []
    for number, message in enumerate(played.messages):
        device = message.topic.split("/", 4)[3]
        if device not in links:
            draw = dice(played.seed, "link", device)
            links[device] = (draw, draw.choice((0.05, 0.1, 0.2, 0.6)))
        draw, usual = links[device]
        delay = usual * draw.expovariate(1.0) + (draw.uniform(1.0, 6.0) if draw.random() < 0.01 else 0.02)
        last[device] = received = max(last.get(device, 0), message.at + int(delay * SECOND))
        found.append(Message(message.topic, message.payload, received, number % PACKET_IDS + 1))
    return sorted(found, key=lambda m: m.received)


async def _decoded(messages: Sequence[Message], site: Site) -> Work:
    """Through the steps of the pipeline that need no database."""

    async def nowhere(_: Batch) -> None:
        raise AssertionError("nothing is handed on: the batches are cut here")

    pipeline = Pipeline(None, None, site.registry, hand_on=nowhere)  # type: ignore[arg-type]  # neither is used
    work = Work(messages)
    for step in (decode, resolve, check_area, check_time, check_place):
        await step(pipeline, work)
    return work


def batches(played: Played, work: Work) -> Iterator[tuple[int, Batch]]:
    """What arrived since the last batch, again and again till a while after the end: (our clock, batch)."""
    columns = [kind.rows[np.argsort(kind.rows["received"], kind="stable")] for kind in work.kinds]
    end = max([played.start + int(played.seconds * SECOND), *(int(c["received"][-1]) for c in columns if len(c))])
    draw = dice(name_key(played.seed, "cuts"), played.chapter)
    cuts = next(cut for length, cut in CUTS if played.seconds <= length)
    done, now = [0, 0, 0], played.start
    while now < end + 120 * SECOND:
        now += int(draw.uniform(*cuts) * SECOND)
        upto = [int(np.searchsorted(column["received"], now, "right")) for column in columns]
        parts = [column[a:b] for column, a, b in zip(columns, done, upto, strict=True)]
        done = upto
        yield now, Batch(*parts)


def _terminal_days(fixes: Rows) -> float:
    """How long terminals were heard of, in days: the minutes in which each sent a fix."""
    if not len(fixes):
        return 0.0
    minutes = np.unique(fixes["device"].astype(np.int64) * (1 << 40) + fixes["at"] // (60 * SECOND))
    return len(minutes) / 1440.0


def seconds_between(a: int, b: int) -> float:
    """Seconds from one moment (UTC µs) to another."""
    return math.nan if not a or not b else (b - a) / SECOND
