"""How many more may be texted in a day or an hour: the limits that are known before a launch, as `caps.reserve` asks them.

Limits of accounts, registrations and carriers are asked by the claim, when it is known through whom a message goes; they
are only remarked on (`asked_later`).
"""

from collections import Counter
from datetime import datetime

from campaigns import spreading
from campaigns.models import Batch
from compliance import cap_windows, caps, limit_rules
from compliance.cap_windows import Key, Quota
from compliance.models import CapWindow, Limit


class Rooms:
    """What is left of each limit, window by window, while the launch's people are counted."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._limits = limit_rules.live(batch.brand)
        self._per_hour = spreading.per_hour(batch.run)
        self._used: Counter[Key] = Counter()
        quotas = self._quotas(batch.run.launched_at)
        self.are_limited = bool(quotas)
        windows = CapWindow.objects.filter(
            subject__in={quota.key.holder for quota in quotas}, ends_at__gt=batch.run.launched_at
        )
        for each in windows:
            self._used[Key(each.subject, each.starts_at, each.ends_at, each.unit, each.carrier)] = each.used

    def take(self, at: datetime, people: int, segments: float) -> tuple[int, Quota | None]:
        """Take room for as many of these people as there is; return how many, and what the others wait for, if any."""
        quotas = self._quotas(at)
        costs = {quota.key: 1 if quota.key.unit == cap_windows.MESSAGES else max(segments, 1) for quota in quotas}
        rooms = {quota: int(((quota.most or 0) - self._used[quota.key]) / costs[quota.key]) for quota in quotas}
        taken = max(min(people, *rooms.values()), 0) if rooms else people
        for key, cost in costs.items():
            self._used[key] += round(taken * cost)
        full = [quota for quota, room in rooms.items() if room <= taken]
        return taken, max(full, key=lambda quota: quota.key.ends_at) if taken < people else None

    @property
    def asked_later(self) -> list[Limit]:
        """Return the limits that may meet these messages once it is known through whom, or to which carrier, they go."""
        brand = self._batch.brand
        holders = {f"brand:{brand.pk}"}
        for account, registration in brand.senders.filter(is_active=True).values_list("account_id", "registration_id"):
            holders |= {f"account:{account}", f"registration:{registration}"}
        return [limit for limit in self._limits if limit.is_of_claims and limit.holder in holders]

    def _quotas(self, at: datetime) -> list[Quota]:
        """Return the quotas of this instant that limit anything."""
        run = self._batch.run
        asked = caps.quotas(
            brand=self._batch.brand, limits=self._limits, now=at, campaign_id=run.campaign_id, per_hour=self._per_hour
        )
        return [quota for quota in asked if quota.amount is not None]
