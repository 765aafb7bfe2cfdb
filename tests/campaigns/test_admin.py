"""The product's admin: importing, writing, launching, watching and stopping."""

import re
import uuid

import pytest
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns import tasks
from campaigns.models import (
    Attempt,
    Campaign,
    Dispatch,
    Import,
    ListMember,
    Recipient,
    RecipientList,
    RefusedRow,
    Run,
    Template,
    Trouble,
)
from campaigns.states import State
from compliance.models import NotTextable, Permit, TrafficCount
from smsplatform.common import database
from smsplatform.tenancy.models import AuditEvent, Membership, Role
from tests import world
from tracking.models import Click, Link

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return world.make()


@pytest.fixture
def manager(client, acme):
    user = get_user_model().objects.create_user("ann@acme.example", is_staff=True)
    Membership.objects.create(user=user, tenant=acme.tenant, role=Role.MANAGER)
    client.force_login(user)
    return client


@pytest.fixture
def published(monkeypatch):
    """The ids that tasks were published for."""
    found = []
    monkeypatch.setattr(tasks, "start_materialising", found.append)
    monkeypatch.setattr(tasks, "start_import", found.append)
    return found


def address(name, *args):
    return reverse(f"admin:campaigns_{name}", args=args)


def errors(response):
    return response.context["adminform"].form.errors


def told(response):
    return [str(message) for message in response.context["messages"]]


class TestTemplates:
    def save(self, client, acme, text, name="welcome"):
        data = {"name": name, "brand": acme.brand.pk, "text": text}
        return client.post(address("template_add"), {**data, **self.no_inlines()})

    def no_inlines(self):
        return {"versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0"}

    def test_are_written_as_versions(self, manager, acme):
        assert self.save(manager, acme, "Hello").status_code == 302
        template = Template.objects.get()
        change = address("template_change", template.pk)
        assert "Hello" in manager.get(change).content.decode()
        for text in ("Hello\r\nagain", "Hello\r\nagain"):
            assert manager.post(change, {"name": "welcome", "text": text, **self.no_inlines()}).status_code == 302
        assert list(template.versions.values_list("number", "source")) == [(2, "Hello\nagain"), (1, "Hello")]

    def test_show_what_is_wrong_by_line_and_column(self, manager, acme):
        refused = self.save(manager, acme, "Hello\n{{ first_name | shout }}")
        [flaw] = errors(refused)["text"]
        assert flaw.startswith("line 2, column ")
        assert not Template.objects.exists()

    def test_have_a_text_for_each_language(self, manager, acme):
        others = {"language_1": "Spanish", "text_1": "Hola\r\nAcme STOP", "language_2": "", "text_2": ""}
        data = {"name": "welcome", "brand": acme.brand.pk, "text": "Acme STOP", **self.no_inlines()}
        assert manager.post(address("template_add"), {**data, **others}).status_code == 302
        template = Template.objects.get()
        assert template.latest.texts == {"es": "Hola\nAcme STOP"}
        change = address("template_change", template.pk)
        page = manager.get(change)
        form = page.context["adminform"].form
        assert (form["language_1"].value(), form["text_1"].value()) == ("es", "Hola\nAcme STOP")
        assert manager.post(change, {**data, **others}).status_code == 302
        assert template.latest.number == 1
        for slot, wrong, field in (
            ("1", {"language_1": "Martian"}, "language_1"),
            ("1", {"language_1": ""}, "language_1"),
            ("1", {"text_1": ""}, "text_1"),
            ("2", {"language_2": "es", "text_2": "Hola"}, "language_2"),
            ("1", {"text_1": "see bit.ly/x"}, "text_1"),
        ):
            assert field in errors(manager.post(change, {**data, **others, **wrong})), slot
        assert template.latest.number == 1

    def test_are_told_what_carriers_and_people_would_mind(self, manager, acme):
        response = manager.post(
            address("template_add"),
            {"name": "w", "brand": acme.brand.pk, "text": "Wine for you", **self.no_inlines()}, follow=True,
        )  # fmt: skip
        assert [each for each in told(response) if "“Wine” is about alcohol" in each]
        page = manager.get(address("template_change", Template.objects.get().pk)).content.decode()
        assert "restricted_content" not in page
        assert "have somebody look whether it may be sent" in page
        assert "link_host_blocked" not in str(errors(self.save(manager, acme, "see tinyurl.com/x", name="x"))["text"])
        assert "tinyurl.com must not be in a text" in str(
            errors(self.save(manager, acme, "see tinyurl.com/x", name="x"))
        )

    def test_need_a_name_of_their_own_in_the_brand(self, manager, acme):
        self.save(manager, acme, "Hello")
        assert errors(self.save(manager, acme, "Other"))


