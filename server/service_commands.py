"""``patrolgrid services``: the private TimescaleDB and the private broker."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from server.services import BINARIES, Addresses, BrokerName, Services
from server.settings import Settings, read_settings

DEFAULT_MQTT_PORT = 1883

app = typer.Typer(no_args_is_help=True, help="The private TimescaleDB and broker of this folder.")
err = Console(stderr=True)
out = Console()


def private(settings: Settings) -> Services:
    """The services that the settings describe: given addresses first, private ones for what is not given."""
    return Services(
        settings.data_dir,
        database_url=settings.database_url,
        mqtt_url=settings.mqtt_url,
        mirror=settings.debian_mirror,
        mqtt_port=DEFAULT_MQTT_PORT,
        broker=settings.broker or None,
        say=lambda line: err.print(f"  {line}", highlight=False),
    )


def addresses(settings: Settings) -> Addresses:
    """Where database and broker answer; the private ones are started if they do not run."""
    return private(settings).up()


@app.command()
def up(
    broker: Annotated[
        BrokerName | None, typer.Option(help="Which broker from now on; NATS loses nothing that it acknowledged.")
    ] = None,
) -> None:
    """Install what is missing, start what does not run, and print the addresses."""
    found = addresses(read_settings(**({"broker": broker} if broker else {})))
    for name, url in zip(found._fields, found, strict=True):
        parts = urlsplit(url)
        out.print(f"PATROLGRID_{name.upper()}: {parts.hostname}:{parts.port}{parts.path}", highlight=False)


@app.command()
def down() -> None:
    """Stop the private services. Their data stay."""
    private(read_settings()).down()


@app.command()
def status() -> None:
    """Show each service, its process and where it answers. Exit code 1 if one does not run."""
    states = private(read_settings()).status()
    table = Table("service", "state", "process", "address", "folder", box=None)
    for state in states:
        running = "[green]running[/green]" if state.running else "[red]stopped[/red]"
        table.add_row(state.name, running, str(state.pid or "-"), state.address or "-", state.folder or "given")
    out.print(table)
    if not all(state.running for state in states):
        raise typer.Exit(1)


@app.command()
def env() -> None:
    """Print shell lines that set the addresses and find the clients: eval "$(patrolgrid services env)"."""
    services = private(read_settings())
    found = services.up()
    for name, url in zip(found._fields, found, strict=True):
        print(f"export PATROLGRID_{name.upper()}={shlex.quote(url)}")
    root = services.installed()  # with given services nothing is downloaded for the clients' sake
    if root is not None:
        folders = os.pathsep.join(str(root / place) for place in ("usr/bin", BINARIES))
        print(f'export PATH={shlex.quote(folders)}:"$PATH"')
    elif shutil.which("mosquitto_pub") is None:
        err.print("  mosquitto_pub is not here: it is in the package mosquitto-clients", highlight=False)
