"""Reading stored webhooks again after an adapter was mended: once, resumably, and without weakening any proof."""

from dataclasses import replace
from datetime import timedelta

import pytest

from campaigns import receipts
from campaigns.models import Dispatch, RawEvent, Receipt, Reply, SeenEvent
from campaigns.states import State
from providers.adapters.base import ReceiptStatus
from providers.adapters.simulator import SimulatorAdapter
from smsplatform.common import database
from smsplatform.tenancy.models import AuditEvent
from tests import world
from tests.campaigns.commands.shell import ask, failed, refused, run
from tests.promises import hooks, sound
from tests.promises.conftest import acme, small  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)

LINE = "renormalise --provider simulator"
PARSE = SimulatorAdapter.parse


@pytest.fixture
def sent(acme):  # noqa: F811 - a fixture
    """Four accepted messages."""
    acme.recipients(4)
    campaign_run = acme.run()
    world.work()
    assert world.states(campaign_run) == {State.ACCEPTED: 4}
    return list(Dispatch.objects.order_by("pk"))


def report(acme, dispatch, status):  # noqa: F811
    assert hooks.call(acme, hooks.report(dispatch.pk, status=status)) == 204


def reading(monkeypatch, was, becomes):
    """The adapter was mended: it reads one status as another."""

    def parse(self, request):
        return [
            replace(event, status=ReceiptStatus(becomes)) if getattr(event, "status", "") == was else event
            for event in PARSE(self, request)
        ]

    monkeypatch.setattr(SimulatorAdapter, "parse", parse)


def states():
    return list(Dispatch.objects.order_by("pk").values_list("state", flat=True))


def everything_told():
    return (
        sorted(Receipt.objects.values_list("raw_id", "place", "status", "dispatch_id")),
        sorted(RawEvent.objects.values_list("pk", "applied_at", "flaw")),
        states(),
    )


def test_applies_again_what_means_something_else(acme, sent, monkeypatch):  # noqa: F811
    for dispatch, status in zip(sent, ["sent", "sent", "undelivered", "delivered"], strict=True):
        report(acme, dispatch, status)
    receipts.apply_events()
    reading(monkeypatch, "sent", "undelivered")
    before = everything_told()
    assert "2 mean something else now and would be applied again" in run(f"{LINE} --dry-run")
    assert everything_told() == before
    assert not AuditEvent.objects.filter(verb="events.renormalised").exists()
    told = ask(f"{LINE} --actor ann")
    assert (told["events"], told["changed"]) == (4, 2)
    receipts.apply_events()
    assert states() == ["undelivered", "undelivered", "undelivered", "delivered"]
    assert sorted(Receipt.objects.values_list("status", flat=True)) == ["delivered", *["undelivered"] * 3]
    assert AuditEvent.objects.get(verb="events.renormalised").actor == "ann"
    sound.check()


def test_nothing_changes_twice(acme, sent, monkeypatch):  # noqa: F811
    report(acme, sent[0], "sent")
    report(acme, sent[1], "delivered")
    receipts.apply_events()
    reading(monkeypatch, "sent", "undelivered")
    assert ask(LINE)["changed"] == 1
    assert ask(LINE)["changed"] == 0  # it is news, and not looked at before it is applied
    receipts.apply_events()
    before = everything_told()
    assert ask(LINE) == {"events": 2, "changed": 0, "last": RawEvent.objects.latest("pk").pk, "dry_run": False}
    assert everything_told() == before


def test_what_fits_no_message_is_not_read_again_and_again(acme, sent, settings):  # noqa: F811
    assert hooks.call(acme, {"id": "m1", "type": "report", "status": "sent", "reference": "f" * 40}) == 204
    settings.REPORT_HORIZON = settings.REPORT_HORIZON * 0
    receipts.apply_events()
    assert RawEvent.objects.get().flaw == "fits no message of ours"
    assert ask(LINE)["changed"] == 0


def test_what_fits_a_message_now_is_applied(acme, sent, settings, monkeypatch):  # noqa: F811
    """The adapter did not find the reference."""
    monkeypatch.setattr(
        SimulatorAdapter, "parse", lambda *args: [replace(event, reference="") for event in PARSE(*args)]
    )
    report(acme, sent[0], "delivered")
    horizon, settings.REPORT_HORIZON = settings.REPORT_HORIZON, settings.REPORT_HORIZON * 0
    receipts.apply_events()
    settings.REPORT_HORIZON = horizon
    assert states()[0] == "accepted"
    monkeypatch.setattr(SimulatorAdapter, "parse", PARSE)
    assert ask(LINE)["changed"] == 1
    receipts.apply_events()
    assert states()[0] == "delivered"
    assert RawEvent.objects.get().flaw == ""


