"""Every page: its links lead somewhere, its paths exist, and its other language has the same parts and commands."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
NOT_OURS = {".venv", ".git", ".patrolgrid", "node_modules", "vendor", ".pytest_cache", ".hypothesis"}
PAGES = sorted(
    path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.md") if not NOT_OURS & set(path.relative_to(ROOT).parts)
)
TWINS = [page for page in PAGES if page.replace(".md", ".zh-CN.md") in PAGES]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@cache
def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def prose(page: str) -> str:
    return FENCE.sub("", text(page))


def headings(page: str) -> list[str]:
    return re.findall(r"^(#+ .*)$", prose(page), re.MULTILINE)


def anchors(page: str) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    words = (re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading.lstrip("# ")) for heading in headings(page))
    return {re.sub(r"[^\w\- ]", "", word.lower()).replace(" ", "-") for word in words}


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(<?([^)\s>]+)>?\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = ((ROOT / page).parent / unquote(place)).resolve() if place else ROOT / page
        assert file.exists(), f"{target}: there is no such file"
        assert ROOT in (file, *file.parents), f"{target}: outside the project"
        if anchor:
            assert unquote(anchor) in anchors(file.relative_to(ROOT).as_posix()), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES)
def test_paths_named_in_code_exist(page: str) -> None:
    """``store/readings.py`` in backticks is there; a path with ``<…>`` or ``…`` in it is a pattern."""
    tops = {path.name for path in ROOT.iterdir()}
    for word in re.findall(r"`([^`\n]+)`", prose(page)):
        if word.split("/")[0] in tops and re.fullmatch(r"[\w.-]+(/[\w.-]+)*(/|\.[a-z]{2,7})", word):
            assert (ROOT / word).exists() or (ROOT / page).parent.joinpath(word).exists(), word


@pytest.mark.parametrize("page", [page for page in PAGES if re.match(r"CONTRIBUTING|docs/architecture", page)])
def test_functions_named_in_code_exist(page: str) -> None:
    """``write_batch()`` in backticks is defined somewhere."""
    for word in re.findall(r"`(?:\w+\.)*(\w+)\(\)`", prose(page)):
        assert re.search(rf"\b(def|class|function) {word}\b", source()), word


@cache
def source() -> str:
    """All Python and JavaScript of the project."""
    folders = ("devices", "detectors", "alerts", "store", "ingest", "simulators", "console", "server", "tests")
    files = (f for folder in folders for end in ("py", "js") for f in (ROOT / folder).rglob(f"*.{end}"))
    return "\n".join(f.read_text("utf-8") for f in files if "vendor" not in f.parts)


# ── Two languages ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_people_read_first_exists_in_both_languages() -> None:
    assert {"README.md", "CONTRIBUTING.md", *(p for p in PAGES if re.fullmatch(r"docs/[^/.]+\.md", p))} <= set(TWINS)


def test_no_translation_has_lost_its_page() -> None:
    assert {page.replace(".zh-CN.md", ".md") for page in PAGES if page.endswith(".zh-CN.md")} == set(TWINS)


def shape(page: str) -> list[int]:
    return [len(heading.split(" ")[0]) for heading in headings(page)]


@pytest.mark.parametrize("page", TWINS)
def test_both_languages_have_the_same_headings(page: str) -> None:
    assert shape(page) == shape(page.replace(".md", ".zh-CN.md"))


@pytest.mark.parametrize("page", TWINS)
def test_both_languages_lead_to_each_other(page: str) -> None:
    name = Path(page).stem
    assert f"]({name}.zh-CN.md)" in text(page)
    assert f"]({name}.md)" in text(page.replace(".md", ".zh-CN.md"))


def commands(page: str) -> list[tuple[str, list[str]]]:
    """The language of each block, and its lines without comments; of a block without a language nothing more."""
    found = []
    for language, block in FENCE.findall(text(page)):
        lines = [re.sub(r"\s+#.*|^#.*", "", line).rstrip() for line in block.splitlines()]
        found.append((language, [line for line in lines if line] if language else []))
    return found


@pytest.mark.parametrize("page", TWINS)
def test_both_languages_have_the_same_commands(page: str) -> None:
    assert commands(page) == commands(page.replace(".md", ".zh-CN.md"))


@pytest.mark.parametrize("page", TWINS)
def test_both_languages_have_tables_of_the_same_size(page: str) -> None:
    rows = [len(re.findall(r"^\|", prose(p), re.MULTILINE)) for p in (page, page.replace(".md", ".zh-CN.md"))]
    assert rows[0] == rows[1]


# ── Decisions ───────────────────────────────────────────────────────────────────────────────────────────────────────
ADRS = sorted(path.name for path in (ROOT / "docs" / "adr").glob("[0-9]*.md"))


def test_the_index_lists_every_decision_with_its_title_in_order() -> None:
    titles = [(name, text(f"docs/adr/{name}").split("\n")[0].removeprefix("# ")) for name in ADRS]
    listed = re.findall(r"^- \[(.+)\]\((.+)\)", text("docs/adr/README.md"), re.MULTILINE)
    assert listed == [(title, name) for name, title in titles]


@pytest.mark.parametrize("name", ADRS)
def test_a_decision_has_its_number_its_state_and_its_parts(name: str) -> None:
    page = text(f"docs/adr/{name}")
    assert re.match(rf"# {name[:4]} \S.*\n\n(Accepted|Superseded by \[\d{{4}}\]\(.+\))\.\n", page)
    for heading in ("Question", "Decision", "Rejected"):
        assert f"\n## {heading}\n" in page


def test_no_number_is_given_twice() -> None:
    assert len({name[:4] for name in ADRS}) == len(ADRS)
