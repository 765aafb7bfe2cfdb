"""A launch to many people can be taken back for a moment: nothing goes out before, and afterwards it is too late."""

from datetime import timedelta

import pytest

from campaigns import launch, sending
from campaigns.models import Attempt, Run
from campaigns.states import State
from smsplatform.common import database
from smsplatform.common.errors import Conflict
from smsplatform.tenancy.models import AuditEvent
from tests import world
from tests.campaigns.commands.shell import ask, failed, run
from tests.promises.together import Gate, Job, gated, together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(simulator):
    made = world.make(base_url=simulator.url, undo_above=2)
    simulator.script("token-acme", receipts=None)
    made.recipients(3)
    return made


def launched(acme, *, key="1", **options):
    campaign = options.pop("campaign", None) or acme.campaign("Hello", **options)
    made = launch.launch(campaign=campaign, occurrence=key, now=database.now(), actor="ann", may_be_undone=True)
    assert launch.materialise(made.pk)
    made.refresh_from_db()
    return made


def the_time_is_over(made):
    Run.objects.filter(pk=made.pk).update(undo_until=database.now() - timedelta(milliseconds=1))
    made.refresh_from_db()


def test_nothing_goes_out_while_it_may_be_undone(acme, simulator, settings):
    made = launched(acme)
    assert made.undo_until == made.launched_at + settings.UNDO_WINDOW
    assert world.work() == 0
    batch = world.only_batch(made)
    lease = world.start(batch)  # even where a chain runs
    for stage in world.PIPELINE:
        stage.run(batch.pk, lease)
    assert simulator.ledger()["posts"] == 0
    assert ask(f"run_status {made.pk}")["stopped_by"] == "the launch can still be undone"
    the_time_is_over(made)
    assert world.work() == 1
    assert world.states(made) == {State.ACCEPTED: 3}


def test_undoing_ends_it_and_nobody_was_texted(acme, simulator):
    made = launched(acme)
    assert launch.undo(made, now=database.now(), actor="ann") == 0
    assert world.work() == 1
    assert world.states(made) == {State.CANCELLED: 3}
    assert simulator.ledger()["posts"] == 0
    assert AuditEvent.objects.get(verb="run.undone").detail["handed_over"] == 0


def test_undoing_a_paused_run_leaves_no_reason_behind(acme):
    made = launched(acme)
    launch.pause(made, now=database.now(), actor="ann", reason="a typo")
    launch.undo(made, now=database.now(), actor="ann")
    made.refresh_from_db()
    assert made.stop_reason == ""


def test_it_is_too_late_afterwards_and_nothing_is_changed(acme, simulator):
    made = launched(acme)
    the_time_is_over(made)
    with pytest.raises(Conflict, match="too late to undo it"):
        launch.undo(made, now=database.now(), actor="ann")
    made.refresh_from_db()
    assert made.cancelled_at is None
    assert world.work() == 1
    assert simulator.ledger()["posts"] == 3


@pytest.mark.parametrize("kind", ["few people", "a schedule", "the brand's own number", "not by hand"])
def test_only_large_launches_by_hand_wait(acme, kind):
    campaign = acme.campaign()
    options = {"may_be_undone": True}
    match kind:
        case "few people":
            world.ListMember.objects.all().delete()
            acme.recipients(2)
        case "a schedule":
            campaign.schedule, campaign.crontab = "repeat", "* * * * *"
            campaign.save()
        case "the brand's own number":
            acme.brand.undo_above = 3
            acme.brand.save()
            campaign.refresh_from_db()
        case "not by hand":
            options = {}
    now = database.now()
    made = launch.launch(campaign=campaign, occurrence="1", now=now, at=now, actor="x", **options)
    assert made.undo_until is None
    with pytest.raises(Conflict, match="nothing to undo"):
        launch.undo(made, now=now, actor="ann")


def test_the_platforms_number_holds_where_the_brand_has_none(acme, settings):
    settings.UNDO_ABOVE = 2
    acme.brand.undo_above = None
    acme.brand.save()
    assert launched(acme).undo_until is not None


def test_twice_is_refused(acme):
    made = launched(acme)
    launch.undo(made, now=database.now(), actor="ann")
    made.refresh_from_db()
    with pytest.raises(Conflict, match="nothing to undo"):
        launch.undo(made, now=database.now(), actor="ann")


class TestBesideAClaim:
    """The window ends while somebody presses the button: nobody is texted, or it says how many were."""

    def test_it_waits_for_a_claim_and_counts_it(self, acme, simulator, monkeypatch):
        made = launched(acme)
        pressed_at = database.now()  # in time
        Run.objects.filter(pk=made.pk).update(undo_until=database.now() - timedelta(milliseconds=1))
        batch = world.only_batch(made)
        lease = world.start(batch)
        for stage in world.PIPELINE[:4]:
            stage.run(batch.pk, lease)
        gate = Gate()
        gated(monkeypatch, sending.fence, "read", gate, after=True)
        chain = Job(lambda: [stage.run(batch.pk, lease) for stage in world.PIPELINE[4:]])
        gate.wait()  # the claim has read the open fence, and holds the batch
        made.undo_until = pressed_at + timedelta(seconds=5)
        undo = Job(lambda: launch.undo(made, now=pressed_at, actor="ann"))
        assert undo.is_waiting
        gate.open()
        handed_over = undo.result()
        chain.result()
        assert handed_over == Attempt.objects.count() == simulator.ledger()["posts"] == 3

    @pytest.mark.parametrize("attempt", range(4))
    def test_what_it_says_is_what_was_posted(self, acme, simulator, attempt):
        made = launched(acme, key=str(attempt))
        pressed_at = database.now()
        Run.objects.filter(pk=made.pk).update(undo_until=database.now() + timedelta(milliseconds=20 * attempt))
        made.undo_until = pressed_at + timedelta(seconds=5)

        def work():
            for _ in range(8):
                world.work()

        handed_over, _ = together(lambda: launch.undo(made, now=pressed_at, actor="ann"), work)
        assert handed_over == simulator.ledger()["posts"]
        world.work()
        assert world.states(made).get(State.CANCELLED, 0) == 3 - handed_over


class TestTheCommand:
    def test_launches_with_a_moment_to_undo_and_undoes(self, acme, monkeypatch):
        monkeypatch.setattr("campaigns.tasks.start_materialising", lambda _: None)
        acme.campaign("Hello", name="spring")
        said = run("launch acme spring")
        made = Run.objects.get()
        assert f"until then `manage.py undo {made.pk}` takes it back" in said
        assert "is cancelled: nobody was texted" in run("undo acme spring")

    def test_is_refused_when_it_is_too_late(self, acme):
        made = launched(acme)
        the_time_is_over(made)
        assert "it is too late to undo it" in failed(f"undo {made.pk}")[1]
