"""Backtests on the real store: a recorded day gives the same alerts live, after a restart, and in a backtest."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psycopg_pool import AsyncConnectionPool
from typer.testing import CliRunner

from alerts.alert import Alert
from alerts.backtest import Book
from alerts.rules import Rule
from detectors.base import Batch
from devices.codecs import route
from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, Fix, Sample, Sighting, rows
from devices.site import Site, moment
from devices.site_folder import read_folder
from server.backtest import SETTLED, backtest
from server.cli import app
from server.fold import Fold
from simulators.bank import bank_world
from simulators.world import World
from store.readings import write_batch
from store.registry import load_rules, load_site, save_site

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"
HOURS = 1.75
KINDS = ("fixes", "sightings", "samples")


def readings_of(messages: Any, site: Site) -> Batch:
    """The messages through their codecs, as if each had arrived a moment after it was sent."""
    found: dict[type, list[tuple[Any, ...]]] = {Fix: [], Sighting: [], Sample: []}
    for message in messages:
        codec = route(message.topic)
        assert codec is not None
        for reading in codec.decode(message.topic, message.payload, message.at + 40_000):
            device = site.registry.resolve(reading.device)
            if device is not None and type(reading) in found:
                found[type(reading)].append((device.id, *reading[1:]))
    return Batch(rows(FIX, found[Fix]), rows(SIGHTING, found[Sighting]), rows(SAMPLE, found[Sample]))


def cut(day: Batch, seconds: float, begin: int, end: int) -> list[tuple[Batch, int]]:
    """The day in order of arrival, a batch each so many seconds, an empty one where nothing came."""
    step, parts = int(seconds * SECOND), []
    columns = {kind: getattr(day, kind)[np.argsort(getattr(day, kind)["received"], kind="stable")] for kind in KINDS}
    for now in range(begin + step, end + step, step):
        some = {k: c[(c["received"] < now) & (c["received"] >= now - step)] for k, c in columns.items()}
        parts.append((Batch(**some), now))
    return parts


def alerts_of(fold: Fold, books: dict[str, Book], parts: list[tuple[Batch, int]]) -> None:
    for batch, now in parts:
        for rule, finding in fold.step(batch, now):
            books[rule.code].take([finding])


def told(alerts: list[Alert]) -> set[tuple[str, str, datetime, datetime]]:
    return {(alert.subject, alert.zone, alert.first_seen, alert.last_seen) for alert in alerts}


@pytest.fixture
async def day(pool: AsyncConnectionPool) -> tuple[Site, list[Rule], Batch, int, int]:
    """An evening at the lake, in the store."""
    folder = read_folder(EXAMPLE)
    async with pool.connection() as conn:
        await save_site(conn, folder)
        site, rules = await load_site(conn), await load_rules(conn)
    begin = 1_781_000_000 * SECOND
    world = World(folder, "evening", 5, begin)
    batch = readings_of(world.run(HOURS * 3600), site)
    async with pool.connection() as conn:
        await write_batch(conn, batch.fixes, batch.sightings, batch.samples, ())
    assert len(batch) > 20_000
    return site, rules, batch, begin, begin + int(HOURS * 3600 * SECOND)


async def test_live_after_a_restart_and_in_a_backtest_the_alerts_are_the_same(
    pool: AsyncConnectionPool, day: tuple[Site, list[Rule], Batch, int, int]
) -> None:
    site, rules, batch, begin, end = day
    assert await agreed(pool, site, rules, batch, (begin, end)) >= 5, (
        "an evening on which so little happens proves nothing"
    )


@pytest.mark.parametrize(
    ("chapter", "code", "least"),
    [("fence", "geofence", 5), ("forgery", "forged_track", 5), ("rounds", "patrol_gap", 4)],  # rounds: 15 hours
)
async def test_so_are_those_of_what_does_not_happen_on_that_evening(
    pool: AsyncConnectionPool, chapter: str, code: str, least: int
) -> None:
    played = bank_world(read_folder(EXAMPLE), chapter, 3)
    async with pool.connection() as conn:
        await save_site(conn, played.folder)
        site, rules = await load_site(conn), [rule for rule in await load_rules(conn) if rule.code == code]
    batch = readings_of(played.messages, site)
    for kind in KINDS:  # late ones would be folded again by the watch
        column = getattr(batch, kind)
        column["received"] = column["at"] + 40_000
    async with pool.connection() as conn:
        await write_batch(conn, batch.fixes, batch.sightings, batch.samples, ())
    span = (played.start, played.start + int(played.seconds * SECOND))
    assert await agreed(pool, site, rules, batch, span) >= least


async def agreed(pool: AsyncConnectionPool, site: Site, rules: list[Rule], batch: Batch, span: tuple[int, int]) -> int:
    """Live, after a restart and in a backtest the stored readings give the same alerts; how many."""
    begin, end = span
    live = {rule.code: Book(rule) for rule in rules}
    fold = Fold(site, rules)
    alerts_of(fold, live, [*cut(batch, 1.0, begin, end), (Batch(), end + SETTLED)])

    again = {rule.code: Book(rule) for rule in rules}
    middle = begin + int((end - begin) / 2)
    alerts_of(Fold(site, rules), again, cut(batch, 7.0, begin, middle))
    after = Fold(site, rules)  # the state is filled again from what is stored, then goes on
    memory = max(watcher.memory for watcher in after.watchers)
    alerts_of(after, again, cut(batch, 30.0, max(begin, middle - memory), middle))
    alerts_of(after, again, [*cut(batch, 2.0, middle, end), (Batch(), end + SETTLED)])

    since = moment(begin)
    seen = 0
    for rule in rules:
        async with pool.connection() as conn:
            outcome = await backtest(conn, site, rule, {}, since, moment(end), _quietly)
        assert not outcome.alerts["added"]
        assert not outcome.alerts["gone"]
        replayed = {
            (a["subject"], a["zone"], *(datetime.fromisoformat(a[k]) for k in ("first_seen", "last_seen")))
            for a in outcome.alerts["kept"]
        }
        assert told(live[rule.code].alerts(since)) == replayed, rule.code
        assert told(again[rule.code].alerts(since)) == replayed, rule.code
        seen += len(replayed)
    return seen


async def _quietly(done: float) -> None:
    assert 0 <= done <= 1


async def test_other_thresholds_add_and_take_away(
    pool: AsyncConnectionPool, day: tuple[Site, list[Rule], Batch, int, int]
) -> None:
    site, rules, _, begin, end = day
    rule = next(rule for rule in rules if rule.code == "fishing_ban")
    async with pool.connection() as conn:
        strict = await backtest(
            conn, site, rule, {"dwell": "60m", "lone_dwell": "2h"}, moment(begin), moment(end), _quietly
        )
        quick = await backtest(
            conn, site, rule, {"dwell": "1m", "lone_dwell": "2m"}, moment(begin), moment(end), _quietly
        )
    assert strict.alerts["gone"]
    assert not strict.alerts["added"]
    assert len(quick.alerts["kept"]) + len(quick.alerts["added"]) > len(strict.alerts["kept"])
    assert strict.as_json()["counts"]["present"] == quick.as_json()["counts"]["present"]


async def test_the_command_shows_it(
    day: tuple[Site, list[Rule], Batch, int, int], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, _, begin, end = day
    monkeypatch.setenv("PATROLGRID_DATABASE_URL", database_url)
    monkeypatch.setenv("PATROLGRID_MQTT_URL", "mqtt://127.0.0.1:1")
    span = ["--since", moment(begin).isoformat(), "--until", moment(end).isoformat()]
    args = ["backtest", "--rule", "fishing_ban", *span, "--set", "dwell=60m", "--set", "lone_dwell=2h"]
    ran = await asyncio.to_thread(CliRunner().invoke, app, [*args, "--json"])
    assert ran.exit_code == 0, ran.output
    plain = json.loads(ran.stdout)
    assert plain["counts"]["gone"] == len(plain["gone"]) > 0
    assert plain["gone"][0]["evidence"]["geojson"]["type"] == "FeatureCollection"
    shown = await asyncio.to_thread(CliRunner().invoke, app, args)
    assert "gone 减少" in shown.stdout
    for wrong, said in (
        (["--rule", "nothing"], "there is no rule"),
        (["--rule", "fishing_ban", "--set", "dwel=5m"], "no such threshold"),
        (["--rule", "fishing_ban", "--set", "dwell"], "NAME=VALUE"),
        (["--rule", "fishing_ban", "--since", "soon"], "expected a time"),
    ):
        refused = await asyncio.to_thread(CliRunner().invoke, app, ["backtest", *wrong])
        assert refused.exit_code != 0
        assert said in refused.output + str(refused.exception)
