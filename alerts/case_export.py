"""The signed export of one case: its JSON, the file to read in the languages wanted, its pictures. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from alerts.bundle import CASE, key_text, write_bundle
from alerts.case_file import CaseFile, Photo, case_json
from alerts.case_pdf import Language, case_pdf
from alerts.evidence import canonical


def write_case(
    out: BinaryIO,
    file: CaseFile,
    languages: Sequence[Language],
    key: Ed25519PrivateKey,
    read: Callable[[Photo], bytes],
) -> None:
    """Write the export of a case. ``read`` gives a picture's content; what it raises ends the writing."""
    about = {
        "case": file.case.number,
        "exported_at": file.exported_at.astimezone(UTC).isoformat(timespec="seconds"),
        "exported_by": file.exported_by,
        "last_entry": file.entries[-1].hash.hex(),
    }
    write_bundle(out, _members(file, languages, key_text(key.public_key()), read), key, about)


def export_name(file: CaseFile) -> str:
    """What the export is called."""
    return f"{file.case.number}-{file.exported_at.astimezone(UTC):%Y%m%dT%H%M%SZ}.zip"


def _members(
    file: CaseFile, languages: Sequence[Language], key: str, read: Callable[[Photo], bytes]
) -> Iterator[tuple[str, bytes]]:
    yield CASE, canonical(case_json(file))
    for lang in languages:
        yield f"case.{lang}.pdf", case_pdf(file, lang, key, read)
    for photo in file.photos:
        yield photo.member, read(photo)
