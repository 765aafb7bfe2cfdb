"""An address that people can answer texts for one brand only: a STOP to it must reach exactly one."""

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.urls import reverse

from providers.models import ProviderAccount, Sender
from smsplatform.tenancy.models import Brand, Membership, Role
from tests import world
from tests.campaigns.commands.shell import refused, run
from tests.promises.together import Job, blocked_sessions, elsewhere, until

ADDRESS = "+18885550142"


@pytest.fixture
def acme():
    return world.make()


def account(tenant, name="second", provider="simulator", credentials=None):
    made = ProviderAccount(tenant=tenant, name=name, provider=provider)
    made.set_credentials(credentials or {"token": name, "webhook_secret": "secret"})
    made.save()
    return made


def brand(tenant, slug="second"):
    return Brand.objects.create(tenant=tenant, name=slug.title(), slug=slug)


def sender(acme, *, brand, account, address=ADDRESS, **more):
    return Sender(tenant=brand.tenant, brand=brand, account=account, address=address, **more)


@pytest.fixture
def taken(acme):
    made = sender(acme, brand=acme.brand, account=acme.account)
    made.save()
    return made


@pytest.fixture(params=["the same account", "another account", "another vendor", "another client"])
def other(request, acme, taken):
    """Who would share it."""
    if request.param == "another client":
        rival = world.make("rival")
        return sender(acme, brand=rival.brand, account=rival.account)
    second = brand(acme.tenant)
    if request.param == "the same account":
        return sender(acme, brand=second, account=acme.account)
    if request.param == "another vendor":
        words = {"account_sid": "AC" + "1" * 32, "auth_token": "t"}
        return sender(acme, brand=second, account=account(acme.tenant, provider="twilio", credentials=words))
    return sender(acme, brand=second, account=account(acme.tenant))


@pytest.mark.django_db
def test_a_form_says_whose_it_is(other):
    with pytest.raises(ValidationError) as refusal:
        other.full_clean()
    [said] = refusal.value.message_dict["address"]
    assert "a person's STOP must reach exactly one brand, so give this brand a number of its own" in said
    own = other.tenant.slug == "acme"
    assert said.startswith(f"{ADDRESS} already texts for {'acme' if own else 'another client'};")
    assert own or "acme" not in said  # who another client is, is nobody's business


@pytest.mark.django_db
def test_the_table_refuses_it_whoever_writes(other):
    with pytest.raises(IntegrityError, match="one_brand_per"):
        other.save()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address", ["12345", "MG0123456789abcdef0123456789abcdef", "news@acme.example", "+442071234567"]
)
def test_short_codes_pools_and_mail_addresses_too(acme, address):
    mail = account(acme.tenant, "mail", "smtp", {"webhook_token": "t", "user": "u", "password": "p"})
    where = mail if "@" in address else acme.account
    sender(acme, brand=acme.brand, account=where, address=address).save()
    rival = world.make("rival")
    shared = sender(acme, brand=rival.brand, account=rival.account, address=address)
    if "@" not in address:
        with pytest.raises(ValidationError, match="already texts for another client"):
            shared.full_clean()
    with pytest.raises(IntegrityError, match="one_brand_per_address"):
        shared.save()


@pytest.mark.django_db
def test_a_name_that_nobody_can_answer_may_be_anybodys(acme):
    rival = world.make("rival")
    for each in (acme, rival):
        made = sender(acme, brand=each.brand, account=each.account, address="INFO")
        made.full_clean()
        made.save()
    assert Sender.objects.filter(address="INFO").count() == 2


@pytest.mark.django_db
def test_one_brand_may_use_its_number_at_several_accounts(acme, taken):
    again = sender(acme, brand=acme.brand, account=account(acme.tenant), position=1)
    again.full_clean()
    again.save()


@pytest.mark.django_db
def test_a_number_that_rests_is_still_its_brands(acme, taken):
    """Late answers to it still come; who gives it away deletes it first."""
    Sender.objects.filter(pk=taken.pk).update(is_active=False)
    second = sender(acme, brand=brand(acme.tenant), account=acme.account)
    with pytest.raises(ValidationError, match="or delete the sender there first"):
        second.full_clean()
    taken.delete()
    second.full_clean()
    second.save()


@pytest.mark.django_db(transaction=True)
def test_two_who_take_it_at_the_same_instant_do_not_both_get_it(acme):
    rival = world.make("rival")
    insert = (
        "INSERT INTO providers_sender (tenant_id, brand_id, account_id, address, kind, position, weight, countries, is_active)"
        " VALUES (%s, %s, %s, %s, '', 0, 1, '{}', true)"
    )
    with elsewhere(insert, [acme.tenant.pk, acme.brand.pk, acme.account.pk, ADDRESS]):
        late = Job(lambda: sender(acme, brand=rival.brand, account=rival.account).save())
        until(blocked_sessions)
    with pytest.raises(IntegrityError, match="one_brand_per_address"):
        late.result()
    assert Sender.objects.get(address=ADDRESS).brand == acme.brand


@pytest.mark.django_db
def test_the_admin_names_the_field(client, acme, taken):
    user = get_user_model().objects.create_user("ann@acme.example", is_staff=True)
    Membership.objects.create(user=user, tenant=acme.tenant, role=Role.MANAGER)
    client.force_login(user)
    second = brand(acme.tenant)
    data = {"brand": second.pk, "account": acme.account.pk, "address": ADDRESS, "position": 0, "weight": 1}
    page = client.post(reverse("admin:providers_sender_add"), data)
    assert "already texts for acme" in str(page.context["adminform"].form.errors["address"])


@pytest.mark.django_db(transaction=True)
def test_the_command_says_it_too(acme, taken):
    run("create_tenant rival")
    run("create_brand rival shoes")
    rival = Brand.objects.get(slug="shoes")
    account(rival.tenant, "main")
    assert "ADDRESS: +18885550142 already texts for another client" in refused(f"add_sender rival shoes main {ADDRESS}")
