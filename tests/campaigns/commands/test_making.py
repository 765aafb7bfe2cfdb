"""The commands that make things: once, completely, or not at all."""

import pytest

from campaigns.models import Campaign, RecipientList, Template
from providers import registering
from providers.models import ProviderAccount, Registration, Sender
from smsplatform.tenancy.models import ApiKey, AuditEvent, Brand, Tenant
from tests import world
from tests.campaigns.commands.shell import ask, refused, run

pytestmark = pytest.mark.django_db
HI = "acme acme x --text Hi --list everybody"
SIMULATOR = "--name a --provider simulator"
TOKENS = "--credential token=t0p --credential webhook_secret=s3cret"


@pytest.fixture
def acme():
    return world.make()


def verbs():
    return list(AuditEvent.objects.order_by("id").values_list("actor", "verb"))


class TestTenant:
    def test_is_made_with_what_is_said(self):
        assert ask(
            "create_tenant acme --name 'Acme Inc' --weight 3 --countries us,gb --approve-above 50000 --actor ana"
        ) == {
            "tenant": "acme",
            "name": "Acme Inc",
            "weight": 3,
            "countries": ["GB", "US"],
            "approve_above": 50_000,
            "made": True,
        }
        assert verbs() == [("ana", "tenant.created")]

    def test_may_let_the_api_and_forms_reach_other_countries(self):
        run("create_tenant acme --countries us,gb --triggered-countries gb --triggered-segments 70")
        tenant = Tenant.objects.get()
        assert (tenant.allowed_triggered_countries, tenant.triggered_segments) == ({"GB"}, 70)
        assert "--triggered-countries: XX is no country" in refused("create_tenant bolt --triggered-countries XX")

    def test_is_there_when_made_again(self):
        run("create_tenant acme --name Acme --weight 3")
        assert "nothing to do" in run("create_tenant acme --name Acme --weight 3")
        assert "nothing to do" in run("create_tenant acme")
        assert (Tenant.objects.count(), verbs()) == (1, [("operator", "tenant.created")])

    def test_is_not_changed_by_other_values(self):
        run("create_tenant acme --weight 3")
        assert "weight is 3, not 4" in refused("create_tenant acme --weight 4")

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("'not a slug'", "SLUG: Enter a valid"),
            ("acme --weight 0", "--weight: Ensure this value is greater"),
            ("acme --countries XX", "--countries: XX is no country; write two letters"),
            ("acme --countries ,", "--countries: nothing is no country"),
            (f"acme --name {'x' * 121}", "--name: Ensure this value has at most 120"),
        ],
    )
    def test_is_refused(self, line, said):
        assert said in refused(f"create_tenant {line}")


class TestBrand:
    def test_is_made_with_what_is_said(self, acme):
        brand = ask(
            "create_brand acme shoes --name Shoes --zone America/Denver --opens 09:00 --closes 20:30"
            " --daily-cap 1000 --person-cap 2 --person-cap-hours 48 --link-domain go.example.com"
        )
        assert brand == {
            "tenant": "acme",
            "brand": "shoes",
            "name": "Shoes",
            "zone": "America/Denver",
            "opens": "09:00",
            "closes": "20:30",
            "daily_cap": 1000,
            "person_cap": 2,
            "person_cap_hours": 48,
            "link_domain": "go.example.com",
            "consent_kept": "here",
            "undo_above": None,
            "made": True,
        }

    def test_is_there_when_made_again(self, acme):
        for _ in range(2):
            run("create_brand acme shoes --opens 09:00 --daily-cap 5")
        assert Brand.objects.filter(slug="shoes").count() == 1
        assert verbs() == [("operator", "brand.created")]
        assert "daily_cap is 5, not 6" in refused("create_brand acme shoes --daily-cap 6")

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("nobody shoes", "tenant: there is no tenant 'nobody'; `manage.py create_tenant` makes one"),
            (
                "acme shoes --zone Mars/Olympus",
                "--zone: 'Mars/Olympus' is not an IANA time zone; write it like America/New_York",
            ),
            ("acme shoes --opens 25:00", "--opens: '25:00' is no time of day; write it like 08:00"),
            ("acme shoes --closes 20:00+01:00", "--closes: is a local time"),
            ("acme shoes --opens 21:00 --closes 08:00", "--opens: must come before the closing time"),
            ("acme shoes --opens 22:00", "--opens: must come before the closing time"),
            ("acme shoes --daily-cap=-1", "--daily-cap: Ensure this value"),
            ("acme shoes --person-cap 0", "--person-cap: Ensure this value"),
            (
                "acme shoes --person-cap 4",
                "--person-cap: 4 in 24 hours would loosen: the platform allows 3 in 24 hours",
            ),
            ("acme shoes --person-cap-hours 12", "--person-cap: 3 in 12 hours would loosen"),
            ("acme shoes --person-cap-hours 0", "--person-cap-hours: Ensure this value"),
            ("acme shoes --link-domain https://go.example.com", "--link-domain: 'https://go.example.com' is no host"),
        ],
    )
    def test_is_refused(self, acme, line, said):
        assert said in refused(f"create_brand {line}")


