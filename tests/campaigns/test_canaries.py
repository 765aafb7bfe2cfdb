"""Some people first, the others when that went well: drawn, watched, halted and released."""

from collections import Counter
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns import canaries, launch, reports
from campaigns.models import Batch, Dispatch, Run
from campaigns.states import State
from compliance import suppression
from compliance.models import Suppression
from smsplatform.common import database
from smsplatform.common.errors import Conflict
from smsplatform.tenancy.models import AuditEvent
from tests import world
from tests.campaigns.commands.shell import ask, refused, run

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "token-acme"


@pytest.fixture
def acme(simulator):
    simulator.script(TOKEN, receipts=None)
    return world.make(base_url=simulator.url)


def with_canary(acme, **options):
    given = {"canary_percent": 40, "canary_minimum": 5, "canary_minutes": 15, **options}
    return acme.run(acme.campaign("Hello", **given))


def canary_states(run):
    rows = Dispatch.objects.filter(batch_id__in=Batch.objects.filter(run=run, is_canary=True).values("id"))
    return Counter(rows.values_list("state", flat=True))


def fails(acme, simulator, share):
    """The simulator refuses this share of the canary's messages for good."""
    run = with_canary(acme)
    first = Dispatch.objects.filter(batch_id__in=Batch.objects.filter(run=run, is_canary=True).values("id"))
    numbers = list(first.order_by("id").values_list("number", flat=True))
    simulator.script(TOKEN, receipts=None, reject=numbers[: round(len(numbers) * share)])
    world.work()
    return run


def later(**duration):
    return database.now() + timedelta(**duration)


class TestWhoIsInIt:
    @pytest.mark.parametrize("percent", [1, 10, 50])
    def test_is_the_share_that_is_asked_for(self, percent):
        below = canaries.threshold(Run(plan={"canary": {"percent": percent, "people": None}}, people=100_000))
        for first in (1, 123_456_789):
            drawn = sum(canaries.is_in(7, person, below) for person in range(first, first + 100_000))
            assert abs(drawn - 1000 * percent) < 300

    def test_is_the_number_that_is_asked_for(self):
        below = canaries.threshold(Run(plan={"canary": {"percent": None, "people": 500}}, people=20_000))
        assert abs(sum(canaries.is_in(7, person, below) for person in range(20_000)) - 500) < 50

    def test_is_everybody_where_there_are_not_more(self):
        below = canaries.threshold(Run(plan={"canary": {"percent": None, "people": 500}}, people=20))
        assert all(canaries.is_in(7, person, below) for person in range(20))

    def test_is_the_same_each_time_and_others_in_another_run(self):
        below = 2**63
        first = [canaries.is_in(7, person, below) for person in range(64)]
        assert first == [canaries.is_in(7, person, below) for person in range(64)]
        assert first != [canaries.is_in(8, person, below) for person in range(64)]

    def test_is_nobody_without_a_canary(self, acme):
        acme.recipients(5)
        made = acme.run()
        assert (made.canary, Batch.objects.filter(is_canary=True).exists()) == ("", False)


def test_texts_only_the_canary_first(acme, simulator):
    acme.recipients(40)
    made = with_canary(acme)
    of_canary = sum(Batch.objects.filter(run=made, is_canary=True).values_list("size", flat=True))
    assert 10 <= of_canary <= 22
    assert world.work() == 1
    assert world.work() == 0
    assert world.states(made) == {State.ACCEPTED: of_canary, State.QUEUED: 40 - of_canary}
    assert ask(f"run_status {made.pk}")["stopped_by"] == "the canary is not judged yet"


def test_keeps_the_others_back_even_where_their_batch_runs(acme, simulator):
    acme.recipients(40)
    made = with_canary(acme)
    rest = Batch.objects.get(run=made, is_canary=False)
    lease = world.start(rest)
    for stage in world.PIPELINE:
        stage.run(rest.pk, lease)
    assert simulator.ledger()["posts"] == 0
    assert canaries.health(made).tried == 0


