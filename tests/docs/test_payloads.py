"""docs/payloads.md, in both languages, names every codec and its topics, every field, every reason for a reject."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import fields

from devices.codecs import CODECS, patrolgrid

ROOT = Path(__file__).parents[2]
PAGES = ["payloads.md", "payloads.zh-CN.md"]
GIVE_REASONS = {"Refusal": 0, "Undecodable": 0, "PartlyUndecodable": 0, "refuse": 1, "refuse_rows": 2}
"""Which argument of a call is the reason."""


def page_text(page: str) -> str:
    return (ROOT / "docs" / page).read_text("utf-8")


# ── Codecs ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("page", PAGES)
def test_every_codec_and_its_topics_are_in_the_table(page: str) -> None:
    table = re.findall(r"^\| `(\w+)` \| (`.*/.*`) \|$", page_text(page), re.MULTILINE)
    filters = [", ".join(f"`{f.replace('{share}', '+')}`" for f in codec.filters) for codec in CODECS]
    assert table == list(zip([codec.name for codec in CODECS], filters, strict=True))


@pytest.mark.parametrize("name", [codec.name for codec in CODECS])
def test_each_has_tests_of_its_own(name: str) -> None:
    assert (ROOT / "tests" / "devices" / "codecs" / f"test_{name}.py").exists()


@pytest.mark.parametrize("wanted", [f for codec in CODECS for f in codec.filters])
def test_the_access_list_lets_the_server_read_its_topics(wanted: str) -> None:
    access = (ROOT / "deploy" / "mosquitto.acl").read_text("utf-8")
    server = access.split("\nuser patrolgrid\n")[1].split("\n\n")[0]
    readable = re.findall(r"^topic read(?:write)? (.+)/#$", server, re.MULTILINE)
    assert any(wanted.startswith(f"{above}/") for above in readable), "add it to deploy/mosquitto.acl"


# ── Fields of the own contract ──────────────────────────────────────────────────────────────────────────────────────
STRUCTS: dict[str, type[Struct]] = {
    "fix": patrolgrid.FixPayload,
    "sos": patrolgrid.SosPayload,
    "sighting": patrolgrid.SightingPayload,
    "sample": patrolgrid.SamplePayload,
    "status": patrolgrid.StatusPayload,
    "command/ack": patrolgrid.AckPayload,
}


def test_these_are_all_kinds() -> None:
    (own,) = (codec for codec in CODECS if codec.name == "patrolgrid")
    assert [f.split("/", 4)[4] for f in own.filters] == list(STRUCTS)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("kind", STRUCTS)
def test_a_kind_has_the_fields_that_are_written(page: str, kind: str) -> None:
    (row,) = re.findall(rf"^\| `{kind}`[^|]* \| ([^|]*) \|([^|]*)\|$", page_text(page), re.MULTILINE)
    needed, optional = (set(re.findall(r"`([a-z]+)`", cell)) - {"true", "false"} for cell in row)
    known = fields(STRUCTS[kind])
    assert needed == {f.encode_name for f in known if f.required}
    if kind == "sos":  # "and everything of a fix"
        optional |= {f.encode_name for f in fields(patrolgrid.FixPayload)} - {"sos"} - needed
    assert optional == {f.encode_name for f in known if not f.required}


# ── Reasons ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def possible(value: ast.expr, function: ast.AST) -> Iterator[str]:
    """The texts that an expression may have; a reason that is passed on (``error.reason``, a parameter) has none."""
    if isinstance(value, ast.Constant):
        yield str(value.value)
    elif isinstance(value, ast.IfExp):
        yield from possible(value.body, function)
        yield from possible(value.orelse, function)
    elif isinstance(value, ast.Name):
        given = [
            n.value for n in ast.walk(function) if isinstance(n, ast.Assign) and value.id in map(name_of, n.targets)
        ]
        parameters = [a.arg for n in ast.walk(function) if isinstance(n, ast.arguments) for a in n.args]
        assert given or value.id in parameters, f"line {value.lineno}: where does {value.id} come from?"
        for assigned in given:
            yield from possible(assigned, function)
    else:
        assert isinstance(value, ast.Attribute), f"line {value.lineno}: {ast.unparse(value)}: teach this walk"
        assert value.attr == "reason", f"line {value.lineno}: {ast.unparse(value)}: teach this walk"


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def reasons() -> set[str]:
    """All reasons that codecs and pipeline can give, read off their source."""
    found: set[str] = set()
    for file in sorted([*ROOT.glob("devices/**/*.py"), *ROOT.glob("ingest/**/*.py")]):
        tree = ast.parse(file.read_text("utf-8"))
        for function in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)):
            for call in (n for n in ast.walk(function) if isinstance(n, ast.Call)):
                place = GIVE_REASONS.get(name_of(call.func))
                if place is not None and len(call.args) > place:
                    found.update(possible(call.args[place], function))
    return found


def test_the_walk_finds_reasons_of_codecs_steps_and_pipeline() -> None:
    assert {"not_json", "wrong_shape", "unknown_device", "wrong_area", "time_too_old", "codec_failed"} <= reasons()


@pytest.mark.parametrize("page", PAGES)
def test_every_reason_is_explained(page: str) -> None:
    rows = re.findall(r"^\| ((?:`[a-z_]+`[,、 ]*)+) \| [^|]+ \|$", page_text(page).split("\n## ")[-1], re.MULTILINE)
    explained = [reason for cell in rows for reason in re.findall(r"`([a-z_]+)`", cell)]
    assert sorted(explained) == sorted(reasons())


def test_every_reason_has_words_in_the_console() -> None:
    texts = (ROOT / "console" / "static" / "i18n.js").read_text("utf-8")
    assert set(re.findall(r'^  "reason\.(\w+)":', texts, re.MULTILINE)) == reasons()
