"""What is kept of texts from outside, and that it stays bounded."""

from __future__ import annotations

import pytest

from devices import kept
from devices.kept import LONGEST, Kept


def test_a_text_is_worked_out_once() -> None:
    asked: list[str] = []

    def of(text: str) -> int:
        asked.append(text)
        return len(text)

    lengths = Kept(of)
    assert [lengths["abc"], lengths["abc"], lengths["d"]] == [3, 3, 1]
    assert asked == ["abc", "d"]


def test_long_texts_and_errors_are_not_kept_and_the_others_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 3)
    numbers = Kept(int)
    assert numbers["0" * LONGEST + "7"] == 7
    with pytest.raises(ValueError, match="invalid literal"):
        numbers["x"]
    assert not numbers
    for n in range(10):
        assert numbers[str(n)] == n
        assert len(numbers) <= 3