def test_halves_keep_what_they_are(acme):
    from campaigns import scheduling

    acme.recipients(40)
    made = with_canary(acme)
    scheduling.halve(Batch.objects.get(run=made, is_canary=True).pk)
    assert Batch.objects.filter(run=made, is_canary=True).count() == 2


def test_releases_the_others_when_it_went_well_and_has_had_its_time(acme, simulator):
    acme.recipients(40)
    made = fails(acme, simulator, 0)
    assert canaries.watch(later(minutes=14)) == []
    assert canaries.watch(later(minutes=16)) == [made.pk]
    made.refresh_from_db()
    assert made.canary == "released"
    assert world.work() == 1
    assert world.states(made) == {State.ACCEPTED: 40}
    assert AuditEvent.objects.get(verb="run.canary_released").detail["why"] == "0.0 % errors, 0.0 % opt-outs"


def test_halts_when_three_tenths_fail(acme, simulator):
    acme.recipients(60)
    made = fails(acme, simulator, 0.3)
    tried = sum(canary_states(made).values())
    assert canaries.watch(database.now()) == [made.pk]  # it need not wait for that
    made.refresh_from_db()
    assert (made.canary, made.paused_at is not None) == ("halted", True)
    assert made.stop_reason.startswith(f"canary: {round(tried * 0.3)} of {tried} failed: ")
    assert world.work() == 0
    assert "the run is paused (resume): canary: " in ask(f"run_status {made.pk}")["stopped_by"]
    posts = simulator.ledger()["posts"]
    assert canaries.watch(later(hours=1)) == []

    launch.resume(made, now=database.now(), actor="ann")  # a person has looked
    assert world.work() == 1
    assert simulator.ledger()["posts"] == posts + 60 - tried
    made.refresh_from_db()
    assert made.stop_reason == ""


