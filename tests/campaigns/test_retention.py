"""What is over goes, by each tenant's own months; what is counted stays; and nothing old is looked at twice."""

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns import notifications, retention, tasks
from campaigns.models import Attempt, Batch, Dispatch, Import, RawEvent, RefusedRow, Reply, Run
from campaigns.states import State
from compliance import suppression
from compliance.models import Suppression
from smsplatform.common import database
from smsplatform.common.database import execute, rows
from smsplatform.tenancy.models import Retention, RetentionMark
from tests import world
from tracking.models import Click, Link

pytestmark = pytest.mark.django_db

NOW = world.at("2026-11-22T12:00")


def months_ago(number, days=0):
    [(instant,)] = rows(
        "SELECT %s::timestamptz - make_interval(months => %s) - make_interval(days => %s)", [NOW, number, days]
    )
    return instant


@pytest.fixture
def acme():
    return world.make()


def old_run(acme, launched_at, *, count=3, is_settled=True):
    """A run of that time, its messages delivered."""
    acme.recipients(count - acme.people.members.count())
    run = acme.run(now=launched_at, key=str(launched_at))
    Dispatch.objects.of_run(run.pk).update(
        state=State.DELIVERED, text="Dear Ana", detail="told by +12025550123", segments=2, accepted_at=launched_at,
        settled_at=launched_at,
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(settled_at=launched_at if is_settled else None)
    for dispatch in Dispatch.objects.of_run(run.pk):
        Attempt.objects.create(
            dispatch_id=dispatch.pk, flight=1, tenant=acme.tenant, account_id=acme.account.pk, sender="+1888",
            claim=dispatch.pk, claimed_at=launched_at, horizon_at=launched_at, outcome="accepted", detail="to Ana",
        )  # fmt: skip
        Link.objects.create(
            code=f"c{dispatch.recipient_id}{launched_at:%m%d}"[-10:], host="x.example", tenant=acme.tenant,
            dispatch_id=dispatch.pk, position=0, destination="https://shop.example/?who=Ana", created_at=launched_at,
            expires_at=launched_at,
        )  # fmt: skip
    return run


def texts(run):
    return set(Dispatch.objects.of_run(run.pk).values_list("text", "detail", "segments", "state"))


def event(acme, at, **more):
    values = {"applied_at": at, "body": b"from=+12025550123", "url": "/x", "received_at": at} | more
    return RawEvent.objects.create(tenant=acme.tenant, account=acme.account, method="POST", **values)


def reply(acme, at, text="I am Ana"):
    return Reply.objects.create(
        tenant=acme.tenant, brand=acme.brand, raw=event(acme, at), account=acme.account, number="+12025550123",
        to="+1888", text=text, is_opt_out=True, received_at=at,
    )  # fmt: skip


def click(acme, at):
    return Click.objects.create(
        tenant=acme.tenant, code="abc", dispatch_id="0" * 32, at=at, method="GET", ip="203.0.113.9", user_agent="Robot",
        signals={"accept": "x"},
    )  # fmt: skip


class TestTexts:
    def test_go_after_their_months_and_leave_what_is_counted(self, acme):
        over, fresh = old_run(acme, months_ago(13, days=1)), old_run(acme, months_ago(13, days=-1))
        assert retention.apply(now=NOW) == {"texts": 3}
        assert texts(over) == {("", "", 2, "delivered")}
        assert texts(fresh) == {("Dear Ana", "told by +12025550123", 2, "delivered")}
        keys = database.keys_of(over.pk)
        mine = {"dispatch_id__gte": keys["lowest"], "dispatch_id__lt": keys["above"]}
        assert set(Attempt.objects.filter(**mine).values_list("detail", "outcome")) == {("", "accepted")}
        links = Link.objects.filter(**mine)
        assert set(links.values_list("destination", flat=True)) == {""}
        assert not links.filter(killed_at=None).exists()
        assert Batch.objects.filter(run=over).get().size == 3

    def test_wait_for_runs_that_are_not_settled(self, acme):
        run = old_run(acme, months_ago(14), is_settled=False)
        assert retention.apply(now=NOW) == {}
        Run.objects.filter(pk=run.pk).update(settled_at=NOW)
        assert retention.apply(now=NOW) == {"texts": 3}

    def test_are_each_looked_at_once(self, acme):
        for number in (14, 15, 16):
            old_run(acme, months_ago(number))
        assert retention.apply(now=NOW) == {"texts": 9}
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert retention.apply(now=NOW) == {}
        assert not [query for query in asked if "campaigns_dispatch" in query["sql"]]

    def test_are_taken_in_bounded_steps(self, acme, monkeypatch):
        monkeypatch.setattr(retention, "STEP", 2)
        run = old_run(acme, months_ago(14), count=7)
        retention.apply(now=NOW)
        assert texts(run) == {("", "", 2, "delivered")}

    def test_of_a_killed_turn_are_gone_on_with(self, acme, monkeypatch):
        monkeypatch.setattr(retention, "STEP", 2)
        run = old_run(acme, months_ago(14), count=7)
        redact, calls = retention._redact, []

        def killed(given):
            calls.append(given)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return redact(given)

        monkeypatch.setattr(retention, "_redact", killed)
        with pytest.raises(KeyboardInterrupt):
            retention.apply(now=NOW)
        assert len(texts(run)) == 2
        retention.apply(now=NOW)
        assert texts(run) == {("", "", 2, "delivered")}

    def test_of_single_messages_go_as_well(self, acme):
        at = months_ago(14)
        single = notifications.send(brand=acme.brand, number="+12025550123", text="Dear Ana", now=at)
        Dispatch.objects.filter(pk=single).update(state=State.DELIVERED, settled_at=at)
        Run.objects.update(settled_at=at)
        retention.apply(now=NOW)
        assert Dispatch.objects.get(pk=single).text == ""


class TestOwnMonths:
    def test_are_each_tenants_own(self, acme):
        zebra = world.make("zebra")
        Retention.objects.create(tenant=zebra.tenant, texts_months=2, events_months=1, clicks_months=1)
        ours, theirs = old_run(acme, months_ago(3)), old_run(zebra, months_ago(3))
        kept, gone = event(acme, months_ago(2)), event(zebra, months_ago(2))
        seen, unseen = click(acme, months_ago(2)), click(zebra, months_ago(2))
        retention.apply(now=NOW)
        assert texts(ours) != texts(theirs) == {("", "", 2, "delivered")}
        assert list(RawEvent.objects.values_list("pk", flat=True)) == [kept.pk]
        assert gone.pk != kept.pk
        assert Click.objects.get(pk=seen.pk).ip == "203.0.113.9"
        assert Click.objects.get(pk=unseen.pk).ip is None

    def test_that_are_shortened_reach_what_lies_behind_the_mark(self, acme):
        """Another tenant's rows were done up to there; this one's were not over then."""
        zebra = world.make("zebra")
        Retention.objects.create(tenant=zebra.tenant, events_months=1)
        event(acme, months_ago(2))
        event(zebra, months_ago(2))
        retention.apply(now=NOW)
        assert RawEvent.objects.count() == 1
        Retention.objects.create(tenant=acme.tenant, events_months=1)
        retention.apply(now=NOW)
        assert not RawEvent.objects.exists()

    @pytest.mark.parametrize("delete", [lambda row: row.delete(), lambda _: Retention.objects.all().delete()])
    def test_that_are_deleted_leave_the_defaults_to_what_lies_behind_the_mark(self, acme, delete):
        """Others' rows were done up to there, by the defaults."""
        kept = Retention.objects.create(tenant=acme.tenant, texts_months=24, events_months=24, clicks_months=24)
        said, seen, run = reply(acme, months_ago(14)), click(acme, months_ago(14)), old_run(acme, months_ago(14))
        assert retention.apply(now=NOW) == {}
        delete(kept)
        assert retention.apply(now=NOW) == {"answers": 1, "clicks": 1, "events": 1, "texts": 3}
        assert Reply.objects.get(pk=said.pk).text == ""
        assert Click.objects.get(pk=seen.pk).ip is None
        assert texts(run) == {("", "", 2, "delivered")}

    def test_must_be_some(self, acme):
        from django.core.exceptions import ValidationError

        with pytest.raises(ValidationError, match="greater than or equal to 1"):
            Retention(tenant=acme.tenant, texts_months=0).full_clean()


class TestWhatProvidersAndPeopleSaid:
    def test_goes_after_its_months(self, acme):
        old, fresh = reply(acme, months_ago(13, days=1)), reply(acme, months_ago(13, days=-1))
        done = retention.apply(now=NOW)
        assert done == {"answers": 1, "events": 2}
        old.refresh_from_db()
        fresh.refresh_from_db()
        assert (old.text, old.is_opt_out, old.received_at) == ("", True, months_ago(13, days=1))
        assert fresh.text == "I am Ana"

    def test_stays_while_nobody_has_applied_it(self, acme):
        event(acme, months_ago(4), applied_at=None)
        assert retention.apply(now=NOW) == {}

    def test_opt_outs_stay_for_ever(self, acme):
        suppression.suppress(
            brand=acme.brand, number="+12025550123", reason="opt_out", source="reply", now=months_ago(120)
        )
        retention.apply(now=NOW)
        assert Suppression.objects.get().number == "+12025550123"


class TestClicks:
    def test_lose_who_and_keep_that_and_when(self, acme):
        old, fresh = click(acme, months_ago(13, days=1)), click(acme, months_ago(12))
        assert retention.apply(now=NOW) == {"clicks": 1}
        old.refresh_from_db()
        assert (old.ip, old.user_agent, old.signals, old.code) == (None, "", {}, "abc")
        fresh.refresh_from_db()
        assert fresh.ip == "203.0.113.9"


class TestMarks:
    def test_move_so_that_nothing_is_read_twice(self, acme, monkeypatch):
        monkeypatch.setattr(retention, "STEP", 2)
        for _ in range(5):
            click(acme, months_ago(14))
        last = click(acme, months_ago(12))
        assert retention.apply(now=NOW) == {"clicks": 5}
        mark = RetentionMark.objects.get(kind="clicks", months=13)
        assert mark.upto == last.pk - 1
        execute("UPDATE tracking_click SET ip = '203.0.113.1' WHERE id <= %s", [mark.upto])
        assert retention.apply(now=NOW) == {}  # it did not look there again

    def test_stop_before_the_first_row_that_is_not_over(self, acme):
        """Ids are drawn before rows are stored, so a younger row may stand before an older one."""
        young, old = click(acme, months_ago(12)), click(acme, months_ago(14))
        assert retention.apply(now=NOW) == {}
        execute("UPDATE tracking_click SET at = %s WHERE id = %s", [months_ago(14), young.pk])
        assert retention.apply(now=NOW) == {"clicks": 2}
        assert old.pk > young.pk

    def test_may_be_lost(self, acme):
        click(acme, months_ago(14))
        retention.apply(now=NOW)
        RetentionMark.objects.all().delete()
        assert retention.apply(now=NOW) == {}
        assert Click.objects.get().ip is None


class TestImports:
    def make(self, acme, finished_at, file="imports/1/people.csv", source=Import.Source.STORAGE):
        made = Import.objects.create(
            tenant=acme.tenant, list=acme.people, file=file, source=source, status=Import.Status.DONE,
            finished_at=finished_at, rows_refused=2,
        )  # fmt: skip
        for line in (2, 3):
            RefusedRow.objects.create(tenant=acme.tenant, source=made, line=line, reason="bad_value", detail="'Ana'")
        return made

    @pytest.fixture(autouse=True)
    def _storage(self, settings, tmp_path):
        settings.MEDIA_ROOT = str(tmp_path)

    def test_lose_their_file_and_refused_rows(self, acme):
        name = default_storage.save("imports/1/people.csv", ContentFile(b"number\n"))
        old, fresh = self.make(acme, months_ago(1, days=1), name), self.make(acme, months_ago(0), "other.csv")
        assert retention.apply(now=NOW) == {"imports": 2}
        assert not default_storage.exists(name)
        assert set(RefusedRow.objects.values_list("source", flat=True)) == {fresh.pk}
        old.refresh_from_db()
        assert (old.forgotten_at, old.rows_refused) == (NOW, 2)
        assert retention.apply(now=NOW) == {}

    def test_leave_a_file_that_a_younger_one_reads_and_an_operators(self, acme, tmp_path):
        name = default_storage.save("imports/1/people.csv", ContentFile(b"number\n"))
        on_server = tmp_path / "mine.csv"
        on_server.write_text("number\n")
        self.make(acme, months_ago(2), name)
        self.make(acme, months_ago(0), name)
        self.make(acme, months_ago(2), str(on_server), Import.Source.PATH)
        retention.apply(now=NOW)
        assert default_storage.exists(name)
        assert on_server.exists()

    def test_whose_file_is_gone_already_are_no_trouble(self, acme):
        self.make(acme, months_ago(2), "imports/1/never.csv")
        assert retention.apply(now=NOW) == {"imports": 2}

    def test_that_have_not_ended_stay(self, acme):
        made = self.make(acme, None)
        Import.objects.filter(pk=made.pk).update(status=Import.Status.RUNNING)
        assert retention.apply(now=NOW) == {}


def test_a_rehearsal_says_what_would_go_and_changes_nothing(acme):
    old_run(acme, months_ago(14))
    reply(acme, months_ago(14))
    click(acme, months_ago(14))
    before = {due.kind: due.number for due in retention.due(NOW)}
    assert before == {"texts": 1, "imports": 0, "answers": 1, "events": 1, "clicks": 1}
    assert {due.kind: due.number for due in retention.due(NOW)} == before
    retention.apply(now=NOW)
    assert set({due.kind: due.number for due in retention.due(NOW)}.values()) == {0}


def test_a_turn_ends_in_time_and_the_next_goes_on(acme, monkeypatch):
    monkeypatch.setattr(retention, "STEP", 1)
    for _ in range(3):
        click(acme, months_ago(14))
    now = database.now()
    assert retention.apply(now=NOW, until=now) == {}
    assert retention.apply(now=NOW) == {"clicks": 3}


def test_beat_does_it(acme):
    click(acme, world.at("2020-01-01"))
    tasks.apply_retention()
    assert Click.objects.get().ip is None
