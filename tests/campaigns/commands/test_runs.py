"""Launching, watching, pausing, cancelling and explaining, as an operator does it."""

import threading

import pytest
from django.db import connection

from campaigns import tasks
from campaigns.models import Dispatch, Run
from campaigns.states import State
from compliance import suppression
from smsplatform.common import database
from smsplatform.tenancy.models import AuditEvent, Installation
from tests import world
from tests.campaigns.commands.shell import ask, failed, refused, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(simulator):
    """Three people, a campaign that is not launched, and a simulator that takes everything."""
    acme = world.make(base_url=simulator.url)
    simulator.script("token-acme", receipts=None)
    acme.recipients(3)
    acme.campaign("Hello", name="spring")
    return acme


@pytest.fixture
def published(monkeypatch):
    """The runs whose expansion was asked of a worker."""
    found = []
    monkeypatch.setattr(tasks, "start_materialising", found.append)
    return found


def verbs():
    return list(AuditEvent.objects.order_by("id").values_list("verb", flat=True))


class TestLaunch:
    def test_has_a_worker_expand_the_run(self, acme, published):
        launched = ask("launch acme spring")
        assert (launched["made"], published) == (True, [launched["run"]])

    def test_expands_it_here_when_told_so(self, acme, published):
        run("launch acme spring --inline")
        assert world.states(Run.objects.get()) == {State.QUEUED: 3}
        assert published == []

    def test_gives_the_same_run_whenever_it_is_repeated(self, acme, published):
        first = ask("launch acme spring")
        said = run("launch acme spring --inline")
        assert f"already launched: run {first['run']}" in said
        assert "give it another --key" in said
        assert not ask("launch acme spring")["made"]
        assert Dispatch.objects.count() == 3
        assert verbs() == ["campaign.launched"]

    def test_asks_again_for_a_run_that_was_not_expanded(self, acme, published):
        first = ask("launch acme spring")["run"]
        ask("launch acme spring")
        assert published == [first, first]

    def test_sends_again_on_purpose_under_another_key(self, acme, published):
        runs = {ask(f"launch acme spring --key {key}")["run"] for key in ("a", "b", "b")}
        assert len(runs) == 2

    @pytest.mark.parametrize(
        ("options", "key"),
        [
            ({"schedule": "at", "send_at": world.at("2030-01-01T14:00")}, "2030-01-01T09:00"),
            ({"schedule": "local", "local_at": "2030-01-01T09:00"}, "2030-01-01T09:00"),
            ({"schedule": "field"}, "first"),
        ],
    )
    def test_takes_the_scheduled_time_as_the_key(self, acme, published, options, key):
        acme.campaign(name="other", **options)
        assert ask("launch acme other")["key"] == key

    def test_waits_until_the_run_is_finished(self, acme):
        run("launch acme spring --inline")
        worker = threading.Thread(target=_work_once)
        worker.start()
        said = run("launch acme spring --wait --timeout 30")
        worker.join()
        assert "finished: 3 accepted" in said

    def test_says_what_it_waits_for_when_time_is_over(self, acme):
        run("stop_sending")
        said, problem = failed("launch acme spring --inline --wait --timeout 0.01")
        assert "running: 3 queued (sending is stopped (start_sending))" in said
        assert "is not finished after 0.01 s" in problem
        assert "`manage.py doctor`" in problem

    @pytest.mark.django_db
    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("nobody spring", "tenant: there is no tenant 'nobody'"),
            ("acme winter", "CAMPAIGN: acme has no campaign 'winter'; `manage.py create_campaign` makes one"),
            ("acme spring --key ' '", "--key: give 1 to 80 characters"),
            (f"acme spring --key {'x' * 81}", "--key: give 1 to 80 characters"),
        ],
    )
    def test_is_refused(self, acme, line, said):
        assert said in refused(f"launch {line}")

    def test_is_refused_without_sender_list_or_text(self, acme):
        acme.sender.is_active = False
        acme.sender.save()
        assert "has no active sender; add one" in refused("launch acme spring")
        campaign = acme.campaign(name="empty")
        campaign.lists.clear()
        assert "has no list; add one first" in refused("launch acme empty")
        campaign.template.versions.all().delete()
        assert "has no text yet; write one first" in refused("launch acme empty")

    def test_is_refused_for_what_fires_by_itself(self, acme):
        acme.campaign(name="weekly", schedule="repeat", crontab="0 9 * * 1")
        assert "repeats and fires by itself" in refused("launch acme weekly")


