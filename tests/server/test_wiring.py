"""What is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.services import Addresses
from server.settings import Settings
from server.wiring import NotReady, run


async def test_a_wrong_file_of_holidays_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "holidays.csv"
    file.write_text("day,works\n2027-01-01,perhaps\n", "utf-8")
    nowhere = Addresses("postgresql://127.0.0.1:1/none", "mqtt://127.0.0.1:1")
    with pytest.raises(NotReady, match=r"PATROLGRID_HOLIDAYS: .*line 2: works 'perhaps': expected yes or no"):
        await run(Settings(holidays=str(file)), nowhere, worker=True, console=False)
