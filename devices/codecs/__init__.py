"""The wire formats that are understood, and which of them a topic belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from devices.codec import Codec
from devices.codecs.owntracks import OwnTracksCodec
from devices.codecs.patrolgrid import PatrolGridCodec
from devices.kept import Kept

CODECS: Final[tuple[Codec, ...]] = (PatrolGridCodec(), OwnTracksCodec())


def subscriptions(shares: Iterable[str] = ("+",), *, without_area: bool = True) -> list[str]:
    """The MQTT topic filters of all codecs for a worker that has these areas; "+" is all areas.

    ``without_area`` says whether topics that name no area are its business too.
    """
    shares = list(shares)
    filters = [
        f.replace("{share}", share)
        for codec in CODECS
        for f in codec.filters
        for share in (shares if "{share}" in f else [""] if without_area else [])
    ]
    return list(dict.fromkeys(filters))


def route(topic: str) -> Codec | None:
    """The codec whose filters this topic matches; None for an unknown one."""
    return _ROUTES[topic]


def share_of(topic: str) -> str | None:
    """The area segment of a topic, by which work is shared out; None where its wire format has none."""
    return _SHARES[topic]


def _route(topic: str) -> Codec | None:
    levels = topic.split("/")
    for codec in CODECS:
        if any(_matches(f.split("/"), levels) for f in codec.filters):
            return codec
    return None


def _share(topic: str) -> str | None:
    levels = topic.split("/")
    for codec in CODECS:
        for f in codec.filters:
            pattern = f.split("/")
            if "{share}" in pattern and _matches(pattern, levels):
                return levels[pattern.index("{share}")]
    return None


def _matches(pattern: list[str], levels: list[str]) -> bool:
    """Whether the levels of a topic match those of a filter, by MQTT's rules for ``+`` and ``#``."""
    for i, wanted in enumerate(pattern):
        if wanted == "#":
            return True  # also matches the parent level itself
        if i >= len(levels) or (wanted not in ("+", "{share}") and wanted != levels[i]):
            return False
    return len(levels) == len(pattern)


_ROUTES: Final[Kept[Codec | None]] = Kept(_route)
_SHARES: Final[Kept[str | None]] = Kept(_share)
