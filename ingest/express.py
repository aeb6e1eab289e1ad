"""The express lane: nearly all that a site sends are plain fixes of known devices, and those are taken in bulk.

It comes before the other steps and takes only what all of them up to the checks of time and place would pass; what it
leaves takes the long way with the same result, or is refused there with the reason.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from devices.codecs.fix_columns import plain_fixes
from devices.readings import Rows
from ingest.messages import Messages
from ingest.topics import UNKNOWN
from ingest.work import Directory, Work

if TYPE_CHECKING:
    from ingest.pipeline import Pipeline

PARSING: Final = ThreadPoolExecutor(1, "parsing")
"""A thread of its own: whoever else needs threads, to mail for minutes perhaps, does not keep messages waiting."""
CODEC: Final = "patrolgrid"  # whose fixes these are, for the metrics


async def express(pipeline: Pipeline, work: Work) -> None:
    """Plain fixes of known, active devices in their own area, straight to columns. Rejects nothing."""
    loop, messages = asyncio.get_running_loop(), work.messages
    work.express, work.express_origin = await loop.run_in_executor(PARSING, _taken, pipeline.directory, messages)
    rest = np.ones(len(messages), bool)
    rest[work.express_origin] = False
    work.rest = np.flatnonzero(rest).tolist()
    work.by_codec[CODEC] += len(messages) - len(work.rest)


def _taken(directory: Directory, messages: Messages) -> tuple[Rows, NDArray[np.intp]]:
    """The fixes, and the message of each."""
    devices = directory.own_fixes(messages)
    known = np.flatnonzero(devices != UNKNOWN)
    facts = messages.facts
    fixes, origin = plain_fixes(messages.data, facts["payload"][known], facts["payload_bytes"][known])
    origin = known[origin]
    fixes["device"], fixes["received"] = devices[origin], facts["received"][origin]
    return fixes, origin