class TestApiKey:
    def test_shows_its_token_once_and_stores_a_hash(self, acme):
        key = ask("create_api_key acme --name shop")
        stored = ApiKey.objects.get()
        assert stored.matches(key["token"])
        assert key["token"] not in str(ApiKey.objects.values())
        assert verbs() == [("operator", "api_key.created")]
        assert key["token"] not in str(list(AuditEvent.objects.values()))

    def test_is_not_made_twice_unless_it_replaces_the_old_one(self, acme):
        first = ask("create_api_key acme --name shop")["token"]
        assert "cannot be shown again; choose another name, or add --replace" in refused(
            "create_api_key acme --name shop"
        )
        second = ask("create_api_key acme --name shop --replace")["token"]
        assert [key.matches(second) for key in ApiKey.objects.filter(is_active=True)] == [True]
        assert [key.matches(first) for key in ApiKey.objects.filter(is_active=False)] == [True]

    @pytest.mark.parametrize(
        ("line", "said"), [("nobody --name x", "tenant: "), ("acme --name ' '", "--name: give 1 to 120")]
    )
    def test_is_refused(self, acme, line, said):
        assert said in refused(f"create_api_key {line}")


class TestProviderAccount:
    def test_prints_where_the_provider_must_call(self, acme, settings):
        settings.PUBLIC_URL = "https://sms.example.com"
        made = ask(
            f"create_provider_account acme --name sim --provider simulator {TOKENS}"
            " --base-url http://127.0.0.1:8025 --rate 50 --concurrency 4 --timeout 9.5"
        )
        account = ProviderAccount.objects.get(name="sim")
        assert made["status_url"] == f"https://sms.example.com/webhooks/simulator/{account.key}/status"
        assert made["inbound_url"] == f"https://sms.example.com/webhooks/simulator/{account.key}/inbound"
        assert (account.segments_per_second, account.concurrency, account.timeout) == (50, 4, 9.5)
        assert account.adapter().credentials.token == "t0p"

    def test_reads_secrets_from_the_environment(self, acme, monkeypatch):
        monkeypatch.setenv("SID", "AC" + "1" * 32)
        monkeypatch.setenv("AUTH", "very-secret")
        line = (
            "create_provider_account acme --name tw --provider twilio"
            " --credential-env account_sid=SID --credential-env auth_token=AUTH"
        )
        assert "very-secret" not in run(line)
        assert ProviderAccount.objects.get(name="tw").adapter().credentials.auth_token == "very-secret"
        assert "nothing to do" in run(line)
        assert "very-secret" not in str(list(AuditEvent.objects.values()))
        monkeypatch.setenv("AUTH", "another-secret")
        said = refused(line)
        assert "--credential: the account tw exists with other credentials" in said
        assert "secret" not in said

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            (f"nobody --name a --provider simulator {TOKENS}", "tenant: there is no tenant"),
            (f"acme --name a --provider pigeon {TOKENS}", "--provider: No provider 'pigeon'; known are"),
            (f"acme {SIMULATOR} {TOKENS} --credential x=1", "has no credential 'x'; give token, webhook_secret"),
            (f"acme {SIMULATOR} --credential token=1", "simulator needs webhook_secret too; add --credential-env"),
            (f"acme {SIMULATOR} --credential token", "--credential: write it as KEY=VALUE"),
            (f"acme {SIMULATOR} --credential token=", "--credential: token is empty"),
            (f"acme {SIMULATOR} {TOKENS} --credential token=2", "--credential: token is given twice"),
            (
                f"acme {SIMULATOR} --credential token=1 --credential-env webhook_secret=NO_SUCH_VARIABLE",
                "--credential-env: the environment variable for webhook_secret is not set; export NO_SUCH_VARIABLE first",
            ),
            (f"acme {SIMULATOR} {TOKENS} --base-url nowhere", "--base-url: Enter a valid URL"),
            (f"acme {SIMULATOR} {TOKENS} --base-url ftp://x.example", "--base-url: Enter a valid URL"),
            (f"acme {SIMULATOR} {TOKENS} --rate 0", "--rate: Ensure this value"),
            (f"acme {SIMULATOR} {TOKENS} --concurrency 0", "--concurrency: Ensure this value"),
            (f"acme {SIMULATOR} {TOKENS} --timeout 0", "--timeout: Ensure this value"),
            (f"acme --name main --provider simulator {TOKENS} --rate 7", "segments_per_second is empty, not 7"),
        ],
    )
    def test_is_refused(self, acme, line, said):
        message = refused(f"create_provider_account {line}")
        assert said in message
        assert "t0p" not in message


