"""Which account and sender each message goes through, and why.

A brand's senders are its routes. Those that may be used for a person (country, registration, channel) are ordered: by
position, and within a position by a hash of number and sender, weighted, so that people are shared out by weight and
each keeps theirs while it exists. The first whose account was not tried in this turn and is well is taken; an
operator's pin leaves one account only, well or not. Everything is configuration in the rows: swapping two vendors in
the middle of a campaign is an edit of their senders.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import structlog
from django.db.models import Exists, OuterRef, Q

from providers.adapters.base import Adapter, Limits
from providers.models import AccountHealth, Pin, Registration, Sender
from smsplatform.common import phone

log = structlog.get_logger("routing")

CANARY_ANSWERS: Final = timedelta(seconds=2)  # until a canary that is out has most likely come back
CANARY_LIFE: Final = timedelta(seconds=60)  # after which a canary that nobody heard of again is lost
_SPREAD: Final = 2.0**64
_LONGEST_REASON: Final = 120
_SMS, _EMAIL, _AT = "sms", "email", "@"


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """A sender at an account, ready for use."""

    account_id: int
    provider: str
    key: str
    sender: str
    adapter: Adapter
    limits: Limits
    sender_rate: float | None = None  # segments per second of this sender alone
    tenant_id: int = 0
    account: str = ""  # its name
    registration_id: int | None = None
    registration_rate: float | None = None  # segments per second over all of the registration's senders
    position: int = 0
    weight: int = 1
    countries: frozenset[str] = frozenset()
    is_well: bool = True
    health: str = ""  # for people: since when it is broken, and why
    probe_at: datetime | None = None
    is_on_trial: bool = False  # a canary is out
    is_shared: bool = False  # other brands use the account, too

    def next_look(self, now: datetime) -> datetime:
        """Return when a broken account may be of use again; of one whose canary is out, the later the longer it is out."""
        if self.probe_at is None or not self.is_on_trial:
            return self.probe_at or now
        been_out = CANARY_LIFE - (self.probe_at - now)
        return min(self.probe_at, now + max(CANARY_ANSWERS, been_out))


class Choice(NamedTuple):
    """The channel that a message goes through; `reason` is stored on the attempt."""

    channel: Channel
    reason: str


class Routes:
    """A brand's usable channels, and who goes through which."""

    def __init__(self, channels: Iterable[Channel], pinned: int | None = None) -> None:
        self.channels = tuple(channels)
        self._pinned = pinned
        # Nearly every brand has one sender for everybody, and then there is nothing to work out per person.
        only = self.channels[0] if len(self.channels) == 1 else None
        is_open = only is not None and pinned in (None, only.account_id) and not only.countries
        self._is_simple = only is not None and is_open and only.adapter.channel == _SMS
        self._usual = self._choose("", frozenset()) if self._is_simple else None

    def order(self, number: str) -> tuple[Channel, ...]:
        """Return the channels that may be used for a number (or an e-mail address), the best first."""
        return self.channels if self._is_simple and _AT not in number else self._ordered(number, self._pinned)

    def home(self, number: str) -> Channel:
        """Return the channel that a number is usually texted through: whatever is pinned, people know its sender."""
        return self.channels[0] if self._is_simple else self._ordered(number, None)[0]

    def _ordered(self, number: str, pinned: int | None) -> tuple[Channel, ...]:
        # One channel never stands in for the other: who is to get a text gets no mail.
        kind = _EMAIL if _AT in number else _SMS
        allowed = [each for each in self.channels if each.adapter.channel == kind and pinned in (None, each.account_id)]
        if any(each.countries for each in allowed):
            country = _country(number)
            allowed = [each for each in allowed if not each.countries or country in each.countries]
        return tuple(sorted(allowed, key=lambda each: (each.position, _draw(number, each))))

    def choose(self, number: str, tried: frozenset[int] = frozenset()) -> Choice | None:
        """Return the first channel whose account is well and was not tried in this turn."""
        if self._usual is not None and not tried and _AT not in number:
            return self._usual
        return self._choose(number, tried)

    def _choose(self, number: str, tried: frozenset[int]) -> Choice | None:
        passed: list[str] = []
        for place, channel in enumerate(self.order(number), start=1):
            if channel.account_id in tried:
                passed.append(f"{channel.account} was tried")
            elif not channel.is_well and self._pinned is None:
                passed.append(f"{channel.account} is {channel.health}")
            else:
                return Choice(channel, self._reason(channel, place, passed))
        return None

    def _reason(self, channel: Channel, place: int, passed: list[str]) -> str:
        if self._pinned is not None:
            return f"pinned to {channel.account}"[:_LONGEST_REASON]
        rivals = [each for each in self.channels if each.position == channel.position]
        shares = f", weight {channel.weight} of {sum(each.weight for each in rivals)}" if len(rivals) > 1 else ""
        because = f": {'; '.join(dict.fromkeys(passed))}" if passed else ""
        return f"choice {place}, position {channel.position}{shares}{because}"[:_LONGEST_REASON]

    def canary(self, number: str, account_id: int) -> Choice | None:
        """Return the channel of a broken account, if this number would go through it were it well."""
        well = self.choose(number)
        for channel in self.order(number):
            if channel.account_id == account_id:
                return Choice(channel, "canary of a broken account")
            if well is not None and channel is well.channel:
                break
        return None

    def is_well(self, account_id: int) -> bool:
        """Return whether the account was well when the routes were read."""
        return any(each.is_well for each in self.channels if each.account_id == account_id)

    def probes_due(self, now: datetime) -> list[int]:
        """Return the broken accounts that may be tried with one message now."""
        due = {each.account_id for each in self.channels if each.probe_at is not None and each.probe_at <= now}
        return sorted(due) if self._pinned is None else []

    def next_look(self, numbers: Iterable[str], now: datetime) -> datetime | None:
        """Return when the first of the broken accounts that these would go through may be of use again.

        That is at its next probe; of one whose canary is out it is soon, as most answers come at once, and then less
        and less often: who waits for a time-out need not look every other second.
        """
        wanted = {channel for number in numbers for channel in self.order(number)}
        return min((each.next_look(now) for each in wanted if each.probe_at), default=None)