def test_forgives_as_many_as_it_is_told_to(acme, simulator):
    acme.recipients(60)
    made = with_canary(acme, canary_max_errors=35)
    numbers = list(
        Dispatch.objects.filter(batch_id__in=Batch.objects.filter(is_canary=True).values("id")).values_list(
            "number", flat=True
        )
    )
    simulator.script(TOKEN, receipts=None, reject=numbers[: len(numbers) // 3])
    world.work()
    assert canaries.watch(later(minutes=16)) == [made.pk]
    made.refresh_from_db()
    assert made.canary == "released"


def test_what_waits_to_be_tried_again_has_failed_so_far(acme, simulator):
    acme.recipients(40)
    made = with_canary(acme)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited"}])
    world.work()
    assert canaries.health(made).failed == canaries.health(made).tried > 5
    assert canaries.watch(database.now()) == [made.pk]


def test_halts_on_opt_outs(acme, simulator):
    acme.recipients(60)
    made = fails(acme, simulator, 0)
    told = list(Dispatch.objects.filter(state="accepted").values_list("number", flat=True))
    others = list(Dispatch.objects.filter(state="queued").values_list("number", flat=True))
    suppression.suppress(brand=acme.brand, number=others[0], reason="opt_out", source="reply", now=later(seconds=1))
    suppression.suppress(brand=acme.brand, number=told[0], reason="opt_out", source="reply", now=later(seconds=1))
    assert canaries.health(made).opted_out == 1
    canaries.watch(database.now())
    made.refresh_from_db()
    assert made.canary == "halted"
    assert made.stop_reason == f"canary: 1 of {len(told)} opted out: {100 / len(told):.1f} %, 3.0 % allowed"


def test_counts_opt_outs_as_the_report_does(acme, simulator):
    """By the provider's word as well, and those who have come back since."""
    acme.recipients(60)
    made = fails(acme, simulator, 0)
    texts = list(Dispatch.objects.filter(state="accepted").order_by("id")[:3])
    for text, reason in zip(texts, ("provider_blocked", "opt_out", "operator"), strict=True):
        suppression.suppress(
            brand=acme.brand,
            number=text.number,
            reason=reason,
            source="provider",
            now=later(seconds=1),
            dispatch_id=text.pk,
        )
    row = Suppression.objects.get(reason="opt_out")
    suppression.release(row, by="ana", because="wrote START", now=later(seconds=2))
    assert canaries.health(made).opted_out == sum(reports.opt_outs(made).values()) == 2


def test_judges_nothing_by_too_few(acme, simulator):
    acme.recipients(60)
    made = fails(acme, simulator, 1)
    Run.objects.filter(pk=made.pk).update(plan={**made.plan, "canary": {**made.plan["canary"], "minimum": 1000}})
    Dispatch.objects.filter(pk=Dispatch.objects.filter(state="rejected").first().pk).update(
        state="held", reason="quiet_hours@1"
    )
    assert canaries.watch(database.now()) == []
    Dispatch.objects.filter(state="held").update(state="rejected")
    assert canaries.watch(database.now()) == [made.pk]  # there will be no more


def test_halts_when_none_of_it_went_out(acme):
    people = acme.recipients(30)
    for person in people:
        suppression.suppress(brand=acme.brand, number=person.number, reason="x", source="x", now=database.now())
    made = with_canary(acme)
    world.work()
    assert canaries.watch(database.now()) == [made.pk]
    made.refresh_from_db()
    assert made.stop_reason == "canary: none of its messages went out; look at their reasons"


def test_releases_at_once_where_nobody_was_drawn(acme, monkeypatch):
    monkeypatch.setattr(canaries, "is_in", lambda *_: False)
    acme.recipients(3)
    made = with_canary(acme, canary_percent=1)
    assert canaries.watch(database.now()) == [made.pk]
    assert world.work() == 1


def test_what_waits_too_long_for_it_expires_and_says_so(acme, simulator):
    acme.recipients(40)
    made = fails(acme, simulator, 0)
    past = database.now() - timedelta(seconds=1)
    Batch.objects.filter(is_canary=False).update(expires_at=past)
    Dispatch.objects.filter(state="queued").update(expires_at=past)
    world.work()
    assert {*world.states(made)} == {State.ACCEPTED, State.EXPIRED}


def test_looks_at_all_runs_in_one_statement(acme, simulator):
    acme.recipients(40)
    costs = []
    for _ in range(3):
        with_canary(acme)
        now = database.now()
        with CaptureQueriesContext(connection) as captured:
            canaries.watch(now)
        costs.append(len(captured))
    assert costs == [1, 1, 1]


class TestByHand:
    def test_releases_and_halts(self, acme, simulator):
        acme.recipients(40)
        first, second = fails(acme, simulator, 0), fails(acme, simulator, 0)
        assert "are released" in run(f"canary {first.pk} --release --actor ann")
        assert "are halted" in run(f"canary {second.pk} --halt 'the link is dead' --actor ann")
        second.refresh_from_db()
        assert second.stop_reason == "canary: the link is dead"
        world.work()
        assert world.states(first) == {State.ACCEPTED: 40}
        assert State.QUEUED in world.states(second)
        with pytest.raises(Conflict, match="no canary"):
            canaries.release(first, now=database.now(), actor="ann")

    def test_tells_how_it_goes(self, acme, simulator):
        acme.recipients(60)
        made = fails(acme, simulator, 0.3)
        told = ask(f"canary {made.pk}")
        assert told["tried"] == told["people"] == sum(canary_states(made).values())
        assert told["failed"] == canary_states(made)["rejected"]

    def test_is_refused(self, acme, simulator):
        acme.recipient()
        made = acme.run()
        assert "has no canary" in refused(f"canary {made.pk}")
        made = with_canary(acme)
        assert "say one of the two" in refused(f"canary {made.pk} --release --halt x")


def test_a_campaign_says_one_size(acme):
    campaign = acme.campaign(canary_percent=5, canary_people=100)
    with pytest.raises(ValidationError, match="not both"):
        campaign.full_clean()


def test_the_command_makes_one(acme):
    run("create_campaign acme acme x --text Hi --list everybody --canary-people 50 --canary-max-errors 7.5")
    run("create_campaign acme acme x --text Hi --list everybody --canary-people 50 --canary-max-errors 7.5")
    assert "--canary-percent: Ensure this value is less" in refused(
        "create_campaign acme acme y --text Hi --list everybody --canary-percent 101"
    )
