"""``patrolgrid certificate``: what one terminal did of a planned route, good or not, out of what is stored."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from alerts.backtest import moment_from
from detectors.certificate import NoCourse, certificate
from devices.readings import SECOND
from devices.site import micros
from server.service_commands import addresses
from server.settings import read_settings
from store.database import open_pool
from store.registry import load_site
from store.stretches import stretch

out = Console()
WEEK: Final = 8 * 86_400 * SECOND  # a plan has a window on one day of the week at least


def show_certificate(
    plan: Annotated[str, typer.Argument(help="Code of a plan of kind route")],
    device: Annotated[str, typer.Argument(help="Code of the terminal")],
    at: Annotated[
        str,
        typer.Option(help="The newest window that had opened by then: 1d, 2026-11-22T21:00:00+08:00; empty: now"),
    ] = "",
) -> None:
    """Print the certificate of a patrol as JSON: result, share covered, order, deviation, stays, and the lines."""
    now = datetime.now(UTC)
    try:
        when = micros(moment_from(at, now) if at else now)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from error
    paper = asyncio.run(_certificate(plan, device, when))
    out.print_json(json.dumps(paper, ensure_ascii=False))


async def _certificate(code: str, terminal: str, when: int) -> dict[str, Any]:
    async with open_pool(addresses(read_settings()).database_url, max_size=1) as pool, pool.connection() as conn:
        site = await load_site(conn)
        plan, device = site.plans.get(code), site.registry.resolve(terminal)
        if plan is None:
            raise typer.BadParameter(f"there is no plan {code!r}", param_hint="PLAN")
        if device is None:
            raise typer.BadParameter(f"there is no device {terminal!r}", param_hint="DEVICE")
        opened = [window for window in plan.windows(when - WEEK, when + 1) if window[0] <= when]
        try:
            fixes = (await stretch(conn, *opened[-1], [device.id], kinds=["fixes"])).fixes
            return certificate(plan, fixes, site, opened[-1]) | {"device": device.code}
        except NoCourse as error:
            raise typer.BadParameter(str(error), param_hint="PLAN") from error
