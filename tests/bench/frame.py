"""What every measure gets, and what it gives back."""

import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console

from tests.ground import Ground

Figures = Mapping[str, float]  # flat names, as in .var/bench.json


@dataclass
class Bench:
    """One run of the bench: the ground it stands on, and whether it is the short form."""

    ground: Ground
    place: Path
    console: Console
    is_short: bool = False

    def say(self, text: str) -> None:
        """Tell whoever waits what goes on."""
        self.console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {text}")

    def size(self, full: int, short: int) -> int:
        """Return how many: the full form's number or the short form's."""
        return short if self.is_short else full


@dataclass(frozen=True)
class Measure:
    """A part of the bench: `run` gives figures; it starts and ends the processes that it needs."""

    name: str
    what: str
    run: Callable[[Bench], Figures]


@dataclass
class Clock:
    """Seconds of a piece of work."""

    seconds: float = 0.0


@contextmanager
def timed() -> Iterator[Clock]:
    """Time a piece of work."""
    clock = Clock()
    began = time.perf_counter()
    try:
        yield clock
    finally:
        clock.seconds = time.perf_counter() - began


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def slices(whole: Sequence, length: int) -> Iterator[Sequence]:
    """Cut a sequence into parts of this length; the last may be shorter."""
    return (whole[start : start + length] for start in range(0, len(whole), length))


def memory_mb(pid: int) -> float:
    """Return the proportional memory of a process and its children in MB: shared pages count once."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(member.memory_full_info().pss for member in family) / 2**20


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process and its children have used, those included that have ended."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    times = [member.cpu_times() for member in family]
    own = sum(each.user + each.system for each in times)
    return own + times[0].children_user + times[0].children_system


def own_peak_mb() -> float:
    """Return the most memory this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
