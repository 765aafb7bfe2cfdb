"""Which account and sender a brand's messages go through, and why."""

from dataclasses import dataclass

from providers.adapters.base import Adapter, Limits
from providers.models import Sender


@dataclass(frozen=True, slots=True)
class Channel:
    """A sender at an account, ready for use. `reason` is stored on the attempt."""

    account_id: int
    provider: str
    key: str
    sender: str
    adapter: Adapter
    limits: Limits
    sender_rate: float | None  # segments per second of this sender alone
    reason: str


def channels(brand_id: int) -> list[Channel]:
    """Return the brand's usable channels in the order in which they are tried. One statement."""
    senders = (
        Sender.objects.filter(brand_id=brand_id, is_active=True, account__paused_at=None)
        .select_related("account")
        .order_by("position", "id")
    )
    found = []
    for place, sender in enumerate(senders, start=1):
        account = sender.account
        adapter = account.adapter()
        vendor = adapter.limits
        found.append(
            Channel(
                account_id=account.pk,
                provider=account.provider,
                key=account.key,
                sender=sender.address,
                adapter=adapter,
                limits=Limits(
                    segments_per_second=account.segments_per_second or vendor.segments_per_second,
                    concurrency=account.concurrency or vendor.concurrency,
                    timeout=account.timeout or vendor.timeout,
                ),
                sender_rate=sender.segments_per_second,
                reason=f"choice {place} of the brand's senders",
            )
        )
    return found


def choose(available: list[Channel], tried: frozenset[int]) -> Channel | None:
    """Return the first channel whose account was not tried in this turn."""
    return next((channel for channel in available if channel.account_id not in tried), None)
