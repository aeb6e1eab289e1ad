"""What is kept of a picture, and what is no picture; the folder they are kept in."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from alerts.case import Refused
from store.media import Damaged, Media
from store.pictures import Picture, clean_picture

SECRET = b"118.8812E 31.4701N owner"
ORIENTATION, GPS, MAKER, SOFTWARE = 0x0112, 0x8825, 0x010F, 0x0131


def painted(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A red left half and a blue right one."""
    image = Image.new("RGB", size, (20, 40, 220))
    image.paste((220, 30, 30), (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def written(image: Image.Image, kind: str, **more: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def exif(orientation: int = 1) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION], tags[MAKER], tags[SOFTWARE] = orientation, "owner", SECRET.decode()
    tags[GPS] = {1: "N", 2: (31.0, 28.0, 12.0), 3: "E", 4: (118.0, 52.0, 48.0)}
    return tags


def clean(given: bytes, *, most_bytes: int = 1_000_000, most_pixels: int = 1_000_000) -> Picture:
    return clean_picture(given, most_bytes=most_bytes, most_pixels=most_pixels)


def code(given: bytes, **limits: int) -> str:
    with pytest.raises(Refused) as refused:
        clean(given, **limits)
    assert refused.value.zh and refused.value.en
    return refused.value.code


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_nothing_but_the_pixels_is_kept(kind: str) -> None:
    more: dict[str, object] = {"exif": exif(), "icc_profile": SECRET * 10}
    if kind == "JPEG":
        more["comment"] = SECRET
    if kind == "WEBP":
        more["xmp"] = SECRET
    if kind == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Location", SECRET.decode())
        texts.add_itxt("XML:com.adobe.xmp", SECRET.decode())
        more |= {"pnginfo": texts, "dpi": (300, 300)}
    given = written(painted(), kind, **more)
    assert SECRET in given, "the test itself put it there"
    kept = clean(given + SECRET)  # and something after the end
    assert (kept.type, kept.width, kept.height) == (f"image/{kind.lower()}", 64, 48)
    assert SECRET not in kept.content
    with Image.open(io.BytesIO(kept.content)) as again:
        assert not again.getexif()
        assert set(again.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "loop", "background"} | (
            {"timestamp", "duration"} if kind == "WEBP" else set()
        )


def test_it_is_turned_as_it_was_held() -> None:
    kept = clean(written(painted(), "JPEG", exif=exif(6)))  # held upright: the right of the file is below
    assert (kept.width, kept.height) == (48, 64)
    with Image.open(io.BytesIO(kept.content)) as upright:
        top, bottom = upright.getpixel((24, 5)), upright.getpixel((24, 58))
    assert isinstance(top, tuple) and isinstance(bottom, tuple)
    assert top[0] > 150 > top[2] and bottom[2] > 150 > bottom[0]


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "PNG"), ("P", "PNG"), ("1", "PNG"), ("I;16", "PNG")]
)
def test_every_kind_of_pixels_is_taken(mode: str, kind: str) -> None:
    given = painted("L").convert("I").convert("I;16") if mode == "I;16" else painted(mode)
    kept = clean(written(given, kind))
    with Image.open(io.BytesIO(kept.content)) as again:
        again.load()
        assert again.size == (64, 48)


def test_the_same_picture_has_the_same_name() -> None:
    given = written(painted(), "JPEG")
    assert clean(given).sha256 == clean(given).sha256 != clean(written(painted(size=(32, 32)), "JPEG")).sha256


def test_what_is_too_large_is_refused_before_it_is_unpacked() -> None:
    assert code(written(painted(), "PNG"), most_pixels=64 * 48 - 1) == "too_large_picture"
    assert code(written(painted(), "PNG"), most_bytes=100) == "too_large_picture"
    bomb = png(30_000, 30_000)
    assert len(bomb) < 200_000
    assert code(bomb, most_pixels=40_000_000) == "too_large_picture"
    assert code(png(20_000, 2_000), most_pixels=40_000_000) == "too_large_picture", "a side too long"


def png(width: int, height: int) -> bytes:
    """A small file that says it is a large picture; its rows, all alike, pack a thousandfold."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    pack = zlib.compressobj(9)
    rows = b"".join(pack.compress(b"\0" * (1 + width // 8)) for _ in range(height)) + pack.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_what_is_no_picture_is_refused() -> None:
    gif = written(painted("P"), "GIF")
    moving = io.BytesIO()
    painted().save(moving, "WEBP", save_all=True, append_images=[painted().transpose(Image.Transpose.ROTATE_180)])
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    for other in (b"", b"\xff\xd8\xff", gif, svg, moving.getvalue(), written(painted(), "TIFF"), b"%PDF-1.7"):
        assert code(other) == "wrong_picture", other[:20]
    whole = written(painted(), "JPEG")
    assert code(whole[: len(whole) // 2]) == "wrong_picture", "cut off on the way"


SAMPLES = [
    written(painted(), "JPEG", exif=exif(3)),
    written(painted("P"), "PNG"),
    written(painted("RGBA"), "WEBP", lossless=True),
    written(painted(), "WEBP", exif=exif(8)),
    written(painted(), "JPEG", progressive=True),
]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of odd EXIF, which is no reason to refuse a picture
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(sample=st.sampled_from(SAMPLES), data=st.data())
def test_whatever_was_done_to_the_bytes_it_is_a_picture_or_refused(sample: bytes, data: st.DataObject) -> None:
    given = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 6))):
        given[data.draw(st.integers(0, len(given) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(given) // 2, len(given)))
    try:
        kept = clean(bytes(given[:cut]))
    except Refused as refused:
        assert refused.code in ("wrong_picture", "too_large_picture")
    else:
        assert kept.width * kept.height <= 1_000_000


# ── The folder ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media, kept = Media(tmp_path / "media"), clean(SAMPLES[0])
    assert not media.has(kept.sha256)
    with monkeypatch.context() as patch:

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            media.write(kept.sha256, kept.content)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    media.write(kept.sha256, kept.content)
    media.write(kept.sha256, kept.content)
    assert media.read(kept.sha256) == kept.content
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [media.path(kept.sha256)]
    assert media.path(kept.sha256).stat().st_mode & 0o077 == 0, "for the console alone"


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    media, kept = Media(tmp_path), clean(SAMPLES[0])
    media.write(kept.sha256, kept.content)
    changed = bytearray(kept.content)
    changed[-20] ^= 1
    media.path(kept.sha256).write_bytes(changed)
    with pytest.raises(Damaged, match=f"{kept.sha256} was changed"):
        media.read(kept.sha256)
    media.remove(kept.sha256)
    media.remove(kept.sha256)
    with pytest.raises(Damaged, match="is gone"):
        media.read(kept.sha256)


@pytest.mark.parametrize("name", ["", "..", "../" * 21 + "x", "A" * 64, "a" * 63, "a" * 63 + "/", "a" * 64 + "\n"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no sha256"):
        Media(tmp_path).path(name)


def test_limits_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Media(tmp_path, most_bytes=0)
