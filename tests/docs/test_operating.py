"""docs/operating.md, in both languages, names every setting, every metric and every command, and no other."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import structlog
from typer.main import get_command
from typer.testing import CliRunner

from server.cli import app
from server.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGES = ("devices", "detectors", "alerts", "store", "ingest", "simulators", "console", "server")
PAGES = ["operating.md", "operating.zh-CN.md"]
ENGLISH = PAGES[0]


def rows(page: str, first: str) -> list[list[str]]:
    """The cells of all table rows whose first cell is code that fits a pattern."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    lines = re.findall(rf"^\| (`{first}`.*) \|$", text, re.MULTILINE)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]


# ── Settings ────────────────────────────────────────────────────────────────────────────────────────────────────────
def written(default: object) -> str:
    """A default as it stands in the table, and as it may be given in the environment."""
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return f"`{text}`" if text else ""


@pytest.mark.parametrize("page", PAGES)
def test_the_settings_are_those_of_the_code_with_their_defaults(page: str) -> None:
    table = [row[:2] for row in rows(page, r"PATROLGRID_[A-Z_]+")]
    assert table == [[f"`PATROLGRID_{n.upper()}`", written(f.default)] for n, f in Settings.model_fields.items()]


def test_the_settings_mean_what_the_code_says() -> None:
    meanings = {row[0]: row[2] for row in rows(ENGLISH, r"PATROLGRID_[A-Z_]+")}
    assert meanings == {f"`PATROLGRID_{n.upper()}`": f.description for n, f in Settings.model_fields.items()}


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_setting_that_does_not_exist(page: str) -> None:
    known = {f"PATROLGRID_{name.upper()}" for name in Settings.model_fields} | {"PATROLGRID_"}
    assert set(re.findall(r"PATROLGRID_[A-Z_]*", (ROOT / "docs" / page).read_text("utf-8"))) <= known


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    """Commands set up the logs of the whole process, to the runner's own stderr: give them back to the other tests."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("logs_as_before")
def test_the_command_shows_every_setting_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["settings"])
    said = " ".join((result.output + result.stderr).split())
    for name, field in Settings.model_fields.items():
        assert f"PATROLGRID_{name.upper()} =" in said
        assert field.description is not None
        assert field.description in said, name


# ── Metrics ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def metrics() -> Iterator[tuple[str, str, str]]:
    """Name, labels and help text of every metric that the code makes."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    if node.func.id not in ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"):
                        continue
                    if not node.args or not isinstance(node.args[0], ast.Constant):
                        continue  # collections.Counter, enum.Enum
                    name, text, *more = (ast.literal_eval(argument) for argument in node.args)
                    yield f"`{name}`", ", ".join(f"`{label}`" for label in (more[0] if more else ())), text


def test_the_walk_sees_the_metrics() -> None:
    assert len(list(metrics())) > 10
    source = "".join(f.read_text("utf-8") for package in PACKAGES for f in (ROOT / package).rglob("*.py"))
    imported = re.findall(r"^from prometheus_client import (.*)$", source, re.MULTILINE)
    names = {name for line in imported for name in line.split(", ")}
    assert names <= {"Counter", "Gauge", "Histogram", "CONTENT_TYPE_LATEST", "generate_latest"}, "teach the walk"


@pytest.mark.parametrize("page", PAGES)
def test_the_list_of_metrics_is_complete(page: str) -> None:
    table = [row for row in rows(page, r"patrolgrid_[a-z_]+") if len(row) == 3]
    assert {(name, labels) for name, labels, _ in table} == {(name, labels) for name, labels, _ in metrics()}
    if page == ENGLISH:
        assert {(name, text) for name, _, text in table} == {(name, text) for name, _, text in metrics()}


@pytest.mark.parametrize("page", PAGES)
def test_what_to_watch_exists(page: str) -> None:
    known = {name.strip("`") for name, _, _ in metrics()}
    named = set(re.findall(r"`(patrolgrid_[a-z_]+)", (ROOT / "docs" / page).read_text("utf-8")))
    assert named <= known


# ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────────────
def commands(command: click.Command, path: str = "patrolgrid") -> Iterator[str]:
    """Every command with its sub-commands, as typed."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path
    for name, below in (inner or {}).items():
        yield from commands(below, f"{path} {name}")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_in_the_table(page: str) -> None:
    table = [re.sub(r" [A-Z]+(…)?", "", row[0].strip("`")) for row in rows(page, r"patrolgrid [a-z][^`]*")]
    assert sorted(table) == sorted(commands(get_command(app)))


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
)
def test_commands_in_the_text_exist(page: str) -> None:
    """Beside the tables: ``patrolgrid word word`` in code, everywhere."""
    text = (ROOT / page).read_text("utf-8")
    code = re.findall(r"^```(?:sh|bash)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    known = set(commands(get_command(app)))
    groups = {" ".join(words[:2]) for words in map(str.split, known) if len(words) == 3}
    for words in (found.split() for line in code for found in re.findall(r"\bpatrolgrid(?: [a-z]+){1,2}", line)):
        assert {" ".join(words[:2]), " ".join(words)} & (known | groups), " ".join(words)
