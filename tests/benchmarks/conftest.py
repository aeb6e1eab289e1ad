"""What tests of the harnesses share."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder of its own, for what kills or restarts the database in it."""
    made = ROOT / ".patrolgrid" / f"harness-{uuid.uuid4().hex[:8]}"
    yield made
    services = (made / "services").resolve()  # elsewhere, if others cannot reach it here
    shutil.rmtree(made)
    shutil.rmtree(services, ignore_errors=True)
