"""A small town to send to: two brands of one tenant, two accounts, five people in three zones, four campaigns.

It is built once per test; what an example leaves behind is removed by one statement.
"""

from dataclasses import dataclass
from datetime import time

from campaigns.models import ListMember, RecipientList
from campaigns.models.campaign import Campaign
from compliance.models import Limit
from compliance.policy import Category
from providers.models import ProviderAccount, Sender
from smsplatform.common.database import execute
from smsplatform.tenancy.models import Brand, Tenant
from tests import world

_LEFT_BEHIND = [
    "campaigns_tallydelta",
    "campaigns_trouble",
    "campaigns_sendlock",
    "campaigns_receipt",
    "campaigns_providermessage",
    "campaigns_reply",
    "campaigns_rawevent",
    "campaigns_seenevent",
    "campaigns_attempt",
    "campaigns_dispatch",
    "campaigns_batch",
    "campaigns_run",
    "compliance_permit",
    "compliance_capwindow",
    "compliance_limit",
    "compliance_suppression",
    "tracking_click",
    "tracking_link",
    "tenancy_auditevent",
]


@dataclass
class Town:
    tenant: Tenant
    brands: list[Brand]
    accounts: list[ProviderAccount]
    senders: dict[int, str]  # a brand's first address
    people: list[tuple[str, str]]  # number, zones
    campaigns: list[Campaign]

    def clean(self):
        """Forget every run, and whatever came of it."""
        emptied = ";".join(f"DELETE FROM {table}" for table in _LEFT_BEHIND)
        execute(f"SET session_replication_role = replica; {emptied}; SET session_replication_role = origin")
        execute("UPDATE providers_provideraccount SET paused_at = NULL")
        execute("UPDATE tenancy_brand SET paused_at = NULL")
        execute("UPDATE tenancy_tenant SET paused_at = NULL")

    def set_limits(self, *, person_cap, daily_cap, hours):
        """What the brands allow in this example."""
        for brand in self.brands:
            brand.person_cap, brand.daily_cap = person_cap, daily_cap
            brand.opens_at, brand.closes_at = hours
            brand.save()

    def limit(self, which):
        """One of LIMITS."""
        if which is not None:
            subject, amount, fields = which
            holder = {"tenant": self.tenant, "brand": self.brands[0], "account": self.accounts[0]}[subject]
            Limit.objects.create(
                tenant=self.tenant, subject=subject, subject_id=holder.pk, amount=amount, set_by="test",
                **{"zone": "America/Los_Angeles", **fields},
            )  # fmt: skip

    def zones_of(self, number):
        return next(zones for known, zones in self.people if known == number)


def build():
    """A town in which nothing has happened."""
    acme = world.make()
    brands = [
        acme.brand,
        Brand.objects.create(
            tenant=acme.tenant, name="Second", slug="second", **world.ALL_DAY, **world.CONSENT_ELSEWHERE
        ),
    ]
    other = ProviderAccount(
        tenant=acme.tenant, name="spare", provider=acme.account.provider, base_url="http://127.0.0.1:9"
    )
    other.set_credentials({"token": "spare", "webhook_secret": "secret"})
    other.save()
    for number, (brand, account, position) in enumerate(
        [(brands[0], other, 1), (brands[1], acme.account, 0), (brands[1], other, 1)]
    ):
        Sender.objects.create(
            tenant=acme.tenant, brand=brand, account=account, address=f"+1888666000{number}", position=position
        )
    zones = [
        "America/New_York",
        "America/New_York",
        "America/Los_Angeles",
        "America/New_York|Pacific/Honolulu",
        "America/Chicago",
    ]
    people = [acme.recipient(zones=zone) for zone in zones]
    some = RecipientList.objects.create(tenant=acme.tenant, name="some")
    for person in people[:2]:
        ListMember.objects.create(tenant=acme.tenant, list=some, recipient=person)
    campaigns = [
        acme.campaign(category=Category.MARKETING, lateness_minutes=30 * 60),
        acme.campaign("See https://example.com/sale now", category=Category.MARKETING),
        acme.campaign(category=Category.TRANSACTIONAL, lateness_minutes=5),
    ]
    second = acme.campaign(category=Category.MARKETING)
    second.brand = second.template.brand = brands[1]
    second.template.save()
    second.save()
    campaigns.append(second)
    campaigns[1].lists.set([some])
    senders = {brand.pk: Sender.objects.filter(brand=brand).order_by("position")[0].address for brand in brands}
    return Town(
        tenant=acme.tenant,
        brands=brands,
        accounts=[acme.account, other],
        senders=senders,
        people=[(person.number, person.zones) for person in people],
        campaigns=campaigns,
    )


LIMITS = [
    None,
    ("tenant", 5, {"unit": "segments"}),
    ("account", 2, {}),
    ("account", 4, {"unit": "segments", "zone": "America/New_York"}),
    ("brand", 1, {"unit": "segments", "carrier": "t-mobile"}),
]
HOURS = [(time(0), time(23, 59, 59)), (time(8), time(21)), (time(9), time(10, 30))]
