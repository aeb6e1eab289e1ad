"""The watch on the real store: late data, what was never looked at, other cuts into batches, a new site."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from structlog.testing import capture_logs

from alerts.duty import DutyMatrix
from alerts.rules import Rule
from detectors.base import Batch
from devices.readings import FIX, NAN, SECOND, SIGHTING, Flag, Rows, rows
from devices.site import Site
from devices.site_folder import read_folder
from server import watch as watch_module
from server.fold import split_late
from server.watch import Watch
from store.positions import catch_up
from store.readings import write_batch
from store.registry import load_duty, load_rules, load_site, save_site

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"
Ground = tuple[Site, list[Rule], DutyMatrix]


@pytest.fixture
async def ground(pool: AsyncConnectionPool) -> Ground:
    """The example site."""
    async with pool.connection() as conn:
        await save_site(conn, read_folder(EXAMPLE))
        return await load_site(conn), await load_rules(conn), await load_duty(conn)


def now() -> int:
    return time.time_ns() // 1000


def angling(site: Site, camera: str, begin: int, seconds: int, place: tuple[float, float]) -> Rows:
    """A person with a rod at one place, seen every five seconds and received at once."""
    device = site.registry.resolve(camera)
    assert device is not None
    seen = [
        (device.id, begin + s * SECOND, begin + s * SECOND, label, 1, 0.9, f"{label}-{place[0]}", *place, "")
        for s in range(0, seconds, 5)
        for label in ("person", "rod")
    ]
    return rows(SIGHTING, seen)


def walking(site: Site, terminal: str, begin: int, places: Sequence[tuple[float, float]], flags: int = 0) -> Rows:
    """Fixes ten seconds apart."""
    device = site.registry.resolve(terminal)
    assert device is not None
    fixes = [
        (device.id, begin + i * 10 * SECOND, begin + i * 10 * SECOND, lon, lat, 1.2, 0.0, 5.0, 80.0, flags)
        for i, (lon, lat) in enumerate(places)
    ]
    return rows(FIX, fixes)


async def stored(pool: AsyncConnectionPool, batch: Batch) -> Batch:
    """The batch as the pipeline hands it on: committed, and only what is new."""
    async with pool.connection() as conn:
        return await write_batch(conn, batch.fixes, batch.sightings, batch.samples, ())


async def fetch(pool: AsyncConnectionPool, query: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        return await (await conn.execute(query.encode())).fetchall()


@asynccontextmanager
async def watching(pool: AsyncConnectionPool, ground: Ground) -> AsyncIterator[Watch]:
    """A watch at work; at the end everything that was put into it has been folded and recorded."""
    watch = Watch(pool, *ground, listening=lambda: False)
    task = asyncio.create_task(watch.run())
    try:
        while not watch.primed:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
        yield watch
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            raise task.exception() or AssertionError


async def until(pool: AsyncConnectionPool, query: str, wanted: list[tuple[Any, ...]], within: float = 20.0) -> None:
    """Wait until the query answers what is wanted."""
    deadline = time.monotonic() + within
    while (found := await fetch(pool, query)) != wanted:
        assert time.monotonic() < deadline, f"{query}: {found}, wanted {wanted}"
        await asyncio.sleep(0.05)


# Each test has a place and devices of its own, so that they can share the module's database.
PLACES = {"live": (118.9380, 31.4530), "killed": (118.9300, 31.4472), "late": (118.9480, 31.4600)}


async def test_a_presence_over_many_batches_is_one_alert_with_one_case(
    pool: AsyncConnectionPool, ground: Ground
) -> None:
    seen = angling(ground[0], "C02", now() - 400 * SECOND, 400, PLACES["live"])
    async with watching(pool, ground) as watch:
        for part in np.array_split(seen, 23):
            await watch.batches.put(await stored(pool, Batch(sightings=part)))
        await until(
            pool, "SELECT rule, zone, state, historical FROM alerts", [("fishing_ban", "NF-CORE", "open", False)]
        )
        await until(pool, "SELECT category, status FROM cases", [("illegal_fishing", "opened")])


async def test_what_was_committed_but_never_looked_at_is_found_at_the_next_start(
    pool: AsyncConnectionPool, ground: Ground
) -> None:
    begin = now() - 60 * SECOND
    cry = walking(ground[0], "T007", begin, [PLACES["killed"]], flags=Flag.SOS)
    await stored(pool, Batch(fixes=cry))
    query = "SELECT count(*), count(DISTINCT case_id) FROM alerts WHERE rule = 'sos' AND subject = 'T007'"
    for _ in range(2):  # the second start finds it again, and it is the same
        async with watching(pool, ground):
            await until(pool, query, [(1, 1)])


async def test_a_start_that_is_broken_off_again_and_again_makes_no_commit_wait(
    pool: AsyncConnectionPool, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "MOST_WAITING", 10)
    begin, tries = now() - 200 * SECOND, 0
    watch = Watch(pool, *ground, listening=lambda: False)

    async def broken_off(conn: AsyncConnection) -> int:
        nonlocal tries
        tries += 1
        if tries > 3:
            return await catch_up(conn)
        cry = walking(ground[0], "T012", begin + tries * 100 * SECOND, [(118.80, 31.49)] * 10, flags=Flag.SOS)
        batch = await stored(pool, Batch(fixes=cry))
        watch.batches.put_nowait(batch)  # asyncio.QueueFull, if what came before is still there
        assert watch.batches.full()
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(watch_module, "catch_up", broken_off)
    task = asyncio.create_task(watch.run())
    try:
        await until(pool, "SELECT count(*) FROM alerts WHERE rule = 'sos' AND subject = 'T012'", [(1,)])
        assert (tries, task.done()) == (4, False)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_only_clearing_waits_for_batches_that_never_stop(
    pool: AsyncConnectionPool, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bool] = []

    async def upkeep(*_: object, clear: bool, **__: object) -> None:
        kept.append(clear)

    async def times(count: int) -> None:
        while len(kept) < count:
            await asyncio.sleep(0.01)

    monkeypatch.setattr(watch_module, "upkeep", upkeep)
    monkeypatch.setattr(watch_module, "REFOLD_EVERY", 0.1)
    async with asyncio.timeout(30), watching(pool, ground) as watch:
        step = watch._step

        async def and_there_is_more(batch: Batch) -> None:
            await step(batch)
            watch.batches.put_nowait(Batch())

        with monkeypatch.context() as loaded:
            loaded.setattr(watch, "_step", and_there_is_more)
            await times(1)  # what was under way
            kept.clear()
            await times(3)
            assert not any(kept)
        kept.clear()
        await times(2)
        assert kept[-1]


async def test_what_priming_has_read_is_not_late_when_it_comes(
    pool: AsyncConnectionPool, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline goes on while the watch is primed: what it commits then is read from the store, and comes."""
    monkeypatch.setattr(watch_module, "REFOLD_EVERY", 0.0)
    watch = Watch(pool, *ground, listening=lambda: False)
    begin = now() - 600 * SECOND
    batches = []
    for i in range(3):
        walk = walking(ground[0], "T011", begin + i * 100 * SECOND, [(118.80 + j / 1000, 31.48) for j in range(10)])
        walk["received"] = now()
        batches.append(await stored(pool, Batch(walk)))

    async def meanwhile(conn: AsyncConnection) -> int:
        for batch in batches:
            watch.batches.put_nowait(batch)
        return await catch_up(conn)

    monkeypatch.setattr(watch_module, "catch_up", meanwhile)
    with capture_logs() as logs:
        task = asyncio.create_task(watch.run())
        try:
            while not (watch.primed and watch.batches.empty()):
                await asyncio.sleep(0.01)
            fresh = walking(ground[0], "T011", begin + 300 * SECOND, [(118.81, 31.48)])
            fresh["received"] = now()
            watch.batches.put_nowait(await stored(pool, Batch(fresh)))
            while not watch.batches.empty():
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)  # for what must not come
        finally:
            task.cancel()
            await asyncio.wait([task])
    assert [entry["event"] for entry in logs if entry["event"] == "late_readings_folded_again"] == []