def _work_once():
    try:
        world.work()
    finally:
        connection.close()


class TestPause:
    @pytest.fixture
    def running(self, acme):
        return acme.run(acme.campaign(name="running"))

    @pytest.mark.parametrize(
        ("scope", "name"),
        [
            ("acme running", "run"),
            ("--tenant acme", "tenant"),
            ("--tenant acme --brand acme", "brand"),
            ("--tenant acme --account main", "provideraccount"),
        ],
    )
    def test_stops_what_it_names_until_it_is_resumed(self, acme, running, simulator, scope, name):
        assert ask(f"pause {scope}")["changed"]
        assert not ask(f"pause {scope}")["changed"]
        assert world.work() == 0
        assert simulator.ledger()["accepted"] == 0
        assert ask(f"resume {scope}")["changed"]
        assert not ask(f"resume {scope}")["changed"]
        assert world.work() == 1
        assert simulator.ledger()["accepted"] == 3
        assert verbs() == ["campaign.launched", f"{name}.paused", f"{name}.resumed"]

    def test_takes_a_runs_number(self, acme, running):
        assert ask(f"pause {running.pk}")["changed"]
        assert not ask(f"pause --run {running.pk}")["changed"]

    @pytest.mark.parametrize(
        ("scope", "said"),
        [
            ("", "scope: name exactly one thing"),
            ("acme running --tenant acme", "scope: name exactly one thing"),
            ("--brand acme", "--brand: say whose: add --tenant"),
            ("--account main", "--account: say whose: add --tenant"),
            ("--tenant acme --brand acme --account main", "scope: name exactly one thing"),
            ("--tenant nobody", "tenant: there is no tenant"),
            ("--tenant acme --brand boots", "brand: acme has no brand 'boots'"),
            ("--tenant acme --account other", "provideraccount: acme has no provider account 'other'"),
            ("12345", "run: there is no run 12345; `manage.py run_status` lists the runs"),
            ("99999999999999999999999", "run: there is no run"),
            ("acme spring", "campaign 'spring' was never launched; `manage.py launch"),
            ("acme spring extra", "run: name a run by its number, or as TENANT CAMPAIGN"),
        ],
    )
    @pytest.mark.django_db
    @pytest.mark.parametrize("verb", ["pause", "resume"])
    def test_is_refused(self, acme, verb, scope, said):
        assert said in refused(f"{verb} {scope}")

    def test_does_nothing_to_a_cancelled_run(self, acme, running):
        assert ask("cancel acme running")["changed"]
        assert "a cancelled run cannot be paused" in refused("pause acme running")
        assert "launch the campaign again instead" in refused("resume acme running")


class TestCancel:
    def test_ends_what_waits(self, acme, simulator):
        started = acme.run(acme.campaign(name="started"))
        assert ask("cancel acme started")["changed"]
        assert not ask(f"cancel {started.pk}")["changed"]
        world.work()
        assert world.states(started) == {State.CANCELLED: 3}
        assert simulator.ledger()["accepted"] == 0
        assert ask("run_status acme started")["progress"] == "cancelled"
        assert verbs() == ["campaign.launched", "run.cancelled"]


class TestSwitch:
    def test_stops_everything_until_it_is_turned_on(self, acme, simulator):
        acme.run(acme.campaign(name="started"))
        assert ask("stop_sending --actor ana") == {"is_sending": False, "changed": True}
        assert not ask("stop_sending")["changed"]
        assert Installation.objects.get().changed_by == "ana"
        assert world.work() == 0
        assert ask("start_sending")["changed"]
        assert not ask("start_sending")["changed"]
        assert world.work() == 1
        assert verbs() == ["campaign.launched", "sending.stopped", "sending.started"]

    def test_was_on_from_the_start(self):
        assert not ask("start_sending")["changed"]
        assert verbs() == []

    def test_says_when_the_database_is_a_copy(self):
        Installation.objects.create(pk=1, identity="another:1")
        assert "nothing is sent until `manage.py accept_database`" in run("start_sending")


