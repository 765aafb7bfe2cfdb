"""Roles and tenants in the admin: where a row is born, what it may point to, and who may do what."""

import pytest
from django.urls import reverse

from providers.models import ProviderAccount, Sender
from smsplatform.tenancy.models import ApiKey, AuditEvent, Brand, Installation, Membership, Role, Tenant, User
from tests import world

pytestmark = pytest.mark.django_db

CHANGE_BRAND = {
    "name": "Acme", "slug": "acme", "zone": "America/New_York", "link_domain": "", "daily_cap": "", "person_cap": "3",
    "person_cap_hours": "24", "opt_in_hours": "72", "optout_scope_policy": "all", "stop_lines": "{}",
    "opens_at": "08:00", "closes_at": "21:00",
}  # fmt: skip


def join(user, tenant, role):
    return Membership.objects.create(user=user, tenant=tenant, role=role)


@pytest.fixture
def person(client):
    user = User.objects.create_user("ann@acme.example", is_staff=True)
    client.force_login(user)
    return user


@pytest.fixture
def acme():
    return world.make("acme")


@pytest.fixture
def zebra():
    return world.make("zebra")


def address(name, *args):
    return reverse(f"admin:{name}", args=args)


def errors(response):
    return response.context["adminform"].form.errors


class TestTheTenantOfARow:
    def test_is_set_for_who_has_but_one(self, client, person, acme):
        join(person, acme.tenant, Role.MANAGER)
        page = client.get(address("tenancy_brand_add"))
        assert "tenant" not in page.context["adminform"].form.fields
        assert client.post(address("tenancy_brand_add"), {**CHANGE_BRAND, "slug": "second"}).status_code == 302
        assert Brand.objects.get(slug="second").tenant == acme.tenant

    def test_cannot_be_posted_by_who_has_but_one(self, client, person, acme, zebra):
        join(person, acme.tenant, Role.MANAGER)
        client.post(address("tenancy_brand_add"), {**CHANGE_BRAND, "slug": "second", "tenant": zebra.tenant.pk})
        assert Brand.objects.get(slug="second").tenant == acme.tenant

    def test_is_chosen_among_those_in_which_one_may_add(self, client, person, acme, zebra):
        other = world.make("other")
        join(person, acme.tenant, Role.MANAGER)
        join(person, other.tenant, Role.OWNER)
        join(person, zebra.tenant, Role.VIEWER)
        form = client.get(address("tenancy_brand_add")).context["adminform"].form
        assert set(form.fields["tenant"].queryset) == {acme.tenant, other.tenant}
        refused = client.post(
            address("tenancy_brand_add"), {**CHANGE_BRAND, "slug": "second", "tenant": zebra.tenant.pk}
        )
        assert "tenant" in errors(refused)

    def test_never_changes(self, admin_client, acme, zebra):
        data = {**CHANGE_BRAND, "tenant": zebra.tenant.pk, "name": "Renamed"}
        assert admin_client.post(address("tenancy_brand_change", acme.brand.pk), data).status_code == 302
        acme.brand.refresh_from_db()
        assert (acme.brand.name, acme.brand.tenant) == ("Renamed", acme.tenant)

    def test_counts_when_a_name_must_be_unique(self, client, person, acme, zebra):
        join(person, acme.tenant, Role.MANAGER)
        again = client.post(address("tenancy_brand_add"), CHANGE_BRAND)
        assert again.status_code == 200
        assert errors(again)
        assert client.post(address("tenancy_brand_add"), {**CHANGE_BRAND, "slug": "zebra"}).status_code == 302


class TestWhatARowPointsTo:
    def data(self, brand, account):
        return {"brand": brand.pk, "account": account.pk, "address": "+18885559999", "position": "0", "weight": "1"}

    def test_is_of_the_same_tenant_for_members(self, client, person, acme, zebra):
        join(person, acme.tenant, Role.MANAGER)
        refused = client.post(address("providers_sender_add"), self.data(zebra.brand, acme.account))
        assert "brand" in errors(refused)
        assert client.post(address("providers_sender_add"), self.data(acme.brand, acme.account)).status_code == 302
        assert Sender.objects.get(address="+18885559999").tenant == acme.tenant

    def test_is_of_the_same_tenant_for_members_of_both(self, client, person, acme, zebra):
        join(person, acme.tenant, Role.MANAGER)
        join(person, zebra.tenant, Role.MANAGER)
        data = {**self.data(acme.brand, zebra.account), "tenant": acme.tenant.pk}
        assert errors(client.post(address("providers_sender_add"), data)) == {
            "account": ["This belongs to another tenant."]
        }

    def test_is_of_the_same_tenant_for_superusers(self, admin_client, acme, zebra):
        data = {**self.data(zebra.brand, acme.account), "tenant": acme.tenant.pk}
        assert "brand" in errors(admin_client.post(address("providers_sender_add"), data))
        data = self.data(zebra.brand, zebra.account)
        assert errors(admin_client.post(address("providers_sender_change", acme.sender.pk), data)).keys() == {
            "brand", "account",
        }  # fmt: skip


