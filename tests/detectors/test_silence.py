"""Who falls silent while we listen, and who does not when nobody listened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import shapely

from detectors.base import Batch, Finding
from detectors.silence import Silence
from devices.readings import FIX, SAMPLE, SECOND, Flag, rows
from devices.registry import Device, Registry
from devices.site import Area, Site, Zone

SILENCE = Silence(floor=170.0)  # terminals of the lake promise 10 s: their limit is 180 s
SPOT = (10.0, 10.0)


def heartbeat(lake: Any, begin: float, end: float, device: int = 20) -> Any:
    """Somebody else who keeps the feed busy."""
    return lake.fixes(device, range(int(begin), int(end), 5), (400, 400))


def test_a_terminal_falls_silent(lake: Any) -> None:
    fixes = lake.fixes(4, range(0, 301, 10), SPOT) + heartbeat(lake, 0, 800)
    found = lake.watch(SILENCE, fixes=fixes)
    assert [f.subject for f in found] == ["T4"] * 3
    # Last received at 300.5; the beats after 180, 300 and 420 s of silence.
    assert [f.since for f in found] == [lake.at(300.5)] * 3
    assert [f.until for f in found] == [lake.at(490), lake.at(610), lake.at(730)]
    assert (found[0].lon, found[0].lat) == tuple(map(float, lake.fixes(4, [0], SPOT)[0][3:5]))
    assert found[0].score < found[1].score < found[2].score


def test_what_an_officer_reads(lake: Any) -> None:
    found = lake.watch(SILENCE, fixes=lake.fixes(4, [0], SPOT) + heartbeat(lake, 0, 200))[0]
    assert found.sentence.zh == (
        "巡护张三已3分9秒没有信号（约定每10秒一次，阈值3分钟），最后一次在核心禁渔区，6月10日19:00。"
    )
    assert found.sentence.en == (
        "Patrol Zhang has been silent for 3 min 9 s (promised: every 10 s, limit 3 min); last heard 10 Jun 19:00 at"
        " Core ban zone."
    )
    numbers = {"silent_s": 189.5, "promised_s": 10.0, "usual_s": 10.0, "limit_s": 180.0}
    assert found.evidence["numbers"] == numbers
    assert found.evidence["geojson"]["features"][0]["properties"] == {
        "device": "T4",
        "last_heard": "2026-06-10T11:00:00.500Z",
    }


def test_a_gap_is_found_by_a_tick_or_by_the_next_reading_alike(lake: Any) -> None:
    gone, back = lake.fixes(4, [0], SPOT), lake.fixes(4, [200], SPOT)
    by_reading = lake.watch(SILENCE, fixes=gone + back, ticks=[t + 0.5 for t in range(10, 150, 10)])
    assert by_reading == [], "the pause from 150 s to 200 s was not listened to"
    ticks = [t + 0.5 for t in range(10, 199, 10)]
    by_reading = lake.watch(SILENCE, fixes=gone + back, ticks=ticks)
    by_tick = lake.watch(SILENCE, fixes=gone, ticks=[*ticks, 200.5])
    assert by_reading[:-1] == by_tick
    assert [f.until for f in by_tick] == [lake.at(190)]
    assert by_reading[-1].ends
    assert (by_reading[-1].since, by_reading[-1].until) == (lake.at(0.5), lake.at(200.5))
    assert by_reading[-1].sentence.en == "Patrol Zhang is heard again after 3 min 20 s, 10 Jun 19:03."


def test_a_pause_within_the_limit_is_nothing(lake: Any) -> None:
    fixes = lake.fixes(4, [0, 170, 345, 500, 675, 850], SPOT)
    assert lake.watch(SILENCE, fixes=fixes + heartbeat(lake, 0, 1000)) == []


def test_an_outage_of_ours_silences_nobody(lake: Any) -> None:
    """Nothing is received for an hour and nobody ticks; then all go on."""
    devices = range(20, 40)
    before = [f for d in devices for f in lake.fixes(d, range(0, 100, 10), SPOT)]
    after = [f for d in devices for f in lake.fixes(d, range(3700, 4000, 10), SPOT)]
    assert lake.watch(SILENCE, fixes=before + after) == []
    # Who does not come back after it is found, and only he.
    found = lake.watch(SILENCE, fixes=[f for f in before + after if f[0] != 25 or f[1] < lake.at(100)])
    assert {f.subject for f in found} == {"T25"}
    assert found[0].until == lake.at(3880), "heard at 90.5 s, 10 s of the pause count, and on from 3700.5 s"


def test_what_comes_back_from_store_and_forward_was_received_late(lake: Any) -> None:
    """Fixes an hour old that are received now are a sign of life now."""
    stored = [f for t in range(0, 600, 10) for f in lake.fixes(4, [t], SPOT, late=3600 - t + t / 60)]
    found = lake.watch(SILENCE, fixes=stored + heartbeat(lake, 3500, 3750))
    assert found == []


def test_many_at_once_are_one_matter_of_the_feed(lake: Any) -> None:
    """Ticks go on: the broker is there, but nothing comes through it."""
    fixes = [f for d in range(20, 40) for f in lake.fixes(d, range(d % 7, 100, 10), SPOT)]
    found = lake.watch(SILENCE, fixes=fixes, ticks=[t + 0.5 for t in range(100, 600, 5)])
    assert {f.subject for f in found} == {"feed"}
    assert "20 devices fell silent almost at once" in found[1].sentence.en
    assert "20台设备几乎同时没有信号" in found[1].sentence.zh
    assert found[1].evidence["numbers"]["devices"] == 20


def test_who_stays_silent_when_the_feed_is_back_is_told_by_name(lake: Any) -> None:
    fixes = [f for d in range(20, 40) for f in lake.fixes(d, range(d % 7, 100, 10), SPOT)]
    back = [f for d in range(20, 38) for f in lake.fixes(d, range(400 + d % 7, 900, 10), SPOT)]
    found = lake.watch(SILENCE, fixes=fixes + back, ticks=[t + 0.5 for t in range(100, 400, 5)])
    assert {f.subject for f in found if f.until < lake.at(400)} == {"feed"}
    (end,) = [f for f in found if f.ends]
    assert (end.subject, end.until) == ("feed", lake.at(410))
    assert end.sentence.en.startswith("Most of the 20 devices are heard again after 5 min")
    assert {f.subject for f in found if f.until > lake.at(400) and not f.ends} == {"T38", "T39"}


def test_a_few_of_many_are_told_by_name(lake: Any) -> None:
    fixes = [f for d in range(20, 40) for f in lake.fixes(d, range(0, 400 if d < 34 else 100, 10), SPOT)]
    found = lake.watch(SILENCE, fixes=fixes)
    assert {f.subject for f in found} == {f"T{d}" for d in range(34, 40)}


def test_the_end_of_a_shift_is_not_the_feed(lake: Any) -> None:
    """Most go home, but one after the other."""
    fixes = [f for d in range(20, 40) for f in lake.fixes(d, range(0, 100 + (d - 20) * 150, 10), SPOT)]
    found = lake.watch(SILENCE, fixes=fixes + heartbeat(lake, 0, 4000, device=4))
    assert "feed" not in {f.subject for f in found}
    assert len({f.subject for f in found}) == 20


def test_nobody_without_a_promise_or_never_heard(lake: Any) -> None:
    seen = lake.seen("person", range(0, 100, 5), SPOT)  # cameras promise nothing
    assert lake.watch(SILENCE, sightings=seen, fixes=heartbeat(lake, 0, 2000)) == []


def test_a_sensor_has_its_own_interval(lake: Any) -> None:
    found = lake.watch(SILENCE, samples=lake.samples(7, range(0, 100, 60)), fixes=heartbeat(lake, 0, 1000))
    assert found[0].subject == "S7"
    assert found[0].evidence["numbers"]["limit_s"] == 360
    assert found[0].until == lake.at(430)


def test_a_last_will_is_no_sign_of_life(lake: Any) -> None:
    will = [(d, at, at, q, v) for d, at, _, q, v in lake.samples(4, range(20, 400, 20), "online", 0.0)]  # no time given
    status = lake.samples(4, range(20, 400, 20), "online", 1.0)
    fixes = lake.fixes(4, [0], SPOT) + heartbeat(lake, 0, 400)
    found = lake.watch(SILENCE, fixes=fixes, samples=will)
    assert found[0].sentence.en.endswith("at Core ban zone; the broker reported its connection lost.")
    assert "服务器报告其连接中断" in found[0].sentence.zh
    old = [(d, lake.at(-300), at, q, v) for d, _, at, q, v in will]  # written when it connected
    assert len(lake.watch(SILENCE, fixes=fixes, samples=old)) == len(found)
    assert lake.watch(SILENCE, fixes=fixes, samples=status) == []


def test_who_is_gone_for_long_is_told_no_more(lake: Any) -> None:
    found = lake.watch(SILENCE, fixes=lake.fixes(4, [0], SPOT) + heartbeat(lake, 0, 8000))
    assert max(f.until for f in found) <= lake.at(3800)
    assert len(found) == 30  # at 190 s and every 120 s until an hour more is over


def test_a_limit_beyond_the_slowest_is_not_judged(lake: Any) -> None:
    slow = Silence(factor=100.0, slowest=2000.0)
    fixes = heartbeat(lake, 0, 9000) + lake.fixes(4, [0], SPOT)
    found = lake.watch(slow, samples=lake.samples(7, [0]), fixes=fixes)
    assert {f.subject for f in found} == {"T4"}, "3720 s for the sensor, 1000 s for the terminal"


@pytest.mark.parametrize("pause", [9, 10, 11, 60])
def test_listening_time_passes_by_ticks(lake: Any, pause: int) -> None:
    """Of each pause between ticks, 10 s count at most."""
    ticks = [0.5 + pause * i for i in range(1, 100)]
    found = lake.watch(SILENCE, fixes=lake.fixes(4, [0], SPOT), ticks=ticks)
    listened = (found[0].until - found[0].since) / SECOND * min(pause, 10) / pause
    assert 180 <= listened <= 180 + 20


# ── What is usual ───────────────────────────────────────────────────────────────────────────────────────────────────
BEGIN = 1_781_100_000 * SECOND  # a multiple of the block in which intervals are learned
HOLE = (118.81, 31.41)


def a_site(*devices: Device, zones: tuple[Zone, ...] = ()) -> Site:
    areas = [Area("D", "湖区", "Lake", "district"), Area("N", "北村", "North", "community", "D")]
    return Site([*areas, Area("S", "南村", "South", "community", "D")], zones, [], Registry(devices))


def terminal(number: int, area: str = "S") -> Device:
    names = f"T{number}", "terminal", f"终端{number}", f"Terminal {number}"
    return Device(*names, area, "D", role="patrol", interval=10.0, id=number)  # type: ignore[arg-type]


def fixes(number: int, times: Any, speed: float = 1.2, battery: float = 80.0, **more: Any) -> Any:
    late, flags, place = more.get("late", 0.3), more.get("flags", 0), more.get("place", (118.8, 31.4))
    return [
        (number, micros(t), micros(t + late), *place, speed, 0.0, 5.0, battery, int(flags))
        for t in times
    ]  # fmt: skip


def micros(t: float) -> int:
    return BEGIN + round(t * SECOND)


def listen(site: Site, readings: Any, until: float, samples: Any = (), silence: Silence | None = None) -> list[Finding]:
    """What is found, with a tick every five seconds."""
    silence = silence or Silence()
    state, found = silence.start(site), []
    fixed, sampled = rows(FIX, list(readings)), rows(SAMPLE, list(samples))
    for t in range(0, int(until) + 5, 5):
        begin, end = micros(t - 5), micros(t)
        parts = [part[(part["received"] > begin) & (part["received"] <= end)] for part in (fixed, sampled)]
        found += silence.step(state, Batch(fixes=parts[0], samples=parts[1]), end, site)
        found += silence.step(state, Batch(), end, site)
    return found


def first_age(found: list[Finding], subject: str) -> float:
    """Seconds of silence after which a device was first told."""
    return next((f.until - f.since) / SECOND for f in found if f.subject == subject and not f.ends)


def test_the_promise_is_only_where_learning_begins() -> None:
    """It promised 10 s, sends every 100 s, and is missed after six of these; not so where nothing was learned yet."""
    assert first_age(listen(a_site(terminal(1)), fixes(1, [0.0]), 1200), "T1") < 445
    learned = listen(a_site(terminal(1)), fixes(1, range(0, 5400, 100)), 6600)
    assert 570 < first_age(learned, "T1") < 690
    assert "usually every" in learned[0].sentence.en
    assert "平常约每" in learned[0].sentence.zh


def test_a_hole_in_coverage_is_an_interval_longer_as_a_silence() -> None:
    """Each is in a hole of seven minutes that begins just before a message is due."""
    often = fixes(1, [*range(0, 1201, 10), *range(1630, 2400, 10)])
    seldom = fixes(2, [*range(0, 1201, 30), *range(1650, 2400, 30)])
    site = a_site(terminal(1), replace(terminal(2), interval=30.0))
    assert listen(site, often + seldom, 2400) == []
    gone = listen(site, often + fixes(2, range(0, 1201, 30)), 2400)
    assert 450 <= first_age(gone, "T2") < 465
    fixed = a_site(terminal(1), Device("S2", "sensor", "水位", "Gauge", "S", "D", interval=10.0, id=2))
    samples = [(2, micros(t), micros(t) + 1, "water_level", 7.6) for t in range(0, 1201, 10)]
    assert 180 <= first_age(listen(fixed, often, 2400, samples), "S2") < 190, "no hole comes to what stands fixed"


def test_who_stands_may_be_heard_less() -> None:
    """Moving it sends every 10 s, standing every 5 minutes, which is learned of others with the same promise."""
    site = a_site(*(terminal(n) for n in range(1, 31)))
    known = [f for n in range(2, 31) for f in fixes(n, range(n, 8000, 300), speed=0.1)]
    mover = fixes(1, range(0, 5000, 10)) + fixes(1, [5000.0], speed=0.0)
    assert first_age(listen(site, known + mover, 7500), "T1") > 1600
    walker = fixes(1, range(0, 5010, 10))
    assert first_age(listen(site, known + walker, 7500), "T1") < 440


def test_a_terminal_that_was_badly_heard_of_late_gets_more_time() -> None:
    well, badly = fixes(1, range(0, 300, 10)), fixes(1, [*range(0, 200, 10), *range(240, 300, 10)])
    assert 430 <= first_age(listen(a_site(terminal(1)), well, 1200), "T1") < 445
    assert 602 <= first_age(listen(a_site(terminal(1)), badly, 1200), "T1") < 617


def test_an_hourly_sensor_is_judged() -> None:
    site = a_site(terminal(1), Device("S2", "sensor", "水位", "Gauge", "S", "D", interval=3600.0, id=2))
    samples = [(2, micros(t), micros(t) + 1, "water_level", 7.6) for t in (0, 3600, 7200)]
    found = listen(site, fixes(1, range(0, 20000, 10)), 20000, samples)
    assert first_age(found, "S2") == pytest.approx(3 * 3600, abs=15)


# ── Where nobody is heard ───────────────────────────────────────────────────────────────────────────────────────────
def after_a_wait(waited: int, place: tuple[float, float]) -> list[Finding]:
    """The second terminal waits in the hole; later the first one falls silent at a place."""
    stored = [
        f
        for t in range(100, 100 + waited, 10)
        for f in fixes(2, [t], late=110 + waited - t, flags=Flag.BACKFILL, place=HOLE)
    ]
    other = fixes(2, range(0, 100, 10)) + stored + fixes(2, range(220 + waited, 5000, 10))
    readings = other + fixes(1, range(0, 1500, 10), place=place)
    return [f for f in listen(a_site(terminal(1), terminal(2)), readings, 4000) if f.subject == "T1"]


def test_into_a_hole_that_others_told_of() -> None:
    """What was stored in a hole and sent afterwards tells where it is, and how long one is not heard there."""
    assert 600 <= first_age(after_a_wait(300, HOLE), "T1") < 640, "twice the longest wait there"
    inside = after_a_wait(900, HOLE)
    assert 1200 <= first_age(inside, "T1") < 1215
    assert "a known hole in coverage" in inside[0].sentence.en
    assert "信号盲区" in inside[0].sentence.zh
    assert first_age(after_a_wait(900, (118.9, 31.41)), "T1") < 445
    assert first_age(after_a_wait(60, HOLE), "T1") < 445, "a short wait changes nothing"


def test_into_a_tunnel_that_the_site_knows() -> None:
    around = shapely.Point(*HOLE).buffer(0.001)
    tunnel = Zone("T", "restricted", "隧道", "Tunnel", "S", around, properties={"coverage_hole": True})
    site = a_site(terminal(1), terminal(2), zones=(tunnel,))
    readings = fixes(2, range(0, 3000, 10)) + fixes(1, range(0, 600, 10), place=HOLE)
    assert first_age(listen(site, readings, 3000), "T1") >= 1200


# ── Parts of the feed ───────────────────────────────────────────────────────────────────────────────────────────────
def parted(areas: str, spread: float = 0.0) -> list[Finding]:
    """Thirty terminals, of which the first ten stop; ``areas`` names each one's, ``spread`` is degrees between them."""
    site = a_site(*(terminal(n + 1, areas[n]) for n in range(30)))
    readings = []
    for n in range(30):
        place = (118.8 + (0.1 if n < 10 else 0.3) + spread * n, 31.4)
        readings += fixes(n + 1, range(n % 9, 600 if n < 10 else 2000, 10), place=place)
    return listen(site, readings, 2000)


