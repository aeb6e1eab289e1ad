"""The history of ``make bench`` in small: what it fills is read back by every question it asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import history

A_DAY = 86_400 // history.EVERY


def test_a_history_is_there_for_every_question(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast is printed and not judged here."""
    monkeypatch.setattr(history, "TURNS", 2)
    rows = 10 * A_DAY + 29 * A_DAY  # ten terminals yesterday, one of them in the 29 days before
    figures = history.history_figures(wanted=rows, terminals=10, data_dir=folder, seconds=600)
    print(figures)
    assert figures["query_rows"] == figures["large_table_rows"] == rows
    assert figures["query_rows_of_the_day"] == 10 * A_DAY
    assert figures["day_track_points"] == A_DAY
    assert figures["month_track_points"] == 30 * A_DAY
    assert figures["latest_devices"] == 10
    assert figures["heat_day_cells"] > 10
    assert figures["heat_hour_rolled_up_s"] > 0
    assert figures["large_to_empty_insert"] > 0
