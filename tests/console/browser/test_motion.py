"""The law of the moving marker, on the real module: between where it was drawn and the newest fix, never ahead."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser

# A random walk of fixes with late, doubled and far ones, looked at in between. Returns every breach of the law.
WALKS = """async () => {
  const { Motion } = await import("/static/motion.js");
  let seed = 12345;
  const random = () => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed / 2147483648; };
  const wrong = [];
  for (let walk = 0; walk < 300; walk += 1) {
    const motion = new Motion();
    let now = 0, at = 0, newest = null, lon = 118.8, glides = 0;
    for (let n = 0; n < 40; n += 1) {
      const step = random();
      const time = step < 0.1 ? at - 3000 : step < 0.2 ? at : at + 1000 + random() * (step > 0.9 ? 90000 : 6000);
      lon += (random() - 0.5) * (step > 0.8 ? 0.5 : 0.0002);
      const before = motion.at("T", now);
      const taken = motion.push("T", time, lon, 31.4, 5, now);
      if (taken !== (newest === null || time > at)) wrong.push(`walk ${walk}: ${time} after ${at} taken: ${taken}`);
      if (taken) { newest = lon; at = time; } else lon = newest;
      let last = motion.at("T", now)[0];
      if (before && last !== before[0] && last !== newest) wrong.push(`walk ${walk}: jumped to ${last}`);
      for (let look = 0; look < 5; look += 1) {
        now += random() * 3000;
        const [shown] = motion.at("T", now);
        const low = Math.min(last, newest), high = Math.max(last, newest);
        if (shown < low - 1e-12 || shown > high + 1e-12) wrong.push(`walk ${walk}: ${shown} past ${newest}`);
        if (shown !== newest) glides += 1;
        last = shown;
      }
    }
    if (glides === 0) wrong.push(`walk ${walk}: never glided`);
    if (motion.at("T", now + 9000)[0] !== newest || motion.busy(now + 9000)) wrong.push(`walk ${walk}: did not arrive`);
  }
  return wrong;
}"""

# Fixes of a terminal with an interval of 5 s: [what, ms after the first, degrees of longitude away, whether it glides].
STEPS = [
    ("a walk of 7 m", 5_000, 0.00007, True),
    ("a boat's 80 m", 5_000, 0.0008, True),
    ("a gap of four intervals", 20_000, 0.0001, False),
    ("faster than anything drives", 5_000, 0.01, False),
]


async def test_the_marker_never_runs_ahead(open_page: Any) -> None:
    desk = await open_page()
    assert await desk.page.evaluate(WALKS) == []


async def test_the_marker_does_not_invent_a_way(open_page: Any) -> None:
    """After a gap or an impossible step it jumps: nobody knows the way between."""
    desk = await open_page()
    glided = await desk.page.evaluate(
        """async (steps) => {
          const { Motion } = await import("/static/motion.js");
          return steps.map(([what, later, away]) => {
            const motion = new Motion();
            motion.push("T", 0, 118.8, 31.4, 5, 0);
            motion.push("T", later, 118.8 + away, 31.4, 5, 100);
            return [what, motion.at("T", 200)[0] < 118.8 + away];
          });
        }""",
        STEPS,
    )
    assert glided == [[what, glides] for what, _, _, glides in STEPS]
