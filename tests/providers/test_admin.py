"""The admin of accounts, senders, registrations and pins."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils.html import escape

from providers import health, registering
from providers.adapters import ADAPTERS
from providers.adapters.base_template_options import TemplateOptions
from providers.health import Counts
from providers.models import AccountHealth, Pin, ProviderAccount, Registration, Sender
from smsplatform.common import database
from smsplatform.tenancy.models import AuditEvent, Brand, Membership, Role
from tests import world
from tests.vendor import Vendor

pytestmark = pytest.mark.django_db
HTTP = {"provider": "http_template", "credential_webhook_token": "hush", "credential_api_key": "key"}
MAIL = {"provider": "smtp", "credential_webhook_token": "hush", "credential_user": "u", "credential_password": "p"}
NO_SENDERS = {"senders-TOTAL_FORMS": "0", "senders-INITIAL_FORMS": "0"}


@pytest.fixture
def acme():
    return world.make()


@pytest.fixture
def manager(client, acme):
    user = get_user_model().objects.create_user("ann@acme.example", is_staff=True)
    Membership.objects.create(user=user, tenant=acme.tenant, role=Role.MANAGER)
    client.force_login(user)
    return client


def address(name, *args):
    return reverse(f"admin:providers_{name}", args=args)


def errors(response):
    return response.context["adminform"].form.errors


def told(response):
    return [(message.level_tag, str(message)) for message in response.context["messages"]]


def shown(page):
    """What stands in the fields of a page."""
    form = page.context["adminform"].form
    return {name: form[name].value() for name in form.fields}


def add(client, provider, **given):
    data = {"name": "second", "base_url": "", **NO_SENDERS, **given}
    return client.post(f"{address('provideraccount_add')}?provider={provider}", data)


def change(client, account, **given):
    page = address("provideraccount_change", account.pk)
    values = {name: "" if value is None else value for name, value in shown(client.get(page)).items()}
    return client.post(page, {**values, **NO_SENDERS, **given})


class TestOptions:
    @pytest.fixture
    def account(self, manager):
        made = add(manager, **HTTP, base_url="https://sms.example")
        assert made.status_code == 302
        return ProviderAccount.objects.get(name="second")

    @pytest.mark.parametrize("provider", sorted(ADAPTERS))
    def test_of_every_adapter_have_their_fields_and_say_what_is_usual(self, manager, provider):
        page = manager.get(f"{address('provideraccount_add')}?provider={provider}")
        assert page.status_code == 200
        defaults = ADAPTERS[provider].Options()
        found = {name.removeprefix("option_"): value for name, value in shown(page).items() if "option_" in name}
        assert found == {name: getattr(defaults, name) for name in found}
        assert len(found) == len(defaults.__dataclass_fields__)
        listed = [name for _, options in page.context["adminform"].fieldsets for name in options["fields"]]
        assert [name for name in listed if name.startswith("option_")] == [f"option_{name}" for name in found]

    def test_that_are_as_usual_are_not_stored(self, manager, account):
        assert account.options == {}
        assert change(manager, account).status_code == 302
        account.refresh_from_db()
        assert account.options == {}

    def test_are_stored_with_the_line_ends_of_files(self, manager, account):
        rules = "status=400 field=code value=1 -> rejected_permanent\r\nstatus=429 field=code value=2 -> unknown"
        assert change(manager, account, option_refused_when=rules, option_path="/sms").status_code == 302
        account.refresh_from_db()
        assert account.options == {"refused_when": rules.replace("\r\n", "\n"), "path": "/sms"}
        page = manager.get(address("provideraccount_change", account.pk))
        assert shown(page)["option_refused_when"] == account.options["refused_when"]
        assert "Usually: /send" in page.content.decode()

    def test_can_be_empty_where_the_usual_one_is_not(self, manager, account):
        given = {"option_id_field": "", "option_accepted_when": "status=200 field=status value=ok"}
        assert change(manager, account, **given).status_code == 302
        assert change(manager, account, name="third").status_code == 302  # and stay so
        account.refresh_from_db()
        assert account.name == "third"
        assert account.adapter().options.id_field == ""

    def test_can_be_as_usual_again(self, manager, account):
        change(manager, account, option_path="/sms")
        change(manager, account, option_path=TemplateOptions.path)
        account.refresh_from_db()
        assert account.options == {}

    def test_that_are_not_sent_along_stay(self, manager, account):
        change(manager, account, option_path="/sms")
        data = {"name": "third", "base_url": "https://sms.example", **NO_SENDERS}
        assert manager.post(address("provideraccount_change", account.pk), data).status_code == 302
        account.refresh_from_db()
        assert (account.name, account.options) == ("third", {"path": "/sms"})

    def test_that_no_longer_exist_are_dropped(self, manager, account):
        ProviderAccount.objects.filter(pk=account.pk).update(options={"gone": "x", "path": "/sms"})
        assert change(manager, account).status_code == 302
        account.refresh_from_db()
        assert account.options == {"path": "/sms"}

    @pytest.mark.parametrize(
        ("given", "field", "flaw"),
        [
            ({"option_path": "nowhere"}, "option_path", "'nowhere' is no path; write /send or"),
            ({"option_refused_when": "\r\nnonsense"}, "option_refused_when", "line 2: must have one arrow; write"),
            ({"option_headers": "a\r\nb"}, "option_headers", "line 1: 'a' is no header; write Name: value"),
            ({"option_body": "{}"}, "option_body", "the text is not sent; put {text} where it belongs"),
            ({"base_url": ""}, "base_url", "This field is required."),
            ({"base_url": "nowhere"}, "base_url", "Enter a valid URL."),
        ],
    )
    def test_that_are_wrong_say_so_at_their_field(self, manager, account, given, field, flaw):
        refused = change(manager, account, option_answer_body="unsaved", **given)
        assert list(errors(refused)) == [field]
        assert errors(refused)[field][0].startswith(flaw)
        assert shown(refused)["option_answer_body"] == "unsaved"
        account.refresh_from_db()
        assert (account.options, account.base_url) == ({}, "https://sms.example")
        assert "hush" not in refused.content.decode()

    def test_of_a_new_account_that_are_wrong_make_none(self, manager):
        refused = add(manager, **MAIL, base_url="smtp://127.0.0.1:25", option_security="none")
        assert errors(refused) == {"option_security": ["'none' is not known; set it to starttls, tls or plain"]}
        refused = add(manager, **{**MAIL, "credential_password": ""}, base_url="smtp://127.0.0.1:25")
        assert errors(refused) == {"option_login": ["user or password is missing; enter both, or set login to no"]}
        assert not ProviderAccount.objects.filter(name="second").exists()
        assert add(manager, **MAIL, base_url="smtp://127.0.0.1:25", option_security="plain").status_code == 302
        assert ProviderAccount.objects.get(name="second").options == {"security": "plain"}

    def test_are_explained(self, manager, account):
        change(manager, account)
        text = manager.get(address("provideraccount_change", account.pk)).content.decode()
        assert "How to write them" in text
        assert "status=429 field=error.code value=*   -&gt; rejected_retryable" in text
        assert "Options: the request" in text
        assert "Options: questions" in text


class TestAccounts:
    def test_whose_adapter_is_gone_keep_what_they_were_set_to(self, manager, acme):
        ProviderAccount.objects.filter(pk=acme.account.pk).update(provider="pigeon", options={"a": "b"})
        data = {"name": "renamed", "base_url": "", **NO_SENDERS}
        page = address("provideraccount_change", acme.account.pk)
        assert manager.post(page, data).status_code == 302
        acme.account.refresh_from_db()
        assert (acme.account.name, acme.account.provider, acme.account.options) == ("renamed", "pigeon", {"a": "b"})

    def test_whose_credentials_cannot_be_read_take_all_of_them_anew(self, manager, acme):
        ProviderAccount.objects.filter(pk=acme.account.pk).update(secret="garbage")
        refused = change(manager, acme.account, name="renamed")
        assert errors(refused)["__all__"] == ["The stored credentials cannot be read any more; enter all of them."]
        assert change(manager, acme.account, credential_token="t", credential_webhook_secret="s").status_code == 302
        acme.account.refresh_from_db()
        assert acme.account.adapter().credentials.token == "t"

    def test_say_what_is_usual_at_the_vendor(self, manager):
        text = manager.get(f"{address('provideraccount_add')}?provider=twilio").content.decode()
        assert "Where the provider's API is. Empty: https://api.twilio.com" in text

    def test_say_where_the_token_of_their_webhooks_belongs(self, manager, acme):
        add(manager, **HTTP, base_url="https://sms.example")
        account = ProviderAccount.objects.get(name="second")
        text = manager.get(address("provideraccount_change", account.pk)).content.decode()
        assert f"/webhooks/http_template/{account.key}/inbound?token=…" in text
        signed = manager.get(address("provideraccount_change", acme.account.pk)).content.decode()
        assert "token=…" not in signed


class TestTesting:
    def press(self, client, account, verb="test"):
        return client.post(address("provideraccount_do", account.pk, verb), follow=True)

    def answering(self, status):
        return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" % status

    @pytest.mark.parametrize(
        ("status", "level", "text"),
        [
            (200, "success", "main (simulator): Simulator knows these credentials."),
            (401, "error", "main (simulator): Simulator refuses these credentials (HTTP 401); enter them again"),
            (
                500,
                "warning",
                "main (simulator): Simulator answered HTTP 500, which says nothing about the credentials.",
            ),
        ],
    )
    def test_says_what_came_out(self, manager, acme, status, level, text):
        with Vendor([self.answering(status)]) as vendor:
            ProviderAccount.objects.filter(pk=acme.account.pk).update(base_url=vendor.url)
            assert told(self.press(manager, acme.account)) == [(level, text)]

    def test_says_that_nobody_answers(self, manager, acme):
        [(level, text)] = told(self.press(manager, acme.account))
        assert level == "error"
        assert "is the address http://127.0.0.1:9 right, and can this machine reach it?" in text

    def test_is_not_for_viewers_nor_for_other_tenants(self, client, manager, acme):
        zebra = world.make("zebra")
        assert self.press(manager, zebra.account).status_code == 404
        user = get_user_model().objects.create_user("v@acme.example", is_staff=True)
        Membership.objects.create(user=user, tenant=acme.tenant, role=Role.VIEWER)
        client.force_login(user)
        assert self.press(client, acme.account).status_code == 403


class TestHealth:
    def verbs(self, client, account):
        page = client.get(address("provideraccount_change", account.pk))
        return [button["verb"].name for button in page.context["verbs"]]

    def listed(self, client):
        return client.get(address("provideraccount_changelist")).content.decode()

    def test_of_a_broken_account_is_shown_and_marked_as_well(self, manager, acme):
        assert "well" not in self.verbs(manager, acme.account)
        assert '<td class="field-_health">ok</td>' in self.listed(manager)
        now = database.now()
        assert health.declare_broken(acme.account.pk, Counts(1, 5, 5), now)
        page = manager.get(address("provideraccount_change", acme.account.pk)).content.decode()
        canary = now + timedelta(seconds=health.FIRST_PAUSE)
        for text in (page, self.listed(manager)):
            assert f"broken since {now:%F %H:%M} UTC: 5 of 6 answers of the last minute were bad" in text
            assert f"next canary {canary:%H:%M:%S} UTC" in text
        assert "well" in self.verbs(manager, acme.account)
        answer = manager.post(address("provideraccount_do", acme.account.pk, "well"), follow=True)
        assert told(answer) == [("success", "main (simulator) is taken for well; the breaker watches it as before.")]
        assert AccountHealth.objects.get().state == "ok"
        assert "well" not in self.verbs(manager, acme.account)
        event = AuditEvent.objects.get()
        assert (event.actor, event.verb, event.target) == ("ann@acme.example", "provideraccount.marked_well", "main")
        again = manager.post(address("provideraccount_do", acme.account.pk, "well"), follow=True)
        assert told(again) == [("warning", "main (simulator): nothing to mark as well.")]
        assert AuditEvent.objects.count() == 1

    def test_is_listed_with_a_fixed_number_of_statements(self, manager, acme, django_assert_max_num_queries):
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        def statements():
            with CaptureQueriesContext(connection) as queries:
                self.listed(manager)
            return len(queries)

        one = statements()
        for number in range(3):
            account = ProviderAccount(tenant=acme.tenant, name=f"n{number}", provider="simulator")
            account.set_credentials({"token": "t", "webhook_secret": "s"})
            account.save()
            health.declare_broken(account.pk, Counts(0, 5, 5), database.now())
        assert statements() == one


class TestRoutes:
    """Senders, registrations and pins."""

    @pytest.fixture
    def shoes(self, acme):
        return Brand.objects.create(tenant=acme.tenant, name="Shoes", slug="shoes", zone="America/New_York")

    def sender(self, acme, **given):
        data = {"brand": acme.brand.pk, "account": acme.account.pk, "address": "+18885559999", "position": "0"}
        return {**data, "weight": "1", "is_active": "on", **given}

    def test_a_sender_is_a_route(self, manager, acme):
        registration = Registration.objects.create(tenant=acme.tenant, brand=acme.brand, name="C123")
        data = self.sender(acme, kind="toll_free", weight="3", countries="us, ca", registration=registration.pk)
        assert manager.post(address("sender_add"), data).status_code == 302
        sender = Sender.objects.get(address="+18885559999")
        assert (sender.weight, sender.countries, sender.registration) == (3, ["CA", "US"], registration)

    @pytest.mark.parametrize(
        ("given", "field", "flaw"),
        [
            ({"address": "+1 888 555 9999"}, "address", "'+1 888 555 9999' is no sender; write a number like"),
            (
                {"address": "news@acme.example"},
                "address",
                "Simulator cannot send from news@acme.example; give a number",
            ),
            ({"countries": "XX"}, "countries", "XX is no country; write two letters, like US"),
            ({"weight": "0"}, "weight", "Ensure this value is greater than or equal to 1."),
        ],
    )
    def test_a_sender_that_could_not_send_is_refused(self, manager, acme, given, field, flaw):
        refused = manager.post(address("sender_add"), self.sender(acme, **given))
        assert list(errors(refused)) == [field]
        assert errors(refused)[field][0].startswith(flaw)

    def test_a_sender_hears_of_all_its_flaws_at_once(self, manager, acme):
        refused = manager.post(address("sender_add"), self.sender(acme, address="+1 888", countries="us, xx"))
        assert sorted(errors(refused)) == ["address", "countries"]

    def test_a_sender_is_refused_another_brands_registration(self, manager, acme, shoes):
        theirs = Registration.objects.create(tenant=acme.tenant, brand=shoes, name="C123")
        refused = manager.post(address("sender_add"), self.sender(acme, registration=theirs.pk))
        assert errors(refused) == {"registration": ["C123 is the registration of another brand; each has its own"]}

    def test_a_new_account_comes_with_its_senders(self, manager, acme):
        given = {
            "senders-TOTAL_FORMS": "1", "senders-0-brand": acme.brand.pk, "senders-0-address": "+18885559999",
            "senders-0-position": "0", "senders-0-weight": "1", "senders-0-is_active": "on",
        }  # fmt: skip
        assert (
            add(manager, "simulator", credential_token="t", credential_webhook_secret="s", **given).status_code == 302
        )
        assert Sender.objects.get(address="+18885559999").account.name == "second"

    def test_a_long_code_without_a_registration_is_warned_of(self, manager, acme):
        real = world.make("real", provider="twilio", credentials={"account_sid": "AC1", "auth_token": "t"})
        user = get_user_model().objects.get()
        Membership.objects.create(user=user, tenant=real.tenant, role=Role.MANAGER)
        data = self.sender(real, tenant=real.tenant.pk, address="+12125550123")
        words = registering.warning(Sender(address="+12125550123", account=real.account))
        assert words.startswith(f"+12125550123: {registering.WORDS}; ")
        saved = manager.post(address("sender_add"), data, follow=True)
        assert ("warning", words) in told(saved)
        page = address("sender_change", Sender.objects.get(address="+12125550123").pk)
        assert escape(words) in manager.get(page).text
        registration = Registration.objects.create(tenant=real.tenant, brand=real.brand, name="C123")
        saved = manager.post(page, {**data, "registration": registration.pk}, follow=True)
        assert [level for level, _ in told(saved)] == ["success"]
        assert registering.WORDS not in manager.get(page).text

    def test_a_new_account_warns_of_its_long_codes(self, manager, acme):
        given = {
            "senders-TOTAL_FORMS": "1", "senders-0-brand": acme.brand.pk, "senders-0-address": "+12125550123",
            "senders-0-position": "0", "senders-0-weight": "1", "senders-0-is_active": "on",
            "credential_account_sid": "AC1", "credential_auth_token": "t",
        }  # fmt: skip
        data = {"name": "real", "base_url": "", **NO_SENDERS, **given}
        saved = manager.post(f"{address('provideraccount_add')}?provider=twilio", data, follow=True)
        assert [text for level, text in told(saved) if level == "warning"] == [
            registering.warning(Sender.objects.get(address="+12125550123"))
        ]

    def test_a_registration_is_added_and_approved(self, manager, acme):
        data = {"brand": acme.brand.pk, "name": "C123", "status": "pending", "segments_per_second": "4"}
        assert manager.post(address("registration_add"), data).status_code == 302
        made = Registration.objects.get()
        assert (made.tenant, made.segments_per_second) == (acme.tenant, 4)
        assert errors(manager.post(address("registration_add"), data))
        page = address("registration_change", made.pk)
        assert manager.post(page, {**data, "status": "approved"}).status_code == 302
        made.refresh_from_db()
        assert made.status == "approved"
        verbs = list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True))
        assert verbs == ["registration.added", "registration.changed"]

    def test_a_brand_is_pinned_where_it_has_a_sender(self, manager, acme, shoes):
        data = {"brand": shoes.pk, "account": acme.account.pk, "reason": "a contract"}
        refused = manager.post(address("pin_add"), data)
        assert errors(refused) == {"account": ["shoes has no active sender at main; add one first"]}
        assert manager.post(address("pin_add"), {**data, "brand": acme.brand.pk}).status_code == 302
        assert Pin.objects.get().brand == acme.brand
        assert "also while it is broken" in manager.get(address("pin_change", Pin.objects.get().pk)).content.decode()
        again = manager.post(address("pin_add"), {**data, "brand": acme.brand.pk})
        assert "brand" in errors(again)
        assert "reason" in errors(manager.post(address("pin_add"), {**data, "reason": ""}))
        assert manager.post(address("pin_delete", Pin.objects.get().pk), {"post": "yes"}).status_code == 302
        assert not Pin.objects.exists()