def test_a_village_that_falls_silent_is_one_matter() -> None:
    found = parted("N" * 10 + "S" * 20, spread=0.2)
    assert {f.subject for f in found} == {"feed:N"}
    assert found[0].sentence.en.startswith("10 devices in North fell silent almost at once")
    assert "北村10台设备几乎同时没有信号" in found[0].sentence.zh
    assert "base station" in found[0].sentence.en


def test_a_base_station_that_fails_is_one_matter() -> None:
    """Those around it are of many areas, and so are those elsewhere."""
    found = parted("NS" * 15)
    assert len({f.subject for f in found}) == 1
    assert found[0].subject.startswith("feed:31.")
    assert "in one neighbourhood" in found[0].sentence.en
    assert found[0].evidence["numbers"]["devices"] == 10


def test_ten_anywhere_are_ten() -> None:
    assert len({f.subject for f in parted("NS" * 15, spread=0.2)}) == 10


def test_slow_and_fast_devices_stop_together() -> None:
    """The feed ends. A sensor that was heard four minutes before belongs to it, though its limit comes much later."""
    sensor = Device("S9", "sensor", "烟感", "Smoke", "S", "D", interval=300.0, id=9)
    site = a_site(*(terminal(n) for n in range(1, 9)), sensor)
    readings = [f for n in range(1, 9) for f in fixes(n, range(n, 1500, 10))]
    samples = [(9, micros(t), micros(t) + 1, "smoke", 0.0) for t in range(60, 1500, 300)]
    assert {f.subject for f in listen(site, readings, 5000, samples)} == {"feed"}


