"""Where the brokers are: one address, or several to be tried in turn."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_BETWEEN: Final = re.compile(r",\s*(?=[a-z]+://)")  # a comma may also stand in a password


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is and how to log in there. Its password is never shown."""

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    secure: bool = False

    @classmethod
    def parse(cls, url: str) -> Broker:
        """From ``mqtt[s]://[user:password@]host[:port]``; the port is 1883, or 8883 with TLS, where none is given.

        >>> Broker.parse("mqtts://pg:secret@broker.example")
        Broker(host='broker.example', port=8883, user='pg', secure=True)

        Raises:
            ValueError: it is not of that form.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or "," in parts.hostname:
            shown = url.rpartition("@")[2]  # without the password
            raise ValueError(
                f"broker address {shown!r}: expected mqtt[s]://[user:password@]host[:port], more after commas"
            )
        secure = parts.scheme == "mqtts"
        user = None if parts.username is None else unquote(parts.username)
        password = None if parts.password is None else unquote(parts.password)
        return cls(parts.hostname, port or (8883 if secure else 1883), user, password, secure)

    @property
    def name(self) -> str:
        """``host:port``, as it is logged."""
        return f"{self.host}:{self.port}"

    def tls(self) -> ssl.SSLContext | None:
        """The context to verify the broker with; None without TLS."""
        return ssl.create_default_context() if self.secure else None

    def client_arguments(self) -> dict[str, Any]:
        """What ``aiomqtt.Client`` takes to connect there."""
        return {
            "hostname": self.host,
            "port": self.port,
            "username": self.user,
            "password": self.password,
            "tls_context": self.tls(),
        }


def brokers(urls: str) -> tuple[Broker, ...]:
    """The brokers of one or more addresses, separated by commas.

    Raises:
        ValueError: an address is not of the form of :meth:`Broker.parse`.
    """
    return tuple(Broker.parse(url) for url in _BETWEEN.split(urls.strip()))
