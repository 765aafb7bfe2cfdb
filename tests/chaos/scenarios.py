"""The scenarios: each breaks one thing while a campaign goes out, and says which ends it expects.

What is not expected is a flaw: rows in doubt where nothing was in the air, or a person who is not texted for a reason
that the scenario does not name.
"""

import signal
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos import faults, worker
from tests.chaos.play import CONCURRENCY, IN_AIR, REPORTS, WORKERS, Play

Act = Callable[[Play], None]
DAILY_CAP = "daily_cap@1"
PERSON_CAP = "person_cap@1"
CANCELLED = "campaign_cancelled@1"
STOPPED = "suppressed_brand@1"


@dataclass(frozen=True)
class Scenario:
    """One act; `people` in the full form and in the short one (0: not in it)."""

    number: int
    name: str
    act: Act
    people: int
    short: int

    @property
    def what(self) -> str:
        return (self.act.__doc__ or "").strip().split("\n")[0].rstrip(".")


SCENARIOS: dict[str, Scenario] = {}


def scenario(*, people: int = 1000, short: int = 0) -> Callable[[Act], Act]:
    """Enter the function as a scenario; its name is the scenario's, in the order of the file."""

    def enter(act: Act) -> Act:
        name = act.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(len(SCENARIOS) + 1, name, act, people, short)
        return act

    return enter


# -- processes --------------------------------------------------------------------------------------------------------


@scenario(people=1200, short=400)
def random_kills(play: Play) -> None:
    """kill -9 of random workers every few seconds, under a daily cap."""
    play.expected.fates.add(DAILY_CAP)
    play.launch(play.client(timeout=2, rate=80, daily_cap=play.people * 9 // 10))
    for _ in play.while_it_lasts(1.5, 4, until=0.85):
        play.kill(play.random.choice(WORKERS))


@scenario(people=1000, short=400)
def deaths_in_the_pipeline(play: Play) -> None:
    """kill -9 of a child at every border of a stage and inside `send` at each of its steps."""
    _die(play, (*worker.BORDERS, *worker.STEPS), whole=False)


@scenario(people=800)
def deaths_of_senders(play: Play) -> None:
    """kill -9 of a whole sending worker, with its other children, at each step of `send`."""
    _die(play, ("before send", *worker.STEPS, "after send"), whole=True)


def _die(play: Play, points: tuple[str, ...], *, whole: bool) -> None:
    marks = play.place / "marks" / play.name
    marks.mkdir(parents=True)
    orders = worker.orders(marks=marks, points=points, whole=whole)
    play.give_orders(WORKERS, orders)
    play.launch(play.client(timeout=1, rate=100))
    play.expected.doubt += len(worker.DOUBTFUL) * (IN_AIR if whole else CONCURRENCY)
    for _ in play.while_it_lasts(0.2, 0.4, until=1):
        play.revive(orders)
    play.finish()
    missed = {point.replace(" ", "-") for point in points} - {mark.name for mark in marks.iterdir()}
    play.flaws += [f"nobody died {point}" for point in sorted(missed)]


# -- Redis ------------------------------------------------------------------------------------------------------------


@scenario(short=500)
def flushall(play: Play) -> None:
    """FLUSHALL again and again: no message, token or lock of Redis survives."""
    play.expected.fates.add(DAILY_CAP)
    play.launch(play.client(rate=80, daily_cap=play.people - 50), by_task=True)
    faults.flush_redis()
    for _ in play.while_it_lasts(1, 3):
        faults.flush_redis()


@scenario(short=400)
def redis_restart(play: Play) -> None:
    """Redis killed and started again on its port, with tasks in flight."""
    play.launch(play.client(rate=80, script={"latency_ms": {"uniform": [200, 1200]}}))
    for _ in play.while_it_lasts(4, 7, times=3):
        faults.restart("redis", signal.SIGKILL, down=play.random.uniform(0, 1.5))


# -- Postgres ---------------------------------------------------------------------------------------------------------


@scenario(people=1000, short=400)
def postgres_restart(play: Play) -> None:
    """Postgres restarted fast (SIGINT) and immediately (SIGQUIT), on its port."""
    client = play.client(rate=80, script={"receipts": REPORTS})
    play.launch(client)
    play.until(0.1)
    for turn in play.while_it_lasts(6, 9, times=2 if play.short else 4):
        faults.restart("postgres", (signal.SIGINT, signal.SIGQUIT)[turn % 2], down=play.random.uniform(0, 1))


# -- people and operators ---------------------------------------------------------------------------------------------


@scenario(people=1000, short=500)
def stop_flood(play: Play) -> None:
    """Hundreds of people text STOP while their messages go out."""
    play.expected.fates.add(STOPPED)
    client = play.client(rate=60, script={"receipts": REPORTS, "stops": {"share": 0.05, "delay_ms": 100}})
    play.launch(client)
    play.until(0.1)
    play.stop_flood(client, play.people // 3)
