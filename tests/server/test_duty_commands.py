"""``patrolgrid duty`` on the real database, as typed: 456 rows in seconds, and nothing half-imported."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from server import account_commands, duty_commands, site_commands

EXAMPLES = Path(__file__).parents[2] / "examples"
SHIJIU, BIG = EXAMPLES / "shijiu", EXAMPLES / "duty456"


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings that name the test's database, in an empty folder, on a wide terminal; the example site is loaded."""
    monkeypatch.setenv("PATROLGRID_DATABASE_URL", database_url)
    monkeypatch.setenv("PATROLGRID_MQTT_URL", "mqtt://127.0.0.1:1")  # nothing here needs a broker
    monkeypatch.chdir(tmp_path)
    for console in (duty_commands.out, account_commands.err, site_commands.out, site_commands.err):
        monkeypatch.setattr(console, "_width", 260)
    assert run(site_commands.site, "load", str(SHIJIU)).exit_code == 0


def run(app: Typer, *words: str) -> Result:
    return CliRunner().invoke(app, words)


def duty(*words: str) -> Result:
    return run(duty_commands.app, *words)


def test_456_rows_in_seconds(tmp_path: Path) -> None:
    assert duty("import", "--merge", str(BIG / "categories.csv")).exit_code == 0
    before = time.monotonic()
    result = duty("import", "--merge", str(BIG / "duty.csv"))
    took = time.monotonic() - before
    assert result.exit_code == 0, result.output
    assert "456 added, 0 changed, 0 removed" in result.output
    assert took < 5, f"{took:.1f} s"
    print(f"456 rows imported in {took:.2f} s")
    assert duty("check").exit_code == 0
    again = duty("import", "--merge", str(BIG / "duty.csv"))
    assert "0 added, 0 changed, 0 removed" in again.output
    book = tmp_path / "all.xlsx"
    assert duty("export", str(book)).exit_code == 0
    same = duty("import", str(book))
    assert same.exit_code == 0, same.output
    assert "0 added, 0 changed, 0 removed" in same.output, "a workbook comes back as it was"


def test_a_dry_run_shows_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "change.csv"
    file.write_text("事项,辖区,责任单位\nsos,990101000000,command\nfire,990101101201,village-qingpu\n", "utf-8")
    result = duty("import", "--merge", "--dry-run", str(file))
    assert result.exit_code == 0, result.output
    assert "sos 990101000000" in result.output
    assert "1 added, 1 changed, 0 removed (dry run" not in result.output
    assert "1 added, 1 changed, 0 removed / 新增 1，修改 1，删除 0 (dry run / 预览)" in result.output
    assert duty("export", "now.csv").exit_code == 0
    assert (tmp_path / "now.csv").read_bytes() == (SHIJIU / "duty.csv").read_bytes()


def test_a_wrong_file_changes_nothing_and_every_fault_has_its_row(tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(
        "category,area,unit\n"
        "sos,990101000000,command\n"
        "sos,990101000000,fishery\n"
        "fire,990101999000,emergency\n"
        "fire,990101101000,nobody\n"
        "dragons,990101101000,command\n"
        "crowd,990101101000,command\n"
        "crowd,990101101000,command\n",
        "gb18030",
    )
    for words in (("import", str(file)), ("check", str(file)), ("check", "--site", str(SHIJIU), str(file))):
        result = duty(*words)
        assert result.exit_code == 1
        for said in (
            "bad.csv, row 3: category 'sos' in 990101000000 belongs to both 'command' (row 2) and 'fishery'",
            "bad.csv, row 4: there is no area 990101999000",
            "bad.csv, row 5: there is no unit 'nobody'",
            "bad.csv, row 6: there is no kind 'dragons'",
            "bad.csv, row 8: 'crowd' in 990101101000 repeats an earlier row (row 7)",
            "note: category 'illegal_fishing' has no unit in Binhu Example District (990101000000)",
        ):
            assert said in result.output, result.output
    assert duty("export", "now.csv").exit_code == 0
    assert (tmp_path / "now.csv").read_bytes() == (SHIJIU / "duty.csv").read_bytes()


def test_what_is_no_file_of_ours_is_said(tmp_path: Path) -> None:
    for name, content, said in (
        ("a.csv", b"", "holds nothing"),
        ("b.csv", b"a,b\n1,2\n", "is no table of ours"),
        ("c.xlsx", b"PK\x03\x04 not a workbook", "no Excel workbook"),
        ("d.csv", b'category,area,unit\n"sos,9,x\n', "is no CSV"),
        ("e.csv", b"category,area,unit\n", "nothing would be left"),
    ):
        (tmp_path / name).write_bytes(content)
        result = duty("import", name)
        assert result.exit_code == 1
        assert said in result.output, result.output
    assert "No such file" in (duty("import", "missing.csv").output + duty("import", "missing.csv").stderr)
    assert duty("export", "x.txt").exit_code == 1
    assert duty("export", "a.csv").exit_code == 1, "it is there already"
    assert duty("export", "--table", "categories", "--replace", "a.csv").exit_code == 0
    assert (tmp_path / "a.csv").read_bytes() == (SHIJIU / "categories.csv").read_bytes()