def test_a_delivery_never_weakens(acme, sent, monkeypatch):  # noqa: F811
    report(acme, sent[0], "delivered")
    receipts.apply_events()
    reading(monkeypatch, "delivered", "undelivered")
    assert ask(LINE)["changed"] == 1
    receipts.apply_events()
    assert states()[0] == "delivered"
    assert Receipt.objects.get().status == "undelivered"
    sound.check()


def test_reads_what_was_taken_for_nothing(acme, sent, monkeypatch):  # noqa: F811
    """The adapter did not know this kind of event; a repeat of a known one, in the same request, stays a repeat."""
    report(acme, sent[0], "delivered")
    known = hooks.report(sent[1].pk, status="sent")
    assert hooks.call(acme, known) == 204
    with monkeypatch.context() as patch:
        patch.setattr(SimulatorAdapter, "parse", lambda *_: [])
        assert hooks.call(acme, hooks.report(sent[2].pk, status="delivered"), known) == 204
    receipts.apply_events()
    assert states() == ["delivered", "accepted", "accepted", "accepted"]
    assert ask(f"{LINE} --dry-run")["changed"] == 1
    assert ask(LINE)["changed"] == 1
    receipts.apply_events()
    assert states() == ["delivered", "accepted", "delivered", "accepted"]
    assert Receipt.objects.filter(dispatch_id=sent[1].pk).count() == 1
    assert SeenEvent.objects.count() == 4  # three reports, and the request that told nothing
    assert ask(LINE)["changed"] == 0


def test_leaves_messages_from_people_alone(acme, sent):  # noqa: F811
    hooks.stop(acme, sent[0].number)
    receipts.apply_events()
    assert ask(LINE)["changed"] == 0
    assert Reply.objects.count() == 1


def test_goes_on_behind_an_event(acme, sent, monkeypatch):  # noqa: F811
    for dispatch in sent:
        report(acme, dispatch, "sent")
    receipts.apply_events()
    reading(monkeypatch, "sent", "undelivered")
    first, second, *_ = RawEvent.objects.order_by("pk")
    told = ask(f"{LINE} --after {second.pk}")
    assert (told["events"], told["changed"]) == (2, 2)
    assert set(RawEvent.objects.filter(applied_at=None).values_list("pk", flat=True)).isdisjoint({first.pk, second.pk})
    assert ask(f"{LINE} --after {told['last']}") == {"events": 0, "changed": 0, "last": told["last"], "dry_run": False}
    receipts.apply_events()
    assert ask(LINE)["changed"] == 2  # those that were passed over


def test_stopped_in_the_middle_it_tells_where_it_was(acme, sent, monkeypatch):  # noqa: F811
    from campaigns.management.commands import renormalise

    for dispatch in sent:
        report(acme, dispatch, "sent")
    receipts.apply_events()
    reading(monkeypatch, "sent", "undelivered")
    monkeypatch.setattr(renormalise, "_AT_ONCE", 2)
    said, pages = [], iter([None, KeyboardInterrupt()])
    original = renormalise._read_again

    def interrupted(*args, **options):
        if (stop := next(pages, None)) is not None:
            raise stop
        return original(*args, **options)

    monkeypatch.setattr(renormalise, "_read_again", interrupted)
    monkeypatch.setattr(renormalise.Command, "tell", lambda _, line: said.append(line))
    with pytest.raises(KeyboardInterrupt):
        run(LINE)
    second = RawEvent.objects.order_by("pk")[1].pk
    assert said == [f"2 events read, 2 mean something else now; the last was {second}"]
    assert AuditEvent.objects.filter(verb="events.renormalised").count() == 1  # of what was done until then
    assert ask(f"{LINE} --after {second}")["changed"] == 2
    receipts.apply_events()
    assert states() == ["undelivered"] * 4


def test_reads_only_its_provider_and_its_days(acme, sent):  # noqa: F811
    report(acme, sent[0], "sent")
    receipts.apply_events()
    assert ask("renormalise --provider twilio")["events"] == 0
    RawEvent.objects.update(received_at=database.now() - timedelta(days=3))
    assert ask(f"{LINE} --days 2")["events"] == 0
    assert ask(f"{LINE} --days 4")["events"] == 1


def test_passes_over_an_account_that_cannot_be_read(acme, sent, monkeypatch):  # noqa: F811
    rival = world.make("rival")
    rival.account.secret = "broken"
    rival.account.save()
    report(acme, sent[0], "sent")
    receipts.apply_events()
    reading(monkeypatch, "sent", "undelivered")
    out, problem = failed(LINE)
    assert "1 events read; 1 mean" in out
    assert problem.startswith("passed over: main (simulator): the stored secret")
    assert problem.endswith("`manage.py doctor` says what to do")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--provider pigeon", "--provider: No provider 'pigeon'; known are"),
        ("--provider simulator --days 0", "--days: give a number of days, at least 1"),
    ],
)
def test_is_refused(line, said):
    assert said in refused(f"renormalise {line}")
