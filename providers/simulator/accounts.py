"""The accounts at the simulator: each one's script, and what of it is used up."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, Final

from providers.simulator.script import RateLimit, Rule, Script

ANYONE: Final = "*"  # the script of accounts without one of their own
_BUCKETS_KEPT: Final = 10_000


class Bucket:
    """A token bucket that starts full."""

    __slots__ = ("at", "limit", "tokens")

    def __init__(self, limit: RateLimit, now: float) -> None:
        self.limit = limit
        self.tokens = limit.burst
        self.at = now

    def take(self, wanted: float, now: float) -> float:
        """Take the tokens and return 0, or take none and return the seconds until there are enough.

        A text larger than the whole bucket goes when the bucket is full.
        """
        gained = (now - self.at) * self.limit.per_second
        self.tokens = min(self.limit.burst, self.tokens + gained)
        self.at = now
        missing = min(wanted, self.limit.burst) - self.tokens
        if missing > 0:
            return missing / self.limit.per_second
        self.tokens -= wanted
        return 0.0


class Account:
    """One account: its script, random source, rate buckets, and how far each fault rule is."""

    def __init__(self, name: str, script: Script, raw: Mapping[str, Any], seed: int) -> None:
        self.name = name
        self.script = script
        self.raw = raw
        self.random = Random(f"{seed}:{name}")  # noqa: S311 - repeatable on purpose
        self.set_at = time.monotonic()
        self.secret = script.secret
        self.dialect = script.dialect
        # A reset comes before the request is read, so these rules are tried before all others.
        self.early: list[list[Any]] = [[rule, 0, 0] for rule in script.faults if rule.fault == "reset_before_read"]
        self.late: list[list[Any]] = [[rule, 0, 0] for rule in script.faults if rule.fault != "reset_before_read"]
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def fault(self, rules: Iterable[list[Any]], to: str = "") -> Rule | None:
        """Return the first rule that strikes this post; each rule counts the posts it looked at."""
        for entry in rules:
            rule: Rule = entry[0]
            if rule.to is not None and to not in rule.to:
                continue
            if rule.next is not None and entry[2] >= rule.next:
                continue
            if rule.between is not None:
                since = time.monotonic() - self.set_at
                if not rule.between[0] <= since < rule.between[1]:
                    continue
            entry[1] += 1
            if entry[1] % rule.every:
                continue
            if rule.probability < 1.0 and self.random.random() >= rule.probability:
                continue
            entry[2] += 1
            return rule
        return None

    def wait_for_rate(self, sender: str, segments: int) -> float:
        """Return 0 if the rate allows this message, else the seconds to wait."""
        limit = self.script.rate_limit
        if limit is None:
            return 0.0
        now = time.monotonic()
        key = sender if limit.per == "sender" else ""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(limit, now)
            if len(self._buckets) > _BUCKETS_KEPT:
                self._buckets.popitem(last=False)
        return bucket.take(segments if limit.unit == "segments" else 1, now)


class Accounts:
    """All accounts. One never told anything follows the script of `*`, or does no wrong."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._accounts: dict[str, Account] = {}
        self._told: set[str] = set()
        self._anyone: tuple[Script, Mapping[str, Any]] = (Script(), {})

    def get(self, name: str) -> Account:
        """Return the account, made on first sight."""
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(name, *self._anyone, self._seed)
        return account

    def known(self, name: str) -> Account | None:
        """Return the account if it has been told something or has posted."""
        return self._accounts.get(name)

    def tell(self, name: str, script: Script, raw: Mapping[str, Any]) -> None:
        """Give an account a new script; its counters of faults and rates start anew."""
        if name == ANYONE:
            self._tell_anyone(script, raw)
        self._told.add(name)
        account = Account(name, script, raw, self._seed)
        before = self._accounts.get(name)
        if before is not None:  # what its posts have taught us still holds
            account.secret = account.secret or before.secret
            account.dialect = account.dialect or before.dialect
        self._accounts[name] = account

    def forget(self, name: str) -> bool:
        """Return an account to the script of `*`; False if it was not known."""
        if name == ANYONE:
            self._tell_anyone(Script(), {})
        self._told.discard(name)
        return self._accounts.pop(name, None) is not None

    def _tell_anyone(self, script: Script, raw: Mapping[str, Any]) -> None:
        self._anyone = (script, raw)
        self._accounts = {name: self._accounts[name] for name in self._told & set(self._accounts)}

    def all(self) -> list[Account]:
        """Return the accounts by name."""
        return [self._accounts[name] for name in sorted(self._accounts)]
