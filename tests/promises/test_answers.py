"""P6's exception, kept narrow: one answer per text, whatever is repeated, crashes or runs twice; and never a late one."""

import ast
from datetime import timedelta

import pytest

from campaigns import answers, notifications, tasks, webhooks
from campaigns.models import Attempt, Batch, Dispatch, Reply
from campaigns.nudges import Nudge
from campaigns.states import State
from smsplatform.common import database, redis
from tests import world
from tests.architecture import source
from tests.promises import aftermath, hooks, sound, talk
from tests.promises.conftest import TOKEN
from tests.promises.talk import STOPPED, WELCOME, Person
from tests.promises.together import together

pytestmark = pytest.mark.django_db(transaction=True)
WITHIN = timedelta(minutes=5)


@pytest.fixture
def shop(acme):
    return talk.prepare(acme)


@pytest.fixture
def ana(shop, simulator):
    return Person(shop, simulator, shop.recipient().number)


def work():
    return answers.answer_replies(database.now())


# -- once ----------------------------------------------------------------------------------------------------------


def test_many_workers_at_once_send_one_answer(shop, simulator):
    people = [Person(shop, simulator, f"+1212555{n:04d}") for n in range(6)]
    for person in people:
        person.writes("STOP")
    assert sum(together(*[work] * 6)) == 6
    together(*[talk.deliver] * 3)
    talk.deliver()
    assert [person.heard for person in people] == [[STOPPED]] * 6
    assert Dispatch.objects.count() == 6
    sound.check()


@pytest.mark.parametrize(
    "number", ["+881612345678", "+447911123456", "+19005552368"], ids=["satellite", "not allowed", "premium"]
)
@pytest.mark.parametrize("text", ["STOP", "START", "HELP"])
def test_numbers_that_the_client_does_not_text_get_no_answer(shop, simulator, number, text):
    """Whoever answers a paid number pays for every text that its owner thinks of. What was asked for holds."""
    person = Person(shop, simulator, number)
    assert person.texts(text) is None
    assert Reply.objects.get().answer_rule == "number_not_allowed"
    assert person.is_stopped is (text == "STOP")
    assert not Dispatch.objects.exists()


def test_a_repeated_task_sends_nothing_more(ana):
    ana.texts("STOP")
    for _ in range(3):
        assert work() == 0
        talk.deliver()
    assert ana.heard == [STOPPED]


def test_the_vendors_repeat_is_no_second_text(shop, ana):
    event = hooks.inbound(shop, ana.number)
    for _ in range(3):
        assert hooks.call(shop, event) == 204
        work()
        talk.deliver()
    assert Reply.objects.count() == 1
    assert ana.heard == [STOPPED]


def test_what_fails_half_way_leaves_nothing_and_is_done_later(shop, ana, monkeypatch):
    answer = notifications.answer

    def fail(**given):
        answer(**given)
        raise RuntimeError("killed")

    ana.writes("STOP")
    other = Person(shop, ana.simulator, "+12125552177")
    other.writes("STOP")
    with monkeypatch.context() as patch:
        patch.setattr(
            notifications, "answer", lambda **given: (fail if given["reply"].number == ana.number else answer)(**given)
        )
        assert work() == 1  # the other person does not suffer
    assert Dispatch.objects.count() == 1
    assert ana.is_stopped
    assert work() == 0
    Reply.objects.filter(apply_at__gt=database.now()).update(apply_at=database.now())  # a minute passes
    assert work() == 1
    talk.deliver()
    assert (ana.heard, other.heard) == ([STOPPED], [STOPPED])


def test_an_answer_whose_fate_is_unknown_is_not_sent_again(shop, ana, simulator):
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "accept_then_drop", "next": 1}])
    ana.writes("STOP")
    work()
    talk.deliver()
    [answer] = Dispatch.objects.all()
    for _ in range(3):
        work()
        talk.deliver()
    assert Dispatch.objects.get() == answer
    assert Attempt.objects.count() == 1
    assert simulator.ledger()["posts"] == 1


def test_pieces_of_one_text_get_one_answer(shop, ana):
    from tests.campaigns.test_replies import piece, take

    for number, text in ((1, "STOP\n"), (2, "and never"), (3, " write again")):
        take(shop, piece(shop, number, 3, text, sender=ana.number))
        work()
        talk.deliver()
    assert ana.heard == [STOPPED]


# -- in time --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "is_answered"), [(timedelta(), True), (WITHIN - timedelta(seconds=1), False), (WITHIN, False)]
)
def test_a_stop_that_is_read_too_late_is_honoured_and_not_answered(shop, ana, age, is_answered):
    """The last seconds are not enough: what is claimed then would be posted after them."""
    ana.writes("STOP")
    assert answers.answer_replies(database.now() + age) == is_answered
    assert ana.is_stopped
    assert Reply.objects.get().answer_rule == ("A8_ours@1" if is_answered else "A4_late@1")


def minutes_pass(minutes):
    """Everything that is stored is so much older."""
    span = timedelta(minutes=minutes)
    for dispatch in Dispatch.objects.all():
        Dispatch.objects.filter(pk=dispatch.pk).update(
            due_at=dispatch.due_at - span,
            expires_at=dispatch.expires_at - span,
            good_until=dispatch.good_until and dispatch.good_until - span,
        )


