"""The ledger: what was really taken, from whom, for whom, and when.

It is the independent witness for "never twice", "STOP wins" and "unknown is never resent". The
dispatch is the first 32 characters of a reference; the rest is the number of the flight. With a
file, each entry is written before its answer leaves, so the ledger outlives a killed simulator.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from providers.simulator.dialects.base import Entry, Post
from providers.simulator.rates import Rates

_DISPATCH: Final = 32
_SHOWN: Final = 1_000


@dataclass(slots=True)
class Counts:
    """What happened to an account's posts."""

    posts: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Stop:
    """A person's STOP to a sender. It counts from `answered_at`, when our webhook was answered."""

    number: str
    sender: str
    sent_at: float
    answered_at: float | None = None


class Index:
    """Which entries have a key; small, because nearly every key has one."""

    def __init__(self) -> None:
        self.first: dict[str, int] = {}
        self.more: dict[str, list[int]] = {}

    def add(self, key: str, row: int) -> None:
        """Add an entry."""
        if self.first.setdefault(key, row) != row:
            self.more.setdefault(key, []).append(row)

    def rows(self, key: str) -> list[int]:
        """Return the entries with the key, oldest first."""
        return [self.first[key], *self.more.get(key, ())] if key in self.first else []


class Ledger:
    """All acceptances since the last reset, in memory and, if wanted, in a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._clear()
        if path is not None:
            self._reload(path)
            # Unbuffered: what is written survives the process, though not the machine.
            self._file = path.open("ab", buffering=0)

    def _clear(self) -> None:
        self.entries: list[Entry] = []
        self.dispatches = Index()
        self.numbers = Index()
        self.counts: dict[str, Counts] = {}
        self.rates = Rates()
        self.stops: dict[tuple[str, str], Stop] = {}
        self.after_stop: list[dict[str, Any]] = []
        self._stopped_numbers: dict[str, list[Stop]] = {}
        self._doubts: dict[str, float] = {}
        self.resent: list[dict[str, Any]] = []

    def reset(self) -> None:
        """Forget everything, in the file too."""
        self._clear()
        if self._file is not None:
            self._file.truncate(0)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def count(self, account: str) -> Counts:
        """Return an account's counts, to be counted up."""
        counts = self.counts.get(account)
        if counts is None:
            counts = self.counts[account] = Counts()
        return counts

    def posted(self, post: Post, at: float) -> None:
        """Take note of a post that was read, taken or not."""
        dispatch = post.reference[:_DISPATCH]
        doubted = self._doubts.get(dispatch) if dispatch else None
        if doubted is not None:
            self.resent.append({"reference": post.reference, "to": post.to, "doubt_at": doubted, "posted_at": at})

    def doubt(self, post: Post, at: float) -> None:
        """Remember that the poster cannot know what became of this post."""
        dispatch = post.reference[:_DISPATCH]
        if dispatch and dispatch not in self._doubts:
            self._doubts[dispatch] = at
            self._write({"doubt": [dispatch, at]})

    def accept(self, post: Post, message_id: str, at: float) -> None:
        """Enter an acceptance."""
        entry = Entry(at, post.account, message_id, post.reference, post.to, post.sender, post.segments, post.text)
        self._enter(entry)
        self._write(entry)

    def stop(self, number: str, sender: str, at: float) -> Stop:
        """Enter a STOP that is about to be sent; of several, the first counts."""
        known = self.stops.get((number, sender))
        if known is not None:
            return known
        stop = Stop(number, sender, at)
        self.stops[number, sender] = stop
        self._stopped_numbers.setdefault(number, []).append(stop)
        self._write({"stop": [number, sender, at]})
        return stop

    def stop_answered(self, stop: Stop, at: float) -> None:
        """Enter that the STOP's webhook was answered: from now on it counts."""
        if stop.answered_at is not None or self.stops.get((stop.number, stop.sender)) is not stop:
            return
        stop.answered_at = at
        self._write({"answered": [stop.number, stop.sender, at]})

    def start(self, number: str, sender: str) -> None:
        """Enter that a person wants to hear from a sender again."""
        stop = self.stops.pop((number, sender), None)
        if stop is not None:
            self._stopped_numbers[number].remove(stop)
            self._write({"start": [number, sender]})

    def summary(self) -> dict[str, Any]:
        """Return the totals, and whatever should not have happened."""
        twice = self._repeated(self.dispatches)
        numbers = self._repeated(self.numbers)
        return {
            "posts": sum(counts.posts for counts in self.counts.values()),
            "accepted": len(self.entries),
            "segments": sum(entry.segments for entry in self.entries),
            "distinct_references": len(self.dispatches.first),
            "distinct_numbers": len(self.numbers.first),
            "accepted_twice": len(self.dispatches.more),
            "accepted_twice_references": twice,
            "numbers_twice": len(self.numbers.more),
            "accepted_twice_numbers": numbers,
            "stops": len(self.stops),
            "stops_answered": sum(s.answered_at is not None for s in self.stops.values()),
            "accepted_after_stop": self.after_stop[:_SHOWN],
            "in_doubt": len(self._doubts),
            "resent_after_doubt": self.resent[:_SHOWN],
            "accounts": {name: self._account(name) for name in sorted(self.counts)},
        }

    def find(
        self, *, account: str = "", reference: str = "", to: str = "", sender: str = ""
    ) -> Iterable[tuple[int, Entry]]:
        """Return numbered entries that match; a reference may be cut after the dispatch."""
        rows: Iterable[int] = range(len(self.entries))
        if reference:
            rows = self.dispatches.rows(reference[:_DISPATCH])
        elif to:
            rows = self.numbers.rows(to)
        for row in rows:
            entry = self.entries[row]
            if (
                account in {"", entry.account}
                and entry.reference.startswith(reference)
                and to in {"", entry.to}
                and sender in {"", entry.sender}
            ):
                yield row, entry

    def stop_times(self) -> list[dict[str, Any]]:
        """Return every STOP with its times."""
        return [
            {
                "number": stop.number,
                "sender": stop.sender,
                "sent_at": stop.sent_at,
                "answered_at": stop.answered_at,
            }
            for stop in self.stops.values()
        ]

    def _account(self, name: str) -> dict[str, Any]:
        counts = self.counts[name]
        return {
            "posts": counts.posts,
            "accepted": counts.accepted,
            "refused": dict(counts.refused),
            "faults": dict(counts.faults),
        }

    def _repeated(self, index: Index) -> list[dict[str, Any]]:
        return [
            {
                "key": key,
                "count": 1 + len(rows),
                "ids": [self.entries[r].id for r in index.rows(key)],
            }
            for key, rows in list(index.more.items())[:_SHOWN]
        ]

    def _enter(self, entry: Entry) -> None:
        row = len(self.entries)
        self.entries.append(entry)
        if entry.reference:
            self.dispatches.add(entry.reference[:_DISPATCH], row)
        self.numbers.add(entry.to, row)
        for stop in self._after_stop(entry):
            self.after_stop.append(
                {
                    **entry._asdict(),
                    "stop_answered_at": stop.answered_at,
                    "same_sender": stop.sender == entry.sender,
                }
            )

    def _after_stop(self, entry: Entry) -> list[Stop]:
        stops = self._stopped_numbers.get(entry.to, ())
        return [stop for stop in stops if stop.answered_at is not None]

    def _write(self, line: object) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line).encode("ascii") + b"\n")

    def _reload(self, path: Path) -> None:
        for line in _whole_lines(path):
            self._replay(json.loads(line))

    def _replay(self, line: Any) -> None:
        if isinstance(line, list):
            self._replay_acceptance(Entry(*line))
        elif "doubt" in line:
            self._doubts[line["doubt"][0]] = line["doubt"][1]
        elif "stop" in line:
            number, sender, at = line["stop"]
            self.stop(number, sender, at)
        elif "answered" in line:
            number, sender, at = line["answered"]
            self.stop_answered(self.stops[number, sender], at)
        elif "start" in line:
            self.start(*line["start"])

    def _replay_acceptance(self, entry: Entry) -> None:
        self._enter(entry)
        counts = self.count(entry.account)
        counts.posts += 1
        counts.accepted += 1


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Return the file's lines; a last one cut short by a crash is cut off."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = 0
        for line in file:
            if not line.endswith(b"\n"):
                file.seek(end)
                file.truncate()
                os.fsync(file.fileno())
                return
            end += len(line)
            yield line
