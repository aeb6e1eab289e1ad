"""The ZIP of an export: any program reads it, and no byte of it can be other than it was written."""

from __future__ import annotations

import io
import string
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.container import ContainerError, Writer, read_members

names = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=12).filter(lambda n: n[0].isalnum())
members = st.dictionaries(names | st.tuples(names, names).map("/".join), st.binary(max_size=60), max_size=5)


def made(content: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    writer = Writer(out)
    for name, data in content.items():
        writer.add(name, data)
    writer.close()
    return out.getvalue()


@given(members)
def test_what_is_written_is_read_by_us_and_by_others(content: dict[str, bytes]) -> None:
    raw = made(content)
    assert [(name, data) for name, data, fits in read_members(io.BytesIO(raw)) if fits] == list(content.items())
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == content


@settings(max_examples=200)
@given(content=members, data=st.data())
def test_any_changed_byte_is_found(content: dict[str, bytes], data: st.DataObject) -> None:
    raw = bytearray(made(content))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = list(read_members(io.BytesIO(bytes(raw))))
    except ContainerError as error:
        assert 0 <= error.at <= len(raw)
    else:
        assert [fits for *_, fits in found].count(False) == 1


@given(content=members, data=st.data())
def test_a_file_that_is_cut_off_or_goes_on_is_found(content: dict[str, bytes], data: st.DataObject) -> None:
    raw = made(content)
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]
    for wrong in (cut, raw + data.draw(st.binary(min_size=1, max_size=5))):
        with pytest.raises(ContainerError):
            list(read_members(io.BytesIO(wrong)))


@given(st.binary(max_size=200))
def test_anything_else_is_no_container(raw: bytes) -> None:
    with pytest.raises(ContainerError):
        list(read_members(io.BytesIO(raw)))


@pytest.mark.parametrize("name", ["", "/a", "../a", "a//b", "a\\b", "é", "a b", "a/b/c/d/e", "x" * 200])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(ValueError, match="member"):
        Writer(io.BytesIO()).add(name, b"")


def test_no_name_is_there_twice() -> None:
    writer = Writer(io.BytesIO())
    writer.add("a", b"1")
    with pytest.raises(ValueError, match="not there yet"):
        writer.add("a", b"2")
