"""Setting limits, and seeing how much of them is used."""

import pytest

from campaigns.models import Dispatch
from compliance.models import Limit
from providers.models import Registration
from smsplatform.tenancy.models import AuditEvent
from tests import world
from tests.campaigns.commands.shell import ask, refused, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(simulator):
    acme = world.make(base_url=simulator.url)
    simulator.script("token-acme", receipts=None)
    return acme


class TestSetting:
    def test_is_set_changed_and_ended(self, acme):
        first = ask("set_limit acme --brand acme --amount 500 --actor ana --note contract")
        assert first == {
            "limit": Limit.objects.get().pk,
            "subject": f"brand:{acme.brand.pk}",
            "amount": 500,
            "unit": "messages",
            "period": "day",
            "hours": None,
            "zone": "America/New_York",
            "carrier": "",
            "version": 1,
            "changed": True,
        }
        assert "nothing to do" in run("set_limit acme --brand acme --amount 500 --note contract")
        assert ask("set_limit acme --brand acme --amount 400")["version"] == 2
        assert "ended: 400 messages a day in America/New_York for brand Acme" in run(
            "set_limit acme --brand acme --end"
        )
        assert Limit.objects.get().ended_at is not None
        assert list(AuditEvent.objects.order_by("id").values_list("actor", "verb")) == [
            ("ana", "limit.set"), ("operator", "limit.changed"), ("operator", "limit.ended"),
        ]  # fmt: skip

    def test_knows_whose_it_is(self, acme):
        campaign = acme.campaign(name="spring")
        registration = Registration.objects.create(tenant=acme.tenant, brand=acme.brand, name="C1")
        ask("set_limit --amount 9")
        ask("set_limit acme --amount 8")
        ask("set_limit acme --campaign spring --amount 7")
        ask("set_limit acme --account main --amount 6 --unit segments --zone UTC")
        ask("set_limit acme --registration C1 --amount 5 --unit segments --carrier t-mobile")
        ask("set_limit acme --brand acme --amount 2 --person-hours 168 --promised")
        assert set(Limit.objects.values_list("subject", "subject_id", "amount", "zone", "tenant", "is_operators")) == {
            ("platform", None, 9, "America/New_York", None, True),
            ("tenant", acme.tenant.pk, 8, "America/New_York", acme.tenant.pk, True),
            ("campaign", campaign.pk, 7, "America/New_York", acme.tenant.pk, True),
            ("account", acme.account.pk, 6, "UTC", acme.tenant.pk, True),
            ("registration", registration.pk, 5, "America/Los_Angeles", acme.tenant.pk, True),
            ("brand", acme.brand.pk, 2, "", acme.tenant.pk, True),
        }

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("nobody --amount 5", "tenant: there is no tenant 'nobody'"),
            ("acme --brand shoes --amount 5", "brand: acme has no brand 'shoes'; `manage.py create_brand` makes one"),
            ("acme --campaign spring --amount 5", "campaign: acme has no campaign 'spring'"),
            ("acme --brand acme --account main --amount 5", "--account: name one of these, not brand and account"),
            ("--brand acme --amount 5", "tenant: whose brand? Name the tenant first"),
            ("acme", "--amount: say how many, like --amount 10000; or --end"),
            ("acme --amount=-1", "--amount: Ensure this value is greater than or equal to 0"),
            ("acme --amount 5 --zone Mars/Olympus", "--zone: 'Mars/Olympus' is not an IANA time zone"),
            ("acme --amount 5 --person-hours 24", "--amount: would loosen: the platform allows 3 in 24 hours"),
            ("acme --amount 5 --carrier t-mobile --unit segments", "--carrier: carriers limit a brand"),
            ("acme --brand acme --amount 5 --carrier t-mobile", "--unit: carriers count segments"),
            ("acme --amount 5 --promised", "--promised: what an opt-in text promises"),
            ("acme --end", "limit: there is no such limit; `manage.py limits` shows those there are"),
        ],
    )
    def test_is_refused(self, acme, line, said):
        assert said in refused(f"set_limit {line}")


class TestShowing:
    def test_shows_what_is_used_of_what_is_set(self, acme):
        acme.limit("tenant", 3, unit="segments")
        acme.limit("account", 10)
        acme.recipients(4)
        acme.run()
        world.work()
        assert [(row["whose"], row["used"], row["of"]) for row in ask("limits acme")["limits"]] == [
            ("tenant Acme", 3, 3),
            ("account main (simulator)", 3, 10),
            ("brand Acme", 3, None),
        ]
        assert "3 segments a day in America/New_York" in run("limits acme")

    def test_shows_what_limits_a_brand_and_a_person(self, acme):
        acme.brand.daily_cap = 5
        acme.brand.save()
        person = acme.recipient()
        acme.run()
        world.work()
        found = ask(f"limits acme --brand acme --number {person.number}")["limits"]
        assert [(row["rule"], row["used"], row["limit"]) for row in found] == [
            ("frequency_cap@1", 1, 3),
            ("frequency_cap@1", 1, 3),
            ("daily_cap@1", 1, 5),
        ]

    def test_says_when_there_is_nothing(self, acme):
        assert "no limits, and nothing sent today" in run("limits acme")


def test_explaining_a_message_shows_what_limits_it(acme):
    acme.limit("tenant", 1)
    acme.recipients(2)
    made = acme.run(acme.campaign(name="spring"))
    world.work()
    [held] = Dispatch.objects.filter(state="held")
    found = ask(f"explain {held.pk}")
    assert found["reason"] == "tenant_cap@1"
    assert found["detail"].startswith("1 of 1 messages today used (limit ")
    assert ", next at " in found["detail"]
    assert {(row["rule"], row["used"], row["limit"]) for row in found["limits"]} == {
        ("frequency_cap@1", 0, 3), ("daily_cap@1", 1, None), ("tenant_cap@1", 1, 1),
    }  # fmt: skip
    [full] = [row for row in found["limits"] if row["rule"] == "tenant_cap@1"]
    assert full["free_at"] is not None
    said = run(f"explain {held.pk}")
    assert "limits, now" in said
    assert "1 of 1" in said
    assert made.pk == found["run"]
