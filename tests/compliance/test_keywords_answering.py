from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.keywords import Context, Kind, Purpose, answering, match
from compliance.keywords.answering import Line, OptOutMode, Past, answer
from compliance.keywords.editions import EDITIONS

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
PENDING = Context(day=date(2026, 11, 21), is_opt_in_pending=True)
FRESH = Past(is_opted_in=True)
STOPPED = Past(is_opted_out=True, is_opted_in=True)

# Facts §1.1: what vendors answer by themselves, each with its way of matching.
FIRST_LIST = frozenset(
    {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "START", "YES", "UNSTOP"}
    | {"HELP", "INFO"}
)
BEGINS = frozenset(
    {"ARRET", "CANCEL", "END", "OPT-OUT", "OPTOUT", "QUIT", "REMOVE", "STOP", "TD", "UNSUBSCRIBE", "HELP"}
)
ONLY_ALONE = frozenset({"STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "START", "UNSTOP"})

LONG_CODE = Line(OptOutMode.PROVIDER_DEFAULT, vendor_words=FIRST_LIST)
ADVANCED = Line(OptOutMode.PROVIDER_ADVANCED, vendor_words=FIRST_LIST)
BY_PREFIX = Line(OptOutMode.PROVIDER_DEFAULT, vendor_words=BEGINS, is_prefix=True)
PROFILE = Line(OptOutMode.PROVIDER_DEFAULT, vendor_words=ONLY_ALONE)
TOLL_FREE = Line(OptOutMode.NETWORK_TOLLFREE)
OWN = Line(OptOutMode.SELF, vendor_words=FIRST_LIST)
SHORT_CODE = Line(OptOutMode.SELF, is_short_code=True)


def asked(body, line, past=FRESH, *, age=timedelta(seconds=2), has_vendor_answered=False):
    return answer(
        match(body, context=PENDING),
        body=body,
        line=line,
        past=past,
        received_at=NOW - age,
        now=NOW,
        has_vendor_answered=has_vendor_answered,
    )


@pytest.mark.parametrize(
    ("line", "body", "rule"),
    [
        # Toll-free: the network has answered these, and only these.
        (TOLL_FREE, "STOP", "network_answered"),
        (TOLL_FREE, "start", "network_answered"),
        (TOLL_FREE, "Unstop.", "network_answered"),
        (TOLL_FREE, "please stop", "ours"),
        (TOLL_FREE, "QUIT", "ours"),
        (TOLL_FREE, "HELP", "ours"),
        # A vendor's default or advanced handling, and a word of its list.
        (LONG_CODE, "STOP", "vendor_answered"),
        (LONG_CODE, "Revoke", "vendor_answered"),
        (LONG_CODE, "info", "vendor_answered"),
        (LONG_CODE, "YES", "vendor_answered"),
        (ADVANCED, "stop", "vendor_answered"),
        (BY_PREFIX, "STOP PLEASE", "vendor_answered"),
        (BY_PREFIX, "opt out please", "vendor_answered"),
        (BY_PREFIX, "please stop", "ours"),
        (BY_PREFIX, "stopppp", "ours"),
        # A word of our list only.
        (LONG_CODE, "Stop. Thank you", "ours"),
        (LONG_CODE, "STOP PLEASE", "ours"),
        (PROFILE, "REVOKE", "ours"),
        (PROFILE, "opt out", "ours"),
        (PROFILE, "HELP", "ours"),
        # We handle keywords ourselves.
        (OWN, "STOP", "ours"),
        (SHORT_CODE, "STOP", "ours"),
        (SHORT_CODE, "HELP", "ours"),
        # No keyword, or one for a person to read.
        (OWN, "hello", "not_a_keyword"),
        (OWN, "Can I cancel?", "not_a_keyword"),
        (BY_PREFIX, "Stop by at 5", "not_a_keyword"),
    ],
)
def test_never_answers_twice(line, body, rule):
    assert asked(body, line, Past()).name == rule


def test_says_what_to_send_and_until_when():
    found = asked("STOP", OWN)
    assert (found.purpose, found.until) == (Purpose.OPT_OUT, NOW - timedelta(seconds=2) + timedelta(minutes=5))
    assert (found.rule, found.version, str(found)) == ("A8", 1, "A8_ours@1")
    assert asked("HELP", OWN).purpose is Purpose.HELP
    start = asked("START", OWN, STOPPED)
    assert (start.purpose, start.until) == (Purpose.OPT_IN, None)
    assert asked("STOP", LONG_CODE) == answering.Answer("A2", "vendor_answered", 1)


def test_believes_a_vendor_that_says_it_has_answered():
    assert asked("please stop", OWN, has_vendor_answered=True).name == "vendor_answered"


@pytest.mark.parametrize("body", ["please stop", "HELP", "START"])
def test_sends_nothing_that_the_vendor_would_refuse(body):
    assert asked(body, OWN, Past(is_blocked=True)).name == "vendor_blocks"


@pytest.mark.parametrize(
    ("body", "age", "rule"),
    [
        ("STOP", timedelta(minutes=5), "ours"),
        ("STOP", timedelta(minutes=5, seconds=1), "late"),
        ("HELP", timedelta(minutes=6), "late"),
        ("START", timedelta(hours=3), "ours"),
    ],
)
def test_answers_no_stop_after_five_minutes(body, age, rule):
    assert asked(body, OWN, Past(), age=age).name == rule


@pytest.mark.parametrize(
    ("line", "answered", "rule"),
    [
        (OWN, None, "repeated"),
        (OWN, timedelta(days=90), "repeated"),
        (SHORT_CODE, None, "ours"),
        (SHORT_CODE, timedelta(hours=23, minutes=59), "repeated"),
        (SHORT_CODE, timedelta(hours=24), "ours"),
    ],
)
def test_answers_a_repeated_stop_only_from_a_short_code_and_once_a_day(line, answered, rule):
    past = Past(is_opted_out=True, answered_at=answered and NOW - answered)
    assert asked("STOP", line, past).name == rule


def test_confirms_every_opt_out_that_is_a_new_one():
    assert asked("STOP", OWN, Past(is_opted_in=True, answered_at=NOW - timedelta(hours=1))).name == "ours"


def test_helps_who_opted_out_but_once_a_day():
    assert asked("HELP", OWN, STOPPED).name == "ours"
    assert asked("HELP", SHORT_CODE, STOPPED).name == "ours"
    assert asked("HELP", OWN, Past(answered_at=NOW - timedelta(hours=23))).name == "answered_lately"
    assert asked("HELP", OWN, Past(answered_at=NOW - timedelta(hours=24))).name == "ours"


def test_confirms_an_opt_in_only_where_it_changes_something():
    assert asked("START", OWN, Past(is_opted_in=True)).name == "nothing_changed"
    assert asked("START", OWN, Past()).name == asked("START", OWN, STOPPED).name == "ours"


def test_follows_a_person_through_facts_1_6():
    """Vectors 1 to 3, 5 and 6 of the state machine, on a number whose keywords are ours."""
    calm = Context(day=NOW.date())
    story = [
        ("STOP", Past(is_opted_in=True), Kind.OPT_OUT, "ours"),
        ("STOP", STOPPED, Kind.OPT_OUT, "repeated"),
        ("START", STOPPED, Kind.OPT_IN, "ours"),
        ("HELP", STOPPED, Kind.HELP, "ours"),
        ("YES", STOPPED, Kind.NONE, "not_a_keyword"),
    ]
    for body, past, kind, rule in story:
        found = match(body, context=calm)
        given_answer = answer(found, body=body, line=OWN, past=past, received_at=NOW, now=NOW)
        assert (found.kind, given_answer.name) == (kind, rule)


def test_every_rule_has_a_test_and_a_source():
    for edition in EDITIONS:
        assert [rule.name for rule in edition.answer_rules] == list(answering._TESTS)
        assert [rule.name for rule in edition.answer_rules if rule.is_ours] == ["ours"]
        assert all(rule.citation and rule.confidence for rule in edition.answer_rules)


@settings(deadline=None)
@given(
    body=st.sampled_from(["STOP", "stop please", "HELP", "START", "hi", "yes"]) | st.text(max_size=20),
    line=st.sampled_from([TOLL_FREE, LONG_CODE, BY_PREFIX, OWN, SHORT_CODE]),
    past=st.builds(
        Past, st.booleans(), st.booleans(), st.booleans(), st.sampled_from([None, NOW, NOW - timedelta(30)])
    ),
    seconds=st.integers(-10, 1000),
)
def test_texts_nobody_late_or_against_the_vendor(body, line, past, seconds):
    found = asked(body, line, past, age=timedelta(seconds=seconds))
    if found.purpose is None:
        assert found.until is None
        return
    assert found.name == "ours"
    assert not past.is_blocked
    assert found.until is None or found.until >= NOW
