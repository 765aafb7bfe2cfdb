"""What a worker does to itself where a scenario asks for it; the product has no hook for any of this.

`orders` makes the environment of such a worker. It dies at named points of the pipeline, each point once for all
workers together; it dies of a recipient whose name is poison; it lives by a clock that is wrong.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POISON = "Mr Poison"
STAGES = ("check_compliance", "lock_recipients", "check_caps", "shorten_links", "send", "record_results")
BORDERS = tuple(f"{side} {stage}" for stage in STAGES for side in ("before", "after"))
# In the order of a turn of `send`.
STEPS = ("before claim", "in claim", "after claim", "in the air", "before settle", "in settle", "after settle")
_GLANCE = 0.05


def orders(
    *, marks: Path | None = None, points: tuple[str, ...] = (), whole: bool = False, poison: bool = False,
    clock: Path | None = None,
) -> dict[str, str]:  # fmt: skip
    """Return the environment of a worker that obeys: dies at `points` (with its whole group, or a child alone), …"""
    told = {
        "marks": str(marks or ""),
        "points": points,
        "whole": whole,
        "poison": poison,
        "clock": str(clock or ""),
    }
    return {"CHAOS": json.dumps(told), "PYTHONPATH": f"{Path(__file__).parent / 'within'}{os.pathsep}{ROOT}"}


def obey() -> None:
    """Called as the interpreter starts, before anything of the product is imported."""
    told = json.loads(os.environ.get("CHAOS", "{}"))
    if not told:
        return
    from celery import signals

    clock = WrongClock(Path(told["clock"])) if told["clock"] else None
    if clock:
        clock.follow()

    @signals.worker_process_init.connect(weak=False)
    def in_child(**_: object) -> None:
        if clock:
            clock.follow()
        if told["points"]:
            die_at(Deaths(Path(told["marks"]), frozenset(told["points"]), whole=told["whole"]))
        if told["poison"]:
            be_poisoned()


class Deaths:
    """Kills this process at a point, if nobody died there yet: a file per point says that somebody did."""

    def __init__(self, marks: Path, points: frozenset[str], *, whole: bool) -> None:
        self.marks = marks
        self.points = points
        self.whole = whole

    def pass_by(self, point: str) -> None:
        if point not in self.points:
            return
        with suppress(FileExistsError):
            os.close(os.open(self.marks / point.replace(" ", "-"), os.O_CREAT | os.O_EXCL))
            die(whole=self.whole)

    def around(self, function: Callable, before: str = "", after: str = "") -> Callable:
        """Return the function between two points."""

        def between(*args: object, **options: object) -> object:
            self.pass_by(before)
            result = function(*args, **options)
            self.pass_by(after)
            return result

        return between


def die(*, whole: bool) -> None:
    if whole:
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(deaths: Deaths) -> None:
    """Put the points into the pipeline."""
    from campaigns import sending, settling, tasks
    from campaigns.verbs import AttemptQuerySet, DispatchQuerySet

    run = tasks._run

    def run_stage(stage, batch_id, lease):
        deaths.pass_by(f"before {stage.name}")
        goes_on = run(stage, batch_id, lease)
        deaths.pass_by(f"after {stage.name}")
        return goes_on

    collect = sending._Turn._collect

    def collect_later(turn):
        if "in the air" in deaths.points and turn.in_air:
            time.sleep(0.1)  # the poster's thread has the requests out by then
        deaths.pass_by("in the air")
        return collect(turn)

    tasks._run = run_stage
    sending._Turn._collect = collect_later
    sending._Turn._claim = deaths.around(sending._Turn._claim, "before claim", "after claim")
    DispatchQuerySet.claim = deaths.around(DispatchQuerySet.claim, after="in claim")
    settling.settle = deaths.around(settling.settle, "before settle", "after settle")
    AttemptQuerySet.settle = deaths.around(AttemptQuerySet.settle, after="in settle")


def be_poisoned() -> None:
    """Rendering the text of one named so ends the process, as a crash in a C library would."""
    from campaigns import rendering

    render = rendering.render

    def swallow(compiled, fields):
        if fields.get("first_name") == POISON:
            die(whole=False)
        return render(compiled, fields)

    rendering.render = swallow


class WrongClock:
    """Shows this process a wall clock that is off by the seconds in a file, whenever these change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shift = 0.0
        self.travel = None
        self.look()

    def look(self) -> None:
        import time_machine

        with suppress(OSError, ValueError):
            told = float(self.path.read_text())
            if told != self.shift:
                if self.travel is not None:
                    self.travel.stop()
                self.shift = told
                self.travel = time_machine.travel(datetime.now(UTC) + timedelta(seconds=told), tick=True)
                self.travel.start()

    def follow(self) -> None:
        """Go on looking, in a thread; to be called again after a fork, which no thread survives."""

        def watch() -> None:
            while True:
                time.sleep(_GLANCE)
                self.look()

        threading.Thread(target=watch, daemon=True).start()
