"""The audit of chaos is able to fail: it sees each harm that is done behind the platform's back."""

import dataclasses
from datetime import timedelta

import pytest

from campaigns.models import Attempt, Dispatch, SendLock
from campaigns.states import State
from compliance.models import CapWindow, Permit
from smsplatform.common import database
from tests import world
from tests.chaos.audit import Expected, Witness, audit

pytestmark = pytest.mark.django_db(transaction=True)
PEOPLE = 6


class Scene:
    """A run that went out without a flaw."""

    def __init__(self, simulator):
        simulator.script("token-acme", receipts=None)
        self.acme = world.make(base_url=simulator.url, daily_cap=PEOPLE)
        self.acme.recipients(PEOPLE)
        self.run = self.acme.run()
        world.work()
        assert world.states(self.run) == {State.ACCEPTED: PEOPLE}
        self.expected = Expected(people={self.run.pk: PEOPLE})
        self.witness = Witness.ask(simulator)
        self.first = Dispatch.objects.of_run(self.run.pk).order_by("id").first()

    def flaws(self):
        return "\n".join(audit(self.expected, self.witness).flaws)

    def see(self, **seen):
        """Let the witness have seen something else."""
        self.witness = dataclasses.replace(self.witness, **seen)


@pytest.fixture
def scene(simulator):
    return Scene(simulator)


def test_finds_no_flaw_where_there_is_none(scene):
    verdict = audit(scene.expected, scene.witness)
    assert verdict.flaws == []
    assert (verdict.dispatches, verdict.accepted) == (PEOPLE, PEOPLE)
    assert (verdict.accepted_twice, verdict.lost, verdict.over_cap) == (0, 0, 0)


def test_sees_a_message_accepted_twice(scene):
    again = {**scene.witness.messages[0], "reference": scene.witness.messages[0]["reference"][:32] + "00000002"}
    scene.see(messages=[*scene.witness.messages, again])
    verdict = audit(scene.expected, scene.witness)
    assert verdict.accepted_twice == 1
    assert "people texted twice in a run" in scene.flaws()


def test_sees_a_post_repeated_after_doubt(scene):
    scene.see(summary={**scene.witness.summary, "resent_after_doubt": [{"reference": "r"}]})
    assert "posted again after doubt" in scene.flaws()


def test_sees_a_lost_row(scene):
    Dispatch.objects.filter(pk=scene.first.pk).delete()
    verdict = audit(scene.expected, scene.witness)
    assert verdict.lost == 1
    assert "taken, and our record denies it" in scene.flaws()


def test_sees_a_row_that_nothing_will_come_for(scene):
    Dispatch.objects.filter(pk=scene.first.pk).update(state=State.QUEUED)
    verdict = audit(scene.expected, scene.witness)
    assert verdict.lost == 1
    assert "rows at work" in scene.flaws()


def test_sees_a_message_that_only_we_call_taken(scene):
    scene.see(messages=scene.witness.messages[1:])
    assert "taken, says our record alone" in scene.flaws()


def test_sees_an_end_that_the_scenario_does_not_expect(scene):
    Dispatch.objects.filter(pk=scene.first.pk).update(state=State.EXPIRED, reason="lateness_limit@1")
    assert "ended as the scenario does not expect" in scene.flaws()


def test_sees_more_doubt_than_was_in_the_air(scene):
    Dispatch.objects.filter(pk=scene.first.pk).update(state=State.UNKNOWN)
    assert "1 in doubt, at most 0 were in the air" in scene.flaws()


def test_sees_an_exceeded_daily_cap(scene):
    scene.acme.brand.daily_cap = PEOPLE - 1
    scene.acme.brand.save()
    assert audit(scene.expected, scene.witness).over_cap == 2  # permits and acceptances


def test_sees_an_exceeded_cap_per_person(scene):
    scene.acme.brand.person_cap = 1
    scene.acme.brand.save()
    again = scene.acme.run()
    world.work()
    assert world.states(again) == {State.HELD: PEOPLE}
    twice = {**scene.witness.messages[0], "reference": Dispatch.objects.of_run(again.pk).first().pk.hex + "00000001"}
    scene.expected.people[again.pk] = PEOPLE
    scene.see(messages=[*scene.witness.messages, twice | {"to": scene.witness.messages[0]["to"]}])
    assert audit(scene.expected, scene.witness).over_cap == 2  # the person's, and the brand's of the day


def test_sees_a_leaked_lock_and_permits_without_owner(scene):
    SendLock.objects.create(
        tenant=scene.acme.tenant, brand=scene.acme.brand, number="+12125550000", dispatch_id=scene.first.pk,
        until=database.now(),
    )  # fmt: skip
    Permit.objects.create(
        dispatch_id=database.key(scene.first.run_id, scene.first.recipient_id + PEOPLE),  # of a run there is, for nobody
        tenant=scene.acme.tenant, brand=scene.acme.brand, number="+12125550000", is_person_capped=False, windows=[],
    )  # fmt: skip
    assert "locks left" in scene.flaws()
    assert "wrong_permits" in scene.flaws()


def test_sees_a_counter_that_is_not_its_permits(scene):
    CapWindow.objects.update(used=PEOPLE + 1)
    assert "wrong_caps" in scene.flaws()


def test_sees_an_open_attempt_and_a_claim_behind_the_fence(scene):
    claimed_at = Attempt.objects.filter(dispatch_id=scene.first.pk).get().claimed_at
    around = timedelta(seconds=1)
    scene.expected.fences.append((scene.run.pk, claimed_at - around, claimed_at + around))
    Attempt.objects.filter(dispatch_id=scene.first.pk).update(outcome=Attempt.OPEN)
    assert "attempts open" in scene.flaws()
    assert "was stopped" in scene.flaws()


def test_sees_a_text_after_an_answered_stop(scene):
    message = scene.witness.messages[0]
    entry = {**message, "stop_answered_at": message["at"] - 5, "same_sender": True}
    scene.see(summary={**scene.witness.summary, "accepted_after_stop": [entry]})
    assert "texted after an answered STOP" in scene.flaws()


def test_sees_an_exceeded_rate(scene):
    scene.acme.account.segments_per_second = 10
    scene.acme.account.save()
    report = {"peak": {"segments": 50}}
    scene.see(rates={scene.acme.tenant.slug: report})
    assert "rates exceeded" in scene.flaws()


def test_sees_a_wrong_date(scene):
    Dispatch.objects.filter(pk=scene.first.pk).update(accepted_at=database.now() - timedelta(hours=2))
    assert "dated wrongly" in scene.flaws()
