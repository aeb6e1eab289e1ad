"""What every JSON codec shares: bounds of a payload, msgspec's errors as reasons, time and text that can be stored."""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeVar

import msgspec
import numpy as np

from devices.codec import Undecodable
from devices.site import micros

T = TypeVar("T")

MAX_PAYLOAD: Final = 1 << 20
"""Bytes of one message. Two hours of fixes at 1 Hz are about 0.6 MB; a longer store-and-forward array must be cut."""
MAX_ELEMENTS: Final = 10_000
"""Elements of one array."""
MOST_NESTED: Final = 500
"""Brackets within brackets: half of what Python's own limit allows."""
MOST_SECONDS: Final = 1e11
"""The year 5138: keeps µs within 64 bits, and shows milliseconds sent for seconds."""

JSON_SPACE: Final = b" \t\n\r"


def parse(decoder: msgspec.json.Decoder[T], payload: bytes | msgspec.Raw) -> T:
    """The payload through ``decoder``.

    Raises:
        Undecodable: ``not_json`` (also for bytes that are no UTF-8, lone surrogates, NaN and Infinity); ``wrong_shape``
            (a field is missing or of another type, or nesting is too deep); ``wrong_value`` (out of range).
    """
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        text = str(error)
        shape = "got `" in text or "missing required field" in text
        raise Undecodable("wrong_shape" if shape else "wrong_value", text) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # How deep the decoder comes before it finds what is no JSON depends on our own depth: the reason must not.
        if _nesting(bytes(payload)) > MOST_NESTED:
            raise Undecodable("wrong_shape", "nested too deep") from error
        raise Undecodable("not_json", str(error)) from error
    except RecursionError as error:
        raise Undecodable("wrong_shape", "nested too deep") from error


def _nesting(text: bytes) -> int:
    """The most brackets that are open at once, those in strings as well."""
    code = np.frombuffer(text, np.uint8) | 0x20  # [ and {, ] and } differ by this bit
    return int(np.cumsum((code == ord("{")).astype(np.int32) - (code == ord("}"))).max(initial=0))


def check_size(payload: bytes) -> None:
    """Refuse a payload of more than :data:`MAX_PAYLOAD` bytes.

    Raises:
        Undecodable: ``too_large``.
    """
    if len(payload) > MAX_PAYLOAD:
        raise Undecodable("too_large", f"{len(payload)} bytes, at most {MAX_PAYLOAD}")


def is_array(payload: bytes) -> bool:
    """Whether the JSON text begins as an array."""
    return payload.lstrip(JSON_SPACE)[:1] == b"["


def event_time(t: float | datetime, field: str = "t") -> int:
    """UTC µs of seconds since 1970 or an aware datetime.

    Raises:
        Undecodable: ``wrong_value`` for a number that cannot be seconds.
    """
    if isinstance(t, datetime):
        return micros(t)
    if not -MOST_SECONDS <= t <= MOST_SECONDS:
        raise Undecodable("wrong_value", f"{field} = {t!r}: expected seconds since 1970, not a smaller unit")
    return round(t * 1e6)


def storable(text: str, field: str) -> str:
    """The text itself if PostgreSQL can store it.

    Raises:
        Undecodable: ``wrong_value`` for a NUL character.
    """
    if "\0" in text:
        raise Undecodable("wrong_value", f"{field} = {text!r}: a NUL character cannot be stored")
    return text
