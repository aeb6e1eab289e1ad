"""Late fixes correct visits: what is stored afterwards is what a fold over everything in order would have told."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.visit_correction import refold
from detectors.visits import Visit, Visits
from devices.readings import FIX, SECOND, Rows, rows
from devices.registry import Device, Registry
from devices.site import Area, Site, Zone

VISITS = Visits(settle=20.0, lost=100.0)
MARGIN = int(VISITS.memory * SECOND)
BEGIN = 1_781_000_000 * SECOND
SITE = Site(
    [Area("A", "湖区", "Lake", "street")],
    [
        Zone("K", "checkpoint", "打卡点", "Checkpoint", "A", shapely.box(118.0, 31.0, 118.001, 31.001)),
        Zone("P", "patrol", "巡护线", "Line", "A", shapely.box(118.0005, 31.0, 118.002, 31.001)),
    ],
    [],
    Registry([Device(f"T{i}", "terminal", "张", "Zhang", "A", "A", role="patrol", id=i) for i in (1, 2)]),
)
PLACES = (117.99, 118.0002, 118.0007, 118.0015, 118.1)


def told(known: dict[tuple[int, str, int], Visit], visits: list[Visit]) -> None:
    known.update({(v.device, v.zone, v.entered): v for v in visits})


@st.composite
def stories(draw: st.DrawFn) -> tuple[Rows, np.ndarray]:
    """Fixes of two devices in order of time, and which of them come late: a stretch of each device's, perhaps none."""

    def a_number(least: int, most: int) -> int:
        return draw(st.integers(least, most))

    fixes, late = [], []
    for device in (1, 2):
        at, place = BEGIN + a_number(0, 30) * SECOND, 0
        moments = []
        for _ in range(a_number(3, 50)):
            moments.append((device, at, at, PLACES[place], 31.0005, 1.0, 0.0, 5.0, 80.0, 0))
            at += draw(st.sampled_from([5, 10, 15, 30, 90, 130, 400])) * SECOND
            if a_number(0, 3) == 0:
                place = a_number(0, len(PLACES) - 1)
        first = a_number(0, len(moments))
        last = min(a_number(first, first + 20), len(moments) - 1)  # the newest is never late
        fixes += moments
        late += [first <= i < last for i in range(len(moments))]
    table = rows(FIX, fixes)
    order = np.argsort(table["at"], kind="stable")
    return table[order], np.array(late)[order]


@given(stories(), st.integers(0, 40))
@settings(max_examples=150)
def test_late_fixes_make_the_visits_what_they_would_have_been(story: tuple[Rows, np.ndarray], tail: int) -> None:
    fixes, late = story
    head = fixes[: max(1, len(fixes) - tail)] if tail else fixes
    late_in = late[: len(head)]
    whole = VISITS.start(SITE)
    wanted: dict[tuple[int, str, int], Visit] = {}
    live, known = VISITS.start(SITE), dict[tuple[int, str, int], Visit]()
    told(wanted, VISITS.step(whole, head, SITE))
    told(known, VISITS.step(live, head[~late_in], SITE))
    newest = {d: int(live.newest[d]) for d in (1, 2)}
    missed = head[late_in]
    missed = missed[[int(f["at"]) <= newest[int(f["device"])] for f in missed]]
    if len(missed):
        since, until = int(missed["at"].min()) - MARGIN, int(missed["at"].max()) + 2 * MARGIN
        devices = np.unique(missed["device"])
        stored = [
            v
            for v in known.values()
            if v.device in devices and v.entered <= until and (v.left is None or v.left > since)
        ]
        ours = head[np.isin(head["device"], devices)]
        earlier = ours[ours["at"] < since]
        before = earlier[
            [i for i, f in enumerate(earlier) if f["at"] == earlier["at"][earlier["device"] == f["device"]].max()]
        ]
        stretch = ours[(ours["at"] >= since) & (ours["at"] <= until)]
        after = ours[ours["at"] > until]
        after = after[np.unique(after["device"], return_index=True)[1]]
        stretch = np.sort(np.append(stretch, after), order=["at", "device"])
        done = refold(VISITS, SITE, stored, before, stretch, newest, (since, until))
        for visit in done.correction.struck:
            del known[visit.device, visit.zone, visit.entered]
        told(known, done.correction.told)
        VISITS.adopt(live, done.state, done.present, done.begun)
    rest = fixes[len(head) :]
    held = head[late_in & (head["at"] > np.array([newest[int(d)] for d in head["device"]]))]
    rest = np.sort(np.append(held, rest), order=["at", "device"])
    told(wanted, VISITS.step(whole, rest, SITE))
    told(known, VISITS.step(live, rest, SITE))
    assert known == wanted
