"""False alarms on real movement: tracks of people on foot and in vans, taken for terminals around the example's lake.

    python -m benchmarks.evaluate_foot [FILE.csv.gz]

All detectors that judge a single terminal's movement follow all tracks at once, through the fold and the triage of the
product. Nobody forges anything, nobody is silent for long, everybody walks the line that is his plan, and each crosses
the edge of one restricted zone: so every alert is false, but for entering that zone, of which one alert for each time
is right and every further one flapping. Prints a table, each false alarm with what there is in the track, then one JSON
line. The thresholds of ``silence`` were chosen with all tracks of the development file in view, so that its figures are
no forecast; the halves, every other track, show how much they vary.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from rich.console import Console
from rich.table import Table

from alerts.alert import Alert
from alerts.triage import triage
from benchmarks.foot_tracks import BEGIN, DATA, SPREAD, Ground, Track, WrongTracks, ground, read_tracks, rules_for
from detectors import DETECTORS
from detectors.base import Batch
from devices.readings import SECOND
from devices.site import micros, moment
from server.fold import Fold

KINDS: Final = ("spoofed_track", "silence", "route", "geofence")
TARGET: Final = 1.0  # false alarms in 100 track-hours, of each detector
STEP: Final = 10.0  # s of reception in one batch
DEEP: Final = 30.0  # m beyond the edge of a zone, either way, that make a crossing


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """An alert without a cause, and what there is in the track at that time."""

    detector: str
    track: str
    at: float  # s from the track's start
    sentence: str
    why: str


def evaluate_foot(path: Path = DATA) -> dict[str, Any]:
    """Score all detectors of :data:`KINDS` that there are on a file of tracks; the figures, ready for JSON.

    Raises:
        WrongTracks: the file does not hold tracks.
        OSError: it cannot be read.
    """
    began, tracks = time.perf_counter(), read_tracks(path)
    if not tracks:
        raise WrongTracks(f"{path}: no track with two fixes")
    around = ground(tracks)
    kinds = [kind for kind in KINDS if kind in DETECTORS]
    raised = alerts(around, kinds)
    false = [alarm for kind in kinds for alarm in _false(around, kind, [a for a in raised if a.kind == kind])]
    parts = {"all": tracks, "even": _half(tracks, 0), "odd": _half(tracks, 1)}
    return {
        "tracks": len(tracks),
        "hours": round(_hours(tracks), 2),
        "detectors": {
            kind: {"alerts": sum(alert.kind == kind for alert in raised)} | _figures(kind, parts, false)
            for kind in kinds
        },
        "false_alarms": [
            {"detector": f.detector, "track": f.track, "at_s": round(f.at), "sentence": f.sentence, "why": f.why}
            for f in false
        ],
        "seconds": round(time.perf_counter() - began, 1),
    }


def alerts(around: Ground, kinds: list[str]) -> list[Alert]:
    """The alerts of the whole day, through the fold and triage."""
    fold, current = Fold(around.site, rules_for(set(kinds))), dict[tuple[str, Any], Alert]()
    end = BEGIN + int((SPREAD + max(track.seconds for track in around.tracks) + 1200.0) * SECOND)
    fixes = around.fixes[np.argsort(around.fixes["received"], kind="stable")]
    samples = around.samples[np.argsort(around.samples["received"], kind="stable")]
    for now in range(BEGIN, end, int(STEP * SECOND)):
        parts = []
        for rows in (fixes, samples):
            begin, until = np.searchsorted(rows["received"], [now - int(STEP * SECOND), now], "left")
            parts.append(rows[begin:until])
        found = fold.step(Batch(fixes=parts[0], samples=parts[1]), now)
        for change in triage(found, list(current.values()), moment(now)):
            current[change.alert.fingerprint, change.alert.episode] = change.alert
    return sorted(current.values(), key=lambda alert: alert.first_seen)


# ── What is false ───────────────────────────────────────────────────────────────────────────────────────────────────
def _false(around: Ground, kind: str, raised: list[Alert]) -> list[FalseAlarm]:
    """Alerts without a cause: of a fence, those beyond one for each time that it was crossed."""
    found, spent = [], dict[int, int]()
    for alert in raised:
        index = _index(around, alert)
        track, at = around.tracks[index], (micros(alert.first_seen) - around.begin[index]) / SECOND
        if kind == "geofence":
            spent[index] = spent.get(index, 0) + 1
            if spent[index] <= crossings(around, index):
                continue
        found.append(FalseAlarm(kind, track.name, at, alert.sentence.en, _why(track, at, micros_span(alert))))
    return found


def micros_span(alert: Alert) -> float:
    """Seconds from an alert's first sight to its last."""
    return (micros(alert.last_seen) - micros(alert.first_seen)) / SECOND


