"""The page for phones: kept whole by its worker, and kept anew whenever any of it changes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import httpx
import pytest

from console.pages import STATIC
from console.report_page import SHELL, report_worker

Clients = Callable[[str | None], httpx.AsyncClient]
NOT_KEPT = "/static/vendor/"  # fetched when the map is first wanted


def file_of(path: str) -> Path:
    return STATIC / ("report.html" if path == "/report" else path.removeprefix("/static/"))


def wanted(path: str) -> Iterator[str]:
    """What a file of the page asks for: imports, styles, scripts, pictures."""
    text = file_of(path).read_text("utf-8")
    if path.endswith(".js"):
        for name in re.findall(r'(?:from|import\() ?"(\.[^"]+)"|^import "(\.[^"]+)"', text, re.MULTILINE):
            parts = PurePosixPath(path).parent / "".join(name)
            folders: list[str] = []
            for part in parts.parts[1:]:
                if part == "..":
                    folders.pop()
                elif part != ".":
                    folders.append(part)
            yield "/" + "/".join(folders)
    yield from re.findall(r'(?:href|src)(?:: |=)"(/static/[^"]+)"', text)


def test_everything_the_page_asks_for_is_kept_and_nothing_else() -> None:
    found, waiting = {"/report"}, ["/report"]
    while waiting:
        for path in wanted(waiting.pop()):
            if path not in found and not path.startswith(NOT_KEPT):
                found.add(path)
                waiting.append(path)
    assert found == set(SHELL)
    assert len(found) > 15, "the walk finds nothing"


async def test_the_worker_names_them_and_its_version(client: Clients) -> None:
    for who in (None, "grid"):
        answer = await client(who).get("/report-worker.js")
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        page = await client(who).get("/report")
        assert page.content == (STATIC / "report.html").read_bytes()
    shell = re.search(r"^const SHELL = (\[.*\]);$", answer.text, re.MULTILINE)
    assert shell is not None and json.loads(shell[1]) == list(SHELL)
    assert re.search(r'^const VERSION = "[0-9a-f]{16}";$', answer.text, re.MULTILINE)
    for path in SHELL:
        assert (await client(None).get(path)).status_code == 200, path


@pytest.mark.parametrize("path", ["/report", "/static/report/send.js", "/static/i18n.js"])
def test_another_file_makes_another_version(tmp_path: Path, path: str) -> None:
    copy = tmp_path / "static"
    shutil.copytree(STATIC, copy, ignore=shutil.ignore_patterns("vendor"))
    before = report_worker(copy)
    assert before == report_worker(copy) == report_worker(STATIC)
    with (copy / file_of(path).relative_to(STATIC)).open("a") as file:
        file.write("\n")
    assert report_worker(copy) != before
