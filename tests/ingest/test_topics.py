"""Topics found in bulk are those that a dictionary finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.topics import LONGEST, UNKNOWN, Topics

alike = st.text("aé/", max_size=20) | st.integers(0, LONGEST + 9).map(lambda size: "a" * size)
texts = alike | st.text(st.characters(codec="utf-8"), max_size=40)


def found(topics: Topics, asked: list[bytes], before: bytes = b"x") -> list[int]:
    """The numbers of topics that lie one after the other behind other bytes."""
    size = np.array([len(name) for name in asked], np.uint16)
    begin = (len(before) + np.cumsum(size) - size).astype(np.int32)
    return topics.find(before + b"".join(asked), begin, size).tolist()


def known(topic: bytes) -> bool:
    return 8 <= len(topic) <= LONGEST


@given(st.dictionaries(texts, st.integers(0, 1 << 30), max_size=30), st.lists(texts, max_size=30), st.binary())
def test_as_a_dictionary(numbers: dict[str, int], others: list[str], before: bytes) -> None:
    asked = [text.encode() for text in (*others, *numbers, *others)]
    by_name = {text.encode(): number for text, number in numbers.items()}
    wanted = [by_name.get(name, UNKNOWN) if known(name) else UNKNOWN for name in asked]
    assert found(Topics(numbers), asked, before) == wanted


def test_topics_whose_hashes_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """All in one place of the table: each is looked for behind the others."""
    monkeypatch.setattr(Topics, "_hashes", lambda self, columns: np.full(columns.shape[1], self._mask, np.intp))
    numbers = {f"pg/v1/area/T{n}/fix": n for n in range(50)}
    topics = Topics(numbers)
    asked = [name.encode() for name in [*numbers, "pg/v1/area/T50/fix"] * 2]
    assert found(topics, asked) == [*range(50), UNKNOWN] * 2


def test_many_topics() -> None:
    numbers = {f"pg/v1/990101001000/B{n:06d}/fix": 7 * n for n in range(30_000)}
    asked = [name.encode() for name in numbers]
    assert found(Topics(numbers), asked) == list(numbers.values())
    assert set(found(Topics(numbers), [name[:-1] + b"y" for name in asked])) == {UNKNOWN}


def test_nothing_known_and_nothing_asked() -> None:
    assert found(Topics({}), [b"pg/v1/area/T1/fix", b""]) == [UNKNOWN, UNKNOWN]
    assert found(Topics({"pg/v1/area/T1/fix": 1}), [], b"") == []
