"""``patrolgrid evidence``: whether the casebook still says what was written into it, and signed files of cases."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, BinaryIO, NoReturn, cast

import typer
from rich.console import Console
from rich.text import Text

from alerts.bundle import WrongKey, key_pem, key_text, read_key
from alerts.bundle_check import Checked, check_bundle
from alerts.case import Refused
from alerts.case_export import export_name, write_case
from alerts.case_file import CaseFile
from alerts.case_pdf import Language
from server.folders import key_file, media_of
from server.service_commands import addresses
from server.settings import Settings, read_settings
from store.accounts import get_account
from store.case_files import case_by_number, gather_case
from store.database import open_pool
from store.evidence import Anchor, Report, verify_all
from store.media import Damaged
from store.registry import load_duty, load_site
from store.signing import UnusableKey

app = typer.Typer(
    no_args_is_help=True, help="The hash chains over all entries of all cases, and signed files of single cases."
)
out = Console()
err = Console(stderr=True)


@app.command()
def verify(
    anchor: Annotated[
        str,
        typer.Option(help="One that was printed earlier and kept elsewhere"),
    ] = "",
) -> None:
    """Check every case's chain, its pictures, and the ledger over all cases. Exit code 1 if anything was changed.

    Write the printed anchor down outside this system (on paper, in another office): only with an earlier anchor can it
    be proved that nothing was cut off at the end.
    """
    report = asyncio.run(_verify(read_settings(), Anchor.parse(anchor) if anchor else None))
    for fault in report.faults:
        out.print(f"[red]{fault.number} #{fault.seq}: {fault.zh} / {fault.en}[/red]", highlight=False)
    colour = "green" if report.good else "red"
    wrong = "unchanged 完好" if report.good else f"{len(report.faults)} faults 处异常"
    looked_at = f"{report.cases} cases 件, {report.entries} entries 条, {report.pictures} pictures 张"
    out.print(f"[{colour}]{looked_at}: {wrong}[/{colour}]", highlight=False)
    out.print(f"anchor 锚点 {report.head}", highlight=False)
    if not report.good:
        raise typer.Exit(1)


@app.command()
def export(
    case: Annotated[str, typer.Argument(help="The case's number, e.g. PG-20261122-0007")],
    by: Annotated[str, typer.Option(help="The account in whose name it is given out; that is recorded")],
    to: Annotated[Path, typer.Option("--out", help="The file to write, or a folder to write it in")] = Path(),
    lang: Annotated[str, typer.Option(help="Language of the PDF: zh or en; empty: both")] = "",
) -> None:
    """Write the signed file of one case: all that is known of it, its tracks and pictures, as JSON and PDF."""
    if lang not in ("", "zh", "en"):
        _fail(f"--lang {lang!r}: expected zh or en")
    settings = read_settings()
    file = asyncio.run(_gather(settings, case, by))
    target = to / export_name(file) if to.is_dir() else to
    if target.exists():
        _fail(f"{target} is there already: take another name")
    languages = cast("tuple[Language, ...]", (lang,) if lang else ("zh", "en"))
    try:
        with target.open("xb") as written:
            _write(settings, written, file, languages)
    except (Damaged, UnusableKey, OSError) as error:
        target.unlink(missing_ok=True)
        _fail(f"not written: {error}")
    out.print(f"{target}: {len(file.entries)} entries, {len(file.tracks)} tracks, {len(file.photos)} pictures")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="An export: a ZIP file")],
    key: Annotated[str, typer.Option(help="The centre's public key: 64 hex digits, or a PEM file")] = "",
) -> None:
    """Check an export: every byte of it, its signature, the chain of its entries. Needs no database, no network.

    Without --key the key in the file is believed: compare the one that is printed with the one that the centre has
    published. Exit code 1 if anything is wrong.
    """
    try:
        known = read_key(Path(key).read_text() if key and Path(key).is_file() else key) if key else None
        with file.open("rb") as opened:
            checked = check_bundle(cast("BinaryIO", opened), known)
    except (WrongKey, OSError) as error:
        _fail(str(error))
    _tell(checked, trusted=known is not None)
    if not checked.good:
        raise typer.Exit(1)


@app.command("key")
def show_key() -> None:
    """Print the public key that checks this centre's exports, and where the private one is. Publish it elsewhere."""
    found = key_file(read_settings())
    try:
        public = found.key().public_key()
    except (UnusableKey, OSError) as error:
        _fail(str(error))
    out.print(key_text(public), highlight=False, soft_wrap=True)
    out.print(key_pem(public).decode().strip(), highlight=False)
    err.print(f"the private key is in {found.path}: keep a copy of it in a safe place", highlight=False)


async def _verify(settings: Settings, anchor: Anchor | None) -> Report:
    async with (
        open_pool(addresses(settings).database_url, max_size=1) as pool,
        pool.connection() as conn,
    ):
        return await verify_all(conn, anchor, media_of(settings))


async def _gather(settings: Settings, number: str, by: str) -> CaseFile:
    async with open_pool(addresses(settings).database_url, max_size=1) as pool, pool.connection() as conn:
        await conn.set_autocommit(True)
        try:
            account = await get_account(conn, by)
            if account is None or not account.active:
                _fail(f"there is no active account {by!r}: `patrolgrid accounts list` shows them")
            site, duty = await load_site(conn), await load_duty(conn)
            case_id = await case_by_number(conn, number)
            return await gather_case(conn, case_id, account, site=site, categories=duty.categories)
        except Refused as refusal:
            _fail(f"{refusal.en} / {refusal.zh}")
        finally:
            await conn.set_autocommit(False)


def _write(settings: Settings, written: BinaryIO, file: CaseFile, languages: tuple[Language, ...]) -> None:
    media = media_of(settings)
    write_case(written, file, languages, key_file(settings).key(), lambda photo: media.read(photo.sha256))


def _tell(checked: Checked, *, trusted: bool) -> None:
    for flaw in checked.flaws:
        out.print(Text(f"{flaw.en} / {flaw.zh}", "red"))
    colour = "green" if checked.good else "red"
    wrong = "unchanged 完好" if checked.good else f"{len(checked.flaws)} faults 处异常"
    what = f"{checked.number or '?'}: {checked.files} files, {checked.entries} entries: {wrong}"
    out.print(Text(what, colour), highlight=False)
    if checked.number:
        out.print(f"exported 导出 {checked.exported_at} by {checked.exported_by}", highlight=False)
    said = "as given 与给定公钥一致" if trusted else "believed as it stands in the file 未与公布的公钥核对"
    if checked.key:
        out.print(f"key 公钥 {checked.key} ({said})", highlight=False, soft_wrap=True)


def _fail(problem: str) -> NoReturn:
    err.print(Text(problem, "red"))
    raise typer.Exit(1)
