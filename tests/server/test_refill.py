"""Detectors that read the past while others work already: what they find is what they would have found in time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.duty import DutyMatrix
from alerts.rules import Rule
from detectors.base import Batch
from devices.readings import FIX, SECOND, VISIT, Rows, rows
from devices.site import Site
from devices.site_folder import read_folder
from server import refill
from server.fold import Fold, Found
from server.refill import Behind, tiers
from server.watch import Watch
from store.positions import Positions
from store.readings import write_batch
from store.registry import load_duty, load_rules, load_site, save_site

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"
SECONDS = 2_700  # of the story
BEGIN = (time.time_ns() // 1_000_000_000 - SECONDS - 60) * SECOND


@pytest.fixture
async def ground(pool: AsyncConnectionPool) -> tuple[Site, list[Rule], DutyMatrix]:
    """The example site, and no readings."""
    async with pool.connection() as conn:
        await conn.execute("TRUNCATE fixes, last_positions, visits, alerts CASCADE")
        await save_site(conn, read_folder(EXAMPLE))
        return await load_site(conn), await load_rules(conn), await load_duty(conn)


def story(site: Site) -> Rows:
    """One terminal walks a quarter of an hour and sends the same once more later; another one only walks."""
    told, draw = [], random.Random(3)
    for number, code in enumerate(("T003", "T004")):
        device = site.registry.resolve(code)
        assert device is not None
        x, y, course, way = 118.9 + 0.02 * number, 31.45, 0.0, []
        for _ in range(0, SECONDS, 5):
            course += draw.gauss(0, 0.3)
            x, y = x + 7e-5 * np.sin(course), y + 6e-5 * np.cos(course)
            way.append((round(x + draw.gauss(0, 1e-5), 7), round(y + draw.gauss(0, 1e-5), 7)))
        if number == 0:
            way[300:480] = way[:180]  # from 1500 s on the first 900 s
        for i, (lon, lat) in enumerate(way):
            at = BEGIN + i * 5 * SECOND
            told.append((device.id, at, at + SECOND // 2, lon, lat, 1.3, 0.0, 5.0, 80.0, 0))
    return rows(FIX, sorted(told, key=lambda fix: fix[2]))


def cut(fixes: Rows, seconds: int = 15) -> Iterator[tuple[Batch, int]]:
    """Batches by reception, with when they are folded."""
    for now in range(BEGIN, BEGIN + (SECONDS + 60) * SECOND, seconds * SECOND):
        yield Batch(fixes[(fixes["received"] > now - seconds * SECOND) & (fixes["received"] <= now)]), now


def seen(found: list[Found]) -> set[tuple[str, str, int, int]]:
    return {(rule.code, finding.subject, finding.since, finding.until) for rule, finding in found}


async def store(conn: AsyncConnection, fixes: Rows) -> Batch:
    return await write_batch(conn, fixes, Batch().sightings, Batch().samples, ())


@pytest.mark.parametrize("second", [900, 1_700, 2_100, 2_600])
async def test_who_reads_the_past_behind_the_others_finds_the_same(
    pool: AsyncConnectionPool, ground: tuple[Site, list[Rule], DutyMatrix], second: int
) -> None:
    site, rules = ground[0], [rule for rule in ground[1] if rule.code == "forged_track"]
    fixes, middle = story(site), BEGIN + second * SECOND
    uninterrupted, whole = Fold(site, rules), list[Found]()
    for batch, now in cut(fixes):
        whole += uninterrupted.step(batch, now)
    assert {subject for _, subject, _, _ in seen(whole)} == {"T003"}

    # Up to here it was stored at the start; 30 s more while it was read, and these come as batches as well.
    async with pool.connection() as conn:
        await store(conn, fixes[fixes["received"] <= middle + 30 * SECOND])
        behind = Behind(site, rules, newest=middle, since=middle - 90 * SECOND, until=middle)
        for batch, now in cut(fixes):
            if now > middle - 60 * SECOND:
                behind.hold(batch, rows(VISIT), now)
        found = list[Found]()
        while not behind.level:
            found += await behind.advance(conn)
    assert seen(found) == seen(whole)
    assert behind.fold.late == {}, "nothing that came twice counts as late"


async def test_who_is_overtaken_by_what_comes_leaves_it_to_the_store(
    pool: AsyncConnectionPool, ground: tuple[Site, list[Rule], DutyMatrix], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held meanwhile stays bounded, however long the past takes; and what is found is the same."""
    monkeypatch.setattr(refill, "MOST_HELD", 40)
    site, rules = ground[0], [rule for rule in ground[1] if rule.code == "forged_track"]
    fixes, middle = story(site), BEGIN + 900 * SECOND
    late = fixes["at"] == BEGIN + 1_000 * SECOND  # one moment comes ten minutes later
    fixes["received"][late] += 600 * SECOND
    fixes = fixes[np.argsort(fixes["received"], kind="stable")]
    uninterrupted, whole = Fold(site, rules), list[Found]()
    for batch, now in cut(fixes):
        whole += uninterrupted.step(batch, now)
    assert {subject for _, subject, _, _ in seen(whole)} == {"T003"}

    async with pool.connection() as conn:
        await store(conn, fixes[fixes["received"] <= middle])
        behind = Behind(site, rules, newest=middle, since=middle - 90 * SECOND, until=middle)
        found, left = await behind.advance(conn), 0
        for n, (batch, now) in enumerate(cut(fixes)):
            if now > middle:
                behind.hold(await store(conn, batch.fixes), rows(VISIT), now)
                if behind.full:
                    behind.leave_to_store(now, now - 15 * SECOND, now)
                    left += 1
                if n % 20 == 0:
                    found += await behind.advance(conn)
                assert behind._readings <= 40 + len(batch)
        while not behind.level:
            found += await behind.advance(conn)
    assert left > 3
    assert seen(found) == seen(whole)


