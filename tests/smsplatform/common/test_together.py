"""Work done together: everybody gets what belongs to the own item, once, whatever becomes of the others."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from smsplatform.common.together import Together


class Worker:
    """Doubles numbers; the first turn waits until it is let go."""

    def __init__(self):
        self.turns = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, items):
        self.turns.append(list(items))
        if len(self.turns) == 1:
            self.begun.set()
            assert self.go_on.wait(10)
        if any(item < 0 for item in items):
            raise ValueError(f"{min(items)} is negative")
        return [2 * item for item in items]


def ask_behind_a_turn(together, worker, items):
    """Ask for 0, and for the items while that goes on; return what each got: a result or an error."""
    with ThreadPoolExecutor(len(items) + 1) as threads:
        asked = [threads.submit(together, 0)]
        assert worker.begun.wait(10)
        for number, item in enumerate(items, start=1):
            asked.append(threads.submit(together, item))
            while len(together._waiting) < number:
                pass
        worker.go_on.set()
        return [one.exception(10) or one.result(10) for one in asked]


def test_who_comes_alone_waits_for_nobody():
    slept = Together(lambda items: items, linger=3600)
    assert [slept(number) for number in range(3)] == [0, 1, 2]


def test_those_that_come_meanwhile_are_done_in_one_turn_and_in_their_order():
    worker = Worker()
    together = Together(worker)
    assert ask_behind_a_turn(together, worker, [1, 2, 3]) == [0, 2, 4, 6]
    assert worker.turns == [[0], [1, 2, 3]]
    assert together(5) == 10  # the turn is free again


def test_one_that_cannot_be_done_does_not_take_the_others_with_it():
    worker = Worker()
    zero, one, negative, three = ask_behind_a_turn(Together(worker), worker, [1, -2, 3])
    assert (zero, one, three) == (0, 2, 6)
    assert repr(negative) == repr(ValueError("-2 is negative"))


def test_who_waits_does_its_own_when_the_thread_that_does_it_for_all_ends():
    def ends(items):
        if len(items) > 1:
            raise SystemExit
        return items

    worker = Worker()
    together = Together(lambda items: ends(worker(items)))
    _, leader, other = ask_behind_a_turn(together, worker, [1, 2])
    assert isinstance(leader, SystemExit)
    assert other == 4
    assert together(3) == 6


def test_a_thread_with_a_broken_connection_breaks_nobody_elses():
    broken, worker = [], Worker()

    def work(items):
        done = worker(items)
        if len(items) > 1:
            broken.append(threading.get_ident())
        if threading.get_ident() in broken:
            raise ConnectionError("broken")
        return done

    zero, leader, two, three = ask_behind_a_turn(Together(work), worker, [1, 2, 3])
    assert isinstance(leader, ConnectionError)
    assert (zero, two, three) == (0, 4, 6)


def test_after_company_the_next_turn_waits_for_more(monkeypatch):
    worker, slept = Worker(), []
    monkeypatch.setattr("smsplatform.common.together.time.sleep", slept.append)
    together = Together(worker, linger=0.003)
    ask_behind_a_turn(together, worker, [1, 2])
    assert slept == []
    together(3)
    assert slept == [0.003]
    together(4)  # the one before came alone
    assert slept == [0.003]


def test_the_turn_may_be_handed_over_before_the_next_thread_has_begun_to_wait():
    worker = Worker()
    together = Together(worker)
    has_ended = threading.Event()

    class Door:
        """The late thread comes through and is not scheduled again before the turn has ended."""

        def __init__(self):
            self.real = threading.Lock()

        def __enter__(self):
            self.real.acquire()

        def __exit__(self, *_):
            self.real.release()
            if threading.current_thread().name == "late" and not has_ended.is_set():
                assert has_ended.wait(10)

    together._door = Door()
    got = []
    first = threading.Thread(target=lambda: got.append(together(0)))
    late = threading.Thread(target=lambda: got.append(together(1)), name="late")
    first.start()
    assert worker.begun.wait(10)
    late.start()
    while not together._waiting:
        pass
    worker.go_on.set()
    first.join(10)
    has_ended.set()
    late.join(10)
    assert got == [0, 2]
    assert together(2) == 4


@pytest.mark.parametrize("linger", [0, 0.0001])
def test_hundreds_of_thousands_of_switches_between_threads_mix_nothing_up(linger):
    done = []

    def work(items):
        done.extend(items)
        return [str(item) for item in items]

    together, usual = Together(work, linger=linger), sys.getswitchinterval()

    def ask(start):
        return all(together(item) == str(item) for item in range(start, start + 2000))

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(ask, range(0, 16_000, 2000), timeout=60))
    finally:
        sys.setswitchinterval(usual)
    assert sorted(done) == list(range(16_000))
