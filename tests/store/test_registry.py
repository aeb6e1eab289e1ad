"""The site in the real database: lossless, all or nothing, ids for ever, history kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.rules import Rule
from devices.registry import Device
from devices.site import Area, Season, Unit, Zone
from devices.site_contents import FILES, SiteErrors, SiteFolder
from devices.site_folder import read_folder, write_folder
from store.database import RESUMED, listen
from store.registry import (
    UnknownDevice,
    add_device,
    deactivate_device,
    load_duty,
    load_rules,
    load_site,
    read_site,
    save_site,
)

FOLDER = Path(__file__).parents[2] / "examples" / "shijiu"
Pool = AsyncConnectionPool[AsyncConnection]


@pytest.fixture(scope="module")
def shijiu() -> SiteFolder:
    return read_folder(FOLDER)


@pytest.fixture
async def conn(pool: Pool, shijiu: SiteFolder) -> AsyncIterator[AsyncConnection]:
    """A connection with the example saved into tables that were empty."""
    async with pool.connection() as connection:
        await empty(connection)
        await save_site(connection, shijiu)
        await connection.commit()
        yield connection


async def empty(conn: AsyncConnection) -> None:
    for table in (
        "cases",
        "accounts",
        "duties",
        "categories",
        "supervisors",
        "contacts",
        "rules",
        "plans",
        "zones",
        "devices",
        "units",
        "areas",
        "site_facts",
    ):
        await conn.execute(f"DELETE FROM {table}".encode())


async def ids(conn: AsyncConnection) -> dict[str, int]:
    return {device.code: device.id for device in (await load_site(conn)).registry.devices}


def without(folder: SiteFolder, *codes: str) -> SiteFolder:
    return replace(folder, devices=tuple(d for d in folder.devices if d.code not in codes))


async def problems_of(conn: AsyncConnection, folder: SiteFolder) -> list[str]:
    before = await read_site(conn)
    with pytest.raises(SiteErrors) as caught:
        await save_site(conn, folder)
    assert await read_site(conn) == before
    return [str(error) for error in caught.value.errors]


# ── Lossless ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_example_comes_out_byte_for_byte(conn: AsyncConnection, shijiu: SiteFolder, tmp_path: Path) -> None:
    out = await read_site(conn)
    assert out == shijiu
    write_folder(out, tmp_path)
    assert all((tmp_path / file).read_bytes() == (FOLDER / file).read_bytes() for file in FILES)


async def test_odd_values_and_the_order_of_everything_survive(conn: AsyncConnection, shijiu: SiteFolder) -> None:
    winter_nights = Season("11-01", "02-29", "18:00", "06:00")
    square = shapely.Polygon([(118.1, 31.1), (118.10000000000001, 31.2), (118.2, 1 / 3 + 31), (118.1, 31.1)])
    odd = replace(
        shijiu,
        name='湖 "一"\\',
        areas=shijiu.areas[::-1],
        devices=(
            replace(shijiu.devices[0], properties={"z": 1e22, "a": [None, True, {"乙": -0.1}], "m": 10**30}, lon=1 / 3),
            *shijiu.devices[:0:-1],
        ),
        zones=(
            Zone("Z9", "no_fishing", "区", "Z", shijiu.areas[0].code, square, 0, winter_nights),
            *shijiu.zones[::-1],
        ),
        plans=(replace(shijiu.plans[0], days=(7, 1), stay=1 / 3, who=("T001", "boat")), *shijiu.plans[:0:-1]),
        rules=({**shijiu.rules[1], "active": False, "settings": {"sustain": 30, "ratio": 1.0}}, *shijiu.rules[:1]),
        duties=shijiu.duties[::-1],
    )  # fmt: skip
    await save_site(conn, odd)
    out = await read_site(conn)
    assert out == odd
    assert list(out.rules[0]) == list(odd.rules[0])
    assert list(out.devices[0].properties) == ["z", "a", "m"]
    assert await save_site(conn, shijiu)
    assert await read_site(conn) == shijiu


async def test_what_the_others_load(conn: AsyncConnection, shijiu: SiteFolder) -> None:
    site = await load_site(conn)
    assert site.name == "石臼湖（示例）"
    assert set(site.areas) == {area.code for area in shijiu.areas}
    assert len(site.plans) == 31
    assert site.plans["boat-01"].zones == ("B-01",)
    assert [z.code for z in site.zones_of("crowd_watch")] == ["CW-MARKET", "CW-WHARF"]
    terminal = site.registry.resolve("owntracks/demo/phone")
    assert terminal is not None
    assert (terminal.code, terminal.role, terminal.interval) == ("T035", "police", 5.0)
    rules = await load_rules(conn)
    assert all(type(rule) is Rule for rule in rules)
    assert [rule.code for rule in rules] == [row["code"] for row in shijiu.rules]
    (sos,) = [rule for rule in rules if rule.code == "sos"]
    assert (sos.severity, sos.deadline, sos.dispatch) == ("high", "30m", "nearest")
    duty = await load_duty(conn)
    assert duty.unit_for("crowd", "990101103001-01", site) == "market"
    assert duty.unit_for("crowd", "990101103202", site) == "police-donggang"
    assert duty.unit_for("lost cow", "990101104203-02", site) == "command"
    assert duty.problems(site, {rule.category for rule in rules}) == []


async def test_an_empty_database_has_an_empty_site(pool: Pool) -> None:
    async with pool.connection() as connection:
        await empty(connection)
        site = await load_site(connection)
        assert (site.name, site.areas, site.registry.devices) == ("", {}, ())
        assert await read_site(connection) == SiteFolder("", "")
        assert await load_rules(connection) == []


# ── Ids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_ids_are_dense_and_never_change(conn: AsyncConnection, shijiu: SiteFolder) -> None:
    first = await ids(conn)
    assert sorted(first.values()) == list(range(1, 53))
    for _ in range(3):
        await save_site(conn, replace(shijiu, devices=shijiu.devices[::-1]))
    assert await ids(conn) == first
    new = [replace(shijiu.devices[-1], code=code) for code in ("T041", "T042")]
    await save_site(conn, replace(without(shijiu, "C01"), devices=(*new, *without(shijiu, "C01").devices)))
    assert await ids(conn) == first | {"T041": 53, "T042": 54}
    await save_site(conn, shijiu)
    assert await ids(conn) == first | {"T041": 53, "T042": 54}
    assert (await load_site(conn)).registry.size == 55


async def test_a_failed_save_costs_no_id(conn: AsyncConnection, shijiu: SiteFolder) -> None:
    with pytest.raises(RuntimeError, match="changed my mind"):
        async with conn.transaction():
            await add_device(conn, replace(shijiu.devices[-1], code="T099"))
            raise RuntimeError("changed my mind")
    await add_device(conn, replace(shijiu.devices[-1], code="T041"))
    assert (await ids(conn))["T041"] == 53


# ── What leaves ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_device_that_left_is_inactive_and_keeps_its_name(conn: AsyncConnection, shijiu: SiteFolder) -> None:
    saved = await save_site(conn, without(shijiu, "T035", "C01"))
    assert saved.left["devices.csv"] == ("C01", "T035")
    assert not any(saved.added.values())
    site = await load_site(conn)
    left = site.registry.resolve("T035")
    assert left is not None
    assert (left.active, left.name_en, left.id) == (False, "Donggang police 3", (await ids(conn))["T035"])
    assert site.registry.resolve("owntracks/demo/phone") is None  # somebody else may have it now
    assert await read_site(conn) == without(shijiu, "T035", "C01")
    back = await save_site(conn, shijiu)
    assert back.added["devices.csv"] == ("C01", "T035")
    assert await read_site(conn) == shijiu


async def test_areas_units_zones_and_rules_that_left_take_part_in_nothing(
    conn: AsyncConnection, shijiu: SiteFolder
) -> None:
    gone = "990101104203"
    small = replace(
        shijiu,
        areas=tuple(a for a in shijiu.areas if not a.code.startswith(gone)),
        units=tuple(u for u in shijiu.units if u.area != gone),
        zones=tuple(z for z in shijiu.zones if not z.area.startswith(gone)),
        plans=tuple(p for p in shijiu.plans if p.area != gone),
        devices=tuple(d for d in shijiu.devices if not d.area.startswith(gone)),
        duties=tuple(d for d in shijiu.duties if d["area"] != gone),
        rules=shijiu.rules[1:],
    )
    saved = await save_site(conn, small)
    assert saved.left["areas.csv"] == (gone, f"{gone}-01", f"{gone}-02")
    assert saved.left["zones.geojson"] == ("P-12", "G-12-1", "G-12-2", "K-12")
    assert saved.left["plans.toml"] == ("grid-12", "shore-12")
    site = await load_site(conn)
    assert gone not in site.areas
    assert "P-12" not in site.zones
    assert "village-shiqiao" not in site.units
    assert "fishing_ban" not in {rule.code for rule in await load_rules(conn)}
    assert await read_site(conn) == small


async def test_the_alias_of_one_may_become_anothers_in_one_save(conn: AsyncConnection, shijiu: SiteFolder) -> None:
    swapped = tuple(replace(d, aliases=("owntracks/demo/phone",) if d.code == "T001" else ()) for d in shijiu.devices)
    await save_site(conn, replace(shijiu, devices=swapped))
    device = (await load_site(conn)).registry.resolve("owntracks/demo/phone")
    assert device is not None
    assert device.code == "T001"


async def test_the_code_of_a_device_that_left_is_nobodys_alias(conn: AsyncConnection, shijiu: SiteFolder) -> None:
    rest = without(shijiu, "T040")
    await save_site(conn, rest)
    taken = replace(rest, devices=(*rest.devices[:-1], replace(rest.devices[-1], aliases=("T040",))))
    assert await problems_of(conn, taken) == [
        "devices.csv, line 52 (T039), aliases: 'T040' is the code of a device that left the site: take another"
    ]


async def open_case(conn: AsyncConnection, number: str, **columns: Any) -> None:
    now = datetime.now(UTC)
    case = {
        "number": number,
        "category": "sos",
        "title": "求救",
        "title_en": "SOS",
        "severity": "high",
        "status": "handling",
        "opened_at": now,
        "due_at": now,
        **columns,
    }
    names = ", ".join(case)
    values = ", ".join(f"%({name})s" for name in case)
    await conn.execute(f"INSERT INTO cases ({names}) VALUES ({values})".encode(), case)


async def test_what_an_open_case_needs_cannot_leave(conn: AsyncConnection, shijiu: SiteFolder) -> None:
    gone = "990101104203"
    terminal = (await ids(conn))["T032"]
    await open_case(conn, "PG-1", unit="village-shiqiao", terminal=terminal, area=gone)
    await open_case(conn, "PG-2", unit="village-shiqiao")
    await open_case(conn, "PG-3", unit="village-daoxiang", status="closed")
    small = replace(
        shijiu,
        areas=tuple(a for a in shijiu.areas if not a.code.startswith(gone)),
        units=tuple(u for u in shijiu.units if u.code not in ("village-shiqiao", "village-daoxiang")),
        zones=tuple(z for z in shijiu.zones if not z.area.startswith(gone)),
        plans=tuple(p for p in shijiu.plans if p.area != gone),
        devices=tuple(
            replace(d, unit="" if d.unit == "village-daoxiang" else d.unit)
            for d in shijiu.devices
            if not d.area.startswith(gone)
        ),
        duties=tuple(d for d in shijiu.duties if d["unit"] not in ("village-shiqiao", "village-daoxiang")),
    )
    assert await problems_of(conn, small) == [
        "devices.csv, T032: is no longer in the file, but is dispatched for PG-1:"
        " close the case or send another terminal first",
        "units.csv, village-shiqiao: is no longer in the file, but handles PG-1, PG-2:"
        " close the case or assign it to another unit first",
        f"areas.csv, {gone}: is no longer in the file, but is the place of PG-1: close the case first",
    ]
    await conn.execute("UPDATE cases SET status = 'closed'")
    await save_site(conn, small)
    names = await (await conn.execute("SELECT name FROM units WHERE code = 'village-shiqiao'")).fetchall()
    assert names == [("石桥村村民委员会",)]  # the closed case can still name it


async def test_the_unit_of_an_account_cannot_leave(conn: AsyncConnection, shijiu: SiteFolder) -> None:
    await conn.execute(
        "INSERT INTO accounts (name, display, password_hash, role, unit) VALUES ('li', '李', 'x', 'unit', 'water')"
    )
    dry = replace(
        shijiu,
        units=tuple(u for u in shijiu.units if u.code != "water"),
        devices=tuple(replace(d, unit="") if d.unit == "water" else d for d in shijiu.devices),
        duties=tuple(d for d in shijiu.duties if d["unit"] != "water"),
    )
    (problem,) = await problems_of(conn, dry)
    assert problem.endswith("is the unit of the account li: give the account another unit first")


# ── All or nothing ──────────────────────────────────────────────────────────────────────────────────────────────────
RULES_GONE_WRONG = [
    ({"severity": "grave"}, "severity", "'grave': "),
    ({"deadline": "soon"}, "deadline", "'soon': "),
    ({"detector": "clairvoyance"}, "detector", "'clairvoyance': expected one of "),
    ({"colour": "red"}, "colour", "'red': no such field; there are code, "),
    ({"settings": {"sustian": 60.0}}, "settings.sustian", "60.0: no such field; there are "),
    ({"settings": {"sustain": "long"}}, "settings.sustain", "'long': "),
]


@pytest.mark.parametrize(("change", "field", "problem"), RULES_GONE_WRONG)
async def test_a_rule_that_cannot_run_stops_the_save(
    conn: AsyncConnection, shijiu: SiteFolder, change: dict[str, Any], field: str, problem: str
) -> None:
    broken = replace(shijiu, rules=(shijiu.rules[0], {**shijiu.rules[1], **change}), name="别的")
    (said,) = await problems_of(conn, broken)
    line = shijiu.lines["rules.toml"][1]
    assert said.startswith(f"rules.toml, line {line} (crowd), {field}: {problem}")


async def test_a_site_that_makes_no_sense_is_not_saved(conn: AsyncConnection, shijiu: SiteFolder) -> None:
    lost = replace(shijiu, units=(*shijiu.units, Unit("ghosts", "鬼", "Ghosts", "990101999999")))
    (said,) = await problems_of(conn, lost)
    assert (
        said
        == "units.csv, record 20 (ghosts), area: '990101999999' is not in areas.csv: add it there or correct it here"
    )


# ── One device ──────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_device_is_added_once_and_deactivated(conn: AsyncConnection, shijiu: SiteFolder) -> None:
    device = Device("T041", "terminal", "新", "New", "990101104203", "990101001000", role="patrol", interval=30.0)
    await add_device(conn, device)
    assert (await read_site(conn)).devices == (*shijiu.devices, device)
    with pytest.raises(SiteErrors, match="'T041' is already used at record 53"):
        await add_device(conn, device)
    await deactivate_device(conn, "T041")
    found = (await load_site(conn)).registry.resolve("T041")
    assert found is not None
    assert not found.active
    with pytest.raises(UnknownDevice, match="'T404'"):
        await deactivate_device(conn, "T404")


async def test_a_device_that_left_cannot_be_deactivated(conn: AsyncConnection, shijiu: SiteFolder) -> None:
    await save_site(conn, without(shijiu, "T001"))
    with pytest.raises(UnknownDevice):
        await deactivate_device(conn, "T001")


# ── Others are told, and never see half of it ───────────────────────────────────────────────────────────────────────
async def test_listeners_are_told_when_it_is_committed(pool: Pool, database_url: str, shijiu: SiteFolder) -> None:
    events = listen(database_url)
    assert await asyncio.wait_for(anext(events), 5) == RESUMED
    waiting = asyncio.ensure_future(anext(events))
    async with pool.connection() as connection, connection.transaction():
        await save_site(connection, shijiu)
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert await asyncio.wait_for(waiting, 5) == {"kind": "site"}
    await events.aclose()


async def test_two_savers_and_readers_do_not_mix(pool: Pool, shijiu: SiteFolder) -> None:
    other = replace(
        shijiu,
        name="另一个",
        areas=(*shijiu.areas, Area("990101105000", "新镇", "New", "street", shijiu.areas[0].code)),
    )

    async def save(folder: SiteFolder) -> None:
        for _ in range(3):
            async with pool.connection() as connection:
                await save_site(connection, folder)

    async def read() -> None:
        for _ in range(6):
            async with pool.connection() as connection:
                assert await read_site(connection) in (shijiu, other)

    async with pool.connection() as connection:
        await save_site(connection, shijiu)
    await asyncio.gather(save(shijiu), save(other), read(), read())
