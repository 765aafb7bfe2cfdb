"""What gave up and what is in doubt; and that only what is proven untaken goes out again."""

import uuid
from datetime import timedelta

import pytest

from campaigns import audits, dead_letters
from campaigns.models import Attempt, Batch, Dispatch, Receipt, Trouble
from campaigns.states import State
from smsplatform.common import database
from smsplatform.tenancy.models import AuditEvent
from tests import world
from tests.campaigns.commands.shell import ask, failed, refused, run

pytestmark = pytest.mark.django_db(transaction=True)
REFUSALS = {"password": "another"}


@pytest.fixture
def acme(simulator):
    return world.make(base_url=simulator.url)


@pytest.fixture
def dead(acme, simulator, settings):
    """The dispatches of a run whose only try the provider refused for now, and so they gave up."""
    settings.MAX_FLIGHTS = 1
    simulator.script("token-acme", receipts=None, **REFUSALS)
    acme.recipients(3)
    made = acme.run(acme.campaign(name="spring"))
    world.work()
    assert world.states(made) == {State.DEAD: 3}
    simulator.script("token-acme", receipts=None)
    return list(Dispatch.objects.of_run(made.pk).order_by("id"))


def states():
    return sorted(Dispatch.objects.values_list("state", flat=True))


def test_has_nothing_to_list_when_all_is_well():
    assert "nothing is dead and nothing is in doubt" in run("dead_letters")


def test_lists_each_with_its_reason(dead):
    number = dead[0].number
    Dispatch.objects.filter(pk=dead[0].pk).update(detail=f"21211 The 'To' number {number} is not a valid phone number")
    listed = ask("dead_letters")
    assert listed["counts"] == {"dead": 3, "unknown": 0}
    assert [each["id"] for each in listed["messages"]] == [str(each.pk) for each in dead]
    assert {each["reason"] for each in listed["messages"]} == {"retries_exhausted"}
    assert all(each["may_be_replayed"] for each in listed["messages"])
    said = run("dead_letters")
    assert "retries_exhausted" in said
    assert "21211 The 'To' number +1" in said
    assert number[2:-4] not in said + str(listed)


def test_lists_only_what_was_asked_for(dead):
    world.make("rival")
    assert ask("dead_letters --tenant rival")["messages"] == []
    assert ask("dead_letters --kind unknown")["messages"] == []
    assert len(ask("dead_letters --limit 2")["messages"]) == 2
    assert "tenant: there is no tenant" in refused("dead_letters --tenant nobody")


def test_sends_dead_messages_once_more(dead, simulator):
    assert len(ask("dead_letters --replay --all --actor ana")["replayed"]) == 3
    assert states() == ["queued"] * 3
    assert not Trouble.objects.exists()
    assert audits.everything().is_clean
    event = AuditEvent.objects.get(verb="dispatch.replayed")
    assert (event.actor, event.detail) == ("ana", {"number": 3})
    assert world.work() == 1
    assert states() == ["accepted"] * 3
    assert simulator.ledger()["accepted"] == 3
    assert audits.everything().is_clean
    assert ask("dead_letters --replay --all")["replayed"] == []


def test_gives_a_replay_all_its_tries_and_a_new_limit(dead, settings):
    Dispatch.objects.update(expires_at=database.now() - timedelta(hours=1))
    Batch.objects.update(expires_at=database.now() - timedelta(hours=1))
    run("dead_letters --replay --all --good-for 30")
    soon = database.now() + timedelta(minutes=29)
    assert Batch.objects.get().expires_at > soon
    assert all(each.expires_at > soon and each.posts == 0 for each in Dispatch.objects.all())
    world.work()
    assert states() == ["accepted"] * 3


def test_replays_only_the_one_that_is_named(dead):
    assert ask(f"dead_letters --replay {dead[1].pk}")["replayed"] == [str(dead[1].pk)]
    assert states() == ["dead", "dead", "queued"]


def test_only_tells_on_a_dry_run(dead):
    before = list(Dispatch.objects.values_list())
    told = ask("dead_letters --replay --all --dry-run")
    assert (len(told["replayed"]), told["dry_run"]) == (3, True)
    assert "3 would start again" in run("dead_letters --replay --all --dry-run")
    assert list(Dispatch.objects.values_list()) == before


@pytest.mark.parametrize(
    "doubt",
    [
        {"outcome": "unknown"},
        {"outcome": "open"},
        {"outcome": "accepted"},
        {"proof": "receipt"},
    ],
    ids=str,
)
def test_never_replays_a_message_with_a_try_that_may_have_been_taken(dead, doubt):
    Attempt.objects.filter(dispatch_id=dead[0].pk).update(**doubt)
    told = ask("dead_letters --replay --all")
    assert [each["id"] for each in told["left"]] == [str(dead[0].pk)]
    assert "not proven untaken" in told["left"][0]["refusal"]
    assert Dispatch.objects.get(pk=dead[0].pk).state == State.DEAD


def test_never_replays_a_message_that_was_reported_on(dead):
    Receipt.objects.create(
        tenant_id=dead[0].tenant_id,
        raw_id=1,
        place=0,
        dispatch_id=dead[0].pk,
        flight=1,
        status="delivered",
        received_at=database.now(),
    )
    [verdict] = dead_letters.judged([dead[0].pk])
    assert "not proven untaken" in verdict.refusal


def test_never_replays_what_is_in_doubt(acme, simulator):
    simulator.script("token-acme", receipts=None, faults=[{"fault": "accept_then_drop"}])
    acme.recipients(2)
    acme.run()
    world.work()
    assert states() == ["unknown"] * 2
    listed = ask("dead_letters")
    assert listed["counts"] == {"dead": 0, "unknown": 2}
    assert "never sent again" in listed["messages"][0]["refusal"]
    assert ask("dead_letters --replay --all")["replayed"] == []
    said, problem = failed(f"dead_letters --replay {listed['messages'][0]['id']}")
    assert "1 left: it may have been taken" in said
    assert "not all of the messages named" in problem
    assert states() == ["unknown"] * 2


def test_does_not_replay_into_a_cancelled_run(dead):
    run("cancel acme spring")
    assert {each["refusal"] for each in ask("dead_letters --replay --all")["left"]} == {"its run is cancelled"}


def test_names_what_does_not_exist(dead):
    said, problem = failed(f"dead_letters --replay {uuid.uuid4()}")
    assert "there is no such message" in said
    assert problem


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--replay", "--replay: name the messages, or all of them with --all"),
        ("--replay 1 --all", "--replay: an id is no message's"),
        ("--all", "--all: belongs to --replay"),
        ("--dry-run", "--dry-run: belongs to --replay"),
        ("--replay nonsense", "--replay: an id is no message's; `manage.py dead_letters` lists them"),
        ("--replay --all --good-for 0", "--good-for: give 1 minute to 7 days"),
        ("--replay --all --good-for 99999", "--good-for: give 1 minute to 7 days"),
    ],
)
def test_is_refused(acme, line, said):
    assert said in refused(f"dead_letters {line}")
