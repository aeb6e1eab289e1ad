"""Whose places an alert's evidence shows, and so to whom it may be shown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from devices.registry import Device, Registry

NOBODYS: Final = frozenset({"planned", "zone"})
"""Parts that the site itself has drawn."""
UNNAMED: Final = ""  # no device has this code


def evidence_shown(
    subject: str, evidence: Mapping[str, Any], registry: Registry, may_see: Callable[[Device | None], bool]
) -> bool:
    """Whether ``may_see`` holds for everybody whose places the evidence shows; it is asked with None for a device that
    is not told or not known.

    The subject alone does not say it: it may be two terminals ("T1+T2"), a plan's window, or a feed that fell silent.
    """
    subjects = {part for part in subject.split("+") if registry.resolve(part)}
    shown = set(subjects)
    for feature in evidence.get("geojson", {}).get("features", ()):
        told = feature.get("properties") or {}
        if told.get("part") in NOBODYS or "camera" in told:
            continue  # no officer's place
        shown.update(_codes(told) or subjects or [UNNAMED])
    return all(may_see(registry.resolve(code)) for code in shown)


def _codes(told: Mapping[str, Any]) -> list[str]:
    """The devices that a feature names: one, or both of a pair."""
    one = told.get("device") or told.get("vessel")
    both = str(told.get("devices") or "")
    return [str(one)] if one else [code for code in both.split(", ") if code]
