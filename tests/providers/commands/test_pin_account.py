"""Pinning a brand to an account, and releasing it."""

from datetime import timedelta

import pytest

from providers import routing
from providers.models import Pin, ProviderAccount, Sender
from smsplatform.common import database
from smsplatform.tenancy.models import AuditEvent
from tests import world
from tests.campaigns.commands.shell import ask, refused, run

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    """A brand with two routes."""
    acme = world.make()
    second = ProviderAccount(tenant=acme.tenant, name="second", provider="simulator")
    second.set_credentials({"token": "t", "webhook_secret": "s"})
    second.save()
    Sender.objects.create(tenant=acme.tenant, brand=acme.brand, account=second, address="+18885550333", position=1)
    return acme


def used(acme):
    return routing.routes(acme.brand.pk).choose("+12125550123").channel.account


def verbs():
    return list(AuditEvent.objects.order_by("id").values_list("actor", "verb"))


def test_leaves_one_account_until_it_is_released(acme):
    assert used(acme) == "main"
    assert ask("pin_account acme acme second --reason 'a contract' --actor ann") == {
        "brand": "acme",
        "account": "second",
        "changed": True,
    }
    assert (used(acme), Pin.objects.get().reason) == ("second", "a contract")
    assert "is released: its routes hold again" in run("pin_account acme acme")
    assert used(acme) == "main"
    assert verbs() == [("ann", "brand.pinned"), ("operator", "brand.unpinned")]


def test_the_same_again_changes_nothing(acme):
    run("pin_account acme acme second --reason x")
    before = Pin.objects.values().get()
    assert "that was so already: nothing to do" in run("pin_account acme acme second --reason ' x '")
    assert Pin.objects.values().get() == before
    run("pin_account acme acme")
    assert ask("pin_account acme acme") == {"brand": "acme", "account": None, "changed": False}
    assert len(verbs()) == 2


def test_another_account_is_another_pin(acme):
    run("pin_account acme acme second --reason x")
    Pin.objects.update(pinned_at=database.now() - timedelta(days=9))
    run("pin_account acme acme main --reason y")
    pin = Pin.objects.get()
    assert (pin.account.name, pin.reason) == ("main", "y")
    assert pin.pinned_at > database.now() - timedelta(minutes=1)
    run("pin_account acme acme main --reason z")
    assert Pin.objects.get().pinned_at == pin.pinned_at  # only the reason is another


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nobody acme main --reason x", "tenant: there is no tenant 'nobody'; `manage.py create_tenant` makes one"),
        ("acme boots main --reason x", "BRAND: acme has no brand 'boots'; `manage.py create_brand` makes one"),
        ("acme acme third --reason x", "ACCOUNT: acme has no provider account 'third'; `manage.py create_provider"),
        ("acme acme main", "--reason: is missing; say why, somebody will wonder"),
        ("acme acme main --reason ' '", "--reason: is missing; say why, somebody will wonder"),
        (f"acme acme main --reason {'x' * 121}", "--reason: Ensure this value has at most 120"),
        ("acme acme --reason x", "--reason: is for a pin; name the account, or leave it out to release the brand"),
    ],
)
def test_is_refused(acme, line, said):
    assert said in refused(f"pin_account {line}")


def test_is_refused_where_the_brand_cannot_send(acme):
    Sender.objects.filter(account__name="second").update(is_active=False)
    said = refused("pin_account acme acme second --reason x")
    assert said == "ACCOUNT: acme has no active sender at second; add one first"


def test_another_tenants_account_is_not_known(acme):
    rival = world.make("rival")
    ProviderAccount.objects.filter(pk=rival.account.pk).update(name="theirs")
    assert "ACCOUNT: acme has no provider account 'theirs'" in refused("pin_account acme acme theirs --reason x")
