"""Who goes through which account and sender: a table of data, deterministic per person, and explained."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from providers.adapters import get
from providers.routing import CANARY_ANSWERS, CANARY_LIFE, Channel, Routes

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ADAPTER = get("simulator")
ANYBODY = "+12025550123"
PEOPLE = [f"+1202{number:07d}" for number in range(2_000_000, 2_002_000)]


def channel(account=1, sender="", **given):
    return Channel(
        account_id=account,
        account=f"account {account}",
        provider="any",
        key="key",
        sender=sender or f"+1888555{account:04d}",
        adapter=ADAPTER(credentials=ADAPTER.Credentials("token", "secret")),
        limits=ADAPTER.limits,
        **given,
    )


def broken(account=1, probe_at=NOW, **given):
    return channel(account, is_well=False, health="broken since 11:58 (12 of 20 bad)", probe_at=probe_at, **given)


def chosen(routes, number=ANYBODY, tried=()):
    choice = routes.choose(number, frozenset(tried))
    return choice and choice.channel.account_id


def test_without_senders_there_is_no_way():
    assert chosen(Routes([])) is None


def test_the_lowest_position_is_tried_first_and_each_account_once():
    routes = Routes([channel(2, position=1), channel(1, position=0), channel(3, position=2)])
    assert [chosen(routes, tried=tried) for tried in ([], [1], [1, 2], [1, 2, 3])] == [1, 2, 3, None]


def test_people_are_shared_out_by_weight():
    routes = Routes([channel(1, weight=1), channel(2, weight=3)])
    shares = Counter(chosen(routes, number) for number in PEOPLE)
    assert shares[2] / len(PEOPLE) == pytest.approx(0.75, abs=0.03)


def test_everybody_keeps_their_sender_whatever_is_added_or_taken_away():
    pool = [channel(1, f"+188855500{number:02d}") for number in range(8)]
    before = {number: Routes(pool).choose(number).channel.sender for number in PEOPLE}
    assert before == {number: Routes(pool[::-1]).choose(number).channel.sender for number in PEOPLE}
    gone = pool[3].sender
    after = {number: Routes(pool[:3] + pool[4:]).choose(number).channel.sender for number in PEOPLE}
    assert [number for number in PEOPLE if before[number] not in (gone, after[number])] == []
    more = Routes([*pool, channel(1, "+18885559999")])
    moved = {
        more.choose(number).channel.sender for number in PEOPLE if more.choose(number).channel.sender != before[number]
    }
    assert moved == {"+18885559999"}


@pytest.mark.parametrize(
    ("number", "account"),
    [("+12025550123", 1), ("+16135550123", 2), ("+447700900123", 3), ("+4915112345678", None)],
    ids=["US", "CA", "GB", "DE"],
)
def test_only_senders_for_the_country_are_used(number, account):
    routes = Routes(
        [
            channel(1, countries=frozenset({"US"})),
            channel(2, countries=frozenset({"CA"})),
            channel(3, countries=frozenset({"GB", "IE"})),
        ]
    )
    assert chosen(routes, number) == account


def test_a_broken_account_is_passed_over_and_said_so():
    routes = Routes([broken(1), channel(2, position=1)])
    choice = routes.choose(ANYBODY)
    assert choice.channel.account_id == 2
    assert choice.reason == "choice 2, position 1: account 1 is broken since 11:58 (12 of 20 bad)"


def test_when_all_are_broken_nobody_goes():
    assert chosen(Routes([broken(1), broken(2)])) is None


@pytest.mark.parametrize("pinned", [broken(2, position=1), channel(2, position=1)], ids=["broken", "well"])
def test_a_pin_is_respected_whatever_automation_thinks(pinned):
    routes = Routes([channel(1), pinned], pinned=2)
    assert chosen(routes) == 2
    assert routes.choose(ANYBODY).reason == "pinned to account 2"
    assert chosen(routes, tried=[2]) is None
    assert routes.probes_due(NOW) == []


def test_a_pin_to_an_account_without_a_sender_leaves_none():
    routes = Routes([channel(1)], pinned=2)
    assert chosen(routes) is None


def test_a_pin_does_not_break_the_rules_of_countries():
    routes = Routes([channel(1), channel(2, countries=frozenset({"GB"}))], pinned=2)
    assert chosen(routes) is None


def test_the_reason_says_position_share_and_what_was_tried():
    routes = Routes([channel(1, weight=2), channel(2, weight=1), channel(3, position=1)])
    first = routes.choose(ANYBODY)
    assert first.reason in ("choice 1, position 0, weight 2 of 3", "choice 1, position 0, weight 1 of 3")
    tried = frozenset({1, 2})
    assert routes.choose(ANYBODY, tried).reason.startswith("choice 3, position 1: account")
    assert len(Routes([replace(broken(1), health="x" * 300), channel(2)]).choose(ANYBODY).reason) <= 120


def test_a_canary_is_somebody_who_would_go_there_anyway():
    routes = Routes([broken(1), channel(2, position=1), broken(3, position=2)])
    assert routes.canary(ANYBODY, 1).channel.account_id == 1
    assert routes.canary(ANYBODY, 3) is None
    assert routes.canary(ANYBODY, 9) is None


def test_probes_are_due_at_their_time():
    later = NOW + timedelta(seconds=1)
    routes = Routes([broken(1), broken(2, probe_at=later), channel(3)])
    assert routes.probes_due(NOW) == [1]
    assert routes.probes_due(later) == [1, 2]
    assert routes.next_look([ANYBODY], NOW) == NOW
    assert Routes([channel(3)]).next_look([ANYBODY], NOW) is None


def test_only_probes_that_those_who_wait_can_make_are_waited_for():
    abroad = broken(1, countries=frozenset({"GB"}))
    routes = Routes([abroad, broken(2, probe_at=NOW + timedelta(seconds=1))])
    assert routes.next_look([ANYBODY], NOW) == NOW + timedelta(seconds=1)
    assert routes.next_look([ANYBODY, "+447700900123"], NOW) == NOW


def test_while_a_canary_is_out_those_who_wait_look_again_soon():
    given_up_at = NOW + timedelta(minutes=1)
    routes = Routes(
        [broken(1, probe_at=given_up_at, is_on_trial=True), broken(2, probe_at=NOW + timedelta(seconds=30))]
    )
    assert routes.next_look([ANYBODY], NOW) == NOW + CANARY_ANSWERS
    assert routes.next_look([ANYBODY], given_up_at) == NOW + timedelta(seconds=30)
    assert routes.probes_due(NOW + CANARY_ANSWERS) == []


def test_the_longer_a_canary_is_out_the_later_those_who_wait_look_again():
    given_up_at = NOW + CANARY_LIFE
    routes = Routes([broken(1, probe_at=given_up_at, is_on_trial=True)])
    now, looks = NOW, []
    while now < given_up_at:
        now = routes.next_look([ANYBODY], now)
        looks.append((now - NOW).total_seconds())
    assert looks == [2, 4, 8, 16, 32, 60]


def test_mail_and_texts_never_stand_in_for_each_other():
    mail = channel(2, "news@acme.example")
    object.__setattr__(mail, "adapter", Mail(ADAPTER.Credentials("token", "secret")))
    for routes in (Routes([channel(1), mail]), Routes([mail, channel(1)])):
        assert chosen(routes) == 1
        assert chosen(routes, "ana@example.com") == 2
    assert chosen(Routes([channel(1)]), "ana@example.com") is None
    assert chosen(Routes([mail])) is None


class Mail(ADAPTER):
    channel = "email"