class TestOptions:
    """`--option`: what an account does otherwise than its vendor's defaults."""

    HTTP = (
        "create_provider_account acme --name web --provider http_template --credential webhook_token=t0p"
        " --base-url http://127.0.0.1:9"
    )
    SLOOCE = (
        "create_provider_account acme --name s --provider slooce --base-url http://sms.example"
        " --credential partner_id=a --credential partner_password=t0p --credential webhook_token=b"
    )
    MAIL = "create_provider_account acme --name mail --provider smtp --credential webhook_token=t0p"

    @pytest.fixture
    def rules(self, tmp_path):
        file = tmp_path / "refusals.txt"
        file.write_text(
            "status=400 field=error.code value=E1 -> rejected_permanent\n"
            "status=429 field=error.code value=* -> rejected_retryable\n"
        )
        return file

    def test_are_texts_or_files(self, acme, rules):
        line = f"{self.HTTP} --option path=/sms --option id_field= --option refused_when=@{rules}"
        line += " --option 'accepted_when=status=200 field=status value=ok'"
        assert ask(line)["made"]
        account = ProviderAccount.objects.get(name="web")
        assert account.options == {
            "path": "/sms",
            "id_field": "",
            "refused_when": rules.read_text().removesuffix("\n"),
            "accepted_when": "status=200 field=status value=ok",
        }
        assert len(account.adapter().options.refusals) == 2
        assert not ask(line)["made"]
        assert not ask(self.HTTP)["made"]  # nothing said of options: they stay

    def test_are_not_changed_by_other_values(self, acme):
        run(f"{self.MAIL} --base-url smtp://127.0.0.1:1 --option login=no")
        assert "options is {'login': 'no'}, not {'login': 'yes'}" in refused(f"{self.MAIL} --option login=yes")

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            (f"{HTTP} --option path", "--option: write it as KEY=VALUE"),
            (f"{HTTP} --option =x", "--option: write it as KEY=VALUE"),
            (f"{HTTP} --option path=/a --option path=/b", "--option: path is given twice; give it once"),
            (f"{HTTP} --option paths=/a", "--option: http_template has no option paths; it has accepted_when, "),
            (
                f"create_provider_account acme {SIMULATOR} {TOKENS} --option x=1",
                "--option: simulator has no option x; it has none",
            ),
            (f"{HTTP} --option path=nowhere", "--option: path: 'nowhere' is no path; write /send or"),
            (f"{HTTP} --option 'refused_when=nonsense'", "--option: refused_when, line 1"),
            (
                HTTP.replace(" --base-url http://127.0.0.1:9", ""),
                "--base-url: is missing: http_template has no usual one; enter where its API is",
            ),
            (
                SLOOCE.replace(" --base-url http://sms.example", ""),
                "--base-url: is missing: slooce has no usual one; enter where its API is, or the option that is part of it",
            ),
            (
                f"{HTTP} --option body=@/nowhere/x",
                "--option: body: /nowhere/x cannot be read: No such file or directory",
            ),
            (f"{HTTP} --option body=@/", "--option: body: / cannot be read: Is a directory; name a file"),
            (
                f"{MAIL} --option security=none",
                "--option: security: 'none' is not known; set it to starttls, tls or plain",
            ),
            (
                SLOOCE,
                "--base-url: the partner's password would travel unencrypted; use https://",
            ),
        ],
    )
    def test_are_refused(self, acme, line, said):
        message = refused(line)
        assert said in message
        assert "t0p" not in message

    @pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b"])
    def test_are_refused_from_what_is_no_text(self, acme, tmp_path, content):
        file = tmp_path / "picture"
        file.write_bytes(content)
        assert f"--option: body: {file} is no text; write it as UTF-8" in refused(f"{self.HTTP} --option body=@{file}")


