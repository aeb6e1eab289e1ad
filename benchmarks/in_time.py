"""A bound on the CPU that one thing takes: what hangs is reported, and not waited for."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

SLOWEST: Final = 5.0  # CPU seconds for one batch, or one stream: then it hangs


@contextmanager
def in_time(what: Callable[[], object]) -> Iterator[None]:
    """Interrupts what takes more than :data:`SLOWEST` of CPU, however busy the machine; in the main thread alone."""

    def hangs(*_: Any) -> None:
        raise TimeoutError(f"more than {SLOWEST} s of CPU: {what()!r}")

    before = signal.signal(signal.SIGPROF, hangs)
    signal.setitimer(signal.ITIMER_PROF, SLOWEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
