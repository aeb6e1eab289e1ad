"""Make ``alerts/fonts/PatrolGridSansSC.ttf``: the letters of official Chinese out of Noto Sans CJK, for PDF files.

Run by hand, rarely: ``uv run --no-project --with fonttools python scripts/font.py NOTO.ttc UNIHAN.txt``, where
the first is NotoSansCJK-Regular.ttc (Debian: fonts-noto-cjk) and the second Unihan_OtherMappings.txt (unicode-data).
See docs/adr/0024.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTCollection, newTable

NAME: Final = "PatrolGrid Sans SC"  # the licence asks for another name than the original's
TARGET: Final = Path("alerts/fonts/PatrolGridSansSC.ttf")
CLOSE: Final = 1.5  # units of a thousandth of the size by which an outline may differ
DROPPED: Final = ("BASE", "GSUB", "GPOS", "GDEF", "VORG", "vhea", "vmtx", "DSIG")
SIGNS: Final = (
    *(range(0x20, 0x7F), range(0xA0, 0x180), range(0x2010, 0x2028), range(0x2190, 0x2194), range(0x2460, 0x2474)),
    *(range(0x3000, 0x3020), range(0xFF00, 0xFFF0)),
)
MORE_SIGNS: Final = "‰′″※€№™℃−≤≥≠✓✗●○▲△■□\ufffd"


def letters(unihan: Path) -> set[int]:
    """The 8,105 characters of 通用规范汉字表 (Unihan's kTGH), all of GB 2312, Latin letters and signs."""
    lines = unihan.read_text("utf-8").splitlines()
    found = {int(line.split("\t")[0][2:], 16) for line in lines if "\tkTGH\t" in line}
    pairs = (bytes([row, cell]) for row in range(0xA1, 0xF8) for cell in range(0xA1, 0xFF))
    found |= {ord(letter) for pair in pairs if (letter := pair.decode("gb2312", "ignore"))}
    return found | {code for some in SIGNS for code in some} | set(map(ord, MORE_SIGNS))


def truetype(font: Any) -> None:
    """Cubic outlines to quadratic ones, which is all that PDF libraries embed."""
    order, glyphs = font.getGlyphOrder(), {}
    drawn = font.getGlyphSet()
    for name in order:
        pen = TTGlyphPen(drawn)
        drawn[name].draw(Cu2QuPen(pen, CLOSE, reverse_direction=True))
        glyphs[name] = pen.glyph()
    font["loca"] = newTable("loca")
    font["glyf"] = newTable("glyf")
    font["glyf"].glyphOrder, font["glyf"].glyphs = order, glyphs
    del font["CFF "]
    font["glyf"].compile(font)
    for name in order:
        outline = glyphs[name]
        font["hmtx"][name] = (font["hmtx"][name][0], outline.xMin if outline.numberOfContours else 0)
    largest = font["maxp"]
    largest.tableVersion, largest.maxZones = 0x00010000, 1
    for field in ("TwilightPoints", "Storage", "FunctionDefs", "InstructionDefs", "StackElements"):
        setattr(largest, f"max{field}", 0)
    for field in ("SizeOfInstructions", "ComponentElements", "Points", "Contours", "CompositePoints"):
        setattr(largest, f"max{field}", 0)
    largest.maxCompositeContours = largest.maxComponentDepth = 0
    largest.recalc(font)
    font["post"].formatType, font.sfntVersion = 3.0, "\x00\x01\x00\x00"


def main(noto: str, unihan: str) -> None:
    """Write the font."""
    font = next(f for f in TTCollection(noto).fonts if f["name"].getDebugName(1) == "Noto Sans CJK SC")
    options = Options()
    options.layout_features, options.hinting, options.notdef_outline = [], False, True
    options.name_IDs, options.drop_tables = [0, 1, 2, 3, 4, 5, 6, 13, 14], [*options.drop_tables, *DROPPED]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=letters(Path(unihan)))
    subsetter.subset(font)
    truetype(font)
    for number, text in ((1, NAME), (3, f"{NAME} 1.0"), (4, NAME), (6, NAME.replace(" ", ""))):
        font["name"].removeNames(nameID=number)
        font["name"].setName(text, number, 3, 1, 0x409)
    font.save(TARGET)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes, {len(font.getGlyphOrder())} glyphs")


if __name__ == "__main__":
    main(*sys.argv[1:])