class TestSender:
    def test_is_added_once(self, acme):
        for _ in range(2):
            run("add_sender acme acme main +18885550199 --position 2 --rate 3")
        sender = Sender.objects.get(address="+18885550199")
        assert (sender.brand, sender.position, sender.segments_per_second) == (acme.brand, 2, 3)
        assert verbs() == [("operator", "sender.added")]
        assert "position is 2, not 1" in refused("add_sender acme acme main +18885550199 --position 1")

    def test_is_told_where_carriers_block_it(self, acme):
        run(
            "create_provider_account acme --name real --provider twilio --credential account_sid=AC1"
            " --credential auth_token=t"
        )
        assert f"  +12125550123: {registering.WORDS}; " in run("add_sender acme acme real +12125550123")
        assert registering.WORDS not in run("add_sender acme acme real +12125550124 --registration C1")

    def test_may_be_an_address_in_any_case(self, acme):
        run(
            "create_provider_account acme --name mail --provider smtp --base-url smtp://127.0.0.1:25"
            " --credential user=u --credential password=p --credential webhook_token=t"
        )
        for address in ("News@Brand.example", "news@brand.example"):
            run(f"add_sender acme acme mail {address}")
        assert Sender.objects.filter(address="news@brand.example").count() == 1

    def test_belongs_to_one_brand(self, acme):
        run("create_brand acme shoes")
        said = refused(f"add_sender acme shoes main {acme.sender.address}")
        assert "already texts for acme; a person's STOP must reach exactly one brand" in said

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("nobody acme main 12345", "tenant: there is no tenant"),
            ("acme boots main 12345", "BRAND: acme has no brand 'boots'; `manage.py create_brand` makes one"),
            (
                "acme acme other 12345",
                "ACCOUNT: acme has no provider account 'other'; `manage.py create_provider_account`",
            ),
            (
                "acme acme main 'not a number at all'",
                "ADDRESS: 'not a number at all' is no sender; write a number like",
            ),
            ("acme acme main 12345 --rate 0", "--rate: Ensure this value"),
            ("acme acme main 12345 --position=-1", "--position: Ensure this value"),
            ("acme acme main 12345 --weight 0", "--weight: Ensure this value"),
            ("acme acme main 12345 --country XX", "--country: XX is no country; write two letters, like US"),
            ("acme acme main 12345 --country US --country ''", "--country: nothing is no country"),
            ("acme acme main 12345 --registration ' '", "--registration: '': This field cannot be blank"),
            (f"acme acme main 12345 --registration {'C' * 61}", "Ensure this value has at most 60 characters"),
            (
                "acme acme main news@acme.example",
                "ADDRESS: Simulator cannot send from news@acme.example; give a number",
            ),
        ],
    )
    def test_is_refused(self, acme, line, said):
        assert said in refused(f"add_sender {line}")

    def test_is_a_route_with_a_share_for_some_countries(self, acme):
        line = "add_sender acme acme main 12345 --kind short_code --weight 3 --country ca --country US --country us"
        for _ in range(2):
            run(line)
        sender = Sender.objects.get(address="12345")
        assert (sender.kind, sender.weight, sender.countries) == ("short_code", 3, ["CA", "US"])
        assert "countries is ['CA', 'US'], not ['CA']" in refused("add_sender acme acme main 12345 --country ca")

    def test_belongs_to_a_registration_which_is_made_as_pending(self, acme):
        line = "add_sender acme acme main 12345 --registration C123"
        assert "C123 (pending) must be approved (admin, Registrations) before anything goes out" in run(line)
        assert Registration.objects.get().brand == acme.brand
        assert verbs() == [("operator", "registration.added"), ("operator", "sender.added")]
        Registration.objects.update(status="approved")
        assert ask(line)["registration_status"] == "approved"
        assert "must be approved" not in run(line)
        run("add_sender acme acme main 12346 --registration C123")
        assert Registration.objects.count() == 1

    def test_leaves_no_registration_when_it_is_refused(self, acme):
        refused("add_sender acme acme main 12345 --registration C123 --rate 0")
        run("add_sender acme acme main 12345")
        assert "registration is empty, not C123" in refused("add_sender acme acme main 12345 --registration C123")
        assert not Registration.objects.exists()

    def test_does_not_share_a_registration_with_another_brand(self, acme):
        run("create_brand acme shoes")
        run("add_sender acme shoes main 12345 --registration C123")
        said = refused("add_sender acme acme main 12346 --registration C123")
        assert said == "--registration: C123 is the registration of another brand; each has its own"

    def test_of_mail_is_an_address(self, acme):
        run(f"{TestOptions.MAIL} --base-url smtp://127.0.0.1:1 --option login=no")
        run("add_sender acme acme mail news@acme.example --kind email")
        said = refused("add_sender acme acme mail +18885550124")
        assert said == "ADDRESS: E-mail (SMTP) cannot send from +18885550124; give an e-mail address"

    def test_cannot_use_another_tenants_account(self, acme):
        world.make("rival")
        ProviderAccount.objects.filter(tenant=acme.tenant).update(name="ours")
        assert "ACCOUNT: rival has no provider account 'ours'" in refused("add_sender rival rival ours 12345")