async def test_an_old_call_for_help_that_came_late_is_found_after_a_kill(
    pool: AsyncConnectionPool, ground: Ground
) -> None:
    cry = walking(ground[0], "T008", now() - 9000 * SECOND, [PLACES["killed"]], flags=Flag.SOS)
    cry["received"] = now()
    await stored(pool, Batch(fixes=cry))
    async with watching(pool, ground):
        await until(pool, "SELECT count(*) FROM alerts WHERE rule = 'sos' AND subject = 'T008'", [(1,)])


async def test_late_readings_are_folded_again_and_are_history(
    pool: AsyncConnectionPool, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "REFOLD_EVERY", 0.2)
    site = ground[0]
    old = angling(site, "C01", now() - 5000 * SECOND, 420, PLACES["late"])
    fresh = angling(site, "C01", now() - 30 * SECOND, 10, (118.9400, 31.4700))
    async with watching(pool, ground) as watch:
        await watch.batches.put(await stored(pool, Batch(sightings=fresh)))
        await watch.batches.put(await stored(pool, Batch(sightings=old)))
        await until(
            pool,
            "SELECT state, historical, case_id FROM alerts WHERE last_seen < now() - interval '1 hour'",
            [("cleared", True, None)],
        )


@pytest.mark.parametrize(
    ("hours", "camera", "walker", "reloaded"), [(4, "C03", "T016", False), (8, "C05", "T017", True)]
)
async def test_who_calls_for_help_does_not_wait_for_late_readings(
    pool: AsyncConnectionPool,
    ground: Ground,
    monkeypatch: pytest.MonkeyPatch,
    hours: int,
    camera: str,
    walker: str,
    reloaded: bool,
) -> None:
    """Where a county was cut off, folding again takes minutes; a site that changes meanwhile lets it begin anew."""
    monkeypatch.setattr(watch_module, "REFOLD_EVERY", 0.2)
    held, reading, whole = asyncio.Event(), asyncio.Event(), watch_module.stretches

    async def slow(*given: Any, **more: Any) -> AsyncIterator[Batch]:
        if "sightings" in given[4]:  # visits are corrected for a few devices at a time
            reading.set()
            await held.wait()
        async for batch in whole(*given, **more):
            yield batch

    monkeypatch.setattr(watch_module, "stretches", slow)
    place = (PLACES["late"][0] + 0.002 * hours, PLACES["late"][1])
    old = angling(ground[0], camera, now() - (hours * 3600 + 1000) * SECOND, 420, PLACES["late"])
    fresh = angling(ground[0], camera, now() - 30 * SECOND, 10, (118.9400, 31.4700))
    cry = walking(ground[0], walker, now() - 10 * SECOND, [place], flags=Flag.SOS)
    late = f"SELECT count(*) FROM alerts WHERE rule = 'fishing_ban' AND last_seen < now() - interval '{hours} hours'"
    async with watching(pool, ground) as watch:
        [(before,)] = await fetch(pool, late)
        await watch.batches.put(await stored(pool, Batch(sightings=fresh)))
        await watch.batches.put(await stored(pool, Batch(sightings=old)))
        await asyncio.wait_for(reading.wait(), 20)
        await watch.batches.put(await stored(pool, Batch(fixes=cry)))
        await until(pool, f"SELECT count(*) FROM alerts WHERE rule = 'sos' AND subject = '{walker}'", [(1,)])
        assert await fetch(pool, late) == [(before,)]
        if reloaded:
            watch.reload(*ground)
        held.set()
        await until(pool, late, [(before + 1,)])


