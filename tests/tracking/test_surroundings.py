"""What happened around hits, computed from stored hits alone."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import world
from tests.tracking.test_verdicts import APPLE_MESSAGES, FULL, IPHONE
from tracking.surroundings import Trace, around
from tracking.verdicts import Around

NOON = world.at("2026-11-21 12:00:00")


def trace(number, after, code="A", **more):
    fields = {
        "tenant": 1, "message": f"message of {code[0]}", "person": f"person of {code[0]}", "method": "GET",
        "ip": "198.51.100.7", "user_agent": IPHONE, "headers": FULL, "links": 1,
    }  # fmt: skip
    return Trace(id=number, code=code, at=NOON + timedelta(seconds=after), **{**fields, **more})


def found(*traces):
    """Return what is said of each, by id, where something is."""
    return {number: said for number, said in around(traces).items() if said != Around()}


class TestRepeats:
    REPEAT = Around(is_repeat=True)

    def test_are_the_same_within_ten_seconds(self):
        assert found(trace(1, 0), trace(2, 3)) == {2: self.REPEAT}
        assert found(trace(1, 0), trace(2, 10)) == {2: self.REPEAT}
        assert found(trace(1, 0), trace(2, 10.001)) == {}

    def test_go_on_as_long_as_each_follows_the_last(self):
        assert found(trace(1, 0), trace(2, 8), trace(3, 16)) == {2: self.REPEAT, 3: self.REPEAT}

    @pytest.mark.parametrize("other", [{"code": "AB"}, {"ip": "198.51.100.8"}, {"user_agent": "another"}])
    def test_are_by_the_same_visitor_on_the_same_link(self, other):
        assert found(trace(1, 0), trace(2, 3, **other)) == {}

    def test_at_the_same_instant_are_told_by_their_ids(self):
        assert found(trace(2, 0), trace(1, 0)) == {2: self.REPEAT}

    @pytest.mark.parametrize("first", [{"headers": {"sec-purpose": "prefetch"}}, {"method": "HEAD"}])
    def test_do_not_come_of_what_was_no_click(self, first):
        assert found(trace(1, 0, **first), trace(2, 3)) == {}


class TestAllLinks:
    SWEPT = Around(is_all_links=True)

    def pair(self, after, **more):
        return trace(1, 0, "A1", links=2), trace(2, after, "A2", links=2, **more)

    def test_within_two_seconds(self):
        assert found(*self.pair(2)) == {1: self.SWEPT, 2: self.SWEPT}
        assert found(*self.pair(2.001)) == {}

    def test_from_wherever(self):
        assert set(found(*self.pair(1, ip="203.0.113.5", user_agent="x"))) == {1, 2}

    def test_means_all_of_them(self):
        assert found(trace(1, 0, "A1", links=3), trace(2, 1, "A2", links=3)) == {}

    def test_of_one_message(self):
        assert found(trace(1, 0, "A1", links=2), trace(2, 1, "B2", links=2)) == {}

    def test_says_nothing_of_a_message_with_one_link(self):
        assert found(trace(1, 0)) == {}

    def test_marks_all_that_came_in_those_seconds_and_none_of_the_others(self):
        before = trace(3, -5, "A1", links=2, ip="203.0.113.5")
        between = trace(4, 0.5, "A1", links=2, ip="203.0.113.6")
        assert set(found(*self.pair(1), before, between)) == {1, 2, 4}

    @pytest.mark.parametrize("preview", [{"user_agent": APPLE_MESSAGES}, {"headers": {"purpose": "prefetch"}}])
    def test_a_phones_own_preview_makes_no_sweep_of_its_owners_tap(self, preview):
        assert found(*self.pair(1, **preview)) == {}


class TestManyPeople:
    MANY = Around(is_many_people=True)

    def test_three_from_one_address_within_ten_seconds(self):
        assert found(trace(1, 0, "A"), trace(2, 4, "B"), trace(3, 10, "C")) == dict.fromkeys((1, 2, 3), self.MANY)
        assert found(trace(1, 0, "A"), trace(2, 4, "B"), trace(3, 10.001, "C")) == {}

    def test_one_person_with_three_messages_is_no_crowd(self):
        assert found(*(trace(number, number, code, person="Ana") for number, code in enumerate("ABC"))) == {}

    @pytest.mark.parametrize("other", [{"ip": "198.51.100.8"}, {"ip": None}, {"tenant": 2}])
    def test_from_one_address_of_one_client(self, other):
        assert found(trace(1, 0, "A"), trace(2, 1, "B"), trace(3, 2, "C", **other)) == {}

    @pytest.mark.parametrize("ip", ["127.0.0.1", "10.1.2.3", "192.168.0.9", "fd00::1", None])
    def test_an_address_of_a_private_network_is_nobodys(self, ip):
        assert found(*(trace(number, number, code, ip=ip) for number, code in enumerate("ABC"))) == {}

    def test_a_window_slides(self):
        hits = [trace(number, at, code) for number, (at, code) in enumerate([(0, "A"), (8, "B"), (11, "C"), (17, "D")])]
        assert set(found(*hits)) == {1, 2, 3}


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from("ABCD"), st.sampled_from(["198.51.100.7", "198.51.100.8"])),
        max_size=25,
    )
)
def test_says_what_looking_at_every_window_says(hits):
    """The definition, read literally: some ten seconds that hold the hit and three people."""
    traces = [trace(number, at / 2, code, ip=ip, method="GET") for number, (at, code, ip) in enumerate(hits)]
    said = around(traces)
    for one in traces:
        crowded = any(
            start.at <= one.at <= start.at + timedelta(seconds=10)
            and len(
                {
                    other.person
                    for other in traces
                    if other.ip == one.ip and start.at <= other.at <= start.at + timedelta(seconds=10)
                }
            )
            >= 3
            for start in traces
            if start.ip == one.ip
        )
        assert said[one.id].is_many_people == crowded
