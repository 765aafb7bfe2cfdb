"""However many workers take and give back tokens, nobody sees more than their rate: checked over the granted instants.

The script runs in the real Redis, with a clock that the test sets instead of Redis's own.
"""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import throttle
from providers.adapters import get
from providers.adapters.base import Limits
from providers.routing import Channel
from smsplatform.common import redis
from tests.properties.effort import trying

pytestmark = pytest.mark.timeout(900)  # finding the smallest story of a failure takes minutes
_TIME = "redis.call('TIME')"
_SET_TIME = "redis.call('MGET', 'test:seconds', 'test:microseconds')"
_EPSILON = 1e-4


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def goes_on(self, seconds):
        self.now += seconds
        whole = int(self.now)
        redis.client().mset({"test:seconds": whole, "test:microseconds": int((self.now - whole) * 1_000_000)})


@pytest.fixture
def clock(monkeypatch):
    for name in ("_SCRIPT", "_SINCE_SCRIPT"):
        script = getattr(throttle, name)
        assert script.count(_TIME) == 1
        monkeypatch.setattr(throttle, name, script.replace(_TIME, _SET_TIME))
    clock = Clock()
    clock.goes_on(0)
    return clock


def channel(sender="a", *, rate, sender_rate=None, account=1, registration_rate=None):
    """One sender of the account; what the throttle does not read stays empty."""
    adapter = get("simulator")
    return Channel(
        account_id=account,
        provider="any",
        key="key",
        sender=sender,
        adapter=adapter(credentials=adapter.Credentials("token", "secret")),
        limits=Limits(segments_per_second=rate, concurrency=10, timeout=10),
        sender_rate=sender_rate,
        registration_id=7 if registration_rate else None,
        registration_rate=registration_rate,
    )


_rates = st.sampled_from([0.5, 1.0, 7.0, 40.0, 300.0])
_slices = st.lists(st.integers(1, 10), min_size=1, max_size=60)
_steps = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        _slices,
        st.sampled_from([0.0, 0.001, 0.03, 0.3, 1.0, 3.0, 20.0]),  # seconds until the next step
        st.sampled_from(["posts all", "posts all", "posts none", "posts the last"]),
        st.sampled_from([throttle.LOOK_AHEAD, throttle.LOOK_AHEAD, throttle.LOOK_AHEAD_FIRST]),
        st.sampled_from([False, False, False, True]),  # Redis loses its memory
    ),
    min_size=1,
    max_size=25,
)


def most_in_a_second(granted):
    """Return the largest number of segments that are due within any second."""
    granted = sorted(granted)
    starts = [due for due, _ in granted]
    sums = [0]
    for _, segments in granted:
        sums.append(sums[-1] + segments)
    return max(
        (sums[bisect_left(starts, due + 1.0 - _EPSILON)] - sums[number] for number, due in enumerate(starts)), default=0
    )


def test_no_second_holds_more_than_the_rate_and_one_burst(clock):
    @trying(400)
    @given(rate=_rates, sender_rate=st.one_of(st.none(), _rates), steps=_steps)
    def holds(rate, sender_rate, steps):
        redis.client().flushdb()
        clock.goes_on(100)
        channels = {name: channel(name, rate=rate, sender_rate=sender_rate) for name in "ab"}
        posted = {"a": [], "b": []}
        for name, wanted, pause, fate, look_ahead, is_lost in steps:
            if is_lost:
                redis.client().flushdb()
                clock.goes_on(0)
            answer = throttle.take(channels[name], wanted, look_ahead=look_ahead)
            rows = [(clock.now + delay, segments) for delay, segments in zip(answer.delays, wanted, strict=False)]
            assert all(throttle.LEAD <= delay <= look_ahead + throttle.LEAD + _EPSILON for delay in answer.delays)
            posted[name] += {"posts all": rows, "posts none": [], "posts the last": rows[len(rows) // 2 :]}[fate]
            clock.goes_on(pause)
        everything = posted["a"] + posted["b"]
        assert most_in_a_second(everything) <= rate + _longest(everything)
        for rows in posted.values():
            assert most_in_a_second(rows) <= (sender_rate or rate) + _longest(rows)

    holds()


def test_a_registration_is_counted_over_all_its_accounts(clock):
    """Carriers count what they know a brand by, whatever numbers and vendors it uses (R67)."""

    @trying(200)
    @given(rate=_rates, registration_rate=_rates, steps=_steps)
    def holds(rate, registration_rate, steps):
        redis.client().flushdb()
        clock.goes_on(100)
        channels = {
            name: channel(name, rate=rate, account=account, registration_rate=registration_rate)
            for account, name in enumerate("ab", start=1)
        }
        posted = {"a": [], "b": []}
        for name, wanted, pause, _, look_ahead, is_lost in steps:
            if is_lost:
                redis.client().flushdb()
                clock.goes_on(0)
            answer = throttle.take(channels[name], wanted, look_ahead=look_ahead)
            posted[name] += [
                (clock.now + delay, segments) for delay, segments in zip(answer.delays, wanted, strict=False)
            ]
            clock.goes_on(pause)
        everything = posted["a"] + posted["b"]
        assert most_in_a_second(everything) <= registration_rate + _longest(everything)
        for rows in posted.values():
            assert most_in_a_second(rows) <= rate + _longest(rows)

    holds()


def _longest(rows):
    """One message is posted whole, so the last one of a second may reach over its end."""
    return max((segments for _, segments in rows), default=0)


def test_whoever_asks_again_at_the_named_time_gets_something(clock):
    @trying(60)
    @given(rate=_rates, wanted=_slices)
    def gets_something(rate, wanted):
        redis.client().flushdb()
        clock.goes_on(0)
        here = channel(rate=rate)
        first = throttle.take(here, wanted)
        clock.goes_on(first.wait)
        assert throttle.take(here, wanted).delays

    gets_something()


def test_a_missing_bucket_starts_empty(clock):
    @trying(60)
    @given(rate=_rates, wanted=_slices)
    def starts_empty(rate, wanted):
        redis.client().flushdb()
        redis.client().set(throttle.SINCE, 0)
        clock.goes_on(1)
        taken = 0
        for delay, segments in zip(throttle.take(channel(rate=rate), wanted).delays, wanted, strict=False):
            # What is due at this instant plus what flowed since; saved-up tokens would let rows out earlier.
            assert delay + _EPSILON >= (taken / rate) - throttle._BURST
            taken += segments

    starts_empty()


@pytest.fixture
def _no_redis(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    redis.client.cache_clear()
    yield
    redis.client.cache_clear()


@pytest.mark.usefixtures("_no_redis")
def test_grants_nothing_while_redis_is_away():
    assert throttle.take(channel(rate=10.0), [1, 1]) == throttle.Granted((), throttle.UNREACHABLE_WAIT)
