"""Where the brokers are: one address, or several to be tried in turn."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

_BETWEEN: Final = re.compile(r",\s*(?=[a-z]+://)")  # a comma may also stand in a password


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker's address and what to say there."""

    host: str
    port: int
    secure: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """``host:port``, as it is logged."""
        return f"{self.host}:{self.port}"

    def tls(self) -> ssl.SSLContext | None:
        """The TLS settings for ``mqtts``: the host's trusted certificates, and the name is checked."""
        return ssl.create_default_context() if self.secure else None


def brokers(urls: str) -> tuple[Broker, ...]:
    """The brokers of one or more ``mqtt[s]://[user:password@]host[:port]``, separated by commas.

    Raises:
        ValueError: an address is of another kind.
    """
    return tuple(_broker(url) for url in _BETWEEN.split(urls.strip()))


def _broker(url: str) -> Broker:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("mqtt", "mqtts") or not host or "," in host:
        shown = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)
        raise ValueError(f"broker address {shown!r}: expected mqtt[s]://[user:password@]host[:port], more after commas")
    secure = parts.scheme == "mqtts"
    user = unquote(parts.username) if parts.username is not None else None
    password = unquote(parts.password) if parts.password is not None else None
    return Broker(host, parts.port or (8883 if secure else 1883), secure, user, password)