class TestInlines:
    def data(self, parent, **rows):
        return {
            "name": parent.name, "base_url": parent.base_url, "senders-TOTAL_FORMS": "1",
            "senders-MIN_NUM_FORMS": "0", "senders-MAX_NUM_FORMS": "1000",
            **{f"senders-0-{name}": value for name, value in rows.items() if name != "initial"},
            "senders-INITIAL_FORMS": rows.get("initial", "0"),
        }  # fmt: skip

    def test_add_rows_of_the_same_tenant(self, client, person, acme):
        join(person, acme.tenant, Role.MANAGER)
        data = self.data(
            acme.account, brand=acme.brand.pk, address="+18885559999", position="1", weight="1", account=acme.account.pk
        )
        assert client.post(address("providers_provideraccount_change", acme.account.pk), data).status_code == 302
        assert Sender.objects.get(address="+18885559999").tenant == acme.tenant

    @pytest.mark.parametrize("initial", ["0", "1"])
    def test_take_no_foreign_row(self, client, person, acme, zebra, initial):
        join(person, acme.tenant, Role.OWNER)
        data = self.data(
            acme.account, id=zebra.sender.pk, brand=acme.brand.pk, address="+18885559999", position="1", weight="1",
            account=acme.account.pk, initial=initial,
        )  # fmt: skip
        client.post(address("providers_provideraccount_change", acme.account.pk), data)
        before = (zebra.sender.address, zebra.sender.account, zebra.sender.tenant)
        zebra.sender.refresh_from_db()
        assert (zebra.sender.address, zebra.sender.account, zebra.sender.tenant) == before

    def test_delete_no_foreign_row(self, client, person, acme, zebra):
        join(person, acme.tenant, Role.OWNER)
        data = self.data(
            acme.account, id=zebra.sender.pk, brand=acme.brand.pk, address="+1888", position="1", weight="1", DELETE="on",
            account=acme.account.pk, initial="1",
        )  # fmt: skip
        client.post(address("providers_provideraccount_change", acme.account.pk), data)
        assert Sender.objects.filter(pk=zebra.sender.pk).exists()

    def test_offer_no_foreign_choice(self, client, person, acme, zebra):
        join(person, acme.tenant, Role.MANAGER)
        data = self.data(
            acme.account,
            brand=zebra.brand.pk,
            address="+18885559999",
            position="1",
            weight="1",
            account=acme.account.pk,
        )
        response = client.post(address("providers_provideraccount_change", acme.account.pk), data)
        assert "brand" in response.context["inline_admin_formsets"][0].formset.errors[0]


