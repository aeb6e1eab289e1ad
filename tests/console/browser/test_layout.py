"""Nothing overflows at the sizes that people use, and both themes can be read."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.browser

# Elements that reach beyond the right edge. The map, what is for screen readers only, and pictures cut themselves off.
TOO_WIDE = """() => [...document.querySelectorAll("body *")]
  .filter((e) => e.checkVisibility({ visibilityProperty: true }))
  .filter((e) => !e.closest("#map, .unseen, .skip, .chain, .scroll, select, svg"))
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`)"""

# Pairs of colours that are too close: [ink, ground, contrast, least].
TOO_FAINT = """() => {
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const hex = style.getPropertyValue(name).trim();
    const [r, g, b] = [1, 3, 5].map((n) => parseInt(hex.slice(n, n + 2), 16) / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const every = (inks, grounds, least) => inks.flatMap((ink) => grounds.map((ground) => [ink, ground, least]));
  const inks = ["text", "text-2", "text-3", "accent", "high", "medium", "low", "good"];
  const marks = ["map-no-fishing", "map-restricted", "map-patrol", "map-checkpoint", "map-crowd", "role-patrol",
    "role-police", "role-boat", "role-other", "device-camera", "device-sensor", "track", "accent",
    "high", "medium", "low"];
  return [
    ...every(inks, ["bg", "surface", "raised", "hover"], 4.5), ...every(["control"], ["bg", "surface", "raised"], 3),
    ...["high", "medium", "low"].map((grade) => [grade, `${grade}-soft`, 4.5]), ["on-accent", "accent", 4.5],
    ...every(["text-2", "good"], ["chip"], 4.5), ...every(["map-text"], ["map-bg", "map-water"], 4.5),
    ...every(marks, ["map-bg", "map-water"], 3), ["map-water-line", "map-water", 3],
  ].map(([a, b, least]) => [a, b, ratio(`--${a}`, `--${b}`), least]).filter(([, , got, least]) => !(got >= least));
}"""


@pytest.mark.parametrize("size", [(390, 844), (1280, 800), (1920, 1080)])
async def test_nothing_is_wider_than_the_screen(ground: Any, open_page: Any, size: tuple[int, int]) -> None:
    """Every page, in both languages, with long texts in it."""
    case_id = await ground.alert(zh="很长的一句话" * 30, en="A very long sentence about a shore " * 12)
    await ground.publish("pg/v1/320118100000/T1/fix", b"x" * 600)
    desk = await open_page("zh-CN", size)
    await desk.log_in()
    for language in ("zh-CN", "en"):
        await expect(desk.page.locator("html")).to_have_attribute("lang", language)
        desks = ("ownership", "silences", "backtests", "duties", "notices")
        for route in ("", "alerts", "cases", f"case/{case_id}", "rejects", *desks):
            await desk.page.goto(f"{ground.address}/#/{route}")
            if route.startswith("case/"):
                await desk.case_is("opened")
            if route in desks:
                await expect(desk.page.locator("#desk-panel .desk-body:not([aria-busy]) > *").first).to_be_visible()
            assert await desk.page.evaluate(TOO_WIDE) == [], f"#/{route} in {language}"
        await desk.page.click("#language")
    assert desk.complaints == []


async def test_both_themes_can_be_read(ground: Any, open_page: Any) -> None:
    """WCAG: 4.5:1 for text, 3:1 for marks and edges of controls, in both themes."""
    desk = await open_page()
    for theme in ("dark", "light"):
        await expect(desk.page.locator("html")).to_have_attribute("data-theme", theme)
        worst = await desk.page.evaluate(TOO_FAINT)
        assert worst == [], theme
        await desk.page.click("#theme")
