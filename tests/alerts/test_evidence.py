"""The chain: every change of content, order or number of entries breaks it, and the report names where."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alerts.case import Case, Entry, recorded
from alerts.evidence import START, Line, NotEvidence, canonical, case_faults, entry_hash, hash_of, plain, verify
from detectors.base import Sentence

NOW = datetime(2026, 11, 20, 2, 30, 0, 123456, tzinfo=UTC)
CASE = Case("PG-1", "fishing", Sentence("垂钓", "Angling"), "high", "opened", None, "u", NOW, NOW, id=7)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)
contents = st.lists(
    st.tuples(st.text("ab", max_size=3), st.sampled_from(["note", "accept"]), st.text("é你", max_size=3), values),
    min_size=1,
    max_size=6,
)


def chain(drawn: Sequence[tuple[str, str, str, Any]]) -> list[Entry]:
    entries, head = [], START
    for n, (actor, action, note, value) in enumerate(drawn, 1):
        data = {"value": value} if n > 1 else {"value": value, "set": recorded(CASE)}
        entry = Entry(7, n, NOW + timedelta(seconds=n), actor, action, note, plain(data), head)
        entries.append(replace(entry, hash=hash_of(entry)))
        head = entries[-1].hash
    return entries


def lines(entries: Sequence[Entry]) -> list[Line]:
    return [Line(entry.seq, entry, entry.hash) for entry in entries]


def test_the_hash_is_what_the_documentation_says() -> None:
    """Written out, so that somebody else's program can verify an exported case."""
    data = {"lon": 118.5, "b": True, "set": {"status": "opened"}, "zh": "禁渔"}
    text = (
        '{"action":"raise","actor":"system","at":1795141800123456,"case":7,'
        '"data":{"b":true,"lon":118.5,"set":{"status":"opened"},"zh":"禁渔"},"note":"n","seq":1}'
    )
    found = entry_hash(prev_hash=START, case_id=7, seq=1, at=NOW, actor="system", action="raise", note="n", data=data)
    assert found == hashlib.sha256(bytes(32) + text.encode()).digest()


@given(contents)
def test_an_untouched_chain_holds(drawn: Any) -> None:
    entries = chain(drawn)
    assert verify(entries) is None
    assert case_faults(7, CASE, lines(entries)) == []


@given(drawn=contents, data=st.data())
def test_any_changed_entry_is_named(drawn: Any, data: st.DataObject) -> None:
    entries = chain(drawn)
    n = data.draw(st.integers(0, len(entries) - 1))
    old = entries[n]
    changed = data.draw(
        st.sampled_from(
            [
                replace(old, actor=old.actor + "x"),
                replace(old, action=old.action + "x"),
                replace(old, note=old.note + " "),
                replace(old, at=old.at + timedelta(microseconds=1)),
                replace(old, data={**old.data, "more": 1}),
                replace(old, hash=bytes(32)),
                replace(old, prev_hash=bytes(31) + b"\x01"),
            ]
        )
    )
    broken = [*entries[:n], changed, *entries[n + 1 :]]
    assert verify(broken) == old.seq
    fault = case_faults(7, CASE, lines(broken))[0]
    assert (fault.number, fault.seq) == ("PG-1", old.seq)
    assert "PG-1" in fault.zh and str(old.seq) in fault.en


@given(drawn=contents, data=st.data())
def test_an_entry_rewritten_with_all_hashes_after_it_is_found_by_the_ledger(drawn: Any, data: st.DataObject) -> None:
    entries = chain(drawn)
    n = data.draw(st.integers(0, len(entries) - 1))
    forged = chain([(*d[:2], d[2] + "假", d[3]) if i == n else d for i, d in enumerate(drawn)])
    assert verify(forged) is None, "the case alone cannot tell"
    listed = [Line(f.seq, f, e.hash) for f, e in zip(forged, entries, strict=True)]
    fault = case_faults(7, CASE, listed)[0]
    assert (fault.kind, fault.seq) == ("rewritten", n + 1)


@given(drawn=contents, data=st.data())
def test_a_missing_entry_is_named_also_at_the_end(drawn: Any, data: st.DataObject) -> None:
    entries = chain(drawn)
    n = data.draw(st.integers(0, len(entries) - 1))
    gone = [Line(e.seq, None if i == n else e, e.hash) for i, e in enumerate(entries)]
    found = [(f.kind, f.seq) for f in case_faults(7, CASE, gone) if f.kind != "row"]
    assert found == [("missing", n + 1)]
    if n < len(entries) - 1:
        assert verify(entries[:n] + entries[n + 1 :]) == n + 1
    else:
        assert verify(entries[:n]) is None, "that is why there is a ledger"


@given(drawn=contents, data=st.data())
def test_another_order_breaks_it(drawn: Any, data: st.DataObject) -> None:
    entries = chain(drawn)
    shuffled = data.draw(st.permutations(entries))
    assume(shuffled != entries)
    assert verify(shuffled) is not None


def test_an_entry_that_the_ledger_does_not_list() -> None:
    entries = chain([("a", "note", "", 1), ("b", "note", "", 2)])
    slipped_in = [*lines(entries[:1]), Line(2, entries[1], None)]
    assert [(f.kind, f.seq) for f in case_faults(7, CASE, slipped_in)] == [("unlisted", 2)]


def test_a_case_that_says_otherwise_than_its_entries() -> None:
    entries = lines(chain([("a", "raise", "", 1)]))
    fault = case_faults(7, replace(CASE, due_at=NOW + timedelta(days=1), outcome="x"), entries)
    assert [(f.kind, f.seq) for f in fault] == [("row", 0), ("row", 0)]
    assert "due_at" in fault[0].en and "outcome" in fault[1].zh
    assert case_faults(7, None, entries)[0].kind == "no_case"
    assert case_faults(7, CASE, [])[0].kind == "missing"


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"a": [1, float("nan")]}, r"data\.a\[1\] is nan"),
        ({"a": {"b": float("inf")}}, r"data\.a\.b is inf"),
        ({"a": "x\x00"}, r"data\.a = 'x\\x00'"),
        ({"\ud800": 1}, "holds a character"),
        ({1: 1}, "the key 1"),
        ({"a": {1, 2}}, r"data\.a = "),
        ({"a": b"x"}, r"data\.a = b'x'"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_place(wrong: Any, where: str) -> None:
    with pytest.raises(NotEvidence, match=where):
        plain(wrong)


@given(values)
def test_plain_values_come_back_the_same_from_json(value: Any) -> None:
    kept = plain(value)
    assert canonical(plain(json.loads(canonical(kept)))) == canonical(kept)
    assert plain(kept) == kept


def test_whole_floats_are_integers_as_jsonb_gives_them_back() -> None:
    assert canonical(plain([1.0, -0.0, 1e22, 0.1, True])) == b"[1,0,10000000000000000000000,0.1,true]"
