"""A second person above a number of people: asked, answered, used, and never gone around."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from campaigns import approvals, launch, schedules, scheduling
from campaigns.approvals import ApprovalNeeded
from campaigns.models import Approval, Campaign, ListMember, Run
from campaigns.states import State
from smsplatform.common import database
from smsplatform.common.errors import Conflict, Forbidden, InvalidInput
from smsplatform.tenancy.models import AuditEvent, Membership, Role, Tenant, User
from tests import world
from tests.campaigns.commands.shell import ask, refused, run
from tests.promises.together import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(simulator):
    made = world.make(base_url=simulator.url)
    simulator.script("token-acme", receipts=None)
    made.tenant.approve_above = 3
    made.tenant.save()
    made.recipients(5)
    return made


@pytest.fixture
def campaign(acme):
    return acme.campaign("Hello", name="spring")


def person(acme, name, role=Role.MANAGER):
    user = User.objects.create_user(f"{name}@acme.example", is_staff=True)
    Membership.objects.create(user=user, tenant=acme.tenant, role=role)
    return user


@pytest.fixture
def ann(acme):
    return person(acme, "ann")


@pytest.fixture
def ben(acme):
    return person(acme, "ben")


def launched(campaign, actor="ann@acme.example", key="1", **options):
    return launch.launch(campaign=campaign, occurrence=key, now=database.now(), actor=actor, **options)


def asked(campaign, actor="ann@acme.example"):
    return approvals.ask(campaign=campaign, now=database.now(), actor=actor)


def approved(campaign, by, actor="ann@acme.example"):
    question = asked(campaign, actor)
    approvals.approve(question, user=by, now=database.now())
    return question


def test_a_launch_to_more_people_is_refused_without_a_second_person(campaign, ann):
    with pytest.raises(ApprovalNeeded, match=r"5 people are more than the 3 .* ask for the approval"):
        launched(campaign)
    asked(campaign)
    with pytest.raises(ApprovalNeeded, match=r"ann@acme\.example has asked for approval"):
        launched(campaign)
    assert not Run.objects.exists()


def test_a_launch_to_few_people_needs_nobody(acme, campaign):
    acme.tenant.approve_above = 5
    acme.tenant.save()
    campaign.refresh_from_db()
    assert launched(campaign).approval is None


def test_an_approved_one_is_launched_and_sent(acme, campaign, ben, simulator):
    approved(campaign, ben)
    made = launched(campaign)
    assert (made.approved_by, made.approved_people) == ("ben@acme.example", 5)
    assert launch.materialise(made.pk)
    world.work()
    assert world.states(made) == {State.ACCEPTED: 5}
    verbs = AuditEvent.objects.filter(verb__startswith="approval").order_by("id")
    assert list(verbs.values_list("verb", "actor")) == [
        ("approval.asked", "ann@acme.example"),
        ("approval.approved", "ben@acme.example"),
    ]


def test_nobody_approves_what_they_asked_for_or_launches_what_they_approved(acme, campaign, ann, ben):
    question = asked(campaign, "Ann@acme.example")
    with pytest.raises(Forbidden, match="second person"):
        approvals.approve(question, user=ann, now=database.now())
    approvals.approve(question, user=ben, now=database.now())
    with pytest.raises(ApprovalNeeded, match="who approves cannot launch"):
        launched(campaign, "Ben@acme.example")
    assert launched(campaign).approval == question


def test_a_viewer_and_a_stranger_answer_nothing(acme, campaign):
    question = asked(campaign)
    viewer = person(acme, "vic", Role.VIEWER)
    stranger = User.objects.create_user("who@example.com", is_staff=True)
    for user in (viewer, stranger):
        with pytest.raises(Forbidden, match="role manager"):
            approvals.approve(question, user=user, now=database.now())
        with pytest.raises(Forbidden, match="role manager"):
            approvals.decline(question, user=user, reason="no", now=database.now())
    assert Approval.objects.get().answer == ""


def test_the_tables_know_four_eyes_too(acme, campaign, ben):
    question = asked(campaign)
    with pytest.raises(IntegrityError, match="approval_takes_two_people"), transaction.atomic():
        Approval.objects.filter(pk=question.pk).update(
            answer="approved", answered_by="ann@acme.example", answered_at=database.now()
        )
    approvals.approve(question, user=ben, now=database.now())
    made = launched(campaign)
    for name in ("ann@acme.example", ""):
        with pytest.raises(IntegrityError, match="run_approval"), transaction.atomic():
            Run.objects.filter(pk=made.pk).update(approved_by=name)


def test_a_declined_one_says_why(acme, campaign, ben):
    question = asked(campaign)
    with pytest.raises(InvalidInput, match="say why"):
        approvals.decline(question, user=ben, reason=" ", now=database.now())
    approvals.decline(question, user=ben, reason="the price is wrong", now=database.now())
    assert (question.answer, question.reason) == ("declined", "the price is wrong")
    with pytest.raises(ApprovalNeeded, match="ask for the approval"):
        launched(campaign)
    with pytest.raises(Conflict, match=r"ben@acme\.example has declined it already"):
        approvals.approve(question, user=ben, now=database.now())


def test_who_asked_takes_the_question_back(campaign, ann):
    approvals.decline(asked(campaign), user=ann, reason="not yet", now=database.now())
    assert not Approval.objects.exists()
    assert AuditEvent.objects.filter(verb="approval.taken back").exists()


@pytest.mark.parametrize(
    "change",
    ["text", "list", "category", "schedule", "people"],
)
def test_what_has_changed_is_not_approved(acme, campaign, ben, change):
    approved(campaign, ben)
    match change:
        case "text":
            campaign.template.write("Other")
        case "list":
            campaign.minus_lists.add(world.RecipientList.objects.create(tenant=acme.tenant, name="minus"))
        case "category":
            Campaign.objects.filter(pk=campaign.pk).update(category="transactional")
        case "schedule":
            Campaign.objects.filter(pk=campaign.pk).update(schedule="at", send_at=database.now())
        case "people":
            acme.recipients(1)  # six are more than five and a tenth
    with pytest.raises(ApprovalNeeded, match="has changed since"):
        launched(Campaign.objects.get(pk=campaign.pk))
    assert approvals.ask(campaign=campaign, now=database.now(), actor="ann@acme.example").answer == ""


def test_a_list_that_grows_a_little_is_still_approved(acme, campaign, ben):
    acme.recipients(5)
    approved(campaign, ben)
    acme.recipient()
    assert launched(campaign).approved_people == 11


def test_what_changed_after_the_question_cannot_be_approved(campaign, ben):
    question = asked(campaign)
    campaign.template.write("Other")
    with pytest.raises(Conflict, match="has changed since it was asked"):
        approvals.approve(question, user=ben, now=database.now())
    assert asked(campaign).pk != question.pk  # the new question is about the new text


def test_it_is_over_after_a_while(campaign, ben, settings):
    question = asked(campaign)
    late = database.now() + settings.APPROVAL_LIFE + timedelta(seconds=1)
    with pytest.raises(Conflict, match="is over since"):
        approvals.approve(question, user=ben, now=late)
    approvals.approve(question, user=ben, now=database.now())
    with pytest.raises(ApprovalNeeded, match="the approval is over"):
        launch.launch(campaign=campaign, occurrence="1", now=late, actor="ann@acme.example")


def test_one_yes_is_for_one_launch(campaign, ben):
    approved(campaign, ben)
    first = launched(campaign)
    assert launched(campaign) == first
    with pytest.raises(ApprovalNeeded, match="used by an earlier launch"):
        launched(campaign, key="2", is_meant=True)


def test_two_launches_at_once_do_not_share_a_yes(campaign, ben):
    approved(campaign, ben)

    def try_it(key):
        try:
            return launched(campaign, key=key, is_meant=True).pk
        except ApprovalNeeded:
            return None

    made = together(*[lambda key=str(key): try_it(key) for key in range(6)])
    assert len([pk for pk in made if pk is not None]) == 1
    assert Run.objects.count() == 1


def test_a_launch_beside_the_answer_sees_a_yes_or_is_refused(campaign, ben):
    question = asked(campaign)

    def try_it():
        try:
            return launched(campaign)
        except ApprovalNeeded:
            return None

    def answer():
        approvals.approve(question, user=ben, now=database.now())

    together(try_it, answer, try_it)
    for made in Run.objects.all():
        assert made.approved_by == "ben@acme.example"
    assert launched(campaign).approved_by == "ben@acme.example"


def test_a_schedule_does_not_go_around_it(acme, ben):
    campaign = acme.campaign(schedule="repeat", crontab="* * * * *")
    now = database.now() + timedelta(minutes=3)
    assert schedules.fire(now) == []
    event = AuditEvent.objects.get(verb="campaign.not_launched")
    assert "5 people are more than the 3" in event.detail["why"]
    approved(Campaign.objects.get(pk=campaign.pk), ben)
    assert len(schedules.fire(now + timedelta(minutes=1))) == 1
    assert len(schedules.fire(now + timedelta(minutes=2))) == 1  # the same yes, as long as nothing changes
    campaign.template.write("Other")
    assert schedules.fire(now + timedelta(minutes=3)) == []


class TestTheFence:
    def test_holds_a_run_for_more_people_than_were_approved(self, acme, campaign, ben, simulator):
        """The list grows between launch and expansion: nothing of it goes out."""
        approved(campaign, ben)
        made = launched(campaign)
        acme.recipients(5)
        assert launch.materialise(made.pk)
        made.refresh_from_db()
        assert made.people == 10
        assert approvals.waits(made)
        assert world.work() == 0
        assert "more people than were approved" in ask(f"run_status {made.pk}")["stopped_by"]

        ann = User.objects.create_superuser("ann@acme.example")
        with pytest.raises(Forbidden, match="second person"):
            approvals.approve_run(made, user=ann, now=database.now())
        approvals.approve_run(made, user=ben, now=database.now())
        assert world.work() == 1
        assert world.states(made) == {State.ACCEPTED: 10}

    def test_holds_a_run_whoever_made_it(self, acme, campaign, simulator):
        """A row inserted past `launch` is materialised, and held."""
        made = Run.objects.create(
            tenant=acme.tenant, brand=acme.brand, campaign=campaign, version=campaign.template.latest, occurrence="x",
            plan=launch.plan_of(campaign, occurrence="x", now=database.now()), launched_at=database.now(),
            launched_by="script", materialise_at=database.now(),
        )  # fmt: skip
        assert launch.materialise(made.pk)
        assert world.work() == 0
        batch = world.only_batch(made)
        lease = world.start(batch)  # even a batch that was handed out before
        for stage in world.PIPELINE:
            stage.run(batch.pk, lease)
        assert world.states(made) == {State.HELD: 5}
        assert simulator.ledger()["posts"] == 0

    def test_holds_before_the_first_batch_of_a_large_list(self, acme, campaign, monkeypatch):
        monkeypatch.setattr(launch, "CHUNK", 2)
        Tenant.objects.update(approve_above=None)
        made = launched(Campaign.objects.get(pk=campaign.pk))
        Tenant.objects.update(approve_above=3)
        insert, handed_out = launch._insert, []

        def look_between(*arguments):
            insert(*arguments)
            handed_out.append(len(scheduling.claim_due_batches("bulk", database.now())))

        monkeypatch.setattr(launch, "_insert", look_between)
        assert launch.materialise(made.pk)
        assert handed_out == [0, 0, 0]

    def test_counts_those_who_come_while_the_lists_are_expanded(self, acme, campaign, monkeypatch):
        monkeypatch.setattr(launch, "CHUNK", 5)
        Tenant.objects.update(approve_above=5)
        made = launched(Campaign.objects.get(pk=campaign.pk))
        insert = launch._insert

        def more_come(*arguments):
            insert(*arguments)
            if ListMember.objects.count() == 5:
                acme.recipients(2)

        monkeypatch.setattr(launch, "_insert", more_come)
        assert launch.materialise(made.pk)
        made.refresh_from_db()
        assert made.people == 7
        assert approvals.waits(made)

    def test_lets_single_messages_pass(self, acme, simulator):
        from campaigns import notifications

        Tenant.objects.update(approve_above=0)
        notifications.send(brand=acme.brand, number="+12125550123", text="Your code is 1", now=database.now())
        notifications.collect(database.now())
        assert world.work("urgent") == 1
        assert simulator.ledger()["posts"] == 1


class TestTheCommand:
    def test_asks_and_answers(self, acme, campaign, ben):
        assert ask("approve acme spring --ask --actor ann@acme.example")["people"] == 5
        assert "asked for spring to 5 people" in run("approve acme spring --ask --actor ann@acme.example")
        assert Approval.objects.count() == 1
        assert "approved for 5 people" in run("approve acme spring --by BEN@acme.example")
        assert "launched: run" in run("launch acme spring --actor ann@acme.example")

    def test_declines(self, campaign, ben):
        run("approve acme spring --ask --actor ann@acme.example")
        assert "is declined" in run("approve acme spring --by ben@acme.example --decline 'wrong price'")

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("acme spring", "--by: give either --ask, or who answers"),
            ("acme spring --ask --by ben@acme.example", "--by: give either --ask"),
            ("acme spring --by zoe@acme.example", "--by: nobody has the login 'zoe@acme.example'"),
            ("acme spring --by ben@acme.example", "nobody has asked; `manage.py approve acme 'spring' --ask` does"),
            ("acme spring --by ben@acme.example --run 7", "there is no run 7"),
        ],
    )
    def test_is_refused(self, campaign, ben, line, said):
        assert said in refused(f"approve {line}")

    def test_launch_says_what_is_missing(self, campaign):
        assert "CAMPAIGN: 5 people are more than the 3" in refused("launch acme spring")