@pytest.mark.parametrize("stages", range(7))
def test_an_answer_that_got_stuck_expires(shop, ana, simulator, stages):
    """Its batch was at work, up to any stage, when five minutes passed."""
    ana.writes("STOP")
    work()
    if stages:
        notifications.collect(database.now())
        [batch] = world.hand_out("urgent")
        for stage in world.PIPELINE[: stages - 1]:
            stage.run(batch.batch_id, batch.lease)
    minutes_pass(5)
    if stages:
        for stage in world.PIPELINE[stages - 1 :]:
            stage.run(batch.batch_id, batch.lease)
    else:
        talk.deliver()
    dispatch = Dispatch.objects.get()
    if stages == 6:  # it was sent before
        assert dispatch.state == State.ACCEPTED
        return
    assert simulator.ledger()["posts"] == 0
    aftermath.run_until_settled(dispatch.run)
    world.work("urgent")
    assert Dispatch.objects.get().state == State.EXPIRED
    assert simulator.ledger()["posts"] == 0
    sound.check()


def test_an_answer_that_the_provider_put_off_expires(shop, ana, simulator):
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited", "next": 1}])
    ana.writes("STOP")
    work()
    talk.deliver()
    minutes_pass(5)
    Batch.objects.update(due_at=database.now())
    talk.deliver()
    assert Dispatch.objects.get().state == State.EXPIRED
    assert simulator.ledger()["accepted"] == 0


def test_the_provider_may_keep_an_answer_no_longer_than_we(shop, ana, simulator):
    ana.texts("STOP")
    dispatch = Dispatch.objects.get()
    reply = Reply.objects.get()
    assert dispatch.expires_at <= reply.received_at + WITHIN
    assert dispatch.good_until <= reply.received_at + WITHIN


def test_a_start_may_be_confirmed_later(shop, ana):
    ana.writes("START")
    assert answers.answer_replies(database.now() + timedelta(hours=1)) == 1


# -- nothing else gets through -----------------------------------------------------------------------------------------


def test_a_stop_in_the_middle_of_a_running_send_is_confirmed_and_nothing_else_comes(shop, ana, simulator):
    others = shop.recipients(5)
    run = shop.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    ana.writes("STOP")
    together(lambda: [stage.run(batch.pk, lease) for stage in world.PIPELINE[4:]], lambda: (work(), talk.deliver()))
    assert ana.heard == [STOPPED]
    assert world.states(run) == {State.ACCEPTED: len(others), State.BLOCKED: 1}
    sound.check()


def test_only_answers_makes_answers():
    """Whoever else could make a keyword reply could text people who have opted out."""
    named = {
        path.relative_to(source.ROOT).as_posix()
        for path in source.files()
        for node in ast.walk(source.tree(path))
        if isinstance(node, ast.Attribute) and node.attr in {"KEYWORD_REPLY", "is_answer"}
    }
    assert named == {
        "campaigns/introduction.py",  # says nothing more in them
        "campaigns/models/campaign.py",  # forbids them
        "campaigns/notifications.py",  # makes them
        "compliance/policy.py",  # lets them through
    }
    callers = {
        path.relative_to(source.ROOT).as_posix()
        for path in source.files()
        for call in source.calls(path)
        if ast.unparse(call.func) == "notifications.answer"
    }
    assert callers == {"campaigns/answers.py"}


def test_the_task_answers_at_once(shop, ana, monkeypatch):
    handed = []
    monkeypatch.setattr(tasks, "hand_out", handed.append)
    ana.writes("STOP")
    tasks.answer_replies()
    assert handed == ["urgent"]
    tasks.answer_replies()
    assert handed == ["urgent"]


def test_one_worker_at_a_time_answers_and_goes_on_until_nobody_waits(shop, ana, monkeypatch):
    monkeypatch.setattr(tasks, "hand_out", lambda lane: None)
    monkeypatch.setattr(answers, "_AT_ONCE", 1)
    others = [Person(shop, ana.simulator, shop.recipient().number) for _ in range(3)]
    for person in (ana, *others):
        person.writes("STOP")
    with redis.turn("answer_replies", seconds=5) as is_ours:
        assert is_ours
        tasks.answer_replies()
        assert Reply.objects.filter(apply_at__isnull=False).count() == 4
    tasks.answer_replies()
    assert not Reply.objects.filter(apply_at__isnull=False).exists()


def test_without_redis_everybody_may_answer(shop, ana, monkeypatch):
    def down():
        raise redis.Unreachable

    monkeypatch.setattr(tasks, "hand_out", lambda lane: None)
    ana.writes("STOP")
    with monkeypatch.context() as patch:
        patch.setattr(redis, "client", down)
        tasks.answer_replies()
    assert not Reply.objects.filter(apply_at__isnull=False).exists()


def test_the_webhook_asks_for_an_answer_at_once(shop, ana, monkeypatch):
    asked = []
    monkeypatch.setattr(webhooks, "_have_answered", Nudge("answer_replies", pause=0.0))
    monkeypatch.setattr(tasks.answer_replies, "apply_async", lambda **given: asked.append(given))
    ana.writes("STOP")
    assert len(asked) == 1
    monkeypatch.setattr(tasks.answer_replies, "apply_async", _down)
    assert ana.writes("HELP").kind == "help"


def _down(**_):
    raise ConnectionError


def test_a_conversation_reads_as_it_was_meant(ana):
    """STOP and START before anybody has looked: each is answered in its order."""
    from tests.campaigns.test_replies import said, take

    for text in ("STOP", "START"):
        take(ana.acme, said(ana.acme, text, sender=ana.number))
    assert work() == 2
    assert [row.answer_rule for row in Reply.objects.order_by("id")] == ["A8_ours@1", "A8_ours@1"]
    talk.deliver()
    assert sorted(ana.heard) == sorted([STOPPED, WELCOME])
    assert not ana.is_stopped
