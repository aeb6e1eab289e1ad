"""A storm of notices becomes a digest: which of what is due goes by itself, and which is gathered until when. Pure.

Of what a contact gets, no more than its pace allows goes in any such time; the rest is gathered. What is of high
severity has a pace of its own, so that no storm of lesser things delays it, and when that, too, is used up it is
gathered for a minute at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from alerts.contacts import Pace
from alerts.notice import Notice, both

STRAGGLERS: Final = timedelta(seconds=15)
"""How long a digest waits for more when the pace would let it go at once: a storm comes over some seconds."""
URGENT: Final = timedelta(seconds=60)
"""How long a digest waits at the most with something of high severity in it."""
MOST_LISTED: Final = 30  # lines of a digest; services refuse or cut off long messages


@dataclass(frozen=True, slots=True)
class Lately:
    """What a contact got within its pace, or is getting: messages not of high severity, and those of it.

    ``oldest`` is the time of the first message, ``digest`` that of the last digest and ``gathered`` how many that stood
    for; ``opened`` says whether one gathers now.
    """

    lesser: int = 0
    high: int = 0
    oldest: datetime | None = None
    digest: datetime | None = None
    gathered: int = 0
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Outlet:
    """What becomes of notices that are due: ids to send now, ids to gather, and when the digest goes."""

    send: tuple[int, ...]
    gather: tuple[int, ...]
    at: datetime | None = None


def paced(due: Sequence[Notice], lately: Lately, pace: Pace | None, now: datetime) -> Outlet:
    """Decide on notices of one contact, the oldest first."""
    urgent = [notice.id for notice in due if notice.severity == "high"]
    lesser = [notice.id for notice in due if notice.severity != "high"]
    if pace is None:
        return Outlet(tuple(notice.id for notice in due), ())
    goes_on = lately.opened or lately.gathered > pace.most  # as much came in the stretch before
    storm = bool(lesser) and (goes_on or lately.lesser + len(lesser) > pace.most)
    rush = bool(urgent) and lately.high + len(urgent) > pace.most
    send = (() if rush else tuple(urgent)) + (() if storm else tuple(lesser))
    gather = (tuple(urgent) if rush else ()) + (tuple(lesser) if storm else ())
    if not gather:
        return Outlet(send, ())
    at = now + STRAGGLERS
    last = lately.digest or lately.oldest
    if last is not None and (lately.lesser >= pace.most or lately.gathered > pace.most):
        at = max(at, last + pace.within)
    if rush:
        at = min(at, now + URGENT)
    return Outlet(send, gather, at)


def digest_body(members: Sequence[Notice]) -> dict[str, dict[str, str]]:
    """The body of the notice that stands for all of these, the most severe first; what is not listed is counted."""
    ranked = sorted(members, key=lambda notice: (notice.severity != "high", notice.id))
    lines: dict[tuple[str, str], int] = {}
    for notice in ranked:
        title = notice.body["title"]
        lines[title["zh"], title["en"]] = lines.get((title["zh"], title["en"]), 0) + 1
    listed = list(lines.items())[:MOST_LISTED]
    unlisted = len(members) - sum(count for _, count in listed)
    zh = [f"· {title}{f'（{count} 条）' if count > 1 else ''}" for (title, _), count in listed]
    en = [f"· {title}{f' ({count})' if count > 1 else ''}" for (_, title), count in listed]
    if unlisted:
        zh.append(f"另有 {unlisted} 条，请在控制台查看")
        en.append(f"and {unlisted} more: see the console")
    high = sum(notice.severity == "high" for notice in members)
    return both(
        (f"{len(members)} 条通知合并" + (f"，其中高风险 {high} 条" if high else ""), "\n".join(zh)),
        (f"{len(members)} notices in one" + (f", {high} of high severity" if high else ""), "\n".join(en)),
    )