# ── Farewells and batteries ─────────────────────────────────────────────────────────────────────────────────────────
def test_who_says_goodbye_is_not_missed_until_he_is_back() -> None:
    site = a_site(terminal(1), terminal(2))
    other, farewell = fixes(2, range(0, 6000, 10)), (1, micros(601), micros(601.2), "online", 0.0)
    gone = other + fixes(1, range(0, 601, 10))
    assert listen(site, gone, 3000, [farewell]) == []
    will = (1, micros(602), micros(602), "online", 0.0)
    assert listen(site, gone, 3000, [farewell, will]) == []
    back = fixes(1, [*range(0, 601, 10), *range(2000, 2600, 10)])
    assert first_age(listen(site, other + back, 6000, [farewell]), "T1") < 445, "silent after he had come back"


def test_a_battery_is_told_before_it_is_empty() -> None:
    dying = [f for t in range(0, 3600, 10) for f in fixes(1, [t], battery=max(1.0, 41.0 - t / 90))]
    found = listen(a_site(terminal(1)), dying, 3600)
    assert {f.subject for f in found} == {"T1"}
    assert found[0].evidence["numbers"]["battery"] == pytest.approx(20, abs=2)
    assert "The battery of Terminal 1 is at" in found[0].sentence.en
    assert "电量只剩" in found[0].sentence.zh
    later = found[-1].evidence["numbers"]
    assert later["empty_in_s"] is None or later["empty_in_s"] == pytest.approx(later["battery"] * 90, rel=0.2)


