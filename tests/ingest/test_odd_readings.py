"""Bad clocks, impossible places, numbers beyond all bounds, repetitions: each row of the table in docs/payloads.md,
through the real broker, pipeline and store."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np
import pytest

from devices.readings import SECOND, Flag
from store.readings import last_positions
from store.stretches import stretch

SHARE = "pg/v1/320118001000"
NOW = round(time.time(), 3)
LON, LAT = 118.88, 31.47
SOS = int(Flag.SOS)
NOWHERE = SOS | int(Flag.NO_POSITION)
Sent = tuple[str, bytes]  # kind, payload


def body(t: float | str = NOW, lon: Any = LON, lat: Any = LAT, **more: Any) -> bytes:
    return json.dumps({"t": t, "lon": lon, "lat": lat, **more}).encode()


def fix(*values: Any, **more: Any) -> Sent:
    return "fix", body(*values, **more)


def sos(*values: Any, **more: Any) -> Sent:
    return "sos", body(*values, **more)


def raw(text: str, kind: str = "fix") -> Sent:
    return kind, text.replace("NOW", repr(NOW)).encode()


@dataclass
class Case:
    """What is sent, one message after the other, and what is to become of it. A fix is (t, lon, flags); the time "now"
    is the time of receipt, the place None none."""

    sent: list[Sent]
    fixes: list[tuple[float | str, float | None, int]]
    rejects: list[str]
    last: tuple[float, float] | None = None  # t and lon of the last position
    samples: tuple[float, ...] = ()


AT_RECEIPT = [("now", LON, SOS)]
CASES: dict[str, Case] = {
    "A clock in 1970, or more than 30 days behind": Case(
        [fix(0), fix(86_400.5), fix(NOW - 31 * 86_400), fix(-5.0), sos(12)], AT_RECEIPT, ["time_too_old"] * 5
    ),
    "A clock in 2099, or more than 300 s ahead": Case(
        [fix(4_070_908_800), fix(NOW + 3_700), fix("2099-01-01T00:00:00Z"), sos(4_070_908_800)],
        AT_RECEIPT,
        ["time_in_future"] * 4,
    ),
    "A clock up to 300 s ahead": Case([fix(NOW + 250)], [(NOW + 250, LON, 0)], [], (NOW + 250, LON)),
    "A clock that drifts and is then put back": Case(
        [fix(NOW - 20), fix(NOW + 3), fix(NOW + 60, LON + 0.01), fix(NOW - 10, LON + 0.02), fix(NOW - 5, LON + 0.03)],
        [
            *((NOW - 20, LON, 0), (NOW - 10, LON + 0.02, 0), (NOW - 5, LON + 0.03, 0)),
            *((NOW + 3, LON, 0), (NOW + 60, LON + 0.01, 0)),
        ],
        [],
        (NOW + 60, LON + 0.01),
    ),
    "Milliseconds for seconds": Case([fix(NOW * 1e3), fix(NOW * 1e6)], [], ["wrong_value"] * 2),
    "0/0, which a receiver without a position says": Case(
        [fix(NOW, 0, 0), fix(NOW, 1e-7, -1e-7), sos(NOW, 0, 0)], [(NOW, None, NOWHERE)], ["place_impossible"] * 3
    ),
    "0 for one of the two": Case(
        [fix(NOW - 1, 0), fix(NOW, LON, 0)], [(NOW - 1, 0.0, 0), (NOW, LON, 0)], [], (NOW, LON)
    ),
    "A place off the Earth": Case(
        [fix(NOW, 181), fix(NOW, LON, -90.5), fix(NOW, LAT, LON), sos(NOW, 181)],
        [(NOW, None, NOWHERE)],
        ["place_impossible"] * 4,
    ),
    "NaN or Infinity": Case(
        [fix(NOW, math.nan), fix(NOW, LON, math.inf), fix(math.nan), fix(NOW, spd=-math.inf), sos(NOW, math.nan)],
        [],
        ["not_json"] * 5,
    ),
    "`null` for an optional number": Case(
        [fix(NOW, spd=None, hdg=None, acc=None, bat=None)], [(NOW, LON, 0)], [], (NOW, LON)
    ),
    "`null`, text or nothing for a needed one": Case(
        [fix(NOW, None), fix(NOW, "118.88"), fix(None), raw('{"t":NOW,"lat":31.47}'), sos(NOW, "x"), sos(None)],
        [(NOW, None, NOWHERE), ("now", None, NOWHERE)],
        ["wrong_shape"] * 6,
    ),
    "A number beyond its field, such as 1e300 m/s or a heading of 361": Case(
        [fix(NOW, spd=1e300), fix(NOW, hdg=361), fix(NOW, acc=-1), fix(NOW, bat=101), fix(1e300), fix(NOW, 1e300)],
        [],
        ["wrong_value"] * 5 + ["place_impossible"],
    ),
    "A number that no computer holds, such as 1e400": Case(
        [raw('{"t":NOW,"lon":1e400,"lat":31.47}'), raw('{"t":1e400,"lon":118.88,"lat":31.47}')], [], ["wrong_value"] * 2
    ),
    "A huge sensor value, such as 1e300": Case(
        [raw('{"t":NOW,"q":"water_level","v":1e300}', "sample")], [], [], samples=(1e300,)
    ),
    "The same fix again, once or in an array": Case(
        [fix(NOW), fix(NOW), ("fix", b"[" + body(NOW) + b"," + body(NOW - 5) + b"," + body(NOW - 5) + b"]")],
        [(NOW - 5, LON, int(Flag.BACKFILL)), (NOW, LON, 0)],
        [],
        (NOW, LON),
    ),
    "Another place for the same device and time": Case(
        [fix(NOW), fix(NOW, LON + 0.01)], [(NOW, LON, 0)], [], (NOW, LON)
    ),
    "An SOS for the same device and time as a fix": Case([fix(NOW), sos(NOW)], [(NOW, LON, SOS)], [], (NOW, LON)),
    "Fixes out of order": Case(
        [fix(NOW, LON + 0.03), fix(NOW - 30), fix(NOW - 10, LON + 0.02), fix(NOW - 20, LON + 0.01)],
        [(NOW - 30, LON, 0), (NOW - 20, LON + 0.01, 0), (NOW - 10, LON + 0.02, 0), (NOW, LON + 0.03, 0)],
        [],
        (NOW, LON + 0.03),
    ),
}


def table(page: str, section: str) -> list[str]:
    """The first column of the table in a section."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
    part = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| ([^|]+) \| [^|]+ \|$", part, re.MULTILINE)[1:]


