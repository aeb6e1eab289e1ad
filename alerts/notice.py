"""Notices: what is sent to a unit or a terminal, and the contract of a channel that sends it.

A channel never tries twice by itself. It says whether a failure may pass (:class:`Temporary`) or not
(:class:`Permanent`); the outbox tries again.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from alerts.case import Case
from detectors.base import Sentence
from devices.site import CHINA

MOST_ATTEMPTS: Final = 12
"""With the pauses of :func:`backoff` the last of them comes 51 to 103 minutes after the first attempt."""
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 1800.0  # seconds


@dataclass(frozen=True, slots=True)
class Notice:
    """One row of the outbox.

    ``body`` of a command is what the terminal gets; of any other notice ``{"title": {zh, en}, "text": {zh, en}}``.
    ``address`` is looked up when it is sent, so that no secret is kept in the outbox: ``<share>/<device>`` of a
    terminal, the Apprise URL of a contact; "" when that no longer exists. A digest ``gathers`` others, each of which
    has its id in ``digest`` and is sent when it is.
    """

    id: int
    case_id: int | None
    channel: str  # "terminal" or "apprise"
    target: str  # a device code, a unit code, or "@" and a person's name
    reason: str  # why it is sent, in Chinese and English
    body: Mapping[str, Any]
    attempts: int = 0
    address: str = ""
    created: datetime | None = None
    sent_at: datetime | None = None
    failed_at: datetime | None = None
    acked_at: datetime | None = None
    accepted: bool | None = None
    error: str = ""
    severity: str = ""  # of the case; "" for what concerns none
    contact: str = ""  # contact_key of the address
    via: str = ""  # what the contact is called
    held_until: datetime | None = None  # by quiet hours
    gathers: bool = False
    digest: int | None = None


class Temporary(Exception):
    """Not sent now; worth another try. The message says why and holds no secret."""


class Permanent(Exception):
    """Will never be sent as it is. The message says why and holds no secret."""


class Channel(Protocol):
    """One way to reach people or devices."""

    async def send(self, notice: Notice) -> None:
        """Send it once; returning means that the other side has taken it.

        Raises:
            Temporary: try again later.
            Permanent: do not try again.
        """
        ...


def backoff(attempts: int, rng: random.Random | None = None) -> timedelta:
    """How long to wait after so many attempts: 5 s doubled each time up to half an hour, of it half by chance.

    Chance keeps the notices of one outage from all coming back in the same second.
    """
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(max(0, attempts - 1), 20))
    return timedelta(seconds=longest / 2 * (1 + (rng or random).random()))


def contact_key(url: str) -> str:
    """What the outbox keeps of a contact's address: enough to find it again, not enough to use it."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def command(case: Case) -> dict[str, Any]:
    """The body of a terminal's command to go to the case's place; the channel adds the notice's id."""
    return {
        "do": "goto",
        "lon": case.lon,
        "lat": case.lat,
        "case": case.number,
        "zh": f"请前往现场：{case.title.zh}",
        "en": f"Go to the scene: {case.title.en}",
    }


def recall(case: Case, order: int) -> dict[str, Any]:
    """The body of a terminal's command not to go: ``order`` is the notice of the command that it takes back."""
    return {
        "do": "recall",
        "order": str(order),
        "case": case.number,
        "zh": f"请勿前往，指令已撤回：{case.title.zh}",
        "en": f"Do not go, the order is withdrawn: {case.title.en}",
    }


def message(case: Case, what: Sentence) -> dict[str, Any]:
    """The body of a notice about a case to people: what happened, by when it is to be done, and where, if known."""
    due = f"{case.due_at.astimezone(CHINA):%Y-%m-%d %H:%M}"
    at = Sentence("", "")
    if case.lon is not None and case.lat is not None:
        at = Sentence(f"。位置 {case.lon:.5f}, {case.lat:.5f}", f". Place {case.lon:.5f}, {case.lat:.5f}")
    return both(
        (f"{case.number} {case.title.zh}", f"{what.zh.removesuffix('。')}。办结时限 {due}{at.zh}"),
        (f"{case.number} {case.title.en}", f"{what.en.removesuffix('.')}. Due {due} (Beijing time){at.en}"),
    )


def both(zh: tuple[str, str], en: tuple[str, str]) -> dict[str, dict[str, str]]:
    """The body of a notice to people: title and text in Chinese, and the same in English."""
    return {"title": {"zh": zh[0], "en": en[0]}, "text": {"zh": zh[1], "en": en[1]}}