class TestTemplate:
    def test_gets_a_version_for_each_text(self, acme, tmp_path):
        file = tmp_path / "text.txt"
        file.write_text("Hello {{ first_name }}\n")
        assert ask("create_template acme acme hello --text 'Hello'")["version"] == 1
        assert "nothing to do" in run("create_template acme acme hello --text Hello")
        assert ask(f"create_template acme acme hello --text-file {file}")["version"] == 2
        assert Template.objects.get().latest.source == "Hello {{ first_name }}"
        assert verbs() == [("operator", "template.written")] * 2

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("acme acme hello", "--text: give either --text or --text-file"),
            ("acme acme hello --text a --text-file b", "--text: give either --text or --text-file"),
            ("acme acme hello --text ' '", "--text: the text is empty"),
            ("acme acme hello --text-file /nowhere/x", "--text-file: /nowhere/x cannot be read: No such file"),
            ("acme acme hello --text 'Hi {{ first_name'", "--text: line 1, column"),
            ("acme boots hello --text Hi", "BRAND: acme has no brand 'boots'"),
        ],
    )
    def test_is_refused(self, acme, line, said):
        assert said in refused(f"create_template {line}")

    def test_has_a_text_for_each_language(self, acme):
        line = "create_template acme acme hello --text 'Acme STOP' --translation"
        made = ask(f"{line} 'es=Hola {{{{ name }}}}' --translation 'French=Acme STOP'")
        assert (made["version"], made["languages"]) == (1, ["es", "fr"])
        assert [(each["language"], each["code"]) for each in made["findings"]] == [
            ("es", "brand_name_missing"),
            ("es", "stop_missing"),
        ]
        assert "warning: es, line 1, column 1: the text does not name Acme" in run(f"{line} es=Hola")
        assert Template.objects.get().latest.texts == {"es": "Hola"}
        assert ask("create_template acme acme hello --text 'Acme STOP'")["made"] is False, "the translations stay"
        for given, said in (
            ("Hola", "--translation: 'Hola' is no text of a language"),
            ("nowhere=Hola", "--translation: 'nowhere=Hola' is no text of a language"),
            ("es=", "--translation: 'es=' is no text of a language"),
            ("'es={{ x'", "--translation: es, line 1, column 1: {{ is never closed"),
            ("es=bit.ly/x", "--translation: es, line 1, column 1: bit.ly must not be in a text"),
        ):
            assert said in refused(f"{line} {given}")

    def test_refuses_a_file_that_is_no_text(self, acme, tmp_path):
        file = tmp_path / "picture"
        file.write_bytes(b"\xff\xd8\xff")
        assert "it is not UTF-8" in refused(f"create_template acme acme hello --text-file {file}")


