"""Whose places evidence shows: all who are named must be seen, and who cannot be named is nobody's to see."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.officers import evidence_shown
from devices.registry import Device, Registry

REGISTRY = Registry(
    [Device(code, "terminal", "", "", "", "", id=n) for n, code in enumerate(("T1", "T2"), 1)]
    + [Device("C1", "camera", "", "", "", "", id=3)]
)


def proof(*features: dict[str, Any]) -> dict[str, Any]:
    return {"geojson": {"features": [{"properties": told} for told in features]}, "numbers": {}}


@pytest.mark.parametrize(
    ("subject", "features", "asked"),
    [
        ("T1", [{}], {"T1"}),
        ("T1", [{"part": "way"}], {"T1"}),
        ("T1+T2", [{"devices": "T1, T2"}], {"T1", "T2"}),
        ("T1+T9", [{"devices": "T1, T9"}], {"T1", None}),
        ("R 2026-11-22 08:00", [{"part": "planned"}, {"part": "walked", "device": "T2"}], {"T2"}),
        ("R 2026-11-22 08:00", [{"part": "planned"}, {"part": "walked"}], {None}),
        ("R 2026-11-22 08:00", [{"part": "planned"}], set()),
        ("Q 2026-11-22 08:00", [{"part": "zone", "zone": "G"}, {"device": "T1"}, {"device": "#7"}], {"T1", None}),
        ("feed:s", [{"device": "T1"}, {"device": "C1"}, {"device": None}], {"T1", "C1", None}),
        ("#7", [{"device": "#7"}], {None}),
        ("boat-ban-1", [{"vessel": "T2"}], {"T2"}),
        ("C1", [{"camera": "C1"}], {"C1"}),
        ("market", [{"camera": "C1"}, {"camera": None}], set()),
    ],
)
def test_who_is_asked_for(subject: str, features: list[dict[str, Any]], asked: set[str | None]) -> None:
    seen: set[str | None] = set()

    def note(device: Device | None) -> bool:
        seen.add(device.code if device else None)
        return True

    assert evidence_shown(subject, proof(*features), REGISTRY, note)
    assert seen == asked
    for one in asked:
        shown = evidence_shown(
            subject, proof(*features), REGISTRY, lambda device, one=one: (device.code if device else None) != one
        )
        assert not shown, "each of them must be seen"