def test_these_are_the_rows_of_the_documents() -> None:
    assert table("payloads.md", "Odd clocks, places and numbers") == list(CASES)
    assert len(table("payloads.zh-CN.md", "异常的时钟、位置和数值")) == len(CASES)


async def stored(bench: Any) -> list[tuple[float | str, float | None, int]]:
    """The fixes in the database, in the words of a Case, in order of time; those at the time of receipt last."""
    async with bench.pool.connection() as conn:
        fixes = (await stretch(conn, 0, (1 << 32) * SECOND, kinds=["fixes"])).fixes
    found: list[tuple[float | str, float | None, int]] = [
        (
            "now" if fix["at"] == fix["received"] else round(float(fix["at"]) / SECOND, 3),
            None if np.isnan(fix["lon"]) else float(fix["lon"]),
            int(fix["flags"]),
        )
        for fix in fixes
    ]
    return sorted(found, key=lambda fix: fix[0] == "now")


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "in one go"])
@pytest.mark.parametrize("what", CASES)
async def test_what_becomes_of_it(bench: Any, terminal: aiomqtt.Client, until: Any, what: str, at_once: bool) -> None:
    case = CASES[what]
    for number, (kind, payload) in enumerate(case.sent, 1):
        device = "S-1" if kind == "sample" else "T-1"
        await terminal.publish(f"{SHARE}/{device}/{kind}", payload, qos=1)
        if number == len(case.sent) or not at_once:  # what was sent before this is stored with it, or before
            await terminal.publish(f"{SHARE}/C-1/sighting", f'{{"t":{NOW},"label":"after {number}"}}', qos=1)
            label = f"after {number}"
            await until(lambda label=label: any(row["label"] == label for row in bench.handed_on("sightings")))
    assert await stored(bench) == [(t if t == "now" else round(t, 3), lon, flags) for t, lon, flags in case.fixes]
    kept = await bench.rejects()
    assert sorted(reject.reason for reject in kept) == sorted(case.rejects)
    async with bench.pool.connection() as conn:
        last = [(round(float(fix["at"]) / SECOND, 3), float(fix["lon"])) for fix in await last_positions(conn)]
    if case.last is not None:
        assert last == [(round(case.last[0], 3), case.last[1])]
    assert tuple(row["value"] for row in bench.handed_on("samples")) == case.samples
    told = [(int(row["device"]), int(row["at"]), int(row["flags"])) for row in bench.handed_on()]
    assert len(told) == len(set(told)), "detectors see nothing twice"
