"""The settings, read once at the start and passed on as values."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

SETTINGS_FILE = "patrolgrid.toml"


def _url(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        if value and not value.startswith(tuple(f"{s}://" for s in schemes)):
            raise ValueError(f"expected an address that starts with {' or '.join(f'{s}://' for s in schemes)}")
        return value

    return AfterValidator(check)


class Settings(BaseSettings):
    """Environment ``PATROLGRID_<NAME>`` before ``patrolgrid.toml`` in the working folder before the default."""

    model_config = SettingsConfigDict(
        env_prefix="PATROLGRID_", toml_file=SETTINGS_FILE, extra="forbid", frozen=True, env_ignore_empty=True
    )

    database_url: Annotated[str, _url("postgresql", "postgres")] = Field(
        "", description="TimescaleDB to use; empty: the private one in data_dir"
    )
    mqtt_url: Annotated[str, _url("mqtt", "mqtts")] = Field(
        "",
        description="MQTT broker to use, mqtt[s]://user:password@host:port, more after commas;"
        " empty: the private one in data_dir",
    )
    broker: Literal["", "mosquitto", "nats"] = Field(
        "", description="The private broker, mosquitto or nats; empty: that of the last start, at first mosquitto"
    )
    data_dir: Path = Field(Path(".patrolgrid"), description="Folder of the private services and their data")
    debian_mirror: Annotated[str, _url("http", "https", "file")] = Field(
        "", description="Debian mirror for the private services' packages; empty: the one in this host's apt sources"
    )
    http_host: str = Field("127.0.0.1", description="Address on which the console listens")
    http_port: int = Field(8080, ge=0, le=65535, description="Port of the console; 0: any free one")
    worker_port: int = Field(9108, ge=0, le=65535, description="Port of a lone worker's /metrics, /healthz, /readyz")
    worker: str = Field(
        "worker", pattern=r"^[a-z0-9-]{1,40}$", description="Name of this worker; its MQTT client id, so unique"
    )
    shard: str = Field(
        "0/1", pattern=r"^\d{1,3}/\d{1,3}$", description="Which of several workers this is, counted from 0: INDEX/COUNT"
    )
    subscribe_all: bool = Field(
        False,
        description="Subscribe to # alone, pass over what is not ours: for NATS with many terminals, without shards",
    )
    batch_size: int = Field(20_000, ge=1, le=60_000, description="Most messages in one transaction")
    future_limit: float = Field(300.0, gt=0, description="Seconds a device's clock may be ahead before it is a reject")
    backfill_days: float = Field(30.0, gt=0, description="Days a reading may be old before it is a reject")
    dispatch_patience: float = Field(
        120.0, gt=0, description="Seconds in which a terminal is to acknowledge an order before the next is offered it"
    )
    holidays: str = Field(
        "", description="CSV file (day,works) of the holidays and make-up days of years that this version does not know"
    )
    fix_days: int = Field(90, ge=1, description="Days for which fixes, sightings and samples are kept")
    snapshot_days: int = Field(30, ge=1, description="Days after which a sighting's snapshot reference is removed")
    reject_days: int = Field(90, ge=1, description="Days for which rejects are kept")
    media_dir: str = Field("", description="Folder of the pictures that were sent; empty: media in data_dir")
    photo_bytes: int = Field(8 * 2**20, ge=1024, le=2**26, description="Most bytes of one picture")
    photo_pixels: int = Field(40_000_000, ge=10_000, le=89_000_000, description="Most pixels of one picture")
    similar_metres: float = Field(150.0, gt=0, le=5000, description="How near a report is offered as the same")
    similar_hours: float = Field(48.0, gt=0, le=8760, description="How soon after another it is offered as the same")
    key_days: int = Field(30, ge=1, description="Days for which a request that comes again gets the same answer")
    caller_days: int = Field(180, ge=1, description="Days after a case's end until its callers' names are blanked")
    session_hours: float = Field(12.0, gt=0, description="Hours until a log-in ends")
    secure_cookie: bool = Field(False, description="Mark the session cookie Secure; switch on behind HTTPS")
    tile_url: str = Field("", description="Raster tiles {z}/{x}/{y} beneath the map; empty: only the site's outlines")
    tile_attribution: str = Field("", description="The attribution that the tiles' licence asks for")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level that is logged")
    log_json: bool = Field(False, description="Log as JSON lines instead of coloured text")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


class WrongSetting(ValueError):
    """One or more settings are wrong; the message names each with what was expected."""


def read_settings(**given: object) -> Settings:
    """Settings from arguments, environment and file.

    Raises:
        WrongSetting: a value is not what its setting takes, or the file names an unknown setting or is not TOML.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except tomllib.TOMLDecodeError as error:
        raise WrongSetting(f"wrong setting: {SETTINGS_FILE} is not TOML: {error}") from error
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = ".".join(str(p) for p in problem["loc"])
            # What an unknown setting holds may be a secret, and so is the password in an address.
            value = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", repr(problem["input"]))
            shown = "" if problem["type"] == "extra_forbidden" else f" = {value}"
            lines.append(f"PATROLGRID_{name.upper()}{shown}: {problem['msg']}")
        raise WrongSetting("wrong setting:\n  " + "\n  ".join(lines)) from error
