"""The table of processes, and the supervisor over real ones."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from providers.adapters import ADAPTERS
from smsplatform import processes

ROOT = Path(__file__).resolve().parent.parent.parent

# Each child of the supervisor notes its life in a file of its own name; lines are written whole.
CHILD = """
import os, signal, sys, time
log, name, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
def note(word):
    with open(log, "a") as file:
        file.write(f"{word} {name} {os.getpid()}\\n")
def end(*_):
    note("asked")
    time.sleep(seconds)
    note("ended")
    sys.exit()
signal.signal(signal.SIGTERM, end if seconds < 60 else lambda *_: note("asked"))
note("started")
print("hello from", name, flush=True)
while True:
    signal.pause()
"""

SUPERVISOR = """
import sys
from smsplatform import processes
def child(name, stops, seconds, patience=20):
    arguments = ({child!r}, {log!r}, name, str(seconds))
    return processes.Process(name=name, arguments=arguments, stops=stops, patience=patience)
table = [{table}]
processes.Supervisor(table, first_wait=0.2, tend=lambda: print("tended", flush=True)).run()
print("all stopped", flush=True)
"""


class Up:
    """A supervisor in a process of its own, and what its children noted."""

    def __init__(self, log: Path, *table: str) -> None:
        self.log = log
        child = log.with_suffix(".py")
        child.write_text(CHILD)
        script = SUPERVISOR.format(child=str(child), log=str(log), table=", ".join(table))
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def noted(self, word: str) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split()[1] for line in lines if line.startswith(word)]

    def pid(self, name: str) -> int:
        lines = self.log.read_text().splitlines()
        return next(int(line.split()[2]) for line in reversed(lines) if f"started {name} " in line)

    def await_started(self, *names: str) -> None:
        until(lambda: set(names) <= set(self.noted("started")))

    def ask(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def output(self) -> str:
        return self.process.communicate(timeout=30)[0]


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def up(log: Path) -> Iterator[Callable[..., Up]]:
    made: list[Up] = []

    def start(*table: str) -> Up:
        made.append(Up(log, *table))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.ask()
            one.ask()
            one.output()


class TestSupervisor:
    def test_stops_in_order_and_waits_for_work_to_finish(self, up: Callable[..., Up]) -> None:
        # Listed against the order of stopping, so that only `stops` can make it right.
        platform = up("child('flower', 2, 0)", "child('worker', 1, 0.5)", "child('web', 0, 0)")
        platform.await_started("flower", "worker", "web")
        platform.ask(signal.SIGINT)
        shown = platform.output()
        lives = [line.split()[:2] for line in platform.log.read_text().splitlines()]
        order = ["web", "worker", "flower"]
        ends = [[word, name] for name in order for word in ("asked", "ended")]
        assert [line for line in lives if line[0] != "started"] == ends
        assert platform.process.returncode == 0
        assert "web    | hello from web" in shown
        assert shown.rstrip().endswith("all stopped")

    def test_starts_a_dead_child_again_and_leaves_the_others_alone(self, up: Callable[..., Up]) -> None:
        platform = up("child('web', 0, 0)", "child('worker', 1, 0)")
        platform.await_started("web", "worker")
        others = platform.pid("worker")
        os.kill(platform.pid("web"), signal.SIGKILL)
        until(lambda: platform.noted("started").count("web") == 2)
        assert platform.pid("worker") == others
        platform.ask()
        assert "web was ended by SIGKILL; next start in 0.2 s." in platform.output()

    def test_waits_longer_each_time_a_child_dies(self, up: Callable[..., Up]) -> None:
        broken = "processes.Process(name='web', arguments=('-c', '1/0'), stops=0, patience=1)"
        platform = up(broken)
        assert platform.process.stdout is not None
        waits: list[str] = []
        while len(waits) < 3:
            line = platform.process.stdout.readline()
            waits += [line.split("next start in ")[1].strip()] if "next start" in line else []
        assert waits == ["0.2 s.", "0.4 s.", "0.8 s."]

    def test_kills_what_does_not_end_in_its_time(self, up: Callable[..., Up]) -> None:
        platform = up("child('deaf', 0, 60, patience=0.3)")
        platform.await_started("deaf")
        platform.ask()
        assert "deaf is killed" in platform.output()
        assert not is_alive(platform.pid("deaf"))

    def test_a_second_signal_kills_at_once(self, up: Callable[..., Up]) -> None:
        platform = up("child('deaf', 0, 60, patience=60)")
        platform.await_started("deaf")
        platform.ask(signal.SIGINT)
        until(lambda: platform.noted("asked") == ["deaf"])
        platform.ask(signal.SIGINT)
        assert "deaf is killed" in platform.output()

    def test_children_end_when_the_supervisor_is_killed(self, up: Callable[..., Up]) -> None:
        platform = up("child('web', 0, 0)")
        platform.await_started("web")
        child = platform.pid("web")
        try:
            if processes._ended_with_us():
                platform.ask(signal.SIGKILL)
                until(lambda: not is_alive(child))
            else:
                # Nothing on this system can tie the child to us; it must at least be known by pid.
                assert is_alive(child)
        finally:
            if is_alive(child):
                os.kill(child, signal.SIGKILL)

    def test_looks_after_what_else_must_stay_up(self, up: Callable[..., Up]) -> None:
        platform = up("child('web', 0, 0)")
        assert platform.process.stdout is not None
        until(lambda: "tended" in platform.process.stdout.readline())  # type: ignore[union-attr]


class TestTable:
    def test_puts_ports_from_the_environment_into_commands(self) -> None:
        assert "127.0.0.1:8000" in processes.command("web", env={})
        assert "127.0.0.1:9001" in processes.command("web", env={"PORT": "9001"})
        assert processes.command("simulator", env={"SIMULATOR_PORT": "7"})[-2:] == ["--port", "7"]

    def test_every_queue_has_exactly_one_kind_of_worker(self) -> None:
        lines = [processes.command(name) for name in processes.PROCESSES]
        consumed = [line[line.index("-Q") + 1].split(",") for line in lines if "-Q" in line]
        assert sorted(chain.from_iterable(consumed)) == sorted(settings.QUEUES)

    def test_workers_get_the_time_that_the_answers_in_the_air_need(self) -> None:
        workers = [p for p in processes.PROCESSES.values() if p.name.startswith("worker-")]
        slowest = max(adapter.limits.timeout for adapter in ADAPTERS.values())
        assert workers
        for worker in workers:
            assert worker.patience > slowest + settings.POST_WITHIN.total_seconds()

    def test_workers_stop_after_those_who_make_work_and_before_whom_they_need(self) -> None:
        stops = {name: process.stops for name, process in processes.PROCESSES.items()}
        workers = {stops[name] for name in stops if name.startswith("worker-")}
        assert max(stops["beat"], stops["web"]) < min(workers)
        assert max(workers) < stops["simulator"]

    def test_start_adds_the_environment_and_appends_to_the_log(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        say = "import os; print(os.environ['WORD'], os.environ['KIND'], os.getsid(0) == os.getpid())"
        one = processes.Process(name="one", arguments=("-c", say), stops=0, patience=1, environment={"KIND": "table"})
        monkeypatch.setattr(processes, "PROCESSES", {"one": one})
        log = tmp_path / "log"
        for word in ("first", "second"):
            processes.start("one", log_path=log, env={"WORD": word}).wait()
        assert log.read_text() == "first table True\nsecond table True\n"
