"""Which numbers hold: a brand's own, its limits, the platform's, the law's; and what may be set.

All of them hold together, so a limit more can only tighten. What can never bind because something stricter holds
anyway is refused when it is set: it would look like a permission.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from django.conf import settings
from django.db.models import Q

from compliance import policy
from compliance.data import frequency, npa
from compliance.models import Limit
from compliance.policy import Rule
from smsplatform.tenancy.models import Brand

_DAY_HOURS: Final = 24
# T-Mobile counts from midnight to midnight there, wherever the sender is (facts §3.5).
CARRIER_ZONE: Final = "America/Los_Angeles"
_USUAL_ZONE: Final = "America/New_York"
_AREA: Final = slice(2, 5)
_LONGEST_HOURS: Final = 90 * _DAY_HOURS
LONGEST_OF_STATES: Final = max(timedelta(hours=rule.hours) for rule in frequency.RULES)
_RANK: Final = {"platform": 0, "tenant": 1, "brand": 2, "campaign": 3}


@dataclass(frozen=True, slots=True)
class PersonRule:
    """At most `amount` marketing messages of a brand to a person in any `span`; `source` is for people."""

    rule: Rule
    amount: int
    span: timedelta
    source: str

    @property
    def hours(self) -> int:
        return int(self.span.total_seconds() // 3600)


def live(brand: Brand) -> list[Limit]:
    """Return the limits that are set for the platform, or for anything of the brand's tenant. One statement."""
    # As SQL: to have it composed anew takes longer than the database does.
    return list(
        Limit.objects.raw(
            "SELECT * FROM compliance_limit WHERE ended_at IS NULL AND (tenant_id = %s OR tenant_id IS NULL) ORDER BY id",
            [brand.tenant_id],
        )
    )


def person_rules(brand: Brand, limits: Iterable[Limit]) -> list[PersonRule]:
    """Return what holds for every person of the brand, whatever their state."""
    day = timedelta(hours=_DAY_HOURS)
    found = [
        PersonRule(policy.PERSON_CAP, brand.person_cap, timedelta(hours=brand.person_cap_hours), "the brand's cap"),
        PersonRule(policy.PERSON_CAP, settings.PERSON_CAP_PER_DAY, day, "the platform's cap"),
    ]
    holders = {"platform", f"tenant:{brand.tenant_id}", f"brand:{brand.pk}"}
    for limit in limits:
        if limit.period == "person" and limit.holder in holders and limit.hours is not None:
            code = policy.PROMISED_CAP if limit.is_promised else policy.PERSON_LIMIT
            source = "promised in the opt-in text" if limit.is_promised else f"limit {limit.pk} of {_named(limit)}"
            found.append(
                PersonRule(
                    Rule(code.code, code.fate, limit.version), limit.amount, timedelta(hours=limit.hours), source
                )
            )
    return found


def state_rules(number: str, place: str, now: datetime) -> tuple[PersonRule, ...]:
    """Return what the law of the states says that the person may be in.

    `place` is the person's zones key, with the states behind a semicolon where they are known; the state of the area
    code is always added, as the law of FL and OR goes by it (facts §2.3).
    """
    return _state_rules(number[_AREA] if number.startswith("+1") else "", place, now.astimezone(UTC).date())


@lru_cache(maxsize=16_384)
def _state_rules(area: str, place: str, day: date) -> tuple[PersonRule, ...]:
    states = set(re.findall(r"\b[A-Z]{2}\b", place.partition(";")[2]))
    if area in npa.STATE:
        states.add(npa.STATE[area])
    return tuple(
        of_state(cap)
        for state in sorted(states & frequency.BY_STATE.keys())
        for cap in frequency.BY_STATE[state]
        if cap.holds_on(day)
    )


def of_state(cap: frequency.StateCap) -> PersonRule:
    """Return the rule that a state's number is."""
    rule = Rule(f"{policy.PERSON_CAP.code}_{cap.state.lower()}", policy.PERSON_CAP.fate, cap.version)
    return PersonRule(rule, cap.amount, timedelta(hours=cap.hours), cap.citation)


# -- what may be set ------------------------------------------------------------------------------------------------