class TestRoles:
    def test_are_those_of_the_rows_own_tenant(self, client, person, acme, zebra):
        join(person, acme.tenant, Role.OWNER)
        join(person, zebra.tenant, Role.VIEWER)
        assert client.get(address("tenancy_brand_change", zebra.brand.pk)).status_code == 200
        assert client.post(address("tenancy_brand_change", zebra.brand.pk), CHANGE_BRAND).status_code == 403
        assert client.post(address("tenancy_brand_do", zebra.brand.pk, "pause")).status_code == 403
        both = {"action": "pause", "_selected_action": [acme.brand.pk, zebra.brand.pk], "index": "0"}
        client.post(address("tenancy_brand_changelist"), both)
        assert Brand.objects.get(pk=acme.brand.pk).paused_at is not None
        assert Brand.objects.get(pk=zebra.brand.pk).paused_at is None

    def test_managers_delete_nothing_and_owners_do(self, client, person, acme):
        membership = join(person, acme.tenant, Role.MANAGER)
        brand = Brand.objects.create(tenant=acme.tenant, name="Spare", slug="spare")
        assert client.post(address("tenancy_brand_delete", brand.pk), {"post": "yes"}).status_code == 403
        membership.role = Role.OWNER
        membership.save()
        assert client.post(address("tenancy_brand_delete", brand.pk), {"post": "yes"}).status_code == 302
        assert not Brand.objects.filter(pk=brand.pk).exists()

    def test_managers_give_no_roles(self, client, person, acme):
        membership = join(person, acme.tenant, Role.MANAGER)
        own = address("tenancy_membership_change", membership.pk)
        assert client.post(own, {"role": "owner"}).status_code == 403
        assert (
            client.post(address("tenancy_membership_add"), {"email": person.email, "role": "owner"}).status_code == 403
        )

    def test_owners_give_roles_by_address_but_none_to_themselves(self, client, person, acme, zebra):
        own = join(person, acme.tenant, Role.OWNER)
        friend = User.objects.create_user("friend@example.com")
        add = address("tenancy_membership_add")
        assert client.post(add, {"email": "Friend@example.com", "role": "manager"}).status_code == 302
        made = Membership.objects.get(user=friend)
        assert (made.tenant, made.role) == (acme.tenant, Role.MANAGER)
        assert errors(client.post(add, {"email": "friend@example.com", "role": "viewer"}))
        assert "email" in errors(client.post(add, {"email": "nobody@example.com", "role": "viewer"}))
        assert client.post(address("tenancy_membership_change", own.pk), {"role": "viewer"}).status_code == 403
        assert client.post(address("tenancy_membership_delete", own.pk), {"post": "yes"}).status_code == 403

    def test_nobody_but_superusers_makes_people(self, client, person, acme):
        own = join(person, acme.tenant, Role.OWNER)
        page = client.get(address("tenancy_user_change", person.pk))
        assert page.status_code == 200
        assert "password" not in page.content.decode().split('id="user_form"')[1]
        data = {"email": "x@example.com", "is_superuser": "on"}
        assert client.post(address("tenancy_user_change", person.pk), data).status_code == 403
        assert client.post(address("auth_user_password_change", person.pk), {}).status_code == 403
        assert client.get(address("tenancy_user_add")).status_code == 403
        own.refresh_from_db()

    def test_owners_pause_their_tenant_and_managers_do_not(self, client, person, acme):
        membership = join(person, acme.tenant, Role.MANAGER)
        assert client.post(address("tenancy_tenant_do", acme.tenant.pk, "pause")).status_code == 403
        Membership.objects.filter(pk=membership.pk).update(role=Role.OWNER)
        assert client.post(address("tenancy_tenant_do", acme.tenant.pk, "pause")).status_code == 302
        assert Tenant.objects.get(pk=acme.tenant.pk).paused_at is not None
        client.post(address("tenancy_tenant_do", acme.tenant.pk, "resume"))
        assert Tenant.objects.get(pk=acme.tenant.pk).paused_at is None
        assert set(AuditEvent.objects.values_list("verb", flat=True)) == {"tenant.paused", "tenant.resumed"}


def test_a_superuser_makes_a_person(admin_client):
    data = {
        "email": "new@example.com", "name": "New", "usable_password": "true", "is_staff": "on",
        "password1": "correct horse battery", "password2": "correct horse battery",
    }  # fmt: skip
    assert admin_client.post(address("tenancy_user_add"), data).status_code == 302
    made = User.objects.get(email="new@example.com")
    assert made.is_staff
    assert made.check_password("correct horse battery")


def test_a_change_stands_in_the_trail(client, person, acme):
    join(person, acme.tenant, Role.OWNER)
    client.post(address("tenancy_brand_change", acme.brand.pk), {**CHANGE_BRAND, "daily_cap": "7"})
    client.post(address("tenancy_brand_add"), {**CHANGE_BRAND, "slug": "spare"})
    client.post(address("tenancy_brand_delete", Brand.objects.get(slug="spare").pk), {"post": "yes"})
    told = AuditEvent.objects.order_by("pk").values_list("verb", "actor", "tenant")
    assert list(told) == [
        ("brand.changed", person.email, acme.tenant.pk),
        ("brand.added", person.email, acme.tenant.pk),
        ("brand.deleted", person.email, acme.tenant.pk),
    ]


