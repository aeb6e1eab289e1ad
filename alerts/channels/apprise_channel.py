"""Everything that Apprise knows how to reach: DingTalk, WeCom, Feishu, mail, webhooks, one contact a notice."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import apprise

from alerts.notice import Notice, Permanent, Temporary

_TIMEOUT: Final = 20.0  # seconds for one contact; one that takes a message later than that gets it again
_THREADS: Final = 8  # of our own: a service that does not answer must not keep others from their work
_SECRET: Final = re.compile(r"\b[a-z0-9+.-]+://\S+|\S+@\S+", re.IGNORECASE)
_NEVER: Final = re.compile(r"error=(400|401|403|405|410)\b")
"""Answers that another try of the same message to the same address will not change."""
_MAIL: Final = re.compile(r"Socket Exception: .*?\(([45]\d\d), b(['\"])(.*?)\2")
"""What a mail server answered, which Apprise tells at debug level alone: 5xx is for good, 4xx for now (RFC 5321)."""

# Debug messages hold whole addresses: they are looked at here and go into no log.
logging.getLogger("apprise").setLevel(logging.DEBUG)
logging.getLogger("apprise").propagate = False


class AppriseChannel:
    """Sends in a thread, as Apprise's plugins block. Both languages go out: who reads it is not known."""

    def __init__(self, timeout: float = _TIMEOUT) -> None:
        if timeout <= 0:
            raise ValueError(f"timeout {timeout!r}: expected seconds above 0")
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(_THREADS, "apprise")

    async def send(self, notice: Notice) -> None:
        """Send to the contact in ``notice.address``.

        Raises:
            Temporary: the service did not take it, or not in time.
            Permanent: the contact is gone or its address is none, or the service refuses it for good.
        """
        if not notice.address:
            raise Permanent(f"{notice.target!r} no longer has this contact")
        await asyncio.get_running_loop().run_in_executor(self._threads, self._send, notice)

    def _send(self, notice: Notice) -> None:
        sender = apprise.Apprise()
        if not sender.add(notice.address):
            scheme = notice.address.partition("://")[0]
            raise Permanent(f"a contact of {notice.target!r} is no Apprise address ({scheme}://…)")
        for plugin in sender:  # of its own, Apprise would wait 4 s for an answer
            plugin.socket_connect_timeout = plugin.socket_read_timeout = self._timeout
        title, text = notice.body["title"], notice.body["text"]
        with sender.notify(
            title=f"{title['zh']} / {title['en']}",
            body=f"{text['zh']}\n{text['en']}",
            body_format=apprise.NotifyFormat.TEXT,
            timeout=self._timeout,
            log_level=logging.DEBUG,
        ) as result:
            if result:
                return
            entries = [(entry.level, entry.message) for entry in result.logs()]
            status = result.status.name.lower()
        told = [message for level, message in entries if level in ("WARNING", "ERROR", "CRITICAL")]
        answers = [match for _, message in entries if (match := _MAIL.search(message))]
        told += [f"{answer[1]} {answer[3]}" for answer in answers]
        reason = _SECRET.sub("…", "; ".join(told) or status)[:500]
        refused = any(answer[1].startswith("5") for answer in answers) or _NEVER.search("; ".join(told))
        raise Permanent(reason) if refused else Temporary(reason)


def address_problem(address: str) -> str | None:
    """Why Apprise could not send to an address, without what is secret in it; None when it could."""
    scheme = address.partition("://")[0]
    if apprise.Apprise.instantiate(address) is not None:
        return None
    known = {name for plugin in apprise.Apprise().details()["schemas"] for name in _schemes(plugin)}
    if scheme.lower() not in known:
        return f"{scheme}:// is no service that Apprise knows"
    return f"{scheme}://… lacks something, or has a part that cannot be: see its page in the Apprise documentation"


def _schemes(plugin: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("protocols", "secure_protocols"):
        yield from map(str, plugin[kind] or ())
