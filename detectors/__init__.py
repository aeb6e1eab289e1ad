"""What is wrong, found in committed readings. A new detector: one file, one line here, one test, one page in docs/."""

from __future__ import annotations

from typing import Any, Final

from detectors.base import Detector
from detectors.crowd import Crowd
from detectors.fishing_ban import FishingBan
from detectors.geofence import Geofence
from detectors.hazard import Hazard
from detectors.patrol_gap import PatrolGap
from detectors.route import Route
from detectors.silence import Silence
from detectors.sos import Sos
from detectors.spoofed_track import SpoofedTrack

DETECTORS: Final[dict[str, type[Detector[Any]]]] = {
    "fishing_ban": FishingBan,
    "crowd": Crowd,
    "geofence": Geofence,
    "hazard": Hazard,
    "patrol_gap": PatrolGap,
    "route": Route,
    "silence": Silence,
    "sos": Sos,
    "spoofed_track": SpoofedTrack,
}
"""Kind → class. A rule names the kind and sets the fields."""