async def test_what_came_late_and_was_not_folded_again_before_the_end_is_at_the_next_start(
    pool: AsyncConnectionPool, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A walk of five hours ago, committed and acknowledged; and then the worker is killed."""
    monkeypatch.setattr(watch_module, "REFOLD_EVERY", 0.2)
    middle = ground[0].zones["K-05"].geometry.centroid
    away, here = (middle.x, middle.y + 0.01), (middle.x, middle.y)
    old = walking(ground[0], "T015", now() - 5 * 3600 * SECOND, [away] * 6 + [here] * 12 + [away] * 6)
    old["received"] = now()
    await stored(pool, Batch(fixes=walking(ground[0], "T015", now() - 20 * SECOND, [away])))
    await stored(pool, Batch(fixes=old))
    query = (
        'SELECT v.zone, v."left" IS NULL FROM visits v JOIN devices d ON d.id = v.device'
        " WHERE d.code = 'T015' AND v.zone = 'K-05'"
    )
    async with watching(pool, ground):
        await until(pool, query, [("K-05", False)])


async def test_visits_are_stored_and_go_on_after_a_restart(pool: AsyncConnectionPool, ground: Ground) -> None:
    site = ground[0]
    middle = site.zones["K-05"].geometry.centroid
    away, here = (middle.x, middle.y + 0.01), (middle.x, middle.y)
    begin = now() - 600 * SECOND
    fixes = walking(site, "T009", begin, [away] * 3 + [here] * 12 + [away] * 6)
    query = (
        'SELECT v.zone, v."left" IS NULL FROM visits v JOIN devices d ON d.id = v.device'
        " WHERE d.code = 'T009' AND v.zone = 'K-05'"
    )
    async with watching(pool, ground) as watch:
        await watch.batches.put(await stored(pool, Batch(fixes=fixes[:9])))
        await until(pool, query, [("K-05", True)])
    async with watching(pool, ground) as watch:
        await watch.batches.put(await stored(pool, Batch(fixes=fixes[9:])))
        await until(pool, query, [("K-05", False)])


async def test_what_a_detector_does_not_believe_is_kept_and_flagged(pool: AsyncConnectionPool, ground: Ground) -> None:
    """A jump of five kilometres within ten seconds: the fixes over there stay and have a flag, also the last place."""
    here, there = (118.90, 31.48), (118.90, 31.525)
    fixes = walking(ground[0], "T014", now() - 300 * SECOND, [here] * 20 + [there] * 4)
    query = (
        f"SELECT count(*), count(*) FILTER (WHERE flags & {int(Flag.SUSPECT)} <> 0 AND f.lat > 31.5)"
        f", count(*) FILTER (WHERE flags <> 0) FROM %s f JOIN devices d ON d.id = f.device WHERE d.code = 'T014'"
    )
    async with watching(pool, ground) as watch:
        await watch.batches.put(await stored(pool, Batch(fixes=fixes)))
        await until(pool, query % "fixes", [(24, 4, 4)])
        await until(pool, query % "last_positions", [(1, 1, 1)])


async def test_late_fixes_of_many_correct_the_visits_of_each(
    pool: AsyncConnectionPool, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are set right for a few devices at a time, so that memory stays bounded; here for one."""
    monkeypatch.setattr(watch_module, "LATE_AT_ONCE", 1)
    monkeypatch.setattr(watch_module, "REFOLD_EVERY", 0.2)
    middle = ground[0].zones["K-05"].geometry.centroid
    away, here = (middle.x, middle.y + 0.01), (middle.x, middle.y)
    codes = ["T010", "T012", "T013"]
    walks = [walking(ground[0], code, now() - 600 * SECOND, [away] * 6 + [here] * 12 + [away] * 6) for code in codes]
    query = (
        'SELECT d.code, extract(epoch FROM v."left" - v.entered)::int FROM visits v JOIN devices d ON d.id = v.device'
        " WHERE d.code = ANY('{T010,T012,T013}') AND v.zone = 'K-05' ORDER BY 1"
    )
    async with watching(pool, ground) as watch:
        punctual = np.concatenate([np.delete(walk, slice(6, 18)) for walk in walks])
        await watch.batches.put(await stored(pool, Batch(fixes=punctual)))
        await watch.batches.put(await stored(pool, Batch(fixes=np.concatenate([walk[6:18] for walk in walks]))))
        async with asyncio.timeout(30):
            while len(found := await fetch(pool, query)) < len(codes):
                await asyncio.sleep(0.05)
    assert [code for code, _ in found] == codes
    assert len({seconds for _, seconds in found}) == 1
    assert 100 <= found[0][1] <= 130


async def test_a_changed_rule_is_taken_over_without_a_restart(pool: AsyncConnectionPool, ground: Ground) -> None:
    site, rules, duty = ground
    seen = angling(site, "C06", now() - 120 * SECOND, 120, (118.8200, 31.5430))
    eager = [replace(rule, settings={"dwell": 60.0}) if rule.code == "fishing_ban" else rule for rule in rules]
    always = Site(
        site.areas.values(),
        [replace(zone, season=None) for zone in site.zones.values()],
        site.units.values(),
        site.registry,
        site.name,
    )
    query = "SELECT count(*) FROM alerts WHERE zone = 'NF-SPRING'"
    async with watching(pool, ground) as watch:
        await watch.batches.put(await stored(pool, Batch(sightings=seen)))
        await asyncio.sleep(1.5)
        assert await fetch(pool, query) == [(0,)]
        watch.reload(always, eager, duty)
        await until(pool, query, [(1,)])


def test_late_is_what_is_not_newer_than_its_own_device() -> None:
    newest = np.array([0, 100, 200], np.int64)
    given = rows(
        FIX, [(d, at, 0, NAN, NAN, NAN, NAN, NAN, NAN, 0) for d, at in [(1, 101), (2, 150), (2, 201), (1, 100)]]
    )
    on_time, late = split_late(given, newest)
    assert on_time["at"].tolist() == [101, 201]
    assert late["at"].tolist() == [150, 100]
    assert newest.tolist() == [0, 101, 201]
