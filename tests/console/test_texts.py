"""Every text exists in both languages and is used; no page refers to an address outside the server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import console

STATIC = Path(console.__file__).parent / "static"
OWN = sorted(file for file in STATIC.rglob("*") if file.is_file() and "vendor" not in file.parts)
SCRIPTS = [file for file in OWN if file.suffix == ".js"]
LINE = re.compile(r'^  ("[^"]+"): (\["(?:[^"\\]|\\.)*", "(?:[^"\\]|\\.)*"\]),$')
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def texts() -> dict[str, tuple[str, str]]:
    """The table of i18n.js: key → (Chinese, English). Each line of it must be one text."""
    table = (STATIC / "i18n.js").read_text("utf-8").split("export const TEXT = {\n")[1].split("\n};\n")[0]
    found: dict[str, tuple[str, str]] = {}
    for line in filter(None, table.split("\n")):
        match = LINE.match(line)
        assert match, f"no text line: {line}"
        key = json.loads(match[1])
        assert key not in found, f"{key} is there twice"
        found[key] = tuple(json.loads(match[2]))
    return found


def used() -> tuple[set[str], set[str]]:
    """The keys that the scripts name, and the beginnings of those that they put together."""
    source = "\n".join(file.read_text("utf-8") for file in SCRIPTS if file.name != "i18n.js")
    quoted = set(re.findall(r'"([a-z_]+(?:\.[a-z0-9_]+)*)"', source))
    named = set(re.findall(r'\bt\("([^"]+)"', source))
    return named, quoted | {f"{begin}*" for begin in re.findall(r"\bt\(`([a-z_.]+)\$\{", source)}


def test_every_text_exists_in_both_languages() -> None:
    for key, (chinese, english) in texts().items():
        assert chinese.strip(), key
        assert english.strip(), key
        assert not CHINESE.search(english), f"{key}: Chinese in the English text"
        assert CHINESE.search(chinese), f"{key}: no Chinese in the Chinese text"
        places = re.compile(r"\{\w+\}")
        assert sorted(places.findall(chinese)) == sorted(places.findall(english)), f"{key}: other values"


def test_every_key_that_is_named_exists() -> None:
    named, _ = used()
    assert named, "no text is used at all: the pattern is wrong"
    assert sorted(named - texts().keys()) == []


def test_every_text_is_used() -> None:
    _, mentioned = used()
    begins = tuple(begin[:-1] for begin in mentioned if begin.endswith("*"))
    idle = [key for key in texts() if key not in mentioned and not key.startswith(begins)]
    assert idle == []


def test_codes_of_the_server_have_words() -> None:
    """What the server sends as a code is shown in words: states, roles, reasons, actions."""
    from alerts.alert import STATE_NAMES
    from alerts.transitions import ACTION_NAMES, ROLE_NAMES, STATUS_NAMES

    wanted = {f"case.status.{status}" for status in STATUS_NAMES}
    wanted |= {f"alert.state.{state}" for state in STATE_NAMES}
    wanted |= {f"action.{action}" for action in ACTION_NAMES}
    wanted |= {f"account.{role}" for role in ROLE_NAMES if role != "system"}
    assert sorted(wanted - texts().keys()) == []


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.name)
def test_nothing_refers_to_an_outside_address(file: Path) -> None:
    """Beside the names of XML vocabularies. What the vendored library asks for is watched in the browser tests."""
    text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"""(?:\bhttps?:|\bwss?:|["'(`]//)[^\s"']*""", text) == []


@pytest.mark.parametrize("file", [f for f in OWN if f.suffix == ".html"], ids=lambda file: file.name)
def test_pages_have_no_inline_scripts_or_styles(file: Path) -> None:
    """The content policy would refuse them, and the page would be half dead."""
    text = file.read_text("utf-8")
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text) == []
