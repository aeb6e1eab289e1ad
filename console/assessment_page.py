"""The digest as a page: plain HTML, its look from ``static/assessment.css``, no script; bars are drawn as SVG."""

from __future__ import annotations

from datetime import date, timedelta
from html import escape
from typing import Literal

from alerts.assessment import HOURS, NAMES, RATES
from alerts.digest import Digest, Line, shown
from detectors.base import Sentence
from devices.site import CHINA

_WORSE_WHEN_MORE = {"overdue", "reopened", *HOURS}
_BETTER_WHEN_MORE = {"patrols", "visits", *RATES}
"""More hazards found, or fewer, is neither good nor bad: such figures get no arrow."""


def assessment_page(found: Digest, kind: str, day: date, lang: Literal["zh", "en"]) -> str:
    """The whole page in one language."""

    def say(zh: str, en: str) -> str:
        return escape(zh if lang == "zh" else en)

    def both(sentence: Sentence) -> str:
        return say(sentence.zh, sentence.en)

    step = timedelta(days=1 if kind == "day" else 7)

    def link(label: str, **change: str) -> str:
        query = {"period": kind, "date": day.isoformat(), "by": found.by, "lang": lang} | change
        here = all(query[name] == value for name, value in change.items()) and query == {
            "period": kind,
            "date": day.isoformat(),
            "by": found.by,
            "lang": lang,
        }
        text = "&amp;".join(f"{name}={value}" for name, value in query.items())
        return f'<a href="?{text}"{" aria-current=page" if here else ""}>{label}</a>'

    query = f"period={kind}&amp;date={day.isoformat()}&amp;by={found.by}&amp;lang={lang}"
    span = (
        f"{found.since.astimezone(CHINA):%Y-%m-%d} – {(found.until - timedelta(seconds=1)).astimezone(CHINA):%Y-%m-%d}"
    )
    heads = "".join(f"<th scope=col>{both(name)}</th>" for name in NAMES.values())
    rows = "".join(_row(line, lang) for line in [*found.lines, found.total])
    weak = "".join(f"<li>{both(point.sentence)}</li>" for point in found.weak)
    weak = weak or f"<li>{say('本期没有发现明显短板。', 'No weak point was found in this period.')}</li>"
    group = say("单位", "Unit") if found.by == "unit" else say("辖区", "Area")
    return f"""<!doctype html>
<html lang="{"zh-CN" if lang == "zh" else "en"}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{both(found.title)} {span}</title>
<link rel="icon" href="/static/favicon.svg">
<link rel="stylesheet" href="/static/assessment.css">
</head>
<body>
<nav>
<a href="/">{say("← 控制台", "← Console")}</a>
<span>{link(say("日报", "Day"), period="day")} {link(say("周报", "Week"), period="week")}</span>
<span>{link(say("‹ 上一期", "‹ before"), date=(day - step).isoformat())}
{link(say("下一期 ›", "after ›"), date=(day + step).isoformat())}</span>
<span>{link(say("按单位", "By unit"), by="unit")} {link(say("按辖区", "By area"), by="area")}</span>
<span><a href="/api/v1/assessment/csv?{query}">CSV</a> <a href="/api/v1/assessment/pdf?{query}">PDF</a></span>
<span>{link("中文", lang="zh")} {link("English", lang="en")}</span>
</nav>
<h1>{both(found.place)} · {both(found.title)}</h1>
<p class="span">{span} · {both(found.stand)}</p>
<section class="tiles">{_tiles(found, lang)}</section>
<h2>{say("短板", "Weak points")}</h2>
<ol class="weak">{weak}</ol>
<h2>{say("各单位指标", "Figures by unit") if found.by == "unit" else say("各辖区指标", "Figures by area")}</h2>
<div class="wide"><table>
<thead><tr><th scope=col>{group}</th>{heads}</tr></thead>
<tbody>{rows}</tbody>
</table></div>
<p class="note">{
        say(
            "箭头与上期相比；绿色为好转，红色为变差。各指标的算法见文档“考核”。",
            "Arrows compare with the period before: green is better, red worse. The formulas are in the documentation.",
        )
    }</p>
</body>
</html>
"""


def _tiles(found: Digest, lang: str) -> str:
    """The figures of all, large; the rates with a bar."""
    tiles = []
    for name in ("patrols", "visits", "found", "closed", "closure_rate", "on_time_rate", "source_share", "overdue"):
        value = getattr(found.total.now, name)
        label = escape(getattr(NAMES[name], lang))
        bar = ""
        if name in RATES and value is not None:
            bar = (
                '<svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect width="100" height="6"'
                f' class="rest"/><rect width="{value * 100:.1f}" height="6" class="part"/></svg>'
            )
        arrow = _arrow(name, value, getattr(found.total.before, name))
        tiles.append(f"<div><b>{shown(name, value)}</b>{arrow}<span>{label}</span>{bar}</div>")
    return "".join(tiles)


def _row(line: Line, lang: str) -> str:
    cells = "".join(
        f"<td>{shown(name, getattr(line.now, name))}"
        f"{_arrow(name, getattr(line.now, name), getattr(line.before, name))}</td>"
        for name in NAMES
    )
    return f"<tr><th scope=row>{escape(getattr(line.name, lang))}</th>{cells}</tr>"


def _arrow(name: str, now: float | None, before: float | None) -> str:
    """Up or down against the period before, better or worse."""
    if now is None or before is None or now == before or name not in _WORSE_WHEN_MORE | _BETTER_WHEN_MORE:
        return ""
    up = now > before
    good = up == (name in _BETTER_WHEN_MORE)
    return f' <i class="{"better" if good else "worse"}">{"▲" if up else "▼"}</i>'
