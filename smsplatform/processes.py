"""The processes of the platform, as data, and the supervisor that keeps them up on one machine.

`manage.py up`, the demo, the tests and docker-compose start the same commands from `PROCESSES`.
honcho prints the lines; it does not run the processes, because its manager stops everything when
one process ends, and kills what needs more than five seconds to finish its work.
"""

# ruff: noqa: S603 - the commands are those of the table

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import IO, Final

from honcho.colour import get_colours
from honcho.printer import Message, Printer

ROOT: Final = Path(__file__).resolve().parent.parent
CODE: Final = ("smsplatform", "campaigns", "compliance", "providers", "tracking")
PORTS: Final[Mapping[str, str]] = {"PORT": "8000", "SIMULATOR_PORT": "8025", "FLOWER_PORT": "5555"}

TICK: Final = 0.1
LONGEST_WAIT: Final = 30.0  # seconds between two starts of a process that keeps dying
STEADY_AFTER: Final = 30.0  # seconds up after which an earlier death is forgotten


@dataclass(frozen=True, kw_only=True)
class Process:
    """One kind of process: `arguments` follow the interpreter, with ports as {NAME}."""

    name: str
    arguments: tuple[str, ...]
    stops: int  # place in the order of stopping; equal numbers stop together
    patience: float  # seconds it may take to finish its work
    environment: Mapping[str, str] = field(default_factory=dict)


# Some machines have only root; the message is the same for every worker, and says nothing about this one.
_CALM: Final[Mapping[str, str]] = {"PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges"}


def _worker(name: str, *, queues: str, concurrency: int) -> Process:
    return Process(
        name=f"worker-{name}",
        arguments=(
            *("-m", "celery", "-q", "-A", "smsplatform", "worker", "-n", f"{name}@%h", "-Q", queues),
            *("-c", str(concurrency), "-P", "prefork", "--without-gossip", "--without-mingle"),
        ),
        stops=1,
        patience=65,  # SIGTERM: no new slice, the answers in the air, and some
        environment=_CALM,
    )


PROCESSES: Final[Mapping[str, Process]] = {
    process.name: process
    for process in (
        Process(
            name="simulator",
            arguments=("-m", "providers.simulator", "--port", "{SIMULATOR_PORT}"),
            stops=2,
            patience=5,
        ),
        Process(
            name="web",
            arguments=("-m", "gunicorn", "smsplatform.wsgi", "--bind", "127.0.0.1:{PORT}"),  # gunicorn.conf.py
            stops=0,
            patience=20,
        ),
        _worker("sql", queues="bulk.sql,control,events,imports", concurrency=2),
        _worker("http", queues="bulk.http", concurrency=4),
        _worker("urgent", queues="urgent.sql,urgent.http", concurrency=2),
        Process(
            name="beat",
            arguments=(
                *("-m", "celery", "-q", "-A", "smsplatform", "beat"),
                *("-S", "smsplatform.beat:Scheduler"),
            ),
            stops=0,
            patience=10,
        ),
        Process(
            name="flower",
            arguments=(
                *("-m", "celery", "-A", "smsplatform", "flower"),
                *("--address=127.0.0.1", "--port={FLOWER_PORT}"),
            ),
            stops=2,
            patience=5,
        ),
    )
}


def command(name: str, *, env: Mapping[str, str] | None = None) -> list[str]:
    """The command line of a process, with ports from `env` (default: the environment)."""
    return _command(PROCESSES[name], os.environ if env is None else env)


