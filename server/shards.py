"""Several workers side by side: which areas are whose, what each subscribes to, and what its detectors see."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from devices.codecs import share_of, subscriptions
from devices.registry import Device
from devices.site import Plan, Site

_SHARD: Final = re.compile(r"(\d{1,3})/(\d{1,3})")


@dataclass(frozen=True, slots=True)
class Shard:
    """The ``index``-th of ``count`` workers, counted from 0. An area is the worker's whose index its number leaves when
    divided by ``count``; messages that name no area, and the devices that send such, are the first worker's."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From ``index/count``, for example ``0/4``. Raises ValueError for anything else."""
        match = _SHARD.fullmatch(text)
        if match is None or not int(match[1]) < int(match[2]):
            raise ValueError(f"shard {text!r}: expected INDEX/COUNT with 0 <= INDEX < COUNT, for example 0/4")
        return cls(int(match[1]), int(match[2]))

    def client(self, worker: str) -> str:
        """The client id of this worker's session at the broker."""
        return f"patrolgrid-{worker}" + (f"-{self.index}" if self.index else "")

    def shares(self, numbers: Mapping[str, int]) -> set[str]:
        """Those areas of all (code → number) that are this worker's."""
        return {code for code, number in numbers.items() if number % self.count == self.index}

    def filters(self, numbers: Mapping[str, int]) -> tuple[list[str], list[str]]:
        """What to subscribe to, and what not to be subscribed to any more from times with other shards.

        A lone worker takes every area, also one that no device has: such messages become rejects. Of several none
        does.
        """
        everything = subscriptions()
        if self.count == 1:
            return everything, [f for f in subscriptions(sorted(numbers)) if f not in everything]
        mine = subscriptions(sorted(self.shares(numbers)), without_area=self.index == 0)
        return mine, [f for f in [*everything, *subscriptions(sorted(numbers))] if f not in mine]

    def site(self, site: Site, numbers: Mapping[str, int]) -> Site:
        """The site as this worker's detectors see it."""
        if self.count == 1:
            return site
        mine, owners = self.shares(numbers), _owners(site)

        def own(device: Device) -> bool:
            anonymous = any("/" in alias and share_of(alias) is None for alias in device.aliases)
            return self.index == 0 if anonymous else device.share in mine

        def kept(plan: Plan) -> bool:
            return owners[plan.code] in mine if plan.code in owners else self.index == 0

        return site.part(own, kept)


def _owners(site: Site) -> dict[str, str]:
    """The area of the work to which each plan belongs: that of most of the devices that can fulfil it, those that are
    at home there before others. A plan that nobody can fulfil is left out."""
    owners = {}
    for plan in site.plans.values():
        able = plan.walkers(site.registry)
        walkers = [device for device in site.registry.devices if able[device.id]]
        local = [d for d in walkers if plan.area in site.lineage(d.area) or d.area in site.lineage(plan.area)]
        counts = Counter(device.share for device in local or walkers)
        if counts:
            owners[plan.code] = max(sorted(counts), key=counts.__getitem__)
    return owners