class TestLaunching:
    def press(self, client, campaign, key=None, **more):
        page = client.get(address("campaign_change", campaign.pk)).content.decode()
        key = key or re.search(r'name="launch_key" value="([^"]+)"', page)[1]
        url = address("campaign_do", campaign.pk, "launch")
        return key, client.post(url, {"launch_key": key, **more}, follow=True)

    def test_twice_from_one_page_gives_one_run(self, manager, acme, published, django_capture_on_commit_callbacks):
        campaign = acme.campaign()
        with django_capture_on_commit_callbacks(execute=True):
            key, first = self.press(manager, campaign)
            _, second = self.press(manager, campaign, key)
        run = Run.objects.get(campaign=campaign)
        assert (run.launched_by, run.occurrence) == ("ann@acme.example", f"by hand {key}")
        assert published == [run.pk, run.pk]
        assert "is launched" in told(first)[0]
        assert "is launched" in told(second)[0]
        assert AuditEvent.objects.filter(verb="campaign.launched").count() == 1

    def test_again_from_another_page_must_be_meant(self, manager, acme, published):
        campaign = acme.campaign()
        self.press(manager, campaign)
        _, refused = self.press(manager, campaign)
        assert "launched already" in told(refused)[0]
        assert Run.objects.filter(campaign=campaign).count() == 1
        self.press(manager, campaign, again="1")
        assert Run.objects.filter(campaign=campaign).count() == 2

    def test_needs_a_key_made_by_the_page(self, manager, acme, published):
        campaign = acme.campaign()
        for key in ("2026-12-01T09:00", "x"):
            _, refused = self.press(manager, campaign, key)
            assert "launch key" in told(refused)[0]
        assert not Run.objects.exists()

    def test_tells_what_is_missing(self, manager, acme, published, django_capture_on_commit_callbacks):
        campaign = acme.campaign()
        campaign.lists.clear()
        with django_capture_on_commit_callbacks(execute=True):
            _, refused = self.press(manager, campaign)
        assert "has no list" in told(refused)[0]
        assert published == []

    def test_is_not_for_what_repeats_by_the_recipients_clocks(self, manager, acme, published):
        campaign = acme.campaign(schedule="repeat", crontab="0 9 * * *", crontab_clock="recipient")
        assert "launch_key" not in manager.get(address("campaign_change", campaign.pk)).content.decode()
        _, refused = self.press(manager, campaign, "2026-01-01T00:00:00Z-00000000")
        assert "nothing to launch" in told(refused)[0]
        assert not Run.objects.exists()

    def test_works_from_the_list_too(self, manager, acme, published):
        campaigns = [acme.campaign(), acme.campaign()]
        page = manager.get(address("campaign_changelist")).content.decode()
        key = re.search(r'name="launch_key" value="([^"]+)"', page)[1]
        data = {"action": "launch", "_selected_action": [one.pk for one in campaigns], "launch_key": key, "index": "0"}
        for _ in range(2):
            manager.post(address("campaign_changelist"), data)
        assert {run.campaign for run in Run.objects.all()} == set(campaigns)
        assert Run.objects.count() == 2


