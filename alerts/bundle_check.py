"""Whether an export is as it was signed: every byte, and the chain of the entries in it. Needs nothing else. Pure.

What is wrong is named: the file, and in ``case.json`` the entry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from alerts.bundle import CASE, FORMAT, KEY, MANIFEST, SIGNATURE, WrongKey, key_pem, key_text, read_key, signed_by
from alerts.case_file import case_problems
from alerts.container import ContainerError, read_members
from alerts.evidence import NotEvidence, canonical

FlawKind = Literal["container", "missing", "unlisted", "changed", "signature", "key", "manifest", "entry", "case"]
ATTACHMENTS: Final = "attachments/"


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that is not as it was signed. ``file`` names the member; "" is the file as a whole."""

    kind: FlawKind
    file: str
    zh: str
    en: str


@dataclass(slots=True)
class Checked:
    """What was looked at: the case's number, when and by whom it was exported, the key, and what is wrong."""

    number: str = ""
    exported_at: str = ""
    exported_by: str = ""
    key: str = ""
    files: int = 0
    entries: int = 0
    flaws: list[Flaw] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.flaws


def check_bundle(file: BinaryIO, key: Ed25519PublicKey | None = None) -> Checked:
    """Check an export. ``key`` is the centre's, known from elsewhere; without one that in the file is believed."""
    checked = Checked()
    hashes: dict[str, tuple[str, int]] = {}
    kept: dict[str, bytes] = {}
    unfit: list[str] = []
    try:
        for name, content, fits in read_members(file):
            hashes[name] = (hashlib.sha256(content).hexdigest(), len(content))
            if not name.startswith(ATTACHMENTS):
                kept[name] = content
            if not fits:
                unfit.append(name)
    except ContainerError as error:
        checked.flaws.append(_flaw("container", error.member, f"压缩包第 {error.at} 字节被改动", f"archive: {error}"))
    checked.flaws += _judged(checked, hashes, kept, key)
    named = {flaw.file for flaw in checked.flaws}
    for name in unfit:
        if name not in named:  # the content is what was signed, so it was the check sum that was changed
            checked.flaws.append(
                _flaw("container", name, "压缩包中的校验和被改动", "its check sum in the archive was changed")
            )
    return checked


def _judged(
    checked: Checked, hashes: Mapping[str, tuple[str, int]], kept: Mapping[str, bytes], key: Ed25519PublicKey | None
) -> Iterator[Flaw]:
    for name in (MANIFEST, SIGNATURE, CASE):
        if name not in hashes:
            yield _flaw("missing", name, "缺失", "it is missing")
    if MANIFEST not in kept:
        return
    manifest = _manifest(kept[MANIFEST])
    if manifest is None:
        yield _flaw("manifest", MANIFEST, "内容被改动，无法读取", "it was changed and cannot be read")
        return
    checked.number, checked.exported_at = str(manifest.get("case", "")), str(manifest.get("exported_at", ""))
    checked.exported_by, checked.files = str(manifest.get("exported_by", "")), len(hashes)
    yield from _signature(checked, manifest, kept, key)
    yield from _files(manifest["files"], hashes)
    if CASE in kept:
        yield from _case(checked, kept[CASE], manifest, hashes)


def _manifest(raw: bytes) -> dict[str, Any] | None:
    """The manifest; None when it is none, or not in the one form in which it is written."""
    found = _json(raw)
    if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get("files"), dict):
        return None
    facts = found["files"].values()
    if not all(isinstance(each, dict) and {"sha256", "bytes"} <= set(each) for each in facts):
        return None
    return found


def _json(raw: bytes) -> Any:
    """What the bytes say, if they say it in canonical form; else None."""
    try:
        found = json.loads(raw)
        return found if canonical(found) == raw else None
    except (ValueError, RecursionError):  # of text that is no UTF-8, no JSON, or JSON that nobody writes
        return None


def _signature(
    checked: Checked, manifest: Mapping[str, Any], kept: Mapping[str, bytes], key: Ed25519PublicKey | None
) -> Iterator[Flaw]:
    try:
        inside = read_key(str(manifest.get("public_key", "")))
    except WrongKey:
        yield _flaw("key", MANIFEST, "公钥被改动", "the public key in it was changed")
        inside = None
    checked.key = key_text(inside) if inside else ""
    if key is not None and inside is not None and key_text(key) != key_text(inside):
        zh, en = "签名密钥不是给定的密钥", "it was signed with another key than the one that was given"
        yield _flaw("key", MANIFEST, zh, en)
    if inside is not None and kept.get(KEY, b"") != key_pem(inside):
        yield _flaw("key", KEY, "与清单中的公钥不同", "it is not the public key in the manifest")
    signer = key or inside
    if signer is not None and not signed_by(signer, kept.get(SIGNATURE, b""), kept[MANIFEST]):
        zh = "签名与清单不符：二者之一被改动"
        yield _flaw("signature", SIGNATURE, zh, "the signature does not fit the manifest: one of them was changed")


def _files(listed: Mapping[str, Any], hashes: Mapping[str, tuple[str, int]]) -> Iterator[Flaw]:
    for name, facts in listed.items():
        if name not in hashes:
            yield _flaw("missing", name, "缺失", "it is missing")
        elif hashes[name] != (facts["sha256"], facts["bytes"]):
            yield _flaw("changed", name, "内容被改动", "its content was changed")
    for name in hashes:
        if name not in listed and name not in (MANIFEST, SIGNATURE):
            yield _flaw("unlisted", name, "不在清单中", "the manifest does not list it")


def _case(
    checked: Checked, raw: bytes, manifest: Mapping[str, Any], hashes: Mapping[str, tuple[str, int]]
) -> Iterator[Flaw]:
    found = _json(raw)
    if not isinstance(found, dict):
        yield _flaw("case", CASE, "不是规范的 JSON", "it is not in canonical form")
        return
    try:
        checked.entries = len(found["entries"])
        pictures = {name.removeprefix(ATTACHMENTS).split(".")[0] for name in hashes if name.startswith(ATTACHMENTS)}
        for problem in case_problems(found, pictures):
            yield Flaw("entry" if problem.seq else "case", CASE, f"{CASE}：{problem.zh}", f"{CASE}: {problem.en}")
        if found["case"]["number"] != manifest.get("case"):
            yield _flaw("case", CASE, "与清单不是同一事件", "it is another case than the manifest says")
    except (KeyError, TypeError, ValueError, AttributeError, NotEvidence) as error:
        yield _flaw("case", CASE, f"结构被改动：{error!r}", f"its structure was changed: {error!r}")


def _flaw(kind: FlawKind, file: str, zh: str, en: str) -> Flaw:
    return Flaw(kind, file, f"{file}：{zh}" if file else zh, f"{file}: {en}" if file else en)
