"""How much went through, per account and per sender: by tenth of a second, and the most within any second."""

from collections import deque
from typing import Any, Final

_PER_SECOND: Final = 10
_KEPT: Final = 3_600 * _PER_SECOND
_WINDOW: Final = 1.0  # seconds
COLUMNS: Final = ("posts", "accepted", "segments")

# In a bin: posts seen, messages accepted, segments accepted.
Bin = list[int]


class Rate:
    """The recent past of one account or sender."""

    __slots__ = ("_running", "_window", "bins", "peak")

    def __init__(self) -> None:
        self.bins: dict[int, Bin] = {}
        self.peak: Bin = [0, 0, 0]
        self._window: deque[tuple[float, tuple[int, int, int]]] = deque()
        self._running: Bin = [0, 0, 0]

    def add(self, at: float, *, accepted: bool, segments: int) -> None:
        """Count one post."""
        post = (1, 1, segments) if accepted else (1, 0, 0)
        tenth = int(at * _PER_SECOND)
        counted = self.bins.get(tenth)
        if counted is None:
            counted = self.bins[tenth] = [0, 0, 0]
            if len(self.bins) > _KEPT:
                del self.bins[next(iter(self.bins))]
        # The window ends with this post, so every second that holds a maximum is looked at, wherever it starts.
        window, running, peak = self._window, self._running, self.peak
        window.append((at, post))
        while window[0][0] <= at - _WINDOW:
            for column, count in enumerate(window.popleft()[1]):
                running[column] -= count
        for column, count in enumerate(post):
            counted[column] += count
            running[column] += count
            peak[column] = max(peak[column], running[column])

    def report(self) -> dict[str, Any]:
        """Return the seconds, and the most that went through in any second, wherever it starts."""
        seconds: dict[int, Bin] = {}
        for tenth in sorted(self.bins):
            into = seconds.setdefault(tenth // _PER_SECOND, [0, 0, 0])
            for column, count in enumerate(self.bins[tenth]):
                into[column] += count
        return {
            "peak": dict(zip(COLUMNS, self.peak, strict=True)),
            "seconds": [[second, *counts] for second, counts in seconds.items()],
        }


class Rates:
    """The rates of all accounts and senders."""

    def __init__(self) -> None:
        self._accounts: dict[str, Rate] = {}
        self._senders: dict[tuple[str, str], Rate] = {}

    def add(self, account: str, sender: str, at: float, *, accepted: bool, segments: int) -> None:
        """Count one post for its account and its sender."""
        of_account = self._accounts.get(account)
        if of_account is None:
            of_account = self._accounts[account] = Rate()
        of_sender = self._senders.get((account, sender))
        if of_sender is None:
            of_sender = self._senders[account, sender] = Rate()
        of_account.add(at, accepted=accepted, segments=segments)
        of_sender.add(at, accepted=accepted, segments=segments)

    def report(self, account: str = "") -> dict[str, Any]:
        """Return every rate, or one account's."""
        return {
            "columns": ["second", *COLUMNS],
            "accounts": {name: rate.report() for name, rate in sorted(self._accounts.items()) if account in {"", name}},
            "senders": [
                {"account": name, "sender": sender, **rate.report()}
                for (name, sender), rate in sorted(self._senders.items())
                if account in {"", name}
            ],
        }
