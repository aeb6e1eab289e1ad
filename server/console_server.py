"""The console as one part of our process, with what the settings say."""

from __future__ import annotations

from datetime import timedelta

from psycopg_pool import AsyncConnectionPool

from alerts.duplicates import Nearness
from console.app import ConsoleServer, create_app
from console.intake import Intake
from server.backtest_jobs import BacktestJobs
from server.embedded import Embedded
from server.folders import key_file, media_of
from server.publisher import Publisher
from server.services import Addresses
from server.settings import Settings
from server.telemetry import Checks


class _Console(Embedded, ConsoleServer):
    pass


def console_server(
    settings: Settings,
    addresses: Addresses,
    pool: AsyncConnectionPool,
    publisher: Publisher,
    backtests: BacktestJobs,
    checks: Checks,
) -> Embedded:
    """A console on this pool, not started yet."""
    app = create_app(
        pool,
        database_url=addresses.database_url,
        publish=publisher.publish,
        start_backtests=backtests.start,
        checks=checks,
        tile_url=settings.tile_url,
        tile_attribution=settings.tile_attribution,
        session_hours=settings.session_hours,
        secure_cookie=settings.secure_cookie,
        intake=_intake(settings),
        key=key_file(settings),
    )
    return _Console(app, settings.http_host, settings.http_port)


def _intake(settings: Settings) -> Intake:
    return Intake(
        media_of(settings),
        Nearness(settings.similar_metres, timedelta(hours=settings.similar_hours)),
        answers_kept=timedelta(days=settings.key_days),
        callers_kept=timedelta(days=settings.caller_days),
    )
