"""What a list of cases can be asked for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, TypeVar, get_args

from pydantic import Field

from console.api.paging import Before, Limit
from console.errors import wrong_value
from console.models import Severity
from console.models_cases import CaseStatus
from console.orders import Order

T = TypeVar("T", bound=str)
_KEPT = r"^[^\x00]*$"  # what a text column can hold
Several = Annotated[list[Annotated[str, Field(max_length=1000, pattern=_KEPT)]] | None, Field(max_length=50)]
_STATUSES: tuple[CaseStatus, ...] = get_args(CaseStatus)
_SEVERITIES: tuple[Severity, ...] = get_args(Severity)


class CaseFilter(Order):
    """All that is given must hold; of several values of one filter any."""

    status: Several = Field(None, description=f"Any of {', '.join(_STATUSES)}", examples=[["dispatched", "handling"]])
    unit: str | None = Field(
        None, max_length=100, pattern=_KEPT, description="Only this unit's; `-`: ownership unclear"
    )
    category: Several = Field(None, description="Any of these kinds of event")
    severity: Several = Field(None, description=f"Any of {', '.join(_SEVERITIES)}")
    area: str | None = Field(None, max_length=100, pattern=_KEPT, description="Only in this area and those below it")
    supervision: int | None = Field(None, ge=0, le=3, description="At least at this step: 1 urged, 2 letter, 3 second")
    overdue: bool | None = Field(None, description="Only those open past their deadline, or all others")
    q: str | None = Field(
        None,
        min_length=2,
        max_length=100,
        pattern=_KEPT,
        description="A part of the title, or the beginning or the end of the number",
        examples=["1122-0007"],
    )
    limit: Limit = 50
    before: Before = None

    def statuses(self) -> set[CaseStatus] | None:
        """Those asked for; None: any. Raises Problem (422) for one that does not exist."""
        return _known(self.status, _STATUSES, "status", "状态")

    def severities(self) -> set[Severity] | None:
        """Those asked for; None: any. Raises Problem (422) for one that does not exist."""
        return _known(self.severity, _SEVERITIES, "severity", "风险等级")

    def categories(self) -> set[str] | None:
        """Those asked for; None: any."""
        return _split(self.category)


def _split(given: Collection[str] | None) -> set[str] | None:
    values = {value.strip() for text in given or () for value in text.split(",")} - {""}
    return values or None


def _known(given: Collection[str] | None, known: Collection[T], name: str, zh: str) -> set[T] | None:
    values = _split(given)
    if values is None:
        return None
    unknown = sorted(values - set(known))
    if unknown:
        expected = ", ".join(known)
        raise wrong_value(f"{zh}“{unknown[0]}”不存在，应为 {expected}", f"{name} {unknown[0]!r}: expected {expected}")
    return {value for value in known if value in values}