def routes(brand_id: int, *, only: int | None = None) -> Routes:
    """Return the brand's routes as they are now; those of the sender with the id `only`, where given. Two statements."""
    of_others = Sender.objects.filter(account=OuterRef("account"), is_active=True).exclude(brand=OuterRef("brand"))
    senders = (
        Sender.objects.filter(
            Q(registration=None)
            | Q(registration__status=Registration.Status.APPROVED, registration__brand_id=brand_id),
            brand_id=brand_id,
            is_active=True,
            account__paused_at=None,
        )
        .annotate(is_shared=Exists(of_others))
        .select_related("account__health", "registration")
        .order_by("position", "id")
    )
    if only is not None:
        senders = senders.filter(pk=only)
    pinned = Pin.objects.filter(brand_id=brand_id).values_list("account_id", flat=True).first()
    return Routes(_channels(senders), pinned)


def _channels(senders: Iterable[Sender]) -> Iterator[Channel]:
    """Make the channels of those senders whose accounts can be used at all."""
    adapters: dict[int, Adapter | None] = {}
    for sender in senders:
        if sender.account_id not in adapters:
            adapters[sender.account_id] = sender.account.usable_adapter()
        adapter = adapters[sender.account_id]
        if adapter is not None:
            yield _channel(sender, adapter)


def _channel(sender: Sender, adapter: Adapter) -> Channel:
    account, registration = sender.account, sender.registration
    vendor = adapter.limits
    health: AccountHealth | None = getattr(account, "health", None)
    is_well = health is None or health.state == AccountHealth.State.OK
    return Channel(
        account_id=account.pk,
        tenant_id=account.tenant_id,
        account=account.name,
        provider=account.provider,
        key=account.key,
        sender=sender.address,
        adapter=adapter,
        limits=Limits(
            segments_per_second=account.segments_per_second or vendor.segments_per_second,
            concurrency=account.concurrency or vendor.concurrency,
            timeout=account.timeout or vendor.timeout,
        ),
        sender_rate=sender.segments_per_second or adapter.sender_rates.get(sender.kind),
        registration_id=registration.pk if registration else None,
        registration_rate=registration.segments_per_second if registration else None,
        position=sender.position,
        weight=sender.weight,
        countries=frozenset(sender.countries),
        is_well=is_well,
        health="" if is_well or health is None else f"{health.state} since {health.since:%H:%M} ({health.reason})",
        probe_at=None if is_well or health is None else health.probe_at,
        is_on_trial=health is not None and health.state == AccountHealth.State.RECOVERY,
        is_shared=getattr(sender, "is_shared", False),
    )


def _draw(number: str, channel: Channel) -> float:
    """Return a number's draw for a sender: the smallest wins, in proportion to the weights (rendezvous hashing)."""
    digest = hashlib.blake2b(f"{number} {channel.account_id} {channel.sender}".encode(), digest_size=8).digest()
    return -math.log((int.from_bytes(digest) + 1) / (_SPREAD + 1)) / channel.weight


@lru_cache(maxsize=10_000)
def _country(number: str) -> str:
    return phone.country(number)
