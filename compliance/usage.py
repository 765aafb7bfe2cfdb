"""How much of each limit is used: what the explaining pages and commands show. Reads, and reserves nothing."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from compliance import cap_windows, limit_rules
from compliance.cap_windows import MESSAGES, Quota
from compliance.models import CapWindow, Limit, Permit
from compliance.policy import Category
from smsplatform.tenancy.models import Brand


@dataclass(frozen=True, slots=True)
class Whose:
    """Whom limits are asked for: a brand, and what else is known of a message."""

    brand: Brand
    number: str = ""
    place: str = ""
    category: Category = Category.MARKETING
    campaign_id: int | None = None
    per_hour: int | None = None
    account_id: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """So much of a limit is used; no amount: it is only counted. `until` is when something of it is free again."""

    rule: str
    what: str
    used: int
    amount: int | None
    unit: str
    until: datetime | None

    @property
    def is_full(self) -> bool:
        return self.amount is not None and self.used >= self.amount

    def __str__(self) -> str:
        of = f" of {self.amount:,}" if self.amount is not None else ""
        goes_on = f", next at {self.until:%F %H:%M} UTC" if self.is_full and self.until else ""
        return f"{self.what}: {self.used:,}{of} {self.unit} used ({self.rule}){goes_on}"


def of(whose: Whose, now: datetime) -> list[Usage]:
    """Return everything that limits a message of this brand to this person, with how much of it is used."""
    limits = limit_rules.live(whose.brand)
    return [*_of_person(whose, limits, now), *_of_windows(whose, limits, now)]


def _of_person(whose: Whose, limits: list[Limit], now: datetime) -> list[Usage]:
    if not whose.number or not whose.category.has_person_cap:
        return []
    rules = [
        *limit_rules.state_rules(whose.number, whose.place, now),
        *limit_rules.person_rules(whose.brand, limits),
    ]
    longest = max(rule.span for rule in rules)
    counted = Permit.objects.filter(brand=whose.brand, number=whose.number, is_person_capped=True)
    times = sorted(
        at or now for at in counted.filter(Q(at=None) | Q(at__gt=now - longest)).values_list("at", flat=True)
    )
    found = []
    for rule in rules:
        recent = [at for at in times if at > now - rule.span]
        is_full = bool(rule.amount) and len(recent) >= rule.amount
        until = recent[len(recent) - rule.amount] + rule.span if is_full else None
        what = f"this person in {rule.hours} h ({rule.source})"
        found.append(Usage(str(rule.rule), what, len(recent), rule.amount, MESSAGES, until))
    return found


def _of_windows(whose: Whose, limits: list[Limit], now: datetime) -> list[Usage]:
    brand = whose.brand
    holders = {
        "platform",
        f"tenant:{brand.tenant_id}",
        f"brand:{brand.pk}",
        f"campaign:{whose.campaign_id}",
        f"account:{whose.account_id}",
        *(limit.holder for limit in limits if limit.subject == Limit.Subject.REGISTRATION),
    }
    quotas = [cap_windows.of_brand(brand, now)]
    quotas += [
        cap_windows.of_limit(limit, now)
        for limit in limits
        if limit.period == Limit.Period.DAY and limit.holder in holders
    ]
    if whose.campaign_id is not None and whose.per_hour is not None:
        quotas.append(
            cap_windows.of_hour(
                campaign_id=whose.campaign_id, tenant_id=brand.tenant_id, amount=whose.per_hour, now=now
            )
        )
    windows = CapWindow.objects.filter(
        subject__in={quota.key.holder for quota in quotas}, starts_at__lte=now, ends_at__gt=now
    )
    used = {
        cap_windows.Key(each.subject, each.starts_at, each.ends_at, each.unit, each.carrier): each.used // each.scale
        for each in windows
    }
    return [_told(quota, used.get(quota.key, 0)) for quota in quotas]


def _told(quota: Quota, used: int) -> Usage:
    span = "today" if quota.is_lasting else "this hour"
    to = f" to {quota.key.carrier}" if quota.key.carrier else ""
    what = f"{quota.key.holder.replace(':', ' ')} {span}{to} ({quota.whose})"
    return Usage(str(quota.rule), what, used, quota.amount, quota.key.unit, quota.key.ends_at)
