"""The JSON that the REST interface takes in. Times are ISO 8601 with a zone, places degrees WGS-84."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from console.models import Severity

Lon = Annotated[float, Field(ge=-180, le=180, description="Degrees east, WGS-84", examples=[118.88])]
Lat = Annotated[float, Field(ge=-90, le=90, description="Degrees north, WGS-84", examples=[31.47])]
Note = Annotated[str, Field(min_length=1, max_length=2000, description="What a person writes to it")]


class Order(BaseModel):
    """Base of everything that is taken in: an unknown field is an error, not a silent loss."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


Password = Annotated[str, StringConstraints(min_length=1, max_length=1000, strip_whitespace=False)]
"""Taken as it was typed: a blank at its end belongs to it."""


class LogIn(Order):
    """Who logs in."""

    name: str = Field(min_length=1, max_length=100, examples=["operator"])
    password: Password = Field(examples=["correct horse battery"])


class NewPassword(Order):
    """A change of one's own password."""

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
    """One step of a case."""

    action: str = Field(min_length=1, max_length=40, examples=["dispatch"])
    version: int = Field(description="The case's version that the decision was made on")
    note: str | None = Field(None, max_length=2000)
    unit: str | None = Field(None, max_length=100)
    terminal: str | None = Field(None, max_length=100)
    outcome: str | None = Field(None, max_length=200)