async def test_the_watch_works_before_everything_is_read_and_leaves_nothing_out(
    pool: AsyncConnectionPool, ground: tuple[Site, list[Rule], DutyMatrix]
) -> None:
    fixes = story(ground[0])
    first, rest = np.split(fixes, [int(np.searchsorted(fixes["received"], BEGIN + 1_900 * SECOND))])
    async with pool.connection() as conn:
        await store(conn, first)
    watch = Watch(pool, *ground, listening=lambda: False)
    await watch.prime()
    assert watch.primed
    assert set(watch.reading) >= {"forged_track", "silence", "patrol_gap", "route"}
    task = asyncio.create_task(watch.run())
    try:
        for part in np.array_split(rest, 20):
            async with pool.connection() as conn:
                await watch.batches.put(await store(conn, part))
        deadline = time.monotonic() + 60
        last = BEGIN
        while last < BEGIN + 2_300 * SECOND or watch.reading:  # what is read last may be told before it is level
            assert time.monotonic() < deadline, f"the last sight of the copy: {last}, to be read: {watch.reading}"
            assert not task.done(), task.exception()
            await asyncio.sleep(0.05)
            async with pool.connection() as conn:
                query = b"SELECT count(*), extract(epoch FROM max(last_seen)) FROM alerts WHERE rule = 'forged_track'"
                count, moment = await (await conn.execute(query)).fetchone() or (0, None)
            last = int(moment or 0) * SECOND
        assert count == 1
    finally:
        task.cancel()
        await asyncio.wait([task])


def test_rules_that_remember_fixes_for_long_come_later(ground: tuple[Site, list[Rule], DutyMatrix]) -> None:
    first, *later = tiers(ground[1])
    assert {rule.code for rule in first} >= {"sos", "geofence", "crowd", "smoke"}
    assert [{rule.code for rule in part} for part in later] == [
        {"fishing_ban", "silence"},
        {"forged_track", "patrol_gap", "route"},
    ]
    assert [len(part) for part in tiers([rule for rule in ground[1] if rule.code == "sos"])] == [1]


async def test_a_last_position_left_behind_by_a_killed_worker_does_not_cut_a_visit(
    pool: AsyncConnectionPool, ground: tuple[Site, list[Rule], DutyMatrix]
) -> None:
    """What looks as if it had been quiet for hours would have left its zone."""
    site, now, hours = ground[0], time.time_ns() // 1000, 4 * 3600 * SECOND
    zone, device, other = site.zones_of("patrol")[0], site.registry.resolve("T003"), site.registry.resolve("T004")
    assert device is not None
    assert other is not None
    x, y = zone.geometry.representative_point().coords[0]
    begin = now - hours

    def fixes(who: int, first: int, last: int) -> Rows:
        every = [(who, begin + n * 15 * SECOND, now, x, y, 0.1, 0.0, 5.0, 80.0, 0) for n in range(first, last)]
        return rows(FIX, every)

    async with pool.connection() as conn:
        await store(conn, fixes(device.id, 0, 10))
        entered = "INSERT INTO visits VALUES (%s, %s, to_timestamp(%s), NULL)"
        await conn.execute(entered, (device.id, zone.code, begin / SECOND))
        await store(conn, fixes(other.id, 950, 951))
        owing = Positions(more=lambda: True)
        owing.committed(rows(FIX))
        none = Batch().sightings, Batch().samples
        await write_batch(conn, fixes(device.id, 10, 950), *none, positions=owing)  # and then it is killed
        assert len(owing.owed)
    await Watch(pool, *ground, listening=lambda: False).prime()
    async with pool.connection() as conn:
        found = await conn.execute(
            "SELECT count(*) FROM visits WHERE (device, zone) = (%s, %s)", (device.id, zone.code)
        )
        assert await found.fetchone() == (1,)
