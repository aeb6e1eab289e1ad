"""A signed export: whatever byte of it is changed, it is found, and the file or the entry is named."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.bundle import WrongKey, key_pem, key_text, read_key, write_bundle
from alerts.bundle_check import Checked, check_bundle
from alerts.case_export import export_name, write_case
from alerts.case_file import CaseFile, LedgerLine, case_json
from alerts.container import Writer, read_members
from alerts.evidence import START, canonical, entry_hash, ledger_hash

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
Read = Callable[[Any], bytes]


@pytest.fixture(scope="session")
def export(case_file: CaseFile, read_picture: Read) -> bytes:
    out = io.BytesIO()
    write_case(out, case_file, ("zh", "en"), KEY, read_picture)
    return out.getvalue()


def members(raw: bytes) -> dict[str, bytes]:
    return {name: content for name, content, _ in read_members(io.BytesIO(raw))}


def packed(content: dict[str, bytes]) -> bytes:
    """The members as a ZIP that is in order, as somebody would who knows how it is made."""
    out = io.BytesIO()
    writer = Writer(out)
    for name, data in content.items():
        writer.add(name, data)
    writer.close()
    return out.getvalue()


def check(raw: bytes, key: Ed25519PrivateKey | None = KEY) -> Checked:
    return check_bundle(io.BytesIO(raw), key and key.public_key())


def test_an_untouched_export_is_good_and_says_what_it_is(export: bytes, case_file: CaseFile) -> None:
    for key in (KEY, None):
        checked = check(export, key)
        assert checked.good, checked.flaws
        assert (checked.number, checked.exported_by, checked.entries) == ("PG-20260606-0007", "wang", 8)
        assert checked.key == key_text(KEY.public_key()) and checked.files == 9
    with zipfile.ZipFile(io.BytesIO(export)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert names[2:5] == ["case.json", "case.zh.pdf", "case.en.pdf"]
    assert sum(name.startswith("attachments/") for name in names) == 2
    assert export_name(case_file) == "PG-20260606-0007-20260606T150211Z.zip"


@settings(max_examples=300)
@given(data=st.data())
def test_any_changed_byte_of_any_member_is_found_and_the_member_named(export: bytes, data: st.DataObject) -> None:
    content = members(export)
    name = data.draw(st.sampled_from(sorted(content)))
    raw = bytearray(content[name])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    for key in (KEY, None):
        checked = check(packed({**content, name: bytes(raw)}), key)
        assert name in {flaw.file for flaw in checked.flaws} or (
            name == "manifest.json" and "manifest.sig" in {flaw.file for flaw in checked.flaws}
        )
        assert all(flaw.zh and flaw.en for flaw in checked.flaws)


@settings(max_examples=300)
@given(data=st.data())
def test_any_changed_byte_of_the_file_itself_is_found(export: bytes, data: st.DataObject) -> None:
    raw = bytearray(export)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert not check(bytes(raw)).good


@settings(max_examples=100)
@given(data=st.data())
def test_a_member_that_is_gone_or_new_or_cut_is_named(export: bytes, data: st.DataObject) -> None:
    content = members(export)
    name = data.draw(st.sampled_from(sorted(content)))
    rest = {key: value for key, value in content.items() if key != name}
    assert name in {flaw.file for flaw in check(packed(rest)).flaws}
    assert "more.txt" in {flaw.file for flaw in check(packed({**content, "more.txt": b"x"})).flaws}
    cut = content[name][: data.draw(st.integers(0, len(content[name]) - 1))]
    assert not check(packed({**content, name: cut})).good


@given(st.binary(max_size=300))
def test_anything_else_is_no_export(raw: bytes) -> None:
    assert not check(raw).good


# ── Who has a key ───────────────────────────────────────────────────────────────────────────────────────────────────
def signed(content: dict[str, Any], pictures: dict[str, bytes], key: Ed25519PrivateKey = KEY) -> bytes:
    """An export of whatever JSON, signed."""
    out = io.BytesIO()
    about = {"case": "PG-20260606-0007", "exported_at": "t", "exported_by": "x"}
    write_bundle(out, [("case.json", canonical(content)), *pictures.items()], key, about)
    return out.getvalue()


@pytest.fixture
def forged(case_file: CaseFile, export: bytes) -> Callable[..., Checked]:
    """Sign a changed case with the centre's own key, and check it: what somebody inside could do."""
    pictures = {name: data for name, data in members(export).items() if name.startswith("attachments/")}

    def make(change: Callable[[dict[str, Any]], object], shown: dict[str, bytes] = pictures) -> Checked:
        content = json.loads(canonical(case_json(case_file)))
        change(content)
        return check(signed(content, shown))

    return make


def test_another_key_is_not_the_centres(case_file: CaseFile, read_picture: Read) -> None:
    out = io.BytesIO()
    write_case(out, case_file, (), OTHER, read_picture)
    checked = check(out.getvalue())
    assert {flaw.kind for flaw in checked.flaws} == {"key", "signature"}
    assert check(out.getvalue(), None).good, "without the centre's key it cannot be told"


