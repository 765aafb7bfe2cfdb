"""`manage.py renormalise`: read stored webhook requests again with today's adapters, after one was mended.

The raw requests are the facts; receipts are what an adapter made of them. Where it makes something else of one now, its
receipts are replaced and applied again. Proof never weakens: what is delivered stays so.
"""

from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from django.db import transaction

from campaigns import webhooks
from campaigns.models import RawEvent, Receipt
from providers import adapters
from providers.adapters import UnknownProvider
from providers.adapters.base import Adapter, MalformedEvent
from providers.adapters.base import Receipt as Report
from providers.models import ProviderAccount
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
        accounts = {each.pk: each.adapter() for each in ProviderAccount.objects.filter(provider=options["provider"])}
        looked = changed = 0
        last = options["after"]
        while events := self._read(accounts, since, last, is_dry=options["dry_run"]):
            looked += len(events)
            changed += sum(is_changed for _, is_changed in events)
            last = events[-1][0]
            self.tell(f"{looked:,} events read, {changed:,} mean something else now; the last was {last}")
        if changed and not options["dry_run"]:
            audit.record(actor=options["actor"], verb="events.renormalised", target=options["provider"], events=changed)
        what = "would be applied again" if options["dry_run"] else "are applied again within seconds"
        return Answer(
            {"events": looked, "changed": changed, "last": last, "dry_run": options["dry_run"]},
            [f"{looked:,} events read; {changed:,} mean something else now and {what}"],
        )

    @staticmethod
    def _read(accounts: dict[int, Adapter], since: datetime, last: int, *, is_dry: bool) -> list[tuple[int, bool]]:
        """Return the next events and whether each means something else now; these are made news again."""
        with transaction.atomic():
            events = list(
                RawEvent.objects.filter(pk__gt=last, account_id__in=accounts, received_at__gte=since)
                .exclude(applied_at=None)
                .order_by("pk")
                .select_for_update()[:_AT_ONCE]
            )
            stored: dict[int, set[tuple[Any, ...]]] = {event.pk: set() for event in events}
            for raw_id, *values in Receipt.objects.filter(raw__in=events).values_list(
                "raw_id", "place", "status", "code", "detail", "provider_id", "part"
            ):
                stored[raw_id].add(tuple(values))
            read = [(event, _receipts(accounts[event.account_id], event)) for event in events]
            other = [event.pk for event, found in read if found is not None and found != stored[event.pk]]
            if other and not is_dry:
                Receipt.objects.filter(raw__in=other).delete()
                RawEvent.objects.filter(pk__in=other).update(applied_at=None, retry_at=None, flaw="")
        return [(event.pk, event.pk in set(other)) for event in events]


def _receipts(adapter: Adapter, raw: RawEvent) -> set[tuple[Any, ...]] | None:
    """Return the receipts of an event as they would be stored; None where it cannot be read."""
    try:
        events = adapter.parse(webhooks.as_call(raw))
    except MalformedEvent:
        return None
    return {
        (place, str(each.status), each.code[:60], each.detail[:200], each.provider_id[:80], each.part[:80])
        for place, each in enumerate(events)
        if isinstance(each, Report) and place in raw.news
    }
