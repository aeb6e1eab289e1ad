"""Who falls silent while we listen, and who does not when nobody listened."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.silence import Silence
from devices.readings import SECOND

SILENCE = Silence(floor=180.0)  # terminals of the lake promise 10 s: the floor is their limit
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
    assert found.evidence["numbers"] == {"silent_s": 189.5, "promised_s": 10.0, "limit_s": 180.0}
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
    assert by_reading == by_tick
    assert [f.until for f in by_tick] == [lake.at(190)]


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
    assert {f.subject for f in found if f.until > lake.at(400)} == {"T38", "T39"}


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
    will = lake.samples(4, range(20, 400, 20), "online", 0.0)
    status = lake.samples(4, range(20, 400, 20), "online", 1.0)
    fixes = lake.fixes(4, [0], SPOT) + heartbeat(lake, 0, 400)
    assert lake.watch(SILENCE, fixes=fixes, samples=will)
    assert lake.watch(SILENCE, fixes=fixes, samples=status) == []


def test_who_is_gone_for_long_is_told_no_more(lake: Any) -> None:
    found = lake.watch(SILENCE, fixes=lake.fixes(4, [0], SPOT) + heartbeat(lake, 0, 8000))
    assert max(f.until for f in found) <= lake.at(3610)
    assert len(found) == 29  # at 180 s and every 120 s until an hour is over


def test_a_limit_beyond_the_longest_is_not_judged(lake: Any) -> None:
    found = lake.watch(
        Silence(factor=100.0), samples=lake.samples(7, [0]), fixes=heartbeat(lake, 0, 9000) + lake.fixes(4, [0], SPOT)
    )
    assert {f.subject for f in found} == {"T4"}, "100 minutes for the sensor, 1000 s for the terminal"


@pytest.mark.parametrize("pause", [9, 10, 11, 60])
def test_listening_time_passes_by_ticks(lake: Any, pause: int) -> None:
    """Of each pause between ticks, 10 s count at most."""
    ticks = [0.5 + pause * i for i in range(1, 100)]
    found = lake.watch(SILENCE, fixes=lake.fixes(4, [0], SPOT), ticks=ticks)
    listened = (found[0].until - found[0].since) / SECOND * min(pause, 10) / pause
    assert 180 <= listened <= 180 + 20