def test_a_verb_wants_a_post(client, person, acme):
    join(person, acme.tenant, Role.OWNER)
    assert client.get(address("tenancy_brand_do", acme.brand.pk, "pause")).status_code == 405
    assert client.post(address("tenancy_brand_do", acme.brand.pk, "explode")).status_code == 404


def test_the_switch_is_the_superusers(admin_client, client, acme):
    admin_client.get(address("tenancy_installation_changelist"))
    assert admin_client.post(address("tenancy_installation_do", 1, "stop")).status_code == 302
    assert not Installation.objects.get().is_sending
    assert Installation.objects.get().changed_by == "admin@example.com"
    admin_client.post(address("tenancy_installation_do", 1, "start"))
    assert Installation.objects.get().is_sending
    user = User.objects.create_user("owner@acme.example", is_staff=True)
    join(user, acme.tenant, Role.OWNER)
    client.force_login(user)
    assert client.post(address("tenancy_installation_do", 1, "stop")).status_code == 404
    assert Installation.objects.get().is_sending


def test_a_key_is_shown_once(client, person, acme):
    join(person, acme.tenant, Role.MANAGER)
    response = client.post(
        address("tenancy_apikey_add"), {"name": "shop", "is_active": "on", "scopes": "send"}, follow=True
    )
    [shown] = [str(message) for message in response.context["messages"] if "token" in str(message)]
    token = next(word for word in shown.split() if word.startswith("fs_"))
    key = ApiKey.objects.get(name="shop")
    assert key.matches(token)
    assert (key.tenant, key.owner, key.scopes) == (acme.tenant, person, ["send"])
    for page in (address("tenancy_apikey_changelist"), address("tenancy_apikey_change", key.pk)):
        text = client.get(page).content.decode()
        assert token not in text
        assert key.digest not in text
        assert key.prefix in text


class TestAccounts:
    def add(self, client, provider="simulator", **given):
        data = {
            "name": "second", "senders-TOTAL_FORMS": "0", "senders-INITIAL_FORMS": "0", **given,
        }  # fmt: skip
        return client.post(f"{address('providers_provideraccount_add')}?provider={provider}", data)

    def test_have_the_fields_that_their_adapter_declares(self, client, person, acme):
        join(person, acme.tenant, Role.MANAGER)
        assert b"?provider=twilio" in client.get(address("providers_provideraccount_add")).content
        assert errors(self.add(client, "twilio")).keys() == {"credential_account_sid", "credential_auth_token"}
        made = self.add(client, "twilio", credential_account_sid="AC1", credential_auth_token="open sesame")
        assert made.status_code == 302
        account = ProviderAccount.objects.get(name="second")
        assert (account.provider, account.tenant) == ("twilio", acme.tenant)
        assert account.adapter().credentials.auth_token == "open sesame"
        assert "open sesame" not in account.secret

    def test_never_show_what_was_written(self, client, person, acme):
        join(person, acme.tenant, Role.OWNER)
        refused = self.add(client, name="", credential_token="open sesame", credential_webhook_secret="s3cret")
        assert "name" in errors(refused)
        assert b"open sesame" not in refused.content
        page = client.get(address("providers_provideraccount_change", acme.account.pk)).content.decode()
        assert "token-acme" not in page
        assert acme.account.secret not in page
        assert f"/webhooks/simulator/{acme.account.key}/status" in page

    def test_keep_what_is_left_empty(self, client, person, acme):
        join(person, acme.tenant, Role.MANAGER)
        data = {
            "name": "main", "base_url": acme.account.base_url, "senders-TOTAL_FORMS": "0", "senders-INITIAL_FORMS": "0",
            "credential_token": "another",
        }  # fmt: skip
        page = address("providers_provideraccount_change", acme.account.pk)
        assert client.post(page, data).status_code == 302
        acme.account.refresh_from_db()
        credentials = acme.account.adapter().credentials
        assert (credentials.token, credentials.webhook_secret) == ("another", "secret")

    def test_of_an_unknown_provider_are_not_made(self, client, person, acme):
        join(person, acme.tenant, Role.MANAGER)
        assert self.add(client, "nobody").status_code == 200
        assert not ProviderAccount.objects.filter(name="second").exists()


@pytest.mark.django_db
def test_the_login_page_opens_for_nobody_in_particular(client):
    answer = client.get("/admin/login/")
    assert answer.status_code == 200
    assert client.get("/admin/").status_code == 302
