"""The digest as PDF: one or more landscape pages, text that can be searched and copied."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any, Final, Literal

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from alerts.assessment import NAMES
from alerts.digest import Digest, shown
from alerts.pdf_text import font, paragraph
from devices.site import CHINA

_LINE: Final = colors.HexColor("#d5dde5")


def assessment_pdf(found: Digest, lang: Literal["zh", "en"]) -> bytes:
    """The whole file in one language."""
    out = io.BytesIO()
    title = f"{getattr(found.place, lang)} · {getattr(found.title, lang)}"
    document = SimpleDocTemplate(
        out,
        pagesize=landscape(A4),
        leftMargin=14 * mm,
        rightMargin=14 * mm,
        topMargin=14 * mm,
        bottomMargin=14 * mm,
        title=title,
        lang="zh-CN" if lang == "zh" else "en",
        author=getattr(found.place, lang),
    )
    document.build(_story(found, lang, title), onFirstPage=_foot, onLaterPages=_foot)
    return out.getvalue()


def _story(found: Digest, lang: Literal["zh", "en"], title: str) -> list[Flowable]:
    zh = lang == "zh"
    last = (found.until - timedelta(seconds=1)).astimezone(CHINA)
    span = f"{found.since.astimezone(CHINA):%Y-%m-%d} – {last:%Y-%m-%d}"
    weak = [getattr(point.sentence, lang) for point in found.weak]
    none = "本期没有发现明显短板。" if zh else "No weak point was found in this period."
    return [
        _words(title, 16, 22),
        _words(f"{span} · {getattr(found.stand, lang)}", 9, 16, "#5c6b7a"),
        Spacer(1, 3 * mm),
        _words("短板" if zh else "Weak points", 11, 16),
        *(_words(f"{number}. {text}", 9, 13) for number, text in enumerate(weak or [none], 1)),
        Spacer(1, 4 * mm),
        _figures(found, lang),
    ]


def _words(text: str, size: float, leading: float, colour: str = "#1b2733") -> Paragraph:
    style = ParagraphStyle(
        "text",
        fontName=font().fontName,
        fontSize=size,
        leading=leading,
        textColor=colors.HexColor(colour),
        wordWrap="CJK",
    )
    return paragraph(text, style)


def _figures(found: Digest, lang: Literal["zh", "en"]) -> Table:
    first = {"unit": ("单位", "Unit"), "area": ("辖区", "Area")}[found.by][0 if lang == "zh" else 1]
    rows: list[list[Any]] = [[_words(first, 7.5, 9), *(_words(getattr(n, lang), 7.5, 9) for n in NAMES.values())]]
    for line in [*found.lines, found.total]:
        values = [shown(name, getattr(line.now, name)) for name in NAMES]
        rows.append([_words(getattr(line.name, lang), 8, 10), *values])
    widths = [44 * mm, *[(landscape(A4)[0] - 28 * mm - 44 * mm) / len(NAMES)] * len(NAMES)]
    table = Table(rows, colWidths=widths, repeatRows=1)
    table.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), font().fontName, 8),
                ("ALIGN", (1, 1), (-1, -1), "RIGHT"),
                ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
                ("LINEABOVE", (0, -1), (-1, -1), 1, colors.black),
                ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#f4f7fa")),
                ("LEFTPADDING", (0, 0), (-1, -1), 2),
                ("RIGHTPADDING", (0, 0), (-1, -1), 2),
            ]
        )
    )
    return table


def _foot(canvas: Any, document: Any) -> None:
    canvas.setFont(font().fontName, 8)
    canvas.drawRightString(landscape(A4)[0] - 14 * mm, 8 * mm, f"PatrolGrid 巡格 · {document.page}")
