"""``patrolgrid simulate``: a lake full of devices, for trying out and for tests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from devices.site_folder import read_folder
from server.service_commands import addresses
from server.settings import read_settings
from simulators import Progress as Told
from simulators import simulate as run_simulation

err = Console(stderr=True)


def simulate(
    site: Annotated[Path, typer.Argument(help="Site folder whose devices are simulated")] = Path("examples/shijiu"),
    scenario: Annotated[str, typer.Option(help="What happens: demo, evening or quiet")] = "demo",
    seed: Annotated[int, typer.Option(help="Another seed, another evening")] = 1,
    speed: Annotated[float, typer.Option(help="World seconds per second until the present is reached")] = 60.0,
    lead: Annotated[float, typer.Option(help="Minutes before now at which the world begins")] = 10.0,
    minutes: Annotated[float, typer.Option(help="Minutes of world time; 0: until Ctrl-C")] = 0.0,
    truth: Annotated[Path | None, typer.Option(help="File for what truly happened, a JSON object a line")] = None,
) -> None:
    """Let a site's devices live and publish, as real ones would: fast up to the present, then in real time."""
    folder, broker = read_folder(site), addresses(read_settings()).mqtt_url
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(scenario, total=1.0 if minutes else None, told="")

        def show(told: Told) -> None:
            line = f"{told.world:%H:%M:%S} UTC, {told.published} sent, {told.waiting} waiting"
            progress.update(task, completed=told.done, told=line)

        work = run_simulation(
            folder,
            broker,
            scenario=scenario,
            seed=seed,
            speed=speed,
            lead=lead * 60,
            duration=minutes * 60 or None,
            truth=truth,
            on_progress=show,
        )
        try:
            asyncio.run(work)
        except KeyboardInterrupt:
            err.print("stopped")
