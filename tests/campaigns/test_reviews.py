"""Texts that may be opt-outs: held at once, read by somebody, and opt-outs when the time is over."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import transaction
from django.urls import reverse

from campaigns import answers, replies, reviews, tasks
from campaigns.models import Dispatch, RawEvent, Reply, ReviewedReply
from campaigns.states import State
from compliance.consent_models import Consent
from compliance.models import Suppression
from compliance.policy import Category
from providers.adapters.base import Inbound
from smsplatform.common import database, masking
from smsplatform.common.errors import Conflict
from smsplatform.tenancy.models import AuditEvent, Membership, Role, User
from tests import world
from tests.promises.together import together

pytestmark = pytest.mark.django_db
PERSON = "+12125552123"


@pytest.fixture
def acme():
    return world.make()


def writes(acme, text, at=None, to=None, number=PERSON):
    at = at or database.now()
    with transaction.atomic():
        raw = RawEvent(id=0, tenant_id=acme.tenant.pk, received_at=at)
        event = Inbound(f"{number}{text}{at}", number, to or acme.sender.address, text)
        replies.take_in([replies.Heard(acme.account, raw, [event])])
    return Reply.objects.latest("id")


def live():
    return sorted(Suppression.objects.filter(released_at=None).values_list("category", "reason"))


HELD = [("marketing", "review")]
OUT = [("", "opt_out")]


def test_nothing_is_marketed_until_somebody_has_read_it(acme):
    reply = writes(acme, "when does it end")
    assert (reply.kind, reply.rule, reply.is_opt_out, reply.apply_at) == ("review", "R9_review@1", False, None)
    assert live() == HELD
    assert Suppression.objects.get().evidence == f"reply:{reply.pk}"
    assert answers.answer_replies(database.now()) == 0


def test_the_hold_is_for_marketing_only(acme):
    person = acme.recipient()
    writes(acme, "I quit smoking", number=person.number)
    sale, notice = acme.run(key="sale"), acme.run(acme.campaign(category=Category.INFORMATIONAL), key="notice")
    for run in (sale, notice):
        batch = world.only_batch(run)
        world.stage_named("check_compliance").run(batch.pk, world.start(batch))
    assert world.states(sale) == {State.BLOCKED: 1}
    assert world.states(notice) == {State.CLEARED: 1}


def test_no_opt_out_ends_the_hold(acme):
    reply = writes(acme, "The bus stop is closed")
    decided = reviews.decide(reply.pk, is_opt_out=False, actor="ann@acme.example", now=database.now())
    assert live() == []
    assert (decided.is_opt_out, decided.reviewed_by) == (False, "ann@acme.example")
    event = AuditEvent.objects.get(verb="reply.reviewed")
    assert (event.actor, event.target, event.detail) == (
        "ann@acme.example", f"reply {reply.pk}", {"is_opt_out": False},
    )  # fmt: skip


def test_an_opt_out_holds_and_ends_what_waits_and_is_not_answered(acme):
    person = acme.recipient()
    reply = writes(acme, "Can I cancel?", number=person.number)
    run = acme.run()
    reviews.decide(reply.pk, is_opt_out=True, actor="ann", now=database.now())
    assert live() == OUT
    assert replies.tidy_stops(database.now()) == 1
    assert world.states(run) == {State.BLOCKED: 1}
    assert answers.answer_replies(database.now()) == 0
    reply.refresh_from_db()
    assert (reply.kind, reply.is_opt_out, reply.answer_rule) == ("review", True, "A0_not_a_keyword@1")
    assert Consent.objects.get().event == "revoked"
    assert Dispatch.objects.count() == 1


def test_is_decided_once(acme):
    reply = writes(acme, "The End")
    reviews.decide(reply.pk, is_opt_out=False, actor="ann", now=database.now())
    with pytest.raises(Conflict, match="decided already, by ann"):
        reviews.decide(reply.pk, is_opt_out=True, actor="bo", now=database.now())
    assert live() == []


@pytest.mark.django_db(transaction=True)
def test_of_two_who_decide_at_once_one_does(acme):
    for _ in range(5):
        reply = writes(acme, "The End")

        def decide(is_opt_out, reply=reply):
            try:
                reviews.decide(reply.pk, is_opt_out=is_opt_out, actor=str(is_opt_out), now=database.now())
            except Conflict:
                return None
            return is_opt_out

        answers_given = together(lambda: decide(True), lambda: decide(False))
        [given] = [each for each in answers_given if each is not None]
        reply.refresh_from_db()
        assert reply.is_opt_out is given
        Suppression.objects.all().delete()


def test_another_text_that_waits_keeps_the_hold(acme):
    first, second = (writes(acme, text) for text in ("when does it end", "Can I cancel?"))
    reviews.decide(first.pk, is_opt_out=False, actor="ann", now=database.now())
    assert live() == HELD
    reviews.decide(second.pk, is_opt_out=False, actor="ann", now=database.now())
    assert live() == []


def test_a_stop_after_it_is_a_first_one(acme):
    acme.sender.opt_out_mode = "self"
    acme.sender.save()
    writes(acme, "when does it end")
    stop = writes(acme, "STOP")
    assert answers.answer_replies(database.now()) == 1
    stop.refresh_from_db()
    assert stop.answer_rule == "A8_ours@1"


def test_a_start_decides_it(acme):
    reply = writes(acme, "when does it end")
    writes(acme, "START")
    answers.answer_replies(database.now())
    reply.refresh_from_db()
    assert reply.reviewed_by == replies.BY_START
    assert live() == []
    assert reviews.end_overdue(database.now() + timedelta(days=100)) == 0


def test_a_start_that_came_later_and_was_read_first_decides_it_too(acme):
    now = database.now()
    writes(acme, "START", at=now)
    answers.answer_replies(now)
    reply = writes(acme, "when does it end", at=now - timedelta(seconds=5))
    assert reply.reviewed_by == replies.BY_START
    assert live() == []


def test_a_later_start_outweighs_a_late_decision(acme):
    reply = writes(acme, "when does it end")
    reviews.decide(reply.pk, is_opt_out=True, actor="ann", now=database.now())
    writes(acme, "START")
    answers.answer_replies(database.now())
    assert live() == []


# -- when the time is over --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("received", "last_day"),
    [
        ("2026-11-16T15:00", date(2026, 11, 30)),  # Monday; Thanksgiving is no excuse
        ("2026-11-20T15:00", date(2026, 12, 4)),  # Friday
        ("2026-11-21T15:00", date(2026, 12, 4)),  # Saturday: as late as Friday
        ("2026-11-22T15:00", date(2026, 12, 4)),  # Sunday
        ("2026-12-18T15:00", date(2027, 1, 1)),  # over Christmas
        ("2026-11-21T03:00", date(2026, 12, 4)),  # still Friday evening in New York
    ],
)
def test_becomes_an_opt_out_after_ten_business_days(acme, received, last_day):
    reply = writes(acme, "when does it end", at=datetime.fromisoformat(received).replace(tzinfo=UTC))
    end = datetime(last_day.year, last_day.month, last_day.day, 5, tzinfo=UTC) + timedelta(
        days=1
    )  # midnight in New York
    assert reply.review_until == end
    assert reviews.end_overdue(end - timedelta(seconds=1)) == 0
    assert live() == HELD
    assert reviews.end_overdue(end) == 1
    assert live() == OUT
    reply.refresh_from_db()
    assert (reply.is_opt_out, reply.reviewed_by, reply.reviewed_at) == (True, reviews.BY_TIME, end)
    assert reviews.end_overdue(end + timedelta(days=1)) == 0


def test_recovery_ends_what_is_overdue(acme, monkeypatch):
    monkeypatch.setattr(tasks, "hand_out", lambda _: 0)
    writes(acme, "when does it end", at=database.now() - timedelta(days=20))
    tasks.recover()
    assert live() == OUT
    tasks.recover()
    assert AuditEvent.objects.filter(verb="reply.reviewed", actor=reviews.BY_TIME).count() == 1


def test_what_was_meant_for_any_of_several_brands_holds_for_all(acme):
    second = world.Brand.objects.create(tenant=acme.tenant, name="Second", slug="second", zone="America/New_York")
    world.Sender.objects.create(tenant=acme.tenant, brand=second, account=acme.account, address="+15035550123")
    reply = writes(acme, "when does it end", to="+18005550000")
    assert live() == HELD * 2
    reviews.decide(reply.pk, is_opt_out=True, actor="ann", now=database.now())
    assert live() == OUT * 2


@pytest.mark.parametrize(
    ("first_to", "second_to"),
    [(None, "+18005550000"), ("+18005550000", None), ("+18005550000", "+18005550000")],
)
def test_a_text_that_names_no_brand_keeps_the_hold_of_one_that_does(acme, first_to, second_to):
    second = world.Brand.objects.create(tenant=acme.tenant, name="Second", slug="second", zone="America/New_York")
    world.Sender.objects.create(tenant=acme.tenant, brand=second, account=acme.account, address="+15035550123")
    first = writes(acme, "when does it end", to=first_to)
    other = writes(acme, "Can I cancel?", to=second_to)
    reviews.decide(first.pk, is_opt_out=False, actor="ann", now=database.now())
    assert Suppression.objects.filter(brand=acme.brand, reason="review", released_at=None).count() == 1
    reviews.decide(other.pk, is_opt_out=False, actor="ann", now=database.now())
    assert live() == []


# -- in the admin -----------------------------------------------------------------------------------------------------


@pytest.fixture
def as_role(client, acme):
    def log_in(role):
        user = User.objects.create_user(f"{role}@acme.example", is_staff=True)
        Membership.objects.create(user=user, tenant=acme.tenant, role=role)
        client.force_login(user)
        return client

    return log_in


LIST = "admin:campaigns_reviewedreply_changelist"


def do(client, reply, verb):
    return client.post(reverse("admin:campaigns_reviewedreply_do", args=[reply.pk, verb]), follow=True)


def test_managers_find_what_to_read_with_its_deadline(acme, as_role):
    manager = as_role(Role.MANAGER)
    reply = writes(acme, "when does it end")
    writes(acme, "hello")
    page = manager.get(reverse(LIST))
    assert [row.pk for row in page.context["cl"].result_list] == [reply.pk]
    assert "days left" in page.content.decode()
    page = manager.get(reverse("admin:campaigns_reviewedreply_change", args=[reply.pk]))
    text = page.content.decode()
    assert "This is an opt-out" in text
    assert "Not an opt-out" in text
    assert "R9_review@1" in text


@pytest.mark.parametrize(("verb", "is_opt_out"), [("opt-out", True), ("no-opt-out", False)])
def test_managers_decide(acme, as_role, verb, is_opt_out):
    manager = as_role(Role.MANAGER)
    reply = writes(acme, "when does it end")
    page = do(manager, reply, verb)
    assert page.status_code == 200
    assert f"{masking.number(reply.number)} has {'' if is_opt_out else 'not '}opted out" in page.content.decode()
    assert reply.number[2:-4] not in page.content.decode()
    assert live() == (OUT if is_opt_out else [])
    assert AuditEvent.objects.get(verb="reply.reviewed").actor == "manager@acme.example"
    assert list(manager.get(reverse(LIST)).context["cl"].result_list) == []
    again = do(manager, reply, "opt-out")
    assert live() == (OUT if is_opt_out else [])
    assert "nothing to" in again.content.decode()


def test_managers_decide_many_at_once(acme, as_role):
    manager = as_role(Role.MANAGER)
    texts = [writes(acme, "when does it end", number=f"+121255521{n:02d}") for n in range(3)]
    manager.post(reverse(LIST), {"action": "no-opt-out", "_selected_action": [text.pk for text in texts]})
    assert not ReviewedReply.objects.filter(reviewed_at=None).exists()


def test_viewers_only_look(acme, as_role):
    viewer = as_role(Role.VIEWER)
    reply = writes(acme, "when does it end")
    assert viewer.get(reverse(LIST)).status_code == 200
    assert do(viewer, reply, "no-opt-out").status_code == 403
    assert live() == HELD
