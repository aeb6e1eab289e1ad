"""Logs go to standard error as it is at the moment, one event a line, and hold no local variables."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from server.telemetry import set_up_logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root, kept = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**kept)


def fail(password: str) -> None:
    raise ValueError("it went wrong")


def test_one_json_object_a_line_from_us_and_from_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", as_json=True)
    structlog.get_logger().info("case_opened", number="PG-1", title="求救")
    logging.getLogger("some.library").warning("slow %s", "disk")
    structlog.get_logger().debug("too_fine")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [("case_opened", "info"), ("slow disk", "warning")]
    assert lines[0]["title"] == "求救"


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_holds_no_local_variables(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", as_json=as_json)
    try:
        fail("-".join(("hunter2", "in", "a", "variable")))
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("uvicorn.error").exception("failed too")
    said = capsys.readouterr().err
    assert said.count("it went wrong") >= 2
    assert "hunter2-in-a-variable" not in said


def test_standard_error_may_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stderr", first)
    set_up_logs("info", as_json=True)
    log = structlog.get_logger()
    monkeypatch.setattr("sys.stderr", second)
    first.close()
    log.info("still_heard")
    logging.getLogger("library").warning("this too")
    assert [json.loads(line)["event"] for line in second.getvalue().splitlines()] == ["still_heard", "this too"]