class TestStatus:
    def test_lists_the_latest_runs(self, acme):
        assert "no runs yet" in run("run_status")
        started = acme.run(acme.campaign(name="started"))
        assert [each["run"] for each in ask("run_status")["runs"]] == [started.pk]
        assert str(started.pk) in run("run_status")

    def test_tells_how_a_run_goes_and_why(self, acme):
        blocked = acme.recipient()
        suppression.suppress(brand=acme.brand, number=blocked.number, reason="x", source="x", now=database.now())
        started = acme.run(acme.campaign(name="started"))
        before = ask(f"run_status {started.pk}")
        assert (before["progress"], before["audience"], before["open"]) == ("running", 4, 4)
        assert before["next_at"]
        assert before["batches"] == {"waiting": 1, "leased": 0, "closed": 0}
        world.work()
        after = ask("run_status acme started")
        assert (after["progress"], after["result"], after["taken"]) == ("finished", "partly", 3)
        assert after["totals"] == {"accepted": 3, "blocked": 1}
        assert after["reasons"] == [{"state": "blocked", "reason": "suppressed_brand@1", "number": 1}]
        assert "suppressed_brand@1" in run("run_status acme started")

    def test_tells_until_when_messages_wait(self, acme):
        acme.brand.daily_cap = 1
        acme.brand.save()
        started = acme.run(acme.campaign(name="started"))
        world.work()
        [held] = ask(f"run_status {started.pk}")["held"]
        assert (held["reason"], held["number"]) == ("daily_cap@1", 2)
        assert held["until"]

    @pytest.mark.parametrize(
        ("command", "said"),
        [
            ("stop_sending", "sending is stopped"),
            ("pause --tenant acme", "the tenant is paused"),
            ("pause --tenant acme --brand acme", "the brand is paused"),
            ("pause acme started", "the run is paused"),
            ("pause --tenant acme --account main", "no sender at an account that may be used"),
        ],
    )
    def test_tells_what_stops_a_run(self, acme, command, said):
        acme.run(acme.campaign(name="started"))
        assert ask("run_status acme started")["stopped_by"] == ""
        run(command)
        assert said in ask("run_status acme started")["stopped_by"]
        assert said in run("run_status acme started")


class TestExplain:
    def test_tells_step_by_step_what_happened(self, acme, simulator):
        person = acme.recipient()
        started = acme.run(acme.campaign("Hello you", name="started"))
        world.work()
        told = ask(f"explain --run {started.pk} --number {person.number}")
        assert (told["state"], told["text"], len(told["attempts"])) == ("accepted", "Hello you", 1)
        [attempt] = told["attempts"]
        assert (attempt["outcome"], attempt["account"]) == ("accepted", "main (simulator)")
        assert attempt["provider_id"]
        assert told["permit"]["over_cap"] is False
        said = run(f"explain {told['id']}")
        assert "try 1 claimed for main (simulator)" in said
        assert "; passed quiet_hours@" in said
        assert "The provider has taken it" in said

    def test_tells_why_not(self, acme):
        person = acme.recipient()
        suppression.suppress(
            brand=acme.brand, number=person.number, reason="opt_out", source="reply", now=database.now()
        )
        acme.run(acme.campaign(name="started"))
        world.work()
        told = ask(f"explain acme started --number '{person.number}'")
        assert (told["state"], told["reason"]) == ("blocked", "suppressed_brand@1")
        assert [each["source"] for each in told["suppressions"]] == ["reply"]
        assert "A rule forbids it." in run(f"explain {told['id']}")

    def test_tells_until_when_it_waits(self, acme):
        acme.brand.daily_cap = 0
        acme.brand.save()
        started = acme.run(acme.campaign(name="started"))
        world.work()
        one = Dispatch.objects.of_run(started.pk).first()
        assert ask(f"explain {one.pk}")["next"].startswith("It waits until ")

    @pytest.mark.django_db
    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("", "give the message's id, or a run and --number"),
            ("--run 12", "give the message's id, or a run and --number"),
            ("nonsense", "ID: 'nonsense' is no message's id"),
            ("00000000-0000-0000-0000-000000000001", "ID: there is no message"),
            ("--run 12 --number +12125550123", "--run: there is no run 12"),
        ],
    )
    def test_is_refused(self, acme, line, said):
        assert said in refused(f"explain {line}")

    def test_is_refused_for_a_number_the_run_has_not(self, acme):
        started = acme.run(acme.campaign(name="started"))
        assert "has no message to +19995550123" in refused(f"explain --run {started.pk} --number +19995550123")
