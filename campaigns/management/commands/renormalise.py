"""`manage.py renormalise`: read stored webhook requests again with today's adapters, after one was mended.

The raw requests are the facts; receipts are what an adapter made of them. Where it makes something else of one now, its
receipts are replaced and applied again. Proof never weakens: what is delivered stays so. Messages from people are not
read again: what was asked for when they came was done then.
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from django.db import transaction

from campaigns import arrivals, receipts, webhooks
from campaigns.models import RawEvent, Receipt, SeenEvent
from providers import adapters
from providers.adapters import UnknownProvider
from providers.adapters.base import Adapter, Event, MalformedEvent
from providers.adapters.base import Receipt as Report
from providers.models import UNUSABLE, ProviderAccount
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import audit

_AT_ONCE: Final = 500


class Command(OperatorCommand):
    """May be stopped and run again: `--after` goes on where it was, and what is right already is not touched."""

    help = "Read stored webhook requests again with today's adapters."
    option_names: ClassVar = {"provider": "--provider", "days": "--days"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--provider", required=True, help=f"one of {', '.join(sorted(adapters.ADAPTERS))}")
        parser.add_argument("--days", type=int, default=7, help="how far back (%(default)s)")
        parser.add_argument("--after", type=int, default=0, metavar="EVENT", help="go on behind this event")
        parser.add_argument("--dry-run", action="store_true", help="only count what would change")

    def act(self, options: dict[str, Any]) -> Answer:
        """Go through the provider's events by id."""
        try:
            adapters.get(options["provider"])
        except UnknownProvider as error:
            raise InvalidInput(str(error), field="provider") from None
        if options["days"] < 1:
            raise InvalidInput("give a number of days, at least 1", field="days")
        since = database.now() - timedelta(days=options["days"])
        accounts, unusable = _accounts(options["provider"])
        looked = changed = 0
        last, is_dry = options["after"], options["dry_run"]
        while events := _read_again(accounts, since, last, actor=options["actor"], is_dry=is_dry):
            looked += len(events)
            changed += sum(is_changed for _, is_changed in events)
            last = events[-1][0]
            self.tell(f"{looked:,} events read, {changed:,} mean something else now; the last was {last}")
        what = "would be applied again" if is_dry else "are applied again within seconds"
        return Answer(
            {"events": looked, "changed": changed, "last": last, "dry_run": is_dry},
            [f"{looked:,} events read; {changed:,} mean something else now and {what}"],
            problem=f"passed over: {'; '.join(unusable)}; `manage.py doctor` says what to do" if unusable else "",
        )


def _accounts(provider: str) -> tuple[dict[int, Adapter], list[str]]:
    """Return the provider's accounts, and why some cannot be read for."""
    found, unusable = {}, []
    for account in ProviderAccount.objects.filter(provider=provider).order_by("pk"):
        try:
            found[account.pk] = account.adapter()
        except UNUSABLE as error:
            unusable.append(f"{account}: {error}")
    return found, unusable


@transaction.atomic
def _read_again(
    accounts: dict[int, Adapter], since: datetime, last: int, *, actor: str, is_dry: bool
) -> list[tuple[int, bool]]:
    """Return the next events and whether each means something else now; these are made news again."""
    events = list(
        RawEvent.objects.filter(pk__gt=last, account_id__in=list(accounts), received_at__gte=since)
        .exclude(applied_at=None)
        .order_by("pk")
        .select_for_update()[:_AT_ONCE]
    )
    missed = _missed(events, accounts)
    for event in events:
        event.news = [*event.news, *(place for place, _ in missed.get(event.pk, ()))]
    stored: dict[int, set[tuple[Any, ...]]] = {event.pk: set() for event in events}
    for raw_id, *values in Receipt.objects.filter(raw__in=events).values_list("raw_id", *receipts.COLUMNS):
        stored[raw_id].add(tuple(values))
    reading = receipts.read(events)
    found: dict[int, set[tuple[Any, ...]]] = {event.pk: set() for event in events}
    for report in reading.fitting:
        found[report.raw.pk].add(receipts.as_stored(report))
    # What cannot be read, or fits no message, stays what it was taken for.
    other = {pk for pk in found if pk not in reading.flaws and pk not in reading.parked and found[pk] != stored[pk]}
    if other and not is_dry:
        _apply_again([event for event in events if event.pk in other], missed)
        audit.record(actor=actor, verb="events.renormalised", target=f"{len(other)} events", last=events[-1].pk)
    return [(event.pk, event.pk in other) for event in events]


def _missed(events: Sequence[RawEvent], accounts: dict[int, Adapter]) -> dict[int, list[tuple[int, str]]]:
    """Return the places and keys of reports that nobody saw in these events when they came."""
    unseen: dict[tuple[int, str], tuple[RawEvent, int]] = {}
    for raw in events:
        for place, event in enumerate(_parsed(accounts[raw.account_id], raw)):
            if isinstance(event, Report) and place not in raw.news:
                unseen.setdefault((raw.account_id, arrivals.key_of(event)), (raw, place))
    keys = SeenEvent.objects.filter(account_id__in=accounts, key__in=[key for _, key in unseen])
    for known in keys.values_list("account_id", "key"):
        unseen.pop(known, None)
    missed: dict[int, list[tuple[int, str]]] = {}
    for (_, key), (raw, place) in unseen.items():
        missed.setdefault(raw.pk, []).append((place, key))
    return missed


def _parsed(adapter: Adapter, raw: RawEvent) -> Sequence[Event]:
    try:
        return adapter.parse(webhooks.as_call(raw))
    except MalformedEvent:
        return ()


def _apply_again(events: Sequence[RawEvent], missed: dict[int, list[tuple[int, str]]]) -> None:
    Receipt.objects.filter(raw__in=events).delete()
    for event in events:
        SeenEvent.objects.bulk_create(
            [
                SeenEvent(account_id=event.account_id, tenant_id=event.tenant_id, key=key)
                for _, key in missed.get(event.pk, ())
            ],
            ignore_conflicts=True,
        )
        event.applied_at, event.retry_at, event.flaw = None, None, ""
    RawEvent.objects.bulk_update(events, ["news", "applied_at", "retry_at", "flaw"])
