"""What the heat map's route gives."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from console.models import Answer


class HeatMap(Answer):
    """How many terminals were where, by cells of 100 m. It names nobody."""

    since: AwareDatetime = Field(description="The first whole hour")
    until: AwareDatetime = Field(description="The end of the last whole hour")
    hours: int = Field(description="The hours in between")
    counted: int = Field(description="Of these, how many are rolled up; an hour is some minutes after its end")
    cell: float = Field(description="Metres to a cell's side", examples=[100.0])
    cells: list[tuple[float, float, int, int]] = Field(
        description="[lon, lat of the middle, terminal hours, fixes], those with most first. A terminal that was in a "
        "cell in three of the hours is three terminal hours, however long it stayed"
    )
    cut: bool = Field(description="There are more cells than are given: ask for a smaller box")
