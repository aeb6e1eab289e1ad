"""The express lane: nearly all that a site sends are plain fixes of known devices, and those are taken in bulk.

It comes before the other steps and takes only what all of them up to the checks of time and place would pass; what it
leaves takes the long way with the same result, or is refused there with the reason.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import numpy as np

from devices.codecs.fix_columns import plain_fixes
from ingest.work import UNKNOWN, Work

if TYPE_CHECKING:
    from ingest.pipeline import Pipeline

PARSING: Final = ThreadPoolExecutor(1, "parsing")
"""A thread of its own: whoever else needs threads, to mail for minutes perhaps, does not keep messages waiting."""
CODEC: Final = "patrolgrid"  # whose fixes these are, for the metrics


async def express(pipeline: Pipeline, work: Work) -> None:
    """Plain fixes of known, active devices in their own area, straight to columns. Rejects nothing."""
    messages = work.messages
    devices = pipeline.directory.own_fixes(messages.topics)
    known = np.flatnonzero(devices != UNKNOWN)
    payloads = messages.payloads
    if len(known) < len(payloads):
        payloads = [payloads[index] for index in known.tolist()]
    fixes, origin = await asyncio.get_running_loop().run_in_executor(PARSING, plain_fixes, payloads)
    origin = known[origin]
    fixes["device"], fixes["received"] = devices[origin], messages.facts["received"][origin]
    work.express, work.express_origin = fixes, origin
    rest = np.ones(len(messages), bool)
    rest[origin] = False
    work.rest = np.flatnonzero(rest).tolist()
    work.by_codec[CODEC] += len(messages) - len(work.rest)