class TestStopping:
    def test_a_campaign_stops_its_latest_run(self, manager, acme):
        acme.recipient()
        campaign = acme.campaign()
        older, latest = acme.run(campaign, key="1"), acme.run(campaign, key="2")
        for verb in ("pause", "resume", "cancel"):
            assert manager.post(address("campaign_do", campaign.pk, verb)).status_code == 302
        older.refresh_from_db()
        latest.refresh_from_db()
        assert (older.paused_at, older.cancelled_at, latest.paused_at) == (None, None, None)
        assert latest.cancelled_at is not None
        verbs = AuditEvent.objects.exclude(verb="campaign.launched").order_by("pk").values_list("verb", flat=True)
        assert list(verbs) == ["run.paused", "run.resumed", "run.cancelled"]

    def test_a_run_offers_what_fits_its_state(self, manager, acme):
        acme.recipient()
        run = acme.run()
        page = address("run_change", run.pk)

        def offered():
            return [button["verb"].name for button in manager.get(page).context["verbs"]]

        assert offered() == ["pause", "cancel"]
        manager.post(address("run_do", run.pk, "pause"))
        assert offered() == ["resume", "cancel"]
        manager.post(address("run_do", run.pk, "cancel"))
        assert offered() == []
        refused = manager.post(address("run_do", run.pk, "resume"), follow=True)
        assert "nothing to resume" in told(refused)[0]


class TestCampaigns:
    def data(self, acme, **fields):
        template = Template.objects.create(tenant=acme.tenant, brand=acme.brand, name="t")
        return {
            "name": "Sale", "brand": acme.brand.pk, "template": template.pk, "category": "marketing",
            "lists": [acme.people.pk], "schedule": "now", "past_policy": "skip", "crontab_clock": "brand",
            "is_active": "on", **fields,
        }  # fmt: skip

    def test_are_made(self, manager, acme):
        assert manager.post(address("campaign_add"), self.data(acme)).status_code == 302
        assert list(Campaign.objects.get(name="Sale").lists.all()) == [acme.people]

    def test_say_what_their_schedule_lacks(self, manager, acme):
        refused = manager.post(address("campaign_add"), self.data(acme, schedule="repeat", crontab="61 * * * *"))
        assert "minute" in errors(refused)["crontab"][0]

    def test_take_no_list_of_another_tenant(self, manager, acme):
        zebra = world.make("zebra")
        refused = manager.post(address("campaign_add"), self.data(acme, lists=[zebra.people.pk]))
        assert "lists" in errors(refused)


class TestRuns:
    def test_show_progress_and_reasons(self, manager, acme):
        acme.recipients(3)
        run = acme.run()
        dispatch = Dispatch.objects.of_run(run.pk).first()
        Dispatch.objects.filter(pk=dispatch.pk).move(
            [State.QUEUED], State.BLOCKED, now=database.now(), reason="suppressed_brand@1"
        )
        text = manager.get(address("run_change", run.pk)).content.decode()
        assert "suppressed_brand@1" in text
        assert "3 messages" in text
        assert "Running" in text
        assert "<title>queued: 2</title>" in text
        assert "<script>" not in text.split("<body")[1]
        listed = manager.get(address("run_changelist"))
        assert "<title>blocked: 1</title>" in listed.content.decode()
        assert ">running<" in listed.content.decode()

    def test_are_listed_with_a_fixed_number_of_statements(self, manager, acme):
        acme.recipient()
        campaign = acme.campaign()

        def statements(key):
            acme.run(campaign, key=key)
            with CaptureQueriesContext(connection) as queries:
                manager.get(address("run_changelist"))
            return len(queries)

        assert statements("1") >= statements("2") == statements("3")


