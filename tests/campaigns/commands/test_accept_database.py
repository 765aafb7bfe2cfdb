"""A restored database sends nothing twice."""

import uuid
from datetime import timedelta

import pytest
from django.db import transaction

from campaigns import audits, fence, launch, pipeline
from campaigns.models import Attempt, Batch, Campaign, Dispatch, Run
from campaigns.states import State
from campaigns.verbs import Intent, Way
from smsplatform.common import database
from smsplatform.tenancy.models import AuditEvent, Installation
from tests import world
from tests.campaigns.commands.shell import ask, failed, refused, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(simulator):
    simulator.script("token-acme", receipts=None)
    return world.make(base_url=simulator.url)


@pytest.fixture
def copy(acme):
    """A run caught in the middle: two rows ready, one of them claimed; in a database that is now another one."""
    acme.recipients(2)
    made = acme.run(acme.campaign(name="spring"))
    batch = world.only_batch(made)
    lease = world.start(batch)
    for name in ("check_compliance", "lock_recipients", "check_caps", "shorten_links"):
        world.stage_named(name).run(batch.pk, lease)
    first = Dispatch.objects.of_run(made.pk).order_by("id").first()
    now = database.now()
    with transaction.atomic():
        _, objection = pipeline.judge_ready(batch)(acme.account.pk, now)
        intent = Intent(acme.account.pk, uuid.uuid4(), now + timedelta(minutes=1))
        claimed = Dispatch.objects.claim({first.pk: Way("x", "")}, objection=objection, intent=intent, now=now)
    assert len(claimed.flights) == 1
    Installation.objects.update_or_create(pk=1, defaults={"identity": "another:1"})
    return made


def test_sends_nothing_while_it_is_a_copy(copy, simulator):
    Batch.objects.update(phase="waiting", due_at=database.now())
    assert world.work() == 0
    assert simulator.ledger()["accepted"] == 0


def test_only_tells_without_yes(copy):
    before = world.states(copy)
    said, problem = failed("accept_database")
    assert "2 message(s) near the cut: would become unknown" in said
    assert problem == "nothing was done; add --yes to do this"
    assert world.states(copy) == before
    assert Installation.objects.get().identity == "another:1"


def test_puts_what_was_at_work_near_the_cut_in_doubt(copy, simulator):
    told = ask("accept_database --yes --actor ana")
    assert (told["unknown"], told["expired"], told["accepted"]) == (2, 0, True)
    assert world.states(copy) == {State.UNKNOWN: 2}
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"unknown"}
    assert audits.everything().is_clean
    assert AuditEvent.objects.get(verb="database.accepted").actor == "ana"
    # and sends again from now on
    world.work()
    assert simulator.ledger()["accepted"] == 0
    assert ask("run_status acme spring")["progress"] == "finished"
    assert not ask("accept_database --yes")["changed"]


def test_ends_the_chain_that_was_at_work(copy):
    batch = world.only_batch(copy)
    run("accept_database --yes")
    with pytest.raises(Exception, match="no longer leased"):
        world.stage_named("record_results").run(batch.pk, batch.lease)


def test_leaves_alone_what_was_ready_long_before_the_cut(copy, acme):
    """Its batch was not at work then, so nobody claimed it; it is checked again like everything."""
    Dispatch.objects.filter(state="ready").update(changed_at=database.now() - timedelta(hours=1))
    other = Dispatch.objects.get(state="ready")
    half = Batch.objects.get(run=copy)
    half.pk, half.position, half.phase, half.lease_until = None, 1, "waiting", None
    half.save()
    Dispatch.objects.filter(pk=other.pk).update(batch=half)
    told = ask("accept_database --yes --sent-until cut")
    assert (told["unknown"], told["expired"]) == (1, 0)
    assert Dispatch.objects.get(pk=other.pk).state == State.READY


def test_ends_what_the_old_database_may_have_sent_meanwhile(acme, simulator):
    acme.recipients(2)
    due = acme.run(acme.campaign(name="due"))
    later = acme.run(acme.campaign(name="later", schedule="at", send_at=database.now() + timedelta(days=1)))
    Installation.objects.update_or_create(pk=1, defaults={"identity": "another:1"})
    told = ask("accept_database --yes")
    assert told["expired"] == 2
    assert world.states(due) == {State.EXPIRED: 2}
    assert world.states(later) == {State.QUEUED: 2}
    assert set(Dispatch.objects.of_run(due.pk).values_list("reason", flat=True)) == {"database_restored"}
    assert audits.everything().is_clean


def test_keeps_it_when_the_old_database_had_stopped_before(acme, simulator):
    acme.recipients(2)
    due = acme.run(acme.campaign(name="due"))
    Installation.objects.update_or_create(pk=1, defaults={"identity": "another:1"})
    stopped = (due.launched_at - timedelta(minutes=1)).isoformat()
    assert ask(f"accept_database --yes --sent-until {stopped}")["expired"] == 0
    assert world.work() == 1
    assert world.states(due) == {State.ACCEPTED: 2}


def test_pauses_runs_and_schedules_that_may_have_gone_out_meanwhile(acme):
    acme.recipients(1)
    half = launch.launch(campaign=acme.campaign(name="half"), occurrence="1", now=database.now(), actor="test")
    weekly = acme.campaign(name="weekly", schedule="repeat", crontab="* * * * *")
    Installation.objects.update_or_create(pk=1, defaults={"identity": "another:1"})
    told = ask("accept_database --yes")
    assert told["paused_runs"] == [half.pk]
    assert Run.objects.get().paused_at is not None
    assert Campaign.objects.get(pk=weekly.pk).fired_until.isoformat()[:19] == told["sent_until"][:19]


def test_does_nothing_to_the_database_that_sends(acme):
    acme.recipients(1)
    made = acme.run()
    fence.remember_database()
    assert "nothing to accept" in run("accept_database --yes")
    assert world.states(made) == {State.QUEUED: 1}
    assert ask("accept_database --yes --force")["expired"] == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--minutes=-1", "--minutes: give 0 to 1440"),
        ("--sent-until yesterday", "--sent-until: 'yesterday' is no instant with an offset"),
        ("--sent-until 2026-01-01T09:00", "is no instant with an offset; write it like 2026-12-01T09:00Z, or `cut`"),
        ("--sent-until 2020-01-01T09:00Z", "--sent-until: the old database was still sending at"),
    ],
)
def test_is_refused(copy, line, said):
    assert said in refused(f"accept_database --yes {line}")
