"""The Dockerfile's steps that need no Docker: what it copies exists, and the wheel it builds is complete."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
DOCKERFILE = (TOP / "Dockerfile").read_text()
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def _copied() -> set[str]:
    """The sources of all COPY lines that take from this folder."""
    found: set[str] = set()
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        found.update(line.split()[:-1])
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in the wheel, built as the Dockerfile builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=TOP, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file).namelist()


def test_all_that_is_copied_exists_and_gets_past_the_ignore_file() -> None:
    let_in = {line[1:] for line in (TOP / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in _copied():
        assert (TOP / name).exists(), name
        assert name in let_in, name


def test_all_packages_are_copied() -> None:
    assert set(PACKAGES) <= _copied()


def test_it_does_not_run_as_root_and_installs_by_hash() -> None:
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert re.search(r"^USER [1-9]\d*$", last, re.MULTILINE)
    installs = re.findall(r"pip install (.*)", DOCKERFILE)
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)


def test_the_wheel_holds_what_is_not_python_too(wheel: list[str]) -> None:
    """SQL, pages and type markers are what build tools lose without a word."""
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=TOP, capture_output=True, text=True, check=True)
    expected = set(tracked.stdout.splitlines())
    assert any(name.endswith(".sql") for name in expected)
    assert expected - set(wheel) == set()


def test_the_wheel_has_the_command(wheel: list[str]) -> None:
    assert any(name.endswith(".dist-info/entry_points.txt") for name in wheel)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt", "requirements-dev.txt"])
def test_lock_files_have_hashes_and_no_addresses(name: str) -> None:
    text = (TOP / name).read_text()
    pins = re.findall(r"^([\w.-]+)==\S+.*\\\n((?:\s+--hash=sha256:[0-9a-f]{64}.*\n)+)", text, re.MULTILINE)
    starts = re.findall(r"^[\w.-]+", text, re.MULTILINE)
    assert len(pins) == len(starts)
    assert "://" not in text
    assert not re.search(r"^\s*--(extra-)?index-url", text, re.MULTILINE)


def test_every_dependency_is_locked() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", (TOP / "requirements.txt").read_text(), re.MULTILINE))
    tools = set(re.findall(r"^([\w.-]+)==", (TOP / "requirements-dev.txt").read_text(), re.MULTILINE))
    needed = {re.split(r"[\[<>=~! ]", line)[0].lower() for line in PROJECT["project"]["dependencies"]}
    groups = PROJECT["dependency-groups"]
    wanted = {re.split(r"[\[<>=~! ]", line)[0].lower() for line in groups["dev"] if isinstance(line, str)}
    assert needed <= locked, "run `make lock`"
    assert needed | wanted <= tools, "run `make lock`"
