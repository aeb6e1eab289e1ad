"""Commands to a terminal over MQTT: ``pg/v1/<share>/<device>/command``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from alerts.notice import Notice, Permanent, Temporary

Publish = Callable[[str, bytes], Awaitable[None]]
"""Publishes at QoS 1 and returns when the broker has taken it; raises OSError (ConnectionError, TimeoutError) else."""


class TerminalChannel:
    """The broker's word is all that counts as sent here; whether the terminal took the command its own ack says."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish

    async def send(self, notice: Notice) -> None:
        """Publish the command with the notice's id, by which the terminal acknowledges it.

        Raises:
            Temporary: the broker could not be reached.
            Permanent: there is no such terminal any more.
        """
        if not notice.address:
            raise Permanent(f"there is no active terminal {notice.target!r}")
        command = {"id": str(notice.id), **notice.body}
        payload = json.dumps(command, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        try:
            await self._publish(f"pg/v1/{notice.address}/command", payload)
        except OSError as error:
            raise Temporary(str(error) or type(error).__name__) from error
