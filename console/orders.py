"""The JSON that the REST interface takes in. Times are ISO 8601 with a zone, places degrees WGS-84."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from console.models import Severity

Lon = Annotated[float, Field(ge=-180, le=180, description="Degrees east, WGS-84", examples=[118.88])]
Lat = Annotated[float, Field(ge=-90, le=90, description="Degrees north, WGS-84", examples=[31.47])]
UnitCode = Annotated[str, Field(min_length=1, max_length=100, description="Code of a unit")]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Note = Annotated[str, Field(min_length=1, max_length=2000, description="What a person writes to it")]
Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(3000, 1, 1, tzinfo=UTC))]
"""At the ends of time no hour can be added, and PostgreSQL knows years that Python cannot read back: a window of
maintenance that began there would stop every worker."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""The name of a picture, as its upload gives it."""
Photos = Annotated[tuple[Sha256, ...], Field(max_length=9, description="Pictures that the account has sent, by name")]


class Order(BaseModel):
    """Base of everything that is taken in: an unknown field is an error, not a silent loss, and so is a NUL, which no
    text of the database can hold."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    as_typed: ClassVar[frozenset[str]] = frozenset()
    """Fields that are taken whatever is in them: a log-in, which is kept nowhere, and passwords."""

    @field_validator("*", mode="before")
    @classmethod
    def _can_be_kept(cls, value: Any, about: ValidationInfo) -> Any:
        if about.field_name not in cls.as_typed and _holds_nul(value):
            raise PydanticCustomError("nul", "it holds a character that is not taken")
        return value


def _holds_nul(value: Any) -> bool:
    """Whether a NUL is anywhere in a value of JSON."""
    if isinstance(value, dict):
        return any(_holds_nul(part) for item in value.items() for part in item)
    if isinstance(value, list):
        return any(_holds_nul(part) for part in value)
    return isinstance(value, str) and "\x00" in value


Password = Annotated[str, StringConstraints(min_length=1, max_length=1000, strip_whitespace=False)]
"""Taken as it was typed: a blank at its end belongs to it."""


class LogIn(Order):
    """Who logs in."""

    as_typed = frozenset({"name", "password"})  # a name that there cannot be is a wrong one, as any other

    name: str = Field(min_length=1, max_length=100, examples=["operator"])
    password: Password = Field(examples=["correct horse battery"])


class NewPassword(Order):
    """A change of one's own password."""

    as_typed = frozenset({"old", "new"})

    old: Password
    new: Password = Field(description="At least 10 characters, and not made of the account's name")


class VoidAlert(Order):
    """Why an alert is a false alarm."""

    note: Note


class NewCase(Order):
    """A case that a person reports, from a call or a visit."""

    category: str = Field(min_length=1, max_length=60, description="The kind of event in the duty matrix")
    title: str = Field(min_length=1, max_length=200)
    note: str = Field("", max_length=2000)
    lon: Lon
    lat: Lat
    severity: Severity = "medium"


class Action(Order):
    """One step of a case. Which fields it takes is said by the case's `actions`."""

    action: str = Field(min_length=1, max_length=40, examples=["dispatch"])
    version: int = Field(description="The case's version that the decision was made on")
    note: str | None = Field(None, max_length=2000)
    unit: str | None = Field(None, max_length=100)
    terminal: str | None = Field(None, max_length=100)
    outcome: str | None = Field(None, max_length=200)
    units: list[UnitCode] | None = Field(None, max_length=20, description="Those whistled for")
    tasks: dict[UnitCode, Note] | None = Field(
        None, max_length=20, description="By unit what it is whistled for; one that is not named: the note"
    )
    until: str | None = Field(
        None,
        max_length=40,
        description="A new deadline: 30m, 4h, 2wd (working days) from the present one or from now, or ISO 8601",
        examples=["2wd"],
    )
    into: int | None = Field(None, ge=1, le=2**63 - 1, description="Id of the case that goes on")
    resolution: Literal["on_spot", "followed_up"] | None = None
    participants: list[Name] | None = Field(None, max_length=20, description="Who decided together")
    attachments: Photos = ()

    def wish(self) -> dict[str, Any]:
        """What goes with the action beside the note, as the casebook takes it."""
        given = self.model_dump(exclude={"action", "version", "note", "attachments"}, exclude_none=True)
        return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