def entry(number: int, **change: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["entries"][number - 1].update(change)


def line(number: int, **change: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["ledger"][number - 1].update(change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (entry(4, note="无人"), "entry 4: its content was changed"),
        (entry(2, actor="li"), "entry 2: its content was changed"),
        (entry(3, at="2026-06-06T11:56:11.250001+00:00"), "entry 3: its content was changed"),
        (entry(5, prev_hash="00" * 32), "entry 5: its content was changed"),
        (lambda content: content["entries"].pop(3), "entry 4: it is missing"),
        (lambda content: content["entries"].pop(), "ledger's line of entry 8 does not hold"),
        (lambda content: content["ledger"].pop(2), "entry 3: the ledger does not list it"),
        (line(4, entry_hash="11" * 32), "entry 4: it is not the one that the ledger lists"),
        (line(4, prev="11" * 32), "ledger's line of entry 4 does not hold"),
        (line(6, position=1), "ledger's line of entry 6 does not hold"),
        (lambda content: content["case"].update(outcome="罚款"), "outcome is '罚款', but its entries say '劝离并登记'"),
        (lambda content: content["case"].update(number="PG-20260606-0008"), "another case than the manifest says"),
        (lambda content: content.pop("ledger"), "structure was changed"),
        (lambda content: content.update(entries=[1]), "structure was changed"),
        (entry(1, hash="xx"), "structure was changed"),
    ],
)
def test_a_signature_does_not_mend_a_broken_chain(
    forged: Callable[..., Checked], change: Callable[[dict[str, Any]], object], said: str
) -> None:
    checked = forged(change)
    assert any(said in flaw.en for flaw in checked.flaws), checked.flaws
    assert all(flaw.file == "case.json" for flaw in checked.flaws)


def test_pictures_are_those_that_the_entries_show(forged: Callable[..., Checked], export: bytes) -> None:
    pictures = {name: data for name, data in members(export).items() if name.startswith("attachments/")}
    first = min(pictures)
    fewer = {name: data for name, data in pictures.items() if name != first}
    (flaw,) = forged(lambda content: None, fewer).flaws
    assert flaw.kind == "entry" and "entry 4: its picture" in flaw.en and "is missing" in flaw.en
    (flaw,) = forged(lambda content: None, {**pictures, f"attachments/{'0' * 64}.jpg": b"x"}).flaws
    assert "no entry shows the picture 000000" in flaw.en


def test_a_whole_chain_written_anew_is_found_only_against_the_ledger(case_file: CaseFile) -> None:
    """Who has the key and the database can write another history; its ledger lines are not those of the anchors."""
    prev, ledger, entries = START, list[LedgerLine](), []
    for old, where in zip(case_file.entries, case_file.ledger, strict=True):
        new = replace(old, prev_hash=prev, note=old.note.replace("劝离", "放行"))
        hashed = entry_hash(
            **{name: getattr(new, name) for name in ("case_id", "seq", "at", "actor", "action", "note", "data")},
            prev_hash=prev,
        )
        entries.append(replace(new, hash=hashed))
        ledger.append(replace(where, entry_hash=hashed, hash=ledger_hash(where.prev, hashed)))
        prev = hashed
    file = replace(case_file, entries=entries, ledger=ledger, photos=())
    found = check(signed(json.loads(canonical(case_json(file))), {}))
    assert {flaw.kind for flaw in found.flaws} == {"entry"} and all("picture" in flaw.en for flaw in found.flaws)
    assert ledger[-1].hash != case_file.ledger[-1].hash


# ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_key_is_read_in_both_forms() -> None:
    public = KEY.public_key()
    assert key_text(read_key(key_text(public))) == key_text(read_key(key_pem(public).decode())) == key_text(public)


@pytest.mark.parametrize("text", ["", "ab", "zz" * 32, "-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(WrongKey):
        read_key(text)


def test_a_key_of_another_kind_is_refused() -> None:
    other = generate_private_key(SECP256R1()).public_key()
    with pytest.raises(WrongKey, match="Ed25519"):
        read_key(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("sha256sum")), reason="needs openssl and sha256sum")
def test_the_readme_is_right_without_patrolgrid(export: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(export)) as archive:
        archive.extractall(tmp_path)
    said = (tmp_path / "README.txt").read_text("utf-8")
    command = next(row.split() for row in said.splitlines() if "openssl" in row)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Verified Successfully" in done.stdout, done.stderr
    sums = json.loads((tmp_path / "manifest.json").read_bytes())["files"]
    listed = "".join(f"{facts['sha256']}  {name}\n" for name, facts in sums.items())
    done = subprocess.run(["sha256sum", "-c"], input=listed, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (tmp_path / "manifest.json").write_bytes((tmp_path / "manifest.json").read_bytes().replace(b"wang", b"zang"))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0
