"""``patrolgrid certificate`` as typed: a good round, nobody's, and what there is not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psycopg_pool import AsyncConnectionPool
from typer.testing import CliRunner, Result

from detectors.base import Batch
from devices.readings import FIX, SECOND, rows
from devices.site import moment
from devices.site_folder import read_folder
from server.cli import app
from store.readings import write_batch
from store.registry import load_site, save_site

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"
NIGHT = 1_781_006_400 * SECOND  # 9 June 2026, 20:00 in China


@pytest.fixture
async def walked(pool: AsyncConnectionPool, database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A police terminal that has walked the line of round-21 from end to end one night: its code."""
    monkeypatch.setenv("PATROLGRID_DATABASE_URL", database_url)
    monkeypatch.setenv("PATROLGRID_MQTT_URL", "mqtt://127.0.0.1:1")  # nothing here needs a broker
    async with pool.connection() as conn:
        await save_site(conn, read_folder(EXAMPLE))
        site = await load_site(conn)
        plan = site.plans["round-21"]
        device = int(np.flatnonzero(plan.walkers(site.registry))[0])
        line = site.zones[plan.zones[0]].geometry
        places = [line.interpolate(k / 600, normalized=True) for k in range(601)]
        fixes = [
            (device, at, at, place.x, place.y, 1.2, 0.0, 5.0, 80.0, 0)
            for k, place in enumerate(places)
            if (at := NIGHT + (600 + 10 * k) * SECOND)
        ]
        await write_batch(conn, rows(FIX, fixes), Batch().sightings, Batch().samples, ())
    return site.registry.by_id(device).code


async def run(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["certificate", *words])


async def paper(*words: str) -> Any:
    result = await run(*words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def test_a_good_round_and_the_night_after_it(walked: str) -> None:
    good = await paper("round-21", walked, "--at", moment(NIGHT + 3600 * SECOND).isoformat())
    assert (good["result"], good["plan"], good["device"]) == ("complete", "round-21", walked)
    assert good["numbers"]["covered_share"] == 1.0
    assert {feature["properties"]["part"] for feature in good["geojson"]["features"]} == {
        "planned",
        "walked",
        "covered",
    }
    after = await paper("round-21", walked, "--at", moment(NIGHT + 25 * 3600 * SECOND).isoformat())
    assert (after["result"], after["device"]) == ("absent", walked)
    assert after["opens"] != good["opens"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("round-0", "T001"), "there is no plan"),
        (("round-21", "T0"), "there is no device"),
        (("grid-01", "T001"), "names no route"),
        (("round-21", "T001", "--at", "soon"), "expected a time"),
    ],
)
async def test_what_there_is_not_is_said(walked: str, words: tuple[str, ...], said: str) -> None:
    assert walked
    refused = await run(*words)
    assert refused.exit_code == 2
    assert said in " ".join(refused.output.split())
