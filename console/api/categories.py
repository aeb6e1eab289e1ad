"""The kinds of event that a case can be of."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from alerts.duty import ANY
from console.api.refusals import LOGGED_IN, refusals
from console.auth import Anyone
from console.desk import TheDesk
from console.models import Answer, Severity, Text

categories = APIRouter(prefix="/api/v1/categories", tags=["site"], responses=refusals(*LOGGED_IN))


class CategoryOut(Answer):
    """One kind of event (事项)."""

    code: str = Field(examples=["fishing"])
    name: Text = Field(description="Its code where the site has no name for it")
    severity: Severity | None = Field(description="Its usual severity; null: the site does not say")


@categories.get("", summary="The kinds of event")
async def read_categories(caller: Anyone, desk: TheDesk) -> list[CategoryOut]:
    """Those of the site in its order, then those that only its rules or its duty matrix name, by code."""
    ground = await desk.ground()
    known = ground.duty.categories
    named = {rule.category for rule in ground.rules} | {row.category for row in ground.duty.rows}
    found = []
    for code in [*known.kinds, *sorted(named - set(known.kinds))]:
        if code != ANY:
            name, kind = known.name(code), known.kinds.get(code)
            text = Text(zh=name.zh, en=name.en)
            found.append(CategoryOut(code=code, name=text, severity=kind.severity if kind else None))
    return found
