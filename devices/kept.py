"""What is worked out from texts that come from outside, kept for the next time, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

V = TypeVar("V")

LONGEST: Final = 256  # characters of a text that is kept: who sends could fill the memory with longer ones
MOST: Final = 1 << 17  # texts; with one more all are forgotten


class Kept(dict[str, V]):
    """``kept[text]`` is ``of(text)``, as a rule without calling it again. What it raises is not kept."""

    def __init__(self, of: Callable[[str], V]) -> None:
        self._of = of

    def __missing__(self, text: str) -> V:
        found = self._of(text)
        if len(text) <= LONGEST:
            if len(self) >= MOST:
                self.clear()
            self[text] = found
        return found