def start(name: str, *, log_path: Path | None = None, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start one process in a session of its own; `env` is added to the environment.

    Its output is appended to `log_path`, or goes where ours goes.
    """
    process = PROCESSES[name]
    environment = {**os.environ, **process.environment, **(env or {})}
    with open(log_path, "ab") if log_path else open(os.dup(1), "wb") as log:  # noqa: PTH123
        return subprocess.Popen(
            _command(process, environment),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _command(process: Process, env: Mapping[str, str]) -> list[str]:
    ports = {name: env.get(name) or default for name, default in PORTS.items()}
    return [sys.executable, *(part.format_map(ports) for part in process.arguments)]


@dataclass(kw_only=True)
class _Child:
    process: Process
    colour: str
    running: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    deaths: int = 0


class Supervisor:
    """Keeps processes up until a signal, then stops them in order.

    `tend` is called about once a second, for what else must stay up. With `reload` every process is
    restarted when the code changes.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        *,
        tend: Callable[[], None] = lambda: None,
        reload: bool = False,
        first_wait: float = 1.0,
        output: IO[str] = sys.stdout,
    ) -> None:
        colours = get_colours()
        self._children = [_Child(process=one, colour=next(colours)) for one in processes]
        self._tend = tend
        self._reload = reload
        self._first_wait = first_wait
        self._printer = Printer(output, width=max(len(one.name) for one in (*processes,)))
        self._printing = threading.Lock()
        self._signals = 0
        self._until_death = _ended_with_us()

    def run(self) -> None:
        """Return after a signal (SIGINT, SIGTERM, SIGHUP), when every process has ended."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        code, looked_at = _newest_code(), time.monotonic()
        try:
            while not self._signals:
                now = time.monotonic()
                for child in self._children:
                    self._keep_up(child, now)
                if now - looked_at >= 1:
                    looked_at = now
                    self._look_after()
                    if self._reload and code != (code := _newest_code()):
                        self._say("The code has changed: restarting.")
                        self._stop_all()
                time.sleep(TICK)
        finally:
            self._stop_all()

    def _note_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _look_after(self) -> None:
        try:
            self._tend()
        except Exception as error:  # noqa: BLE001 - the processes stay up whatever else is wrong
            self._say(str(error))

    def _keep_up(self, child: _Child, now: float) -> None:
        if child.running is None:
            if now >= child.start_at:
                self._start(child, now)
            return
        status = child.running.poll()
        if status is None:
            return
        if now - child.started_at >= STEADY_AFTER:
            child.deaths = 0
        wait = min(self._first_wait * 2**child.deaths, LONGEST_WAIT)
        child.running, child.start_at, child.deaths = None, now + wait, child.deaths + 1
        self._say(f"{child.process.name} {_describe(status)}; next start in {wait:g} s.")

    def _start(self, child: _Child, now: float) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **child.process.environment}
        child.running = subprocess.Popen(
            [*self._until_death, *_command(child.process, environment)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us alone; we stop the others in order
        )
        child.started_at = now
        self._say(f"{child.process.name} started (pid {child.running.pid}).")
        threading.Thread(target=self._relay, args=(child, child.running.stdout), daemon=True).start()

    def _relay(self, child: _Child, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                self._print(child.process.name, line.decode(errors="replace"), child.colour)

    def _stop_all(self) -> None:
        def order(child: _Child) -> int:
            return child.process.stops

        for _, children in groupby(sorted(self._children, key=order), key=order):
            self._stop([child for child in children if child.running is not None])

    def _stop(self, children: list[_Child]) -> None:
        asked_at = time.monotonic()
        for child in children:
            if child.running is not None:
                child.running.terminate()
        while children:
            for child in tuple(children):
                process, running = child.process, child.running
                if running is None or running.poll() is not None:
                    self._say(f"{process.name} stopped.")
                    child.running, child.start_at, child.deaths = None, 0.0, 0
                    children.remove(child)
                elif self._signals > 1 or time.monotonic() - asked_at > process.patience:
                    self._say(f"{process.name} is killed.")
                    os.killpg(running.pid, signal.SIGKILL)
                    running.wait()
            time.sleep(TICK / 2)

    def _say(self, text: str) -> None:
        self._print("up", text, None)

    def _print(self, name: str, text: str, colour: str | None) -> None:
        now = datetime.now(tz=UTC).astimezone()
        message = Message(type="line", data=text, time=now, name=name, colour=colour)
        with self._printing:
            try:
                self._printer.write(message)
            except (OSError, ValueError):
                # The terminal is gone. A process must not stop because nobody reads its lines.
                return


def _ended_with_us() -> tuple[str, ...]:
    """A command prefix that ends a process when we are killed; empty where the system has none."""
    prefix = ("setpriv", "--pdeathsig", "TERM", "--")
    if shutil.which(prefix[0]) is None:
        return ()
    probe = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if probe.returncode == 0 else ()


def _newest_code() -> float:
    return max(path.stat().st_mtime for name in CODE for path in (ROOT / name).rglob("*.py"))


def _describe(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
