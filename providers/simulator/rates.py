"""How much went through, by tenth of a second, per account and per sender."""

from typing import Any, Final

_PER_SECOND: Final = 10
_KEPT: Final = 3_600 * _PER_SECOND

# In a bin: posts seen, messages accepted, segments accepted.
Bin = list[int]


class Rate:
    """The recent past of one account or sender."""

    __slots__ = ("bins",)

    def __init__(self) -> None:
        self.bins: dict[int, Bin] = {}

    def add(self, at: float, *, accepted: bool, segments: int) -> None:
        """Count one post."""
        tenth = int(at * _PER_SECOND)
        counted = self.bins.get(tenth)
        if counted is None:
            counted = self.bins[tenth] = [0, 0, 0]
            if len(self.bins) > _KEPT:
                del self.bins[next(iter(self.bins))]
        counted[0] += 1
        if accepted:
            counted[1] += 1
            counted[2] += segments

    def report(self) -> dict[str, Any]:
        """Return the seconds, and the most that went through in any second, wherever it starts."""
        seconds: dict[int, Bin] = {}
        for tenth in sorted(self.bins):
            into = seconds.setdefault(tenth // _PER_SECOND, [0, 0, 0])
            for column, count in enumerate(self.bins[tenth]):
                into[column] += count
        return {
            "peak": dict(zip(("posts", "accepted", "segments"), self._peak(), strict=True)),
            "seconds": [[second, *counts] for second, counts in seconds.items()],
        }

    def _peak(self) -> Bin:
        peak, running = [0, 0, 0], [0, 0, 0]
        window: list[int] = []
        for tenth in sorted(self.bins):
            window.append(tenth)
            running = [a + b for a, b in zip(running, self.bins[tenth], strict=True)]
            while window[0] <= tenth - _PER_SECOND:
                gone = self.bins[window.pop(0)]
                running = [a - b for a, b in zip(running, gone, strict=True)]
            peak = [max(a, b) for a, b in zip(peak, running, strict=True)]
        return peak


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
            "columns": ["second", "posts", "accepted", "segments"],
            "accounts": {name: rate.report() for name, rate in sorted(self._accounts.items()) if account in {"", name}},
            "senders": [
                {"account": name, "sender": sender, **rate.report()}
                for (name, sender), rate in sorted(self._senders.items())
                if account in {"", name}
            ],
        }