def crossings(around: Ground, index: int) -> int:
    """How often a track goes into its restricted zone, at least DEEP m inside after so much outside; 1 at least where
    it is inside at all."""
    track, number = around.tracks[index], f"{index + 1:04d}"
    fence = around.site.zones[f"R-F{number}"].geometry
    mine = around.fixes[around.fixes["device"] == index + 1]
    places = shapely.points(mine["lon"], mine["lat"])
    inside = shapely.intersects(fence, places)
    east = np.ptp(track.x) >= np.ptp(track.y)
    depth = (track.x if east else track.y) - float(np.median(track.x if east else track.y))
    times, outside = 0, True
    for metres in depth.tolist():
        if outside and metres >= DEEP:
            times, outside = times + 1, False
        elif metres <= -DEEP:
            outside = True
    return max(times, int(inside.any()))


def _index(around: Ground, alert: Alert) -> int:
    """Which track an alert is about; of a pair or a group the first, of a plan the one it is for."""
    codes = alert.subject.replace("R-", "").split("+")
    device = around.site.registry.resolve(codes[0])
    return device.id - 1 if device is not None else 0


def _why(track: Track, at: float, lasted: float) -> str:
    """What there is in a track about an alert: its longest gap, its fastest step."""
    t = track.t - track.t[0]
    near = np.flatnonzero((t[1:] >= at - 60) & (t[:-1] <= at + lasted + 60))
    if not len(near):
        return "nothing of the track lies near it"
    legs = np.diff(t)[near]
    metres = np.hypot(np.diff(track.x), np.diff(track.y))[near]
    gap, fast = int(np.argmax(legs)), int(np.argmax(metres / np.maximum(legs, 0.1)))
    how = "on foot" if track.foot[near[gap]] else "driving"
    speed = float(np.nan_to_num(track.speed[near[gap]]))
    return (
        f"longest gap {legs[gap]:.0f} s and {metres[gap]:.0f} m, {how}, {speed:.1f} m/s before it;"
        f" fastest step {metres[fast]:.0f} m in {legs[fast]:.0f} s"
    )


# ── Figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _half(tracks: list[Track], odd: int) -> list[Track]:
    """Every other track, by its place in the order of names."""
    return sorted(tracks, key=lambda track: track.name)[odd::2]


def _hours(tracks: list[Track]) -> float:
    return sum(track.seconds for track in tracks) / 3600


def _figures(kind: str, parts: dict[str, list[Track]], false: list[FalseAlarm]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, tracks in parts.items():
        names = {track.name for track in tracks}
        count = sum(alarm.detector == kind and alarm.track in names for alarm in false)
        found[name] = {"false_alarms": count, "per_100_h": round(100 * count / max(_hours(tracks), 1e-9), 2)}
    return found | {"ok": found["all"]["per_100_h"] <= TARGET}


def print_foot(console: Console, result: dict[str, Any]) -> None:
    """The table, and each false alarm."""
    title = f"{result['tracks']} real tracks, {result['hours']:.0f} hours (target: {TARGET:g} false alarm in 100 hours)"
    table = Table(title=title, title_justify="left")
    for name in ("detector", "alerts", "false", "in 100 h", "even", "odd", ""):
        table.add_column(name, justify="left" if name in ("detector", "") else "right")
    for kind, figures in result["detectors"].items():
        halves = [f"{figures[part]['per_100_h']:.2f}" for part in ("all", "even", "odd")]
        counts = str(figures["alerts"]), str(figures["all"]["false_alarms"])
        table.add_row(kind, *counts, *halves, "" if figures["ok"] else "too many")
    console.print(table)
    for alarm in result["false_alarms"]:
        told = f"  {alarm['detector']}  track {alarm['track']}, {alarm['at_s']} s: {alarm['sentence']} [{alarm['why']}]"
        console.print(told, highlight=False, markup=False)


def main() -> None:
    """Evaluate the file named, or the one kept for development; print, and one JSON line last."""
    try:
        result = evaluate_foot(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
    except (WrongTracks, OSError) as error:
        raise SystemExit(f"{error}") from error
    print_foot(Console(width=None if sys.stdout.isatty() else 140, soft_wrap=True), result)
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
