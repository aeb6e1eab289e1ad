"""Text, JSON and TOML of a site's files, with every way in which they can be broken named."""

from __future__ import annotations

import codecs
import json
import math
import tomllib
import unicodedata
from typing import Any, Final, NoReturn

from devices.site_contents import SiteError

LONGEST: Final = 200  # characters of a name
DEEPEST: Final = 20  # levels of properties and settings
_UNSEEN: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format, lone surrogate, line and paragraph separator


def decode_text(file: str, raw: bytes) -> str:
    """The text of a file: UTF-8 with or without a byte order mark, or GBK as the Chinese Excel saves it.

    Raises:
        SiteError: it is neither; the line of the first wrong byte is named.
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SiteError(file, "", "is UTF-16 (Excel's “Unicode text”): save it as “CSV UTF-8”")
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        value = raw[error.start]
    # Of GBK text read as UTF-8 hardly a character survives; where most do, it is UTF-8 with a wound.
    lossy = raw.decode("utf-8", errors="replace")
    lost = lossy.count("\ufffd")
    if lost >= sum(ch > "\x7f" for ch in lossy) - lost:
        try:
            return raw.decode("gb18030")
        except UnicodeDecodeError as error:
            line, value = raw[: error.start].count(b"\n") + 1, raw[error.start]
    raise SiteError(file, f"line {line}", f"byte 0x{value:02x} is neither UTF-8 nor GBK: save the file again as UTF-8")


def parse_json(text: str) -> Any:
    """JSON without NaN and infinities. Raises ValueError (with line and column) for anything else."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON number")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_toml(file: str, text: str) -> dict[str, Any]:
    """A TOML file's table.

    Raises:
        SiteError: it is no TOML; the parser says where.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SiteError(file, "", "nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and numbers beyond what Python reads
        raise SiteError(file, "", f"is no TOML: {error}") from error


def text_problem(value: object, what: str = "") -> str | None:
    """What is wrong with a name or another short text that people read; None when nothing is."""
    if not isinstance(value, str):
        return f"{shown(value)} is not text{what and f': {what}'}"
    if not value:
        return f"is empty{what and f': {what}'}"
    if value != value.strip():
        return f"{shown(value)} begins or ends with a blank: remove it"
    if len(value) > LONGEST:
        return f"{shown(value)} has {len(value)} characters: at most {LONGEST}"
    return unseen_problem(value)


def unseen_problem(value: str) -> str | None:
    """Names the first character that cannot be seen (it would make two names that look the same differ)."""
    for ch in value:
        if unicodedata.category(ch) in _UNSEEN:
            return f"{shown(value)} has an invisible character (U+{ord(ch):04X}): remove it"
    return None


def plain_problem(value: object, *, null: bool, depth: int = 0) -> str | None:
    """What keeps a value from being stored and written again unchanged; None when nothing does.

    Text, finite numbers, true/false, lists and tables can be, and null where it is allowed.
    """
    if depth > DEEPEST:
        return f"nested deeper than {DEEPEST} levels"
    if isinstance(value, str):
        return unseen_problem(value)
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not a finite number"
    if isinstance(value, list):
        return next((p for item in value if (p := plain_problem(item, null=null, depth=depth + 1))), None)
    if isinstance(value, dict):
        for key, item in value.items():
            problem = text_problem(key) or plain_problem(item, null=null, depth=depth + 1)
            if problem:
                return f"{key!s:.40}: {problem}"
        return None
    if isinstance(value, int) or (value is None and null):
        return None
    return f"{shown(value)} ({type(value).__name__}) is neither text, number, true/false, list nor table"


def shown(value: object) -> str:
    """A value for an error message, at most 60 characters."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = "a number with thousands of digits"
    except RecursionError:
        text = "a deeply nested value"
    return text if len(text) <= 60 else f"{text[:57]}…"


def json_text(value: object) -> str:
    """JSON on one line, with Chinese readable."""
    return json.dumps(value, ensure_ascii=False)
