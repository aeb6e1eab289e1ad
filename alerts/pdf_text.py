"""Text in PDF files: the font that goes with them, letters it lacks, and the flowables that reports have in common."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import reportlab.lib.textsplit as splitting
import reportlab.platypus.paragraph as breaking
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_CENTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph

FONT: Final = "PatrolGridSansSC"
_FILE: Final = Path(__file__).parent / "fonts" / f"{FONT}.ttf"
INK, MUTED, ACCENT, RULE = (HexColor(code) for code in ("#1b1f24", "#5b6570", "#17406d", "#c9d1d9"))
PALE: Final = HexColor("#f3f6f9")
# What begins no line: reportlab's own list is made for Japanese and lacks these. Both modules have a name for it.
_NO_BEGINNING: Final = f"{splitting.ALL_CANNOT_START}，；：！？％"
for _module in (splitting, breaking):
    vars(_module)["ALL_CANNOT_START"] = _NO_BEGINNING


@cache
def font() -> TTFont:
    """The font, registered."""
    found = TTFont(FONT, str(_FILE))
    pdfmetrics.registerFont(found)
    pdfmetrics.registerFontFamily(FONT, normal=FONT, bold=FONT, italic=FONT, boldItalic=FONT)
    return found


def drawable(text: str) -> str:
    """The text with letters that the font lacks spelt as 〔U+…〕, so that none is lost unseen."""
    known = font().face.charToGlyph
    shown = (
        letter if ord(letter) in known else " " if letter in "\t\r" else f"〔U+{ord(letter):04X}〕" for letter in text
    )
    return "".join(shown)


def width(text: str, size: float) -> float:
    """How wide a text is, in points."""
    return float(pdfmetrics.stringWidth(text, font().fontName, size))


def style(size: float, lang: str, *, colour: Color = INK, centred: bool = False, leading: float = 1.45) -> Any:
    """A paragraph's style. Chinese may break between any two letters."""
    more: dict[str, Any] = {"wordWrap": "CJK"} if lang == "zh" else {}
    if centred:
        more["alignment"] = TA_CENTER
    name = font().fontName
    return ParagraphStyle("", fontName=name, fontSize=size, leading=size * leading, textColor=colour, **more)


def paragraph(text: str, look: ParagraphStyle) -> Paragraph:
    """A paragraph of plain text; its line breaks stay."""
    lines = [escape(drawable(line)) for line in text.split("\n")]
    return Paragraph("<br/>".join(lines), look)


class Heading(Flowable):
    """A line in heavier letters: the font has one weight, so its outline is drawn as well."""

    def __init__(self, text: str, size: float, *, bar: bool = True, centred: bool = False) -> None:
        super().__init__()
        self._text, self._size, self._bar, self._centred = drawable(text), size, bar, centred

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        """The room it takes."""
        self._width = available_width
        return available_width, self._size * 2.0

    def draw(self) -> None:
        """Draw it."""
        canvas, left = self.canv, self._size * 0.55 if self._bar else 0.0
        if self._centred:
            left = (self._width - width(self._text, self._size)) / 2
        if self._bar:
            canvas.setFillColor(ACCENT)
            canvas.rect(0, self._size * 0.42, self._size * 0.22, self._size * 1.05, stroke=0, fill=1)
        heavy(canvas, left, self._size * 0.6, self._text, self._size, ACCENT if self._bar else INK)


def heavy(canvas: Any, x: float, y: float, text: str, size: float, colour: Color) -> None:
    """Draw heavier letters."""
    drawn = canvas.beginText(x, y)
    drawn.setFont(font().fontName, size)
    drawn.setFillColor(colour)
    drawn.setStrokeColor(colour)
    drawn.setTextRenderMode(2)
    drawn.textOut(text)
    canvas.saveState()
    canvas.setLineWidth(size * 0.028)
    canvas.drawText(drawn)
    canvas.restoreState()
