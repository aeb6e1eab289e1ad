"""Pages of reports as PDF: their edges, tables over several pages, pairs of label and value, pictures."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image as Picture
from reportlab.lib.colors import Color, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, Image, PageTemplate, Table, TableStyle

from alerts.pdf_text import ACCENT, MUTED, PALE, RULE, drawable, font, paragraph, style, width

MARGIN: Final = 20 * mm
ROOM: Final = A4[0] - 2 * MARGIN
"""The width of what stands on a page."""
_SHARP: Final = 1400  # pixels of a picture's longer side: enough for print
_GRID: Final = (
    ("GRID", (0, 0), (-1, -1), 0.4, RULE),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 4),
    ("RIGHTPADDING", (0, 0), (-1, -1), 4),
    ("TOPPADDING", (0, 0), (-1, -1), 3),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
)


@dataclass(frozen=True, slots=True)
class Edges:
    """What stands at the edges of every page, and in the file's own description. ``lang`` is zh or en."""

    lang: str
    title: str
    subject: str
    author: str
    footer: str


def write_pages(story: Iterable[Flowable], edges: Edges) -> bytes:
    """The file."""
    font()
    out = io.BytesIO()
    document = BaseDocTemplate(
        out,
        pagesize=A4,
        title=edges.title,
        author=edges.author,
        subject=edges.subject,
        creator="PatrolGrid",
        lang="zh-CN" if edges.lang == "zh" else "en",
    )
    frame = Frame(MARGIN, 20 * mm, ROOM, A4[1] - 42 * mm, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate("page", [frame]))

    def canvas(*given: Any, **more: Any) -> _Pages:
        return _Pages(edges, *given, **more)

    document.build(list(story), canvasmaker=canvas)
    return out.getvalue()


def listing(heads: Sequence[str], rows: Sequence[Sequence[Any]], widths: Sequence[float]) -> Table:
    """A table over as many pages as it takes, its head on each."""
    head = style(8.5, "zh", colour=white)
    cells = [[paragraph(text, head) for text in heads], *(list(row) for row in rows)]
    table = Table(cells, colWidths=list(widths), repeatRows=1, splitInRow=1)
    stripes = [("BACKGROUND", (0, n), (-1, n), PALE) for n in range(2, len(cells), 2)]
    table.setStyle(TableStyle([*_GRID, ("BACKGROUND", (0, 0), (-1, 0), ACCENT), *stripes]))
    return table


def pairs(facts: Iterable[tuple[str, str]], lang: str, *, columns: int = 2, size: float = 9.0) -> Table:
    """Labels and values; two to a row where they are short."""
    look, label = style(size, lang), style(size, lang, colour=MUTED)
    label_width, value_width = 24 * mm, ROOM / columns - 24 * mm
    rows: list[list[tuple[str, str]]] = []
    room = 0  # for so many more in the last row
    for name, value in facts:
        short = width(value, size) < value_width - 9 and "\n" not in value
        if short and room:
            rows[-1].append((name, value))
            room -= 1
        else:
            rows.append([(name, value)])
            room = columns - 1 if short else 0
    cells, looks = [], list[Any](_GRID)
    for number, row in enumerate(rows):
        drawn = [cell for name, value in row for cell in (paragraph(name, label), paragraph(value, look))]
        cells.append([*drawn, *[""] * (2 * columns - len(drawn))])
        looks += [("BACKGROUND", (2 * n, number), (2 * n, number), PALE) for n in range(len(row))]
        if len(row) < columns:
            looks.append(("SPAN", (1, number), (-1, number)))
    table = Table(cells, colWidths=[label_width, value_width] * columns)
    table.setStyle(TableStyle(looks))
    return table


def gallery(cells: Sequence[Sequence[Flowable]]) -> list[Table]:
    """Two in a row; a row is never parted."""
    found = []
    for begin in range(0, len(cells), 2):
        row = [*cells[begin : begin + 2], ""][:2]
        table = Table([row], colWidths=[ROOM / 2] * 2, splitByRow=0)
        table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]))
        found.append(table)
    return found


def printed(content: bytes, room: tuple[float, float]) -> Image:
    """A picture as large as there is room, and no sharper than print needs."""
    with Picture.open(io.BytesIO(content)) as opened:
        opened.draft("RGB", (_SHARP, _SHARP))
        plain = opened.convert("RGBA" if "A" in opened.getbands() else "RGB")
    if plain.mode == "RGBA":
        ground = Picture.new("RGB", plain.size, "white")
        ground.paste(plain, mask=plain.getchannel("A"))
        plain = ground
    plain.thumbnail((_SHARP, _SHARP))
    written = io.BytesIO()
    plain.save(written, "JPEG", quality=85)
    by = min(room[0] / plain.width, room[1] / plain.height)
    return Image(written, plain.width * by, plain.height * by, hAlign="LEFT")


class Swatch(Flowable):
    """A piece of a line in a colour, and what it is."""

    def __init__(self, colour: Color, text: str, lang: str) -> None:
        super().__init__()
        self._colour, self._text = colour, paragraph(text, style(8.5, lang))

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        """The room it takes."""
        _, self._high = self._text.wrap(available_width - 14 * mm, available_height)
        return available_width, self._high

    def draw(self) -> None:
        """Draw it."""
        self.canv.setStrokeColor(self._colour)
        self.canv.setLineWidth(2)
        self.canv.line(0, self._high - 7, 10 * mm, self._high - 7)
        self._text.drawOn(self.canv, 13 * mm, 0)


class _Pages(Canvas):
    """Pages that know how many there are: each is kept and written at the end."""

    def __init__(self, edges: Edges, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._edges, self._kept = edges, list[dict[str, Any]]()

    def showPage(self) -> None:  # noqa: N802 - reportlab's name
        """Keep the page."""
        self._kept.append(dict(self.__dict__))
        self._startPage()  # type: ignore[attr-defined]

    def save(self) -> None:
        """Write all pages with what stands at their edges."""
        for number, page in enumerate(self._kept, 1):
            self.__dict__.update(page)
            self._draw_edges(number, len(self._kept))
            super().showPage()
        super().save()

    def _draw_edges(self, number: int, count: int) -> None:
        edges, right, top = self._edges, A4[0] - MARGIN, A4[1]
        self.setStrokeColor(RULE)
        self.setLineWidth(0.6)
        self.line(MARGIN, 15 * mm, right, 15 * mm)
        self.setFont(font().fontName, 7.5)
        self.setFillColor(MUTED)
        self.drawString(MARGIN, 10.5 * mm, drawable(edges.footer))
        pages = f"第 {number} 页 共 {count} 页" if edges.lang == "zh" else f"Page {number} of {count}"
        self.drawRightString(right, 10.5 * mm, pages)
        if number == 1:
            self.setFillColor(ACCENT)
            self.rect(0, top - 4 * mm, A4[0], 4 * mm, stroke=0, fill=1)
            return
        self.line(MARGIN, top - 16 * mm, right, top - 16 * mm)
        self.drawString(MARGIN, top - 13.5 * mm, drawable(edges.author))
        self.drawRightString(right, top - 13.5 * mm, drawable(edges.title))