def test_a_battery_that_falls_fast_is_told_by_its_trend() -> None:
    falling = [f for t in range(0, 4500, 10) for f in fixes(1, [t], battery=100.0 - t / 50)]
    found = listen(a_site(terminal(1)), falling, 4500, silence=Silence(battery=5.0))
    assert found[0].evidence["numbers"]["battery"] > 20
    assert found[0].evidence["numbers"]["empty_in_s"] <= 1800
    assert "expected to be empty in" in found[0].sentence.en


def test_a_battery_on_the_charger_or_unknown_alarms_nobody() -> None:
    site = a_site(terminal(1))
    rising = [f for t in range(0, 3600, 10) for f in fixes(1, [t], battery=5.0 + t / 60)]
    assert [f for f in listen(site, rising, 3600) if f.until > micros(240)] == []
    assert listen(site, fixes(1, range(0, 3600, 10), battery=0.0), 3600) == []
    status = [(1, micros(t), micros(t + 0.2), "battery", 12.0) for t in range(5, 3600, 300)]
    assert listen(site, fixes(1, range(0, 3600, 10), battery=float("nan")), 3600, status)


def test_a_silence_after_an_empty_battery_says_so() -> None:
    site = a_site(terminal(1), terminal(2))
    found = listen(site, fixes(1, range(0, 600, 10), battery=4.0) + fixes(2, range(0, 2000, 10)), 2000)
    silent = [f for f in found if "silent" in f.sentence.en]
    assert silent[0].sentence.en.endswith("; its battery was at 4 %.")
