"""The steps before the store, without broker and database: nothing raises, and every message is accounted for."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.readings import SECOND, Flag
from devices.registry import Registry
from ingest.express import express
from ingest.messages import Message
from ingest.pipeline import STEPS, Step
from ingest.steps import sort
from ingest.work import Directory, Work

NOW = 1_732_230_000
BEFORE_STORE = STEPS[: STEPS.index(sort)]  # which makes one of several fixes of one moment

number = st.sampled_from([0, -1, 1e-7, 118.88, 31.47, 180, 181, 1e300, -90.5, NOW, NOW + 400, NOW - 4e6, 1e12])
topic = st.one_of(
    st.builds(
        "pg/v1/{}/{}/{}".format,
        st.sampled_from(["320118001000", "320118002000", "x"]),
        st.sampled_from(["T-1", "T-2", "T-3", "C-1", "C-2", "S-1", "X-1", "nobody"]),
        st.sampled_from(["fix", "sos", "sighting", "sample", "status", "command/ack", "other"]),
    ),
    st.sampled_from(["owntracks/zhang/phone", "owntracks/li/phone", "owntracks//", "", "x"]),
)
fields = st.fixed_dictionaries(
    {"t": st.sampled_from([NOW, NOW - 60]) | number, "lon": st.just(118.88) | number, "lat": st.just(31.47) | number},
    optional={
        "_type": st.sampled_from(["location", "lwt", "card", "beacon"]),
        "tst": number,
        "label": st.sampled_from(["net", "", "a\0"]),
        "q": st.just("smoke"),
        "v": number,
        "online": st.booleans(),
        "id": st.just("41"),
        "ok": st.booleans(),
        "crs": st.sampled_from(["gcj02", "bd09", "utm"]),
        "kind": st.sampled_from(["man_down", "x"]),
        "sos": st.booleans(),
        "acc": number,
    },
)
payload = st.one_of(
    fields.map(lambda f: json.dumps(f).encode()),
    st.lists(fields, max_size=3).map(lambda f: json.dumps(f).encode()),
    st.binary(max_size=8),
)
message = st.builds(
    lambda topic, payload, late, dup, retained: Message(topic, payload, (NOW + late) * SECOND, 1, 1, 1, dup, retained),
    topic,
    payload,
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)


async def prepared(messages: list[Message], registry: Registry, steps: Sequence[Step] = BEFORE_STORE) -> Work:
    pipeline: Any = SimpleNamespace(
        directory=Directory(registry), future_limit=300.0, backfill_days=30.0, listener=SimpleNamespace(filters=())
    )
    work = Work(messages)
    for step in steps:
        await step(pipeline, work)
    return work


def rows_of(work: Work) -> list[tuple[Any, ...]]:
    return [
        (name, *(None if isinstance(x, float) and math.isnan(x) else x for x in row.tolist()))
        for name, kind in zip(("fix", "sighting", "sample"), work.kinds, strict=True)
        for row in kind.rows
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(message, max_size=12))
def test_every_message_is_accounted_for(registry: Registry, messages: list[Message]) -> None:
    work = asyncio.run(prepared(messages, registry))
    kept = {int(i) for kind in work.kinds for i in kind.origin} | {index for index, _ in work.acks}
    for index, lone in enumerate(messages):
        without_reading = lone.payload == b"[]" or b'"card"' in lone.payload
        # A retained alarm of the very moment of its reception is taken for one without a time, which is passed over.
        alarm = lone.topic.endswith("/sos") or b'"sos"' in lone.payload
        again = lone.retained and alarm and b"%d" % (lone.received // SECOND) in lone.payload
        assert index in kept or index in work.rejects or without_reading or again
    for kind in work.kinds:
        assert len(kind.rows) == len(kind.origin)
        assert (kind.rows["device"] > 0).all()
        ahead = kind.rows["at"] - kind.rows["received"]
        assert ((ahead <= 300 * SECOND) & (ahead >= -30 * 86_400 * SECOND)).all()
    fixes = work.fixes.rows
    placed = fixes[fixes["flags"] & Flag.NO_POSITION == 0]
    assert ((np.abs(placed["lon"]) <= 180) & (np.abs(placed["lat"]) <= 90)).all()
    assert not (fixes["device"] == 3).any()  # it is switched off


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(message, max_size=12))
def test_the_express_lane_changes_nothing(registry: Registry, messages: list[Message]) -> None:
    fast = asyncio.run(prepared(messages, registry))
    slow = asyncio.run(prepared(messages, registry, [step for step in BEFORE_STORE if step is not express]))
    assert sorted(rows_of(fast), key=repr) == sorted(rows_of(slow), key=repr)
    assert fast.rejects == slow.rejects
    assert fast.acks == slow.acks
    assert fast.by_codec == slow.by_codec


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(message, max_size=12), cut=st.integers(0, 12))
def test_the_cut_into_batches_does_not_matter(registry: Registry, messages: list[Message], cut: int) -> None:
    whole = asyncio.run(prepared(messages, registry))
    first, second = (asyncio.run(prepared(part, registry)) for part in (messages[:cut], messages[cut:]))
    assert sorted(rows_of(first) + rows_of(second), key=repr) == sorted(rows_of(whole), key=repr)
    assert sorted([*first.rejects.values(), *second.rejects.values()]) == sorted(whole.rejects.values())


@pytest.mark.parametrize(("lon", "placed"), [("", True), (',"lon":119.5,"lat":30.5', False)])
def test_a_sighting_without_a_place_is_where_its_camera_stands(registry: Registry, lon: str, placed: bool) -> None:
    body = f'{{"t":{NOW},"label":"net"{lon}}}'.encode()
    work = asyncio.run(prepared([Message("pg/v1/320118001000/C-1/sighting", body, NOW * SECOND)], registry))
    (seen,) = work.sightings.rows
    assert (seen["lon"], seen["lat"]) == ((118.9, 31.5) if placed else (119.5, 30.5))