class TestCampaign:
    def test_is_made_with_what_is_said(self, acme):
        RecipientList.objects.create(tenant=acme.tenant, name="staff")
        made = ask(
            "create_campaign acme acme spring --text 'Hello' --list everybody --minus-list staff --category informational"
            " --schedule local --local-at 2030-03-01T09:00 --past-policy next_day --lateness-minutes 30"
        )
        assert [each["code"] for each in made.pop("findings")] == ["brand_name_missing"]
        assert made == {
            "tenant": "acme",
            "brand": "acme",
            "campaign": "spring",
            "template": "spring",
            "schedule": "local",
            "category": "informational",
            "lists": ["everybody"],
            "minus_lists": ["staff"],
            "spread_hours": None,
            "most_per_hour": None,
            "next_at": None,
            "made": True,
        }
        campaign = Campaign.objects.get()
        assert (campaign.local_at, campaign.past_policy, campaign.lateness_minutes) == (
            "2030-03-01T09:00",
            "next_day",
            30,
        )
        assert campaign.template.latest.source == "Hello"

    @pytest.mark.parametrize(
        "schedule",
        [
            "",
            "--schedule at --at 2030-03-01T09:00-05:00",
            "--schedule repeat --crontab '0 9 * * 1' --crontab-clock recipient",
            "--schedule field --time-field renewal --past-policy send_now",
        ],
    )
    def test_is_there_when_made_again(self, acme, schedule):
        line = f"create_campaign acme acme spring --text Hello --list everybody {schedule}"
        assert ask(line)["made"]
        assert not ask(line)["made"]
        assert Campaign.objects.count() == 1
        assert verbs() == [("operator", "campaign.created")]

    def test_says_when_a_repeating_one_fires_next(self, acme):
        line = "create_campaign acme acme weekly --text Hello --list everybody --schedule repeat --crontab '0 9 * * 1'"
        assert "fires by itself, next at" in run(line)
        assert ask(line)["next_at"].endswith(":00:00Z")

    def test_uses_a_template_that_is_there(self, acme):
        run("create_template acme acme hello --text Hello")
        run("create_campaign acme acme spring --template hello --list everybody")
        assert Campaign.objects.get().template.name == "hello"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("--text Bye --list everybody", "--text: the template spring has another text"),
            ("--text Hello --list everybody --list staff", "--list: the campaign spring exists with everybody"),
            ("--text Hello --list everybody --minus-list staff", "--minus-list: the campaign spring exists with none"),
            ("--text Hello --list everybody --category transactional", "category is marketing, not transactional"),
            ("--text Hello --list everybody --lateness-minutes 9", "lateness_minutes is empty, not 9"),
        ],
    )
    def test_is_not_changed_by_other_values(self, acme, change, said):
        RecipientList.objects.create(tenant=acme.tenant, name="staff")
        run("create_campaign acme acme spring --text Hello --list everybody")
        assert said in refused(f"create_campaign acme acme spring {change}")

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("nobody acme x --text Hi --list everybody", "tenant: there is no tenant 'nobody'"),
            ("acme boots x --text Hi --list everybody", "brand: acme has no brand 'boots'"),
            ("acme acme x --text Hi", "--list: say whom: name a list; `manage.py import_recipients` makes one"),
            (
                "acme acme x --text Hi --list nobody",
                "--list: acme has no recipient list 'nobody'; `manage.py import_recipients`",
            ),
            ("acme acme x --list everybody", "--text: give either --text or --text-file"),
            ("acme acme x --template none --list everybody", "--template: acme has no template"),
            ("acme acme x --template t --text Hi --list everybody", "--template: give either a template or a text"),
            ("acme acme x --text '{% if %}' --list everybody", "--text: line 1"),
            (f"{HI} --schedule at", "--at: say when; write it like --at 2026-12-01T09:00-05:00"),
            (f"{HI} --schedule at --at tomorrow", "--at: 'tomorrow' is no instant with an offset"),
            (f"{HI} --schedule at --at 2030-01-01T09:00", "is no instant with an offset"),
            (f"{HI} --schedule at --at 2020-01-01T09:00Z", "--at: 2020-01-01T09:00Z is over by more"),
            (f"{HI} --schedule local", "--local-at: say when"),
            (f"{HI} --schedule local --local-at 9", "--local-at: '9' is no local time"),
            (
                f"{HI} --schedule local --local-at 2030-01-01T09:00Z",
                "is no local time to the minute; write it like 2026-12-01T09:00",
            ),
            (f"{HI} --schedule repeat", "--crontab: say when; write it like"),
            (f"{HI} --schedule repeat --crontab '0 99 * * *'", "--crontab: hour: '99' is not valid"),
            (f"{HI} --schedule repeat --crontab daily", "--crontab: a schedule has five fields"),
            (f"{HI} --crontab '0 9 * * *'", "--crontab: belongs to --schedule repeat, and this is now"),
            (f"{HI} --lateness-minutes 0", "--lateness-minutes: give 1 to 10080 minutes"),
        ],
    )
    def test_is_refused(self, acme, line, said):
        assert said in refused(f"create_campaign {line}")

    def test_cannot_use_another_brands_template(self, acme):
        run("create_brand acme shoes")
        run("create_template acme shoes hello --text Hello")
        assert "--template: acme has no template" in refused(
            "create_campaign acme acme x --template hello --list everybody"
        )
