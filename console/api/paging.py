"""The two parameters that every list has."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

Limit = Annotated[int, Query(ge=1, le=500, description="Most items in the answer")]
Before = Annotated[
    int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before; left out: from the newest")
]