class TestDispatches:
    def rows(self, client, **query):
        return [row.pk for row in client.get(address("dispatch_changelist"), query).context["cl"].result_list]

    def test_are_those_of_the_latest_run_or_the_chosen_one(self, manager, acme):
        acme.recipients(2)
        campaign = acme.campaign()
        runs = [acme.run(campaign, key=key) for key in "12"]
        ids = [list(Dispatch.objects.of_run(run.pk).order_by("pk").values_list("pk", flat=True)) for run in runs]
        assert self.rows(manager) == ids[1]
        assert self.rows(manager, run__id=runs[0].pk) == ids[0]
        assert self.rows(manager, run__id=runs[0].pk, state="blocked") == []
        assert self.rows(manager, run__id="nonsense") == []

    def test_are_found_by_number_in_every_run(self, manager, acme):
        person, _ = acme.recipients(2)
        campaign = acme.campaign()
        runs = [acme.run(campaign, key=key) for key in "12"]
        assert self.rows(manager, q=person.number) == [database.key(run.pk, person.pk) for run in runs]
        assert self.rows(manager, q=person.number[:-1]) == []

    def test_are_found_by_id_and_single_ones_by_their_permit(self, manager, acme):
        acme.recipient()
        dispatch = Dispatch.objects.of_run(acme.run().pk).get()
        assert self.rows(manager, q=str(dispatch.pk)) == [dispatch.pk]
        assert self.rows(manager, q=str(uuid.uuid4())) == []
        Permit.objects.create(
            dispatch_id=dispatch.pk, tenant=acme.tenant, brand=acme.brand, number="+12125559999", is_person_capped=False
        )
        assert self.rows(manager, q="+12125559999") == [dispatch.pk]

    def test_are_never_counted_or_scanned(self, manager, acme):
        acme.recipients(3)
        acme.run()
        with CaptureQueriesContext(connection) as queries:
            assert len(self.rows(manager, _facets="True")) == 3
        asked = [query["sql"] for query in queries if '"campaigns_dispatch"' in query["sql"]]
        assert asked
        for sql in asked:
            assert "COUNT(" not in sql.upper()
            assert '"state" =' not in sql
            assert '"campaigns_dispatch"."id" >=' in sql
        assert "LIMIT 51" in asked[0]

    def test_have_pages_without_a_count(self, manager, acme, monkeypatch):
        from campaigns.admin.dispatches import DispatchAdmin

        monkeypatch.setattr(DispatchAdmin, "list_per_page", 2)
        acme.recipients(5)
        run = acme.run()
        pages = [manager.get(address("dispatch_changelist"), {"p": number}).context["cl"] for number in (1, 2, 3)]
        assert [len(page.result_list) for page in pages] == [2, 2, 1]
        assert [page.paginator.num_pages for page in pages] == [2, 3, 3]
        assert len({row.pk for page in pages for row in page.result_list}) == Dispatch.objects.of_run(run.pk).count()

    def test_explain_themselves(self, manager, acme):
        person = acme.recipient()
        dispatch = Dispatch.objects.of_run(acme.run().pk).get()
        now = timezone.now()
        Dispatch.objects.filter(pk=dispatch.pk).update(state="held", reason="quiet_hours@1", not_before=now)
        Attempt.objects.create(
            dispatch_id=dispatch.pk, flight=1, tenant=acme.tenant, account_id=acme.account.pk, sender="+1888",
            claim=uuid.uuid4(), claimed_at=now, horizon_at=now, outcome="rejected_retryable", code="overloaded",
        )  # fmt: skip
        Link.objects.create(
            code="abc", host="h", tenant=acme.tenant, dispatch_id=dispatch.pk, position=0,
            destination="http://shop.example", created_at=now, expires_at=now,
        )  # fmt: skip
        Click.objects.create(
            tenant=acme.tenant, code="abc", dispatch_id=dispatch.pk, method="GET", user_agent="Robot 1"
        )
        text = manager.get(address("dispatch_change", dispatch.pk)).content.decode()
        shown = f"+1*******{person.number[-4:]}"
        for word in ("quiet_hours@1", "Next look at", "overloaded", "http://shop.example", "Robot 1", shown):
            assert word in text
        assert person.number not in text

    def test_open_after_their_person_is_gone(self, manager, acme):
        person = acme.recipient()
        dispatch = Dispatch.objects.of_run(acme.run().pk).get()
        person.delete()
        assert manager.get(address("dispatch_change", dispatch.pk)).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_replays_what_is_dead_and_nothing_else(manager, acme):
    acme.recipients(2)
    run = acme.run()
    dead, unknown = Dispatch.objects.of_run(run.pk).order_by("pk")
    for row, state in ((dead, State.DEAD), (unknown, State.UNKNOWN)):
        Dispatch.objects.filter(pk=row.pk).update(state=state)
        Trouble.objects.create(dispatch_id=row.pk, tenant=acme.tenant, kind=state)
    data = {"action": "replay", "_selected_action": [dead.pk, unknown.pk], "index": "0"}
    manager.post(address("trouble_changelist"), data)
    dead.refresh_from_db()
    unknown.refresh_from_db()
    assert (dead.state, unknown.state) == (State.QUEUED, State.UNKNOWN)
    assert AuditEvent.objects.get(verb="dispatch.replayed").actor == "ann@acme.example"


