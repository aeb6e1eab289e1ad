"""One batch on its way through the pipeline, and the registry as columns to look many devices up at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.base import Batch
from devices.codecs.patrolgrid import fix_topic
from devices.readings import FIX, SAMPLE, SIGHTING, CommandAck, Fix, Rows, Sample, Sighting, joined_rows, rows
from devices.registry import Registry
from ingest.messages import Message, Messages
from ingest.topics import UNKNOWN, Topics
from store.rejects import Reject

NO_SHARE: Final = -1  # the share of a topic whose wire format has none
OTHER_SHARE: Final = -2  # of a topic with an area that no device has


class Directory:
    """A registry as dictionaries and columns: addresses to ids, and by id whether it is active and its share."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.shares: dict[str, int] = {}
        self.active: NDArray[np.bool_] = np.zeros(registry.size, bool)
        self.share: NDArray[np.int32] = np.full(registry.size, OTHER_SHARE, np.int32)
        self._ids: dict[str, int] = {}
        fix_topics: dict[str, int] = {}
        for device in registry.devices:
            self._ids.update(dict.fromkeys((device.code, *device.aliases), device.id))
            self.active[device.id] = device.active
            if device.active:
                names = (device.code, *device.aliases)
                fix_topics.update({fix_topic(device.share, name): device.id for name in names})
            self.share[device.id] = self.shares.setdefault(device.share, len(self.shares))
        self._fix_topics = Topics(fix_topics)

    def ids(self, addresses: Sequence[str]) -> NDArray[np.int32]:
        """The device ids of addresses, UNKNOWN where there is none, shape (n,)."""
        return np.fromiter(map(self._ids.get, addresses, repeat(UNKNOWN)), np.int32, len(addresses))

    def own_fixes(self, messages: Messages) -> NDArray[np.int32]:
        """The ids of the devices that send fixes on these topics of the own contract, shape (n,): active ones, in their
        own area. UNKNOWN for every other topic."""
        facts = messages.facts
        return self._fix_topics.find(messages.data, facts["topic"], facts["topic_bytes"])

    def share_id(self, share: str | None) -> int:
        """A number for a topic's area segment, to compare with ``share``."""
        return NO_SHARE if share is None else self.shares.get(share, OTHER_SHARE)


class Kind:
    """The readings of one kind in a batch: tuples while decoding, then columns; ``origin`` is the message of each."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.decoded: list[Any] = []
        self.origins: list[int] = []
        self.addresses: Sequence[str] = ()
        self.rows: Rows = rows(dtype)
        self.origin: NDArray[np.intp] = np.zeros(0, np.intp)

    def to_columns(self, directory: Directory) -> None:
        """Make ``rows`` and ``origin`` of what was decoded. Raises OverflowError for a number that does not fit."""
        if not self.decoded:
            return
        columns = list(zip(*self.decoded, strict=True))
        self.rows = np.empty(len(self.decoded), self.dtype)
        self.addresses = columns[0]
        self.rows["device"] = directory.ids(columns[0])
        with np.errstate(over="ignore"):  # beyond float4: infinite, which the check of places and the store can hold
            for name, column in zip((self.dtype.names or ())[1:], columns[1:], strict=True):
                self.rows[name] = np.fromiter(column, self.dtype[name], len(column))
        self.origin = np.array(self.origins, np.intp)

    def keep(self, good: NDArray[np.bool_]) -> None:
        """Go on with these rows only."""
        if not good.all():
            if self.addresses:
                self.addresses = [a for a, g in zip(self.addresses, good.tolist(), strict=True) if g]
            self.rows, self.origin = self.rows.compress(good), self.origin[good]


class Work:
    """One batch: its messages, what became of them, and the rejects by message. A message has one reject at most."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = Messages.of(messages)
        self.by_codec: Counter[str] = Counter()
        self.fixes, self.sightings, self.samples = Kind(FIX), Kind(SIGHTING), Kind(SAMPLE)
        self.acks: list[tuple[int, CommandAck]] = []
        self.rejects: dict[int, Reject] = {}
        self.rest: Sequence[int] = range(len(messages))  # what the express lane has left
        self.express: Rows = rows(FIX)  # the fixes it has taken, and the message of each
        self.express_origin: NDArray[np.intp] = np.zeros(0, np.intp)
        self.parts: list[Rows] = []  # the fixes as the lanes into the store take them
        self.committed = Batch()  # what is new, once stored

    @property
    def kinds(self) -> tuple[Kind, Kind, Kind]:
        """Fixes, sightings, samples."""
        return self.fixes, self.sightings, self.samples

    def add(self, index: int, readings: Sequence[Any]) -> None:
        """Take the decoded readings of one message."""
        for reading in readings:
            kind = type(reading)
            if kind is Fix:
                into = self.fixes
            elif kind is Sighting:
                into = self.sightings
            elif kind is Sample:
                into = self.samples
            else:
                self.acks.append((index, reading))
                continue
            into.decoded.append(reading)
            into.origins.append(index)

    def refuse(self, index: int, reason: str, detail: str) -> None:
        """Keep a message as a reject; the first reason counts."""
        if index not in self.rejects:
            message = self.messages[index]
            self.rejects[index] = Reject(
                message.topic, message.payload, message.received, reason, detail, message.repeat
            )

    def refuse_rows(self, kind: Kind, bad: NDArray[np.bool_], reason: str, detail: Callable[[Kind, int], str]) -> None:
        """Keep the messages of the rows ``bad`` as rejects; ``detail`` says of a row what is wrong with it."""
        for row in np.flatnonzero(bad).tolist():
            index = int(kind.origin[row])
            if index not in self.rejects:
                self.refuse(index, reason, detail(kind, row))

    def join(self) -> None:
        """Put what the express lane has taken between the other fixes, in the order of their messages: of two of one
        moment the first counts."""
        kind = self.fixes
        if len(kind.rows) and len(self.express):
            origin = np.concatenate([self.express_origin, kind.origin])
            order = np.argsort(origin, kind="stable")
            kind.rows, kind.origin = joined_rows(FIX, [self.express, kind.rows]).take(order), origin[order]
            kind.addresses = ()
        elif len(self.express):  # nearly always
            kind.rows, kind.origin = self.express, self.express_origin
