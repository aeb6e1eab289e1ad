"""The apparatus: its error's size and memory, what it stores out of reach, and that no fix is ever lost."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import msgspec
import numpy as np
import pytest

from devices.readings import SECOND, Fix, Flag
from devices.registry import Device
from devices.site_folder import SiteFolder
from simulators.bodies import Bodies, Carries
from simulators.places import Ground
from simulators.radio import Patches, Radios
from simulators.truth import Diary

PLENTY = 300  # receivers


class Bench:
    """Many receivers on one ground, standing or being carried along the bank, and their errors as time goes by."""

    def __init__(self, folder: SiteFolder, *, pace: float, trees: bool) -> None:
        self.ground = Ground(folder.areas, folder.zones, folder.devices)
        self.bodies = Bodies(7)
        x, y = self.ground.bank.coords[0]
        way = np.array([(x, y), (x + 50_000.0, y)])
        self.slots = []
        devices = [Device(f"D{i}", "terminal", "", "", "a", "s", interval=5.0) for i in range(PLENTY)]
        for device in devices:
            self.slots.append(self.bodies.add(device.code, (x, y), Carries.PERSON))
            if pace:
                self.bodies.send(self.slots[-1], way, pace)
        self.radios = Radios(3, devices, self.slots, self.bodies, self.ground, 0)
        self.radios.holes.rounds = np.zeros((0, 3))
        self.radios.trees.rounds = np.array([[x + 25_000.0, y, 50_000.0]]) if trees else np.zeros((0, 3))

    def errors(self, seconds: int) -> Any:
        """Errors in metres of the fixes, shape (receivers, fixes, 2), and what the receivers claim."""
        diary, wrong, claimed = Diary(self.ground.frame), defaultdict(list), defaultdict(list)
        charging = np.zeros(PLENTY, bool)
        for tick in range(1, seconds + 1):
            self.bodies.move(tick)
            for message in self.radios.tick(tick * SECOND, charging, diary):
                if message.topic.endswith("/fix"):
                    fix = msgspec.json.decode(message.payload)
                    unit = int(message.topic.split("/")[3][1:])
                    slot, back = self.slots[unit], tick - fix["t"]
                    x, y = self.ground.frame.spot(fix["lon"], fix["lat"])
                    true_x = self.bodies.x[slot] - self.bodies.vx[slot] * back
                    wrong[unit].append((x - true_x, y - self.bodies.y[slot]))
                    claimed[unit].append(fix["acc"])
        fewest = min(len(w) for w in wrong.values())
        return np.array([w[:fewest] for w in wrong.values()]), np.array([c[:fewest] for c in claimed.values()])


def _lag(errors: Any, steps: int) -> float:
    """Autocorrelation of the normed errors over so many fixes."""
    normed = errors / errors.std(axis=1, keepdims=True)
    return float((normed[:, steps:] * normed[:, : -steps or None]).mean())


def test_the_error_is_3_to_8_metres_and_changes_slowly(shijiu: SiteFolder) -> None:
    errors, claimed = Bench(shijiu, pace=1.3, trees=False).errors(900)
    size = np.sqrt((errors**2).sum(axis=2).mean(axis=1))  # of each receiver
    assert 4.5 < np.sqrt((size**2).mean()) < 6.5
    assert np.percentile(size, 2) > 2.0
    assert np.percentile(size, 98) < 10.0
    assert abs(errors.mean()) < 0.4  # to no side
    # A Gauss-Markov process: correlation exp(-t/40 s).
    for steps in (1, 4, 8):
        assert _lag(errors, steps) == pytest.approx(math.exp(-5 * steps / 40), abs=0.12)
    assert abs(_lag(errors, 60)) < 0.15
    assert 0.8 < (claimed.mean(axis=1) / size).mean() < 1.4  # receivers know roughly how good they are


def test_it_is_worse_under_trees_and_held_when_lying_still(shijiu: SiteFolder) -> None:
    open_sky, _ = Bench(shijiu, pace=1.3, trees=False).errors(300)
    canopy, claimed = Bench(shijiu, pace=1.3, trees=True).errors(300)
    assert 2.0 < np.abs(canopy[:, 12:]).mean() / np.abs(open_sky[:, 12:]).mean() < 2.8
    assert claimed[:, 12:].mean() > 9.0
    still, _ = Bench(shijiu, pace=0.0, trees=False).errors(300)
    jump = [np.hypot(*np.diff(e, axis=1).transpose(2, 0, 1)).mean() for e in (still, open_sky)]
    assert jump[0] < 0.5 * jump[1]


def test_every_fix_arrives_once_whatever_the_network_did(evening: Any, shijiu: SiteFolder, start: int) -> None:
    dead = {e.subject for e in evening.of("silence")}
    times = defaultdict(list)
    for fix in evening.readings(Fix):
        times[fix.device].append(fix.at)
    cries = {(f.device, f.at) for f in evening.readings(Fix) if math.isnan(f.battery)}
    for device in (d for d in shijiu.devices if d.kind == "terminal" and d.code not in dead):
        at = np.sort([t for t in times[device.code] if (device.code, t) not in cries])
        assert len(at) == 7200 / device.interval
        assert len(set(at.tolist())) == len(at)
        assert np.abs(np.diff(at) / SECOND - device.interval).max() < 0.2
        assert at[0] < start + (device.interval + 0.2) * SECOND


def test_out_of_reach_fixes_are_stored_and_come_as_one_array(evening: Any) -> None:
    gaps = evening.of("coverage_gap")
    assert len(gaps) > 10
    arrays = {}
    for message in evening.messages:
        if message.topic.endswith("/fix") and message.payload.startswith(b"["):
            arrays[message.topic.split("/")[3], message.at] = msgspec.json.decode(message.payload)
    assert {(g.subject, g.until) for g in gaps} == set(arrays)
    for gap in gaps:
        stored = [round(o["t"] * SECOND) for o in arrays[gap.subject, gap.until]]
        assert stored[0] == gap.since
        assert stored == sorted(stored)
        assert stored[-1] < gap.until
        between = [m for m in evening.messages if f"/{gap.subject}/" in m.topic and gap.since <= m.at < gap.until]
        assert all(m.topic.endswith("/status") and m.at > gap.until - 5.2 * SECOND for m in between)
    late = [f for f in evening.readings(Fix) if f.flags & Flag.BACKFILL]
    assert len(late) == sum(len(a) for a in arrays.values())


def test_gaps_come_where_the_network_does_not_reach(evening: Any) -> None:
    world = evening.world
    for gap in evening.of("coverage_gap"):
        x, y = world.ground.frame.spot(gap.lon, gap.lat)
        assert world.terminals.radios.holes.cover(np.array([x]), np.array([y]), margin=4.0).all()


def test_patches_depend_on_the_seed_and_keep_clear(shijiu: SiteFolder) -> None:
    ground = Ground(shijiu.areas, shijiu.zones, shijiu.devices)
    one, same, other = (Patches(seed, "holes", ground, 1000.0, 30.0, 60.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.rounds, same.rounds)
    assert one.rounds.shape != other.rounds.shape or (one.rounds != other.rounds).any()
    spot = (float(one.rounds[3, 0]), float(one.rounds[3, 1]))
    before = len(one.rounds)
    one.keep_clear([spot], 10.0)
    assert len(one.rounds) < before
    assert not one.cover(np.array([spot[0]]), np.array([spot[1]]), margin=9.0).any()
