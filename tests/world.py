"""Builds the little worlds that tests happen in: a tenant with a brand, an account at a provider, people and a run."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from time import time as time_now

from django.db import transaction

from campaigns import launch, recovery, scheduling
from campaigns.models import (
    Batch,
    Campaign,
    Dispatch,
    ListMember,
    Recipient,
    RecipientList,
    Run,
    Template,
)
from campaigns.pipeline import PIPELINE
from campaigns.states import State
from compliance.models import Limit
from providers import throttle
from providers.models import ProviderAccount, Sender
from smsplatform.common import database, redis
from smsplatform.tenancy.models import Brand, Tenant
from tests.clocks import awake_zone

_numbers = itertools.count(1)
ALL_DAY = {"opens_at": time(0), "closes_at": time(23, 59, 59)}
# Most tests are not about consent: their tenants keep its proof themselves.
CONSENT_ELSEWHERE = {
    "consent_kept": "elsewhere",
    "consent_attested_by": "a test",
    "consent_attested_at": datetime(2026, 1, 1, tzinfo=UTC),
    "consent_attestation": "We keep the proof of consent in our own system.",
}
AS_WRITTEN = {"adds_stop_line": False}  # texts come out as tests wrote them


@dataclass
class World:
    """One tenant's part of the world."""

    tenant: Tenant
    brand: Brand
    account: ProviderAccount
    sender: Sender
    people: RecipientList
    home: str = ""

    def recipient(self, *, zones="", **fields):
        """A New Yorker in this zone (or at this place); else at the world's home, or where it is day now."""
        [person] = self.recipients(1, zones=zones, **fields)
        return person

    def recipients(self, count, *, zones="", **fields):
        zones = zones or self.home or awake_zone()
        if ";" not in zones:
            zones += ";NY"
        people = Recipient.objects.bulk_create(
            Recipient(
                tenant=self.tenant,
                number=f"+1212{next(_numbers) + 2_340_000:07d}",
                zones=zones,
                zone_source="explicit",
                state_source="area_code",
                country="US",
                fields=fields,
            )
            for _ in range(count)
        )
        ListMember.objects.bulk_create(
            ListMember(tenant=self.tenant, list=self.people, recipient=person) for person in people
        )
        return people

    def campaign(self, text="Hello {{ first_name | default: 'there' }}", **options):
        name = options.pop("name", f"campaign {next(_numbers)}")
        template = Template.objects.create(tenant=self.tenant, brand=self.brand, name=name)
        template.write(text)
        campaign = Campaign.objects.create(
            tenant=self.tenant, brand=self.brand, name=name, template=template, **options
        )
        campaign.lists.add(self.people)
        return campaign

    def limit(self, subject, amount, *, of=None, **fields):
        """A limit of the tenant, or of one of its things."""
        if fields.setdefault("period", "day") == "day":
            fields.setdefault("zone", "America/New_York")
        holder = {"platform": None, "tenant": self.tenant, "brand": self.brand, "account": self.account}.get(
            subject, of
        )
        return Limit.objects.create(
            tenant=None if subject == "platform" else self.tenant,
            subject=subject,
            subject_id=holder and holder.pk,
            amount=amount,
            set_by="test",
            **fields,
        )

    def run(self, campaign=None, *, now=None, key="1", **options):
        """A launched and materialised run."""
        campaign = campaign or self.campaign(**options)
        run = launch.launch(campaign=campaign, occurrence=key, now=now or database.now(), actor="test", is_meant=True)
        assert launch.materialise(run.pk)
        run.refresh_from_db()
        return run


def make(slug="acme", *, base_url="http://127.0.0.1:9", provider="simulator", credentials=None, home="", **brand):
    """A tenant that may text all day as far as it is asked, with one account and one sender."""
    tenant = Tenant.objects.create(name=slug.title(), slug=slug)
    brand = Brand.objects.create(
        tenant=tenant,
        name=slug.title(),
        slug=slug,
        **{"zone": "America/New_York", **ALL_DAY, **AS_WRITTEN, **CONSENT_ELSEWHERE, **brand},
    )
    account = ProviderAccount(tenant=tenant, name="main", provider=provider, base_url=base_url)
    account.set_credentials(credentials or {"token": f"token-{slug}", "webhook_secret": "secret"})
    account.save()
    sender = Sender.objects.create(tenant=tenant, brand=brand, account=account, address=f"+1888555{tenant.pk:04d}")
    people = RecipientList.objects.create(tenant=tenant, name="everybody")
    return World(tenant, brand, account, sender, people, home)


def hand_out(lane="bulk", now=None):
    with transaction.atomic():
        return scheduling.claim_due_batches(lane, now or database.now())


def end_leases():
    """The time of all leases passes, and recovery sees it; what waits is due."""
    Batch.objects.filter(phase="leased").update(lease_until=database.now() - timedelta(seconds=1))
    recovery.end_leases(database.now())
    Batch.objects.filter(phase="waiting").update(due_at=database.now())


def start(batch):
    """Lease one waiting batch by hand; return the number its chain carries."""
    lease = batch.lease + 1
    Batch.objects.filter(pk=batch.pk).update(
        phase="leased", lease=lease, lease_until=database.now() + timedelta(minutes=1)
    )
    return lease


def work(lane="bulk", now=None, stages=PIPELINE):
    """Hand out what is due and run it through the stages, here; return how many batches ran."""
    leased = hand_out(lane, now)
    for batch in leased:
        for stage in stages:
            stage.run(batch.batch_id, batch.lease)
    return len(leased)


def lose_redis():
    """Empty Redis; and the seconds pass after which nothing granted before can still be on its way."""
    redis.client().flushdb()
    redis.client().set(throttle.SINCE, time_now() - throttle.FORGOTTEN_AFTER)


def states(run):
    return {State(state): count for state, count in Dispatch.objects.of_run(run.pk).totals().items()}


def stage_named(name):
    return next(stage for stage in PIPELINE if stage.name == name)


def only_batch(run: Run) -> Batch:
    return Batch.objects.get(run=run)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