class TestImports:
    @pytest.fixture(autouse=True)
    def _storage(self, settings, tmp_path):
        settings.MEDIA_ROOT = str(tmp_path)

    def upload(self, client, acme, content=b"number\n+12125551234\n", **fields):
        data = {
            "list": acme.people.pk, "upload": ContentFile(content, name="../people list.csv"), "default_region": "US",
            "has_header": "yes", "columns": "{}", **fields,
        }  # fmt: skip
        return client.post(address("import_add"), data)

    def test_are_stored_and_started(self, manager, acme, published, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            assert self.upload(manager, acme).status_code == 302
        made = Import.objects.get()
        assert published == [made.pk]
        assert (made.tenant, made.created_by, made.source) == (acme.tenant, "ann@acme.example", "storage")
        assert made.file.startswith(f"imports/{acme.tenant.pk}/")
        assert made.options == {"default_region": "US", "includes_country_code": False, "has_header": True}
        with default_storage.open(made.file) as file:
            assert file.read() == b"number\n+12125551234\n"

    def test_say_what_is_wrong_before_anything_is_stored(self, manager, acme, tmp_path):
        assert "default_region" in errors(self.upload(manager, acme, default_region="XX"))
        assert "columns" in errors(self.upload(manager, acme, columns='{"Bad Name!": "x"}'))
        assert "upload" in errors(self.upload(manager, acme, upload=""))
        assert not Import.objects.exists()
        assert list(tmp_path.iterdir()) == []

    def test_of_files_on_the_server_are_for_superusers(self, manager, admin_client, acme, published):
        manager.force_login(Membership.objects.get().user)
        data = {"upload": "", "file": "/etc/passwd", "source": "path"}
        assert "upload" in errors(self.upload(manager, acme, **data))
        manager.force_login(get_user_model().objects.get(is_superuser=True))
        data["tenant"] = acme.tenant.pk
        assert self.upload(manager, acme, **data).status_code == 302
        assert Import.objects.get().file == "/etc/passwd"

    def test_show_progress_and_give_the_errors(self, manager, acme):
        source = Import.objects.create(
            tenant=acme.tenant, list=acme.people, file="a.csv", status="running", read_bytes=250, total_bytes=1000,
            rows_read=12345, rows_refused=1,
        )  # fmt: skip
        RefusedRow.objects.create(tenant=acme.tenant, source=source, line=7, reason="empty", detail="=1+1")
        text = manager.get(address("import_change", source.pk)).content.decode()
        assert "25.0 %" in text
        assert "12,345" in text
        answer = manager.get(address("import_errors", source.pk))
        assert b"".join(answer).decode().splitlines() == ["line,reason,taken,detail", "7,empty,no,'=1+1"]
        assert "attachment" in answer["Content-Disposition"]

    def test_are_tried_again(self, manager, acme, published, django_capture_on_commit_callbacks):
        source = Import.objects.create(tenant=acme.tenant, list=acme.people, file="a.csv", status="failed", reason="x")
        with django_capture_on_commit_callbacks(execute=True):
            manager.post(address("import_do", source.pk, "retry"))
        source.refresh_from_db()
        assert source.status == "waiting"
        assert published == [source.pk]


class TestNumbers:
    def test_a_persons_page_says_why_no_text_reaches_the_number(self, manager, acme):
        person = acme.recipient(language="es")
        page = address("recipient_change", person.pk)
        assert "nothing speaks against it" in manager.get(page).content.decode()
        fact = NotTextable.objects.create(
            tenant=acme.tenant, number=person.number, reason="landline", provider="twilio", code="30006"
        )
        shown = manager.get(page).content.decode()
        assert f"no: a landline, says twilio (30006) since {fact.since:%F}; until an operator clears it" in shown
        assert ">es<" in shown

    def test_only_operators_clear_a_number(self, manager, admin_client, acme):
        fact = NotTextable.objects.create(tenant=acme.tenant, number="+12122345678", reason="landline", provider="x")
        do = reverse("admin:compliance_nottextable_do", args=[fact.pk, "clear"])
        assert manager.get(reverse("admin:compliance_nottextable_changelist")).status_code == 200
        assert manager.post(do).status_code == 403
        assert admin_client.post(do).status_code == 302
        fact.refresh_from_db()
        assert fact.cleared_by == "admin@example.com"
        assert "2234" not in AuditEvent.objects.get(verb="number.cleared").target

    @pytest.mark.parametrize(("verb", "is_let_through"), [("release", True), ("stop", False)])
    def test_managers_decide_about_conspicuous_ranges(self, manager, acme, verb, is_let_through):
        now = database.now()
        row = TrafficCount.objects.create(tenant=acme.tenant, subject="range:+1212234", starts_at=now, held_at=now)
        TrafficCount.objects.create(tenant=acme.tenant, subject="country:US", starts_at=now)
        listed = manager.get(reverse("admin:compliance_trafficcount_changelist")).content.decode()
        assert "+1212234••••" in listed
        assert "country:US" not in listed
        do = reverse("admin:compliance_trafficcount_do", args=[row.pk, verb])
        assert "0 waiting messages" in told(manager.post(do, follow=True))[0]
        row.refresh_from_db()
        assert (row.is_let_through, row.decided_by) == (is_let_through, "ann@acme.example")
        assert "nothing to" in told(manager.post(do, follow=True))[0]


class TestPeople:
    def test_are_read_like_an_import(self, manager, acme):
        data = {
            "number": "(212) 736-5000",
            "zone": "",
            "fields": '{"first_name": "Ana"}',
            "send_at_0": "",
            "send_at_1": "",
        }
        assert manager.post(address("recipient_add"), data).status_code == 302
        person = Recipient.objects.get()
        assert (person.number, person.country, person.zones) == ("+12127365000", "US", "America/New_York;NY")
        assert "number" in errors(manager.post(address("recipient_add"), {**data, "number": "12"}))
        assert "zone" in errors(
            manager.post(address("recipient_add"), {**data, "number": "2127365001", "zone": "Mars"})
        )
        assert errors(manager.post(address("recipient_add"), data))

    def test_keep_a_told_zone_when_something_else_changes(self, manager, acme):
        person = acme.recipient(zones="America/Chicago")
        data = {"number": "+12127365000", "zone": "", "fields": "{}", "send_at_0": "", "send_at_1": ""}
        page = address("recipient_change", person.pk)
        manager.post(page, {**data, "zone": "America/Denver"})
        manager.post(page, {**data, "fields": '{"vip": true}'})
        person.refresh_from_db()
        assert (person.zones, person.zone_source, person.fields) == ("America/Denver;NY", "explicit", {"vip": True})

    def test_are_found_on_lists_by_number(self, manager, acme):
        person, _ = acme.recipients(2)
        found = manager.get(address("listmember_changelist"), {"q": person.number}).context["cl"].result_list
        assert [member.recipient for member in found] == [person]

    def test_a_list_goes_with_its_members_and_not_with_the_people(self, client, acme):
        user = get_user_model().objects.create_user("owner@acme.example", is_staff=True)
        Membership.objects.create(user=user, tenant=acme.tenant, role=Role.OWNER)
        client.force_login(user)
        acme.recipients(3)
        page = client.get(address("recipientlist_delete", acme.people.pk)).content.decode()
        assert "Members: 3" in page
        client.post(address("recipientlist_delete", acme.people.pk), {"post": "yes"})
        counts = (RecipientList.objects.count(), ListMember.objects.count(), Recipient.objects.count())
        assert counts == (0, 0, 3)

    def test_a_list_in_use_stays(self, client, acme):
        user = get_user_model().objects.create_user("owner@acme.example", is_staff=True)
        Membership.objects.create(user=user, tenant=acme.tenant, role=Role.OWNER)
        client.force_login(user)
        acme.campaign(name="uses it")
        page = client.post(address("recipientlist_delete", acme.people.pk), {"post": "yes"})
        assert b"uses it" in page.content
        assert RecipientList.objects.exists()