def usual_zone(limit: Limit) -> str:
    """Return whose midnight a limit means that does not say it."""
    if limit.carrier:
        return CARRIER_ZONE
    brand = Brand.objects.filter(pk=limit.subject_id or 0).first() if limit.subject == "brand" else None
    return brand.zone if brand else _USUAL_ZONE


def flaws(limit: Limit) -> dict[str, str]:
    """Return what is wrong with a limit, by field."""
    found = _flaws_of_form(limit)
    if not found and limit.amount is not None:
        looser = _looser_than(limit)
        if looser:
            found["amount"] = looser
    return found


def _flaws_of_form(limit: Limit) -> dict[str, str]:
    found: dict[str, str] = {}
    if limit.period == "person":
        if not limit.hours:
            found["hours"] = "say in how many hours, like 24, 168 (7 days) or 720 (30 days)"
        elif limit.hours > _LONGEST_HOURS:
            found["hours"] = f"at most {_LONGEST_HOURS} ({_LONGEST_HOURS // _DAY_HOURS} days)"
        if limit.subject not in ("platform", "tenant", "brand"):
            found["subject"] = "a limit for each person belongs to the platform, a tenant or a brand"
        if limit.unit != "messages" or limit.carrier or limit.zone:
            found["period"] = (
                "a limit for each person counts messages, to all carriers, and has no zone; leave these out"
            )
    elif limit.hours:
        found["hours"] = "a day has no hours to give; leave it empty, or choose a person's last hours"
    if limit.is_promised and (limit.period != "person" or limit.subject != "brand"):
        found["is_promised"] = "what an opt-in text promises is a limit of a brand for each person"
    if limit.carrier and limit.unit != "segments":
        found["unit"] = "carriers count segments; choose segments"
    if limit.carrier and limit.subject not in ("brand", "registration"):
        found["carrier"] = "carriers limit a brand or a registration; choose one of these"
    return found


def _looser_than(limit: Limit) -> str:
    """Return which stricter limit holds anyway, in words with a remedy; "" where this one can bind."""
    if limit.period == "person" and limit.hours:
        if limit.subject != "platform" and is_looser(
            limit.amount, limit.hours, settings.PERSON_CAP_PER_DAY, _DAY_HOURS
        ):
            return loosening(settings.PERSON_CAP_PER_DAY, _DAY_HOURS, "the platform allows")
        for other in _others(limit):
            is_above = _RANK[other.subject] < _RANK[limit.subject] or (other.is_promised and not limit.is_promised)
            if is_above and other.hours and is_looser(limit.amount, limit.hours, other.amount, other.hours):
                who = "the opt-in text promises" if other.is_promised else f"{_named(other)} allows"
                return loosening(other.amount, other.hours, who)
        return ""
    for other in _others(limit):
        if (
            other.subject in _RANK
            and limit.subject in _RANK
            and _RANK[other.subject] < _RANK[limit.subject]
            and other.unit == limit.unit
            and other.carrier == limit.carrier
            and limit.amount > other.amount
        ):
            return f"{_named(other)} allows {other.amount:,} {other.unit} a day; enter that or less"
    return ""


def is_looser(amount: int, hours: int, than: int, in_hours: int) -> bool:
    """Return whether "amount in hours" allows more than "than in in_hours" ever lets through, so that it cannot bind."""
    return amount > than * math.ceil(hours / in_hours) or (hours < in_hours and amount >= than)


def loosening(amount: int, hours: int, who: str) -> str:
    """Return the refusal of a cap that is looser than one that holds anyway."""
    return f"would loosen: {who} {amount} in {hours} hours, and that holds in any case; enter a stricter one"


def _others(limit: Limit) -> Sequence[Limit]:
    """Return the live limits of the same period whose subject is above this one's, or the same."""
    mine = Q(tenant=None) | Q(tenant=limit.tenant_id) if limit.tenant_id else Q(tenant=None)
    beside = [each for each in ("platform", "tenant") if each != limit.subject]
    same = Q(subject=limit.subject, subject_id=limit.subject_id)
    found = Limit.objects.filter(mine, Q(subject__in=beside) | same, period=limit.period, ended_at=None)
    return [each for each in found if each.pk != limit.pk]


def _named(limit: Limit) -> str:
    return {"platform": "the platform", "tenant": "the tenant"}.get(limit.subject, f"the {limit.subject}")
