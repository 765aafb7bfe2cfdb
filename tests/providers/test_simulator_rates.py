"""What the simulator says of rates is what came in any second, wherever the second starts."""

from providers.simulator.rates import Rate, Rates


def peak_of(posts):
    rate = Rate()
    for at, segments in posts:
        rate.add(at, accepted=True, segments=segments)
    return rate.report()["peak"]["segments"]


def test_finds_the_second_that_no_clock_begins():
    assert peak_of([(0.0, 1), (0.55, 4), (0.95, 2), (1.54, 3), (1.56, 1)]) == 9


def test_a_second_does_not_hold_its_own_end():
    assert peak_of([(10.0, 3), (11.0, 3)]) == 3


def test_a_refused_post_is_a_post_of_no_segments():
    rate = Rate()
    rate.add(1.0, accepted=False, segments=3)
    assert rate.report()["peak"] == {"posts": 1, "accepted": 0, "segments": 0}


def test_tells_senders_of_one_account_apart():
    rates = Rates()
    for sender in "abb":
        rates.add("acme", sender, 1.0, accepted=True, segments=1)
    told = rates.report("acme")
    assert told["accounts"]["acme"]["peak"]["segments"] == 3
    assert [(each["sender"], each["peak"]["segments"]) for each in told["senders"]] == [("a", 1), ("b", 2)]
