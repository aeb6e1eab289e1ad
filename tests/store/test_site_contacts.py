"""contacts.csv in a whole site: what is wrong is said by line without any secret, and what is right comes back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from devices.site_contents import SiteErrors
from devices.site_folder import read_folder
from store.contacts import all_contacts, find_contacts
from store.registry import read_site, save_site
from store.site_check import site_problems, unknown_people

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"
HEADER = "to,address,name,severity,kinds,quiet,digest\n"
Pool = AsyncConnectionPool[AsyncConnection]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLE, tmp_path / "site")
    return tmp_path / "site"


def problems(folder: Path, *lines: str) -> list[str]:
    (folder / "contacts.csv").write_text(HEADER + "".join(f"{line}\n" for line in lines), "utf-8")
    try:
        read_folder(folder, site_problems)
    except SiteErrors as errors:
        return [str(error) for error in errors.errors]
    return []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["nobody,feishu://abc,,,,,"], "line 2 (nobody), to: there is no unit 'nobody'"),
        (["@,feishu://abc,,,,,"], "line 2 (@), to: needs a name"),
        (["@wang,,,,,,"], "line 2 (@wang), address: is empty"),
        (["fishery,dingding://s3cret,,,,,"], "line 2 (fishery), address: dingding:// is no service"),
        (["fishery,wecombot://s3cret key,,,,,"], "line 2 (fishery), address: wecombot://… lacks something"),
        (["fishery,feishu://abc,,urgent,,,"], "line 2 (fishery), severity: 'urgent': expected low, medium or high"),
        (["fishery,feishu://abc,,,angling,,"], "line 2 (fishery), kinds: there is no kind 'angling'"),
        (["fishery,feishu://abc,,,,22-7,"], "line 2 (fishery), quiet: '22-7': expected"),
        (["fishery,feishu://abc,,,,,lots"], "line 2 (fishery), digest: 'lots': expected"),
        (["fishery,feishu://abc,,,,,", "fishery,feishu://abc,,high,,,"], "line 3 (fishery), address: fishery has it"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, lines: list[str], said: str) -> None:
    (found,) = problems(folder, *lines)
    assert f"contacts.csv, {said}" in found and "s3cret" not in found


def test_a_units_address_that_apprise_cannot_parse_is_said(folder: Path) -> None:
    units = (folder / "units.csv").read_text("utf-8")
    (folder / "units.csv").write_text(
        units.replace("emergency,应急管理办公室,Emergency management office,990101000000,",
                      "emergency,应急管理办公室,Emergency management office,990101000000,feishu://?x=s3cret"), "utf-8"
    )  # fmt: skip
    (found,) = problems(folder)
    assert (
        "units.csv" in found and "(emergency), contacts: feishu://… lacks something" in found and "s3cret" not in found
    )


def test_lines_in_order_and_people_who_must_be_accounts(folder: Path) -> None:
    right = [
        "fishery,feishu://abc,值班群,medium,illegal_fishing,22:00..07:00,5/10m",
        "fishery,,,,,,-",
        "@示例区督查室王某,mailto://a:b@example.org,,,,,",
        "@wnag,mailto://a:b@example.org,,,,,",
        "@desk,json://127.0.0.1:9/x,,,,,",
    ]
    assert problems(folder, *right) == []
    assert unknown_people(read_folder(folder)) == ["wnag"]


async def test_contacts_come_out_of_the_database_as_they_went_in(folder: Path, pool: Pool) -> None:
    assert (
        problems(folder, "fishery,feishu://abc,群,high,,22:00..07:00,", "@desk,json://h/x,,,,,", "water,,,,,,-") == []
    )
    site = read_folder(folder, site_problems)
    async with pool.connection() as conn:
        await save_site(conn, site)
        assert (await read_site(conn)).contacts == site.contacts
        assert [(contact.to, contact.label) for contact in await all_contacts(conn)] == [
            ("fishery", "群"),
            ("@desk", "json"),
        ]
        found = await find_contacts(conn, ["fishery", "nobody"])
        assert [contact.address for contact in found["fishery"]] == ["feishu://abc"] and found["nobody"] == []
