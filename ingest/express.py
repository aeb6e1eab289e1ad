"""The express lane: nearly all that a site sends are plain fixes of known devices, and those are taken in bulk.

It comes before the other steps and takes only what all of them up to the checks of time and place would pass; what it
leaves takes the long way with the same result, or is refused there with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from devices.codecs.fix_columns import fix_arrays, single_fixes
from devices.readings import Rows
from ingest.work import UNKNOWN, Work

if TYPE_CHECKING:
    from ingest.pipeline import Pipeline

CODEC: Final = "patrolgrid"  # whose fixes these are, for the metrics


async def express(pipeline: Pipeline, work: Work) -> None:
    """Plain fixes of known, active devices in their own area, straight to columns. Rejects nothing."""
    messages, directory = work.messages, pipeline.directory
    topics = [message.topic for message in messages]
    devices = directory.own_fixes(topics)
    known = np.flatnonzero(devices != UNKNOWN).tolist()
    begins = [messages[index].payload[:1] for index in known]
    singles = [index for index, begin in zip(known, begins, strict=True) if begin == b"{"]
    arrays = [index for index, begin in zip(known, begins, strict=True) if begin == b"["]
    fixes, taken = single_fixes([messages[index].payload for index in singles])
    origin = np.array(singles, np.intp)[taken]
    if arrays:
        several, counts, whole = fix_arrays([messages[index].payload for index in arrays])
        fixes = np.concatenate([fixes, several])
        origin = np.concatenate([origin, np.repeat(np.array(arrays, np.intp)[whole], counts)])
        taken = np.append(taken, whole)
    _take(work, fixes, origin, devices)
    gone = set(np.array(singles + arrays, np.intp)[taken].tolist())
    work.rest = [index for index in range(len(messages)) if index not in gone]
    work.by_codec[CODEC] += len(gone)


def _take(work: Work, fixes: Rows, origin: NDArray[np.intp], devices: NDArray[np.int32]) -> None:
    received = np.fromiter((message.received for message in work.messages), np.int64, len(work.messages))
    fixes["device"], fixes["received"] = devices[origin], received[origin]
    work.express, work.express_origin = fixes, origin
