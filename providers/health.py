"""The breaker: notices that an account is ill, and lets it back when one canary after the other came through.

The state is a row in Postgres, written by compare-and-set, so that a flushed Redis forgets no outage and exactly one
worker sends each canary (R70). Redis only counts. What counts as ill is about the provider, never about a person: no
clear answer, no connection, or our account refused. It comes back slowly and may switch only twice an hour: the second
return of an hour waits.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from providers.adapters.base import Outcome
from providers.routing import CANARY_LIFE, Channel
from smsplatform.common import redis
from smsplatform.common.database import execute, rows

log = structlog.get_logger("health")

WINDOW: Final = 60  # seconds over which answers are counted
_BUCKET: Final = 10  # seconds
_BUCKETS: Final = WINDOW // _BUCKET
# So many bad answers that are so much of the window's. The fewer there are, the more of all they must be: at 12 % of bad
# answers, as on a provider's bad day, a fifth of the first fifty is one chance in twenty, and either of these is none.
ILL: Final = ((10, 0.5), (20, 0.3))
STREAK: Final = 5  # bad answers and no good one between them, for accounts with little to do
_STREAK_LIFE: Final = 600  # seconds
CANARIES: Final = 3  # in a row before everything goes through it again
FIRST_PAUSE: Final = 10.0  # seconds before and between canaries; doubled by each that is lost, until one comes through
LONGEST_PAUSE: Final = 600.0
SWITCHES: Final = 2  # per hour, then it stays broken
_HOUR: Final = timedelta(hours=1)

_SCRIPT: Final = """
local bad, bucket, oldest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if #ARGV > 4 then redis.call('HSET', KEYS[1], 'streak', bad) else redis.call('HINCRBY', KEYS[1], 'streak', bad) end
for i = 5, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], 'ok:' .. (bucket - tonumber(ARGV[i])), ARGV[i + 1]) end
redis.call('HINCRBY', KEYS[1], 'bad:' .. bucket, bad)
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[4]))
local sums = {ok = 0, bad = 0}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local kind, at = string.match(all[i], '^(%a+):(%d+)$')
  if kind and tonumber(at) < oldest then redis.call('HDEL', KEYS[1], all[i])
  elseif kind then sums[kind] = sums[kind] + tonumber(all[i + 1]) end
end
return {sums.ok, sums.bad, tonumber(redis.call('HGET', KEYS[1], 'streak'))}
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Answers of the last minute, and how many bad ones came since the last good one."""

    ok: int
    bad: int
    streak: int

    @property
    def is_ill(self) -> bool:
        often = any(self.bad >= most and self.bad >= share * (self.ok + self.bad) for most, share in ILL)
        return often or (self.streak >= STREAK and not self.ok)


def is_bad(outcome: Outcome, code: str) -> bool | None:
    """Return whether an answer speaks against the account; None: it says nothing, as it was not asked."""
    if outcome is Outcome.NOT_POSTED:
        return None
    if outcome is Outcome.REJECTED_RETRYABLE:
        return code == "no_connection"  # a full queue or a rate is not an illness
    return outcome in (Outcome.UNKNOWN, Outcome.REJECTED_PROVIDER)


class Watch:
    """What one process saw of an account: good answers are only counted, the first bad one asks what others saw."""

    def __init__(self, account_id: int) -> None:
        self.account_id = account_id
        self._ok: Counter[int] = Counter()  # good answers not told yet, by when they came

    def saw(self, answers: Iterable[bool | None], now: float) -> Counts | None:
        """Count answers (True: bad) at a `clock()`; return the account's counts if there was a bad one."""
        seen = list(answers)
        bucket = int(now // _BUCKET)
        if ok := seen.count(False):
            self._ok[bucket] += ok
            for old in [each for each in self._ok if each <= bucket - _BUCKETS]:
                del self._ok[old]
        if not (bad := seen.count(True)):
            return None
        told = {bucket - each: count for each, count in self._ok.items() if each > bucket - _BUCKETS}
        self._ok.clear()
        return _count(self.account_id, told, bad)


def is_general(channel: Channel) -> bool:
    """Return whether a refusal of an account that several brands share is about the account, and not this sender.

    It is where another of its senders was refused as well of late: one brand's sender must not stop the others.
    """
    try:
        client = redis.client()
        key = f"{_key(channel.account_id)}:refused"
        seconds, _ = client.time()
        asked = client.pipeline(transaction=False)
        asked.zadd(key, {channel.sender: seconds})
        asked.zremrangebyscore(key, 0, seconds - WINDOW)
        asked.expire(key, WINDOW)
        asked.zcard(key)
        return int(asked.execute()[-1]) > 1
    except redis.Unreachable:
        return False


_watches: dict[int, Watch] = {}


def watch(account_id: int) -> Watch:
    """Return this process's watch over an account."""
    if account_id not in _watches:
        _watches[account_id] = Watch(account_id)
    return _watches[account_id]


def _count(account_id: int, ok: Mapping[int, int], bad: int) -> Counts:
    """Add to the account's counts in Redis and return them; without Redis, what this process saw.

    Good answers by their age: those of the last minute must not hide an outage longer than they are part of it.
    """
    try:
        client = redis.client()
        seconds, _ = client.time()
        bucket = seconds // _BUCKET
        aged = [number for age_and_count in ok.items() for number in age_and_count]
        found = client.register_script(_SCRIPT)(
            keys=[_key(account_id)], args=[bad, bucket, bucket - _BUCKETS, _STREAK_LIFE, *aged]
        )
    except redis.Unreachable:
        return Counts(sum(ok.values()), bad, bad if not ok else 0)
    return Counts(*map(int, found))


def declare_broken(account_id: int, counts: Counts, now: datetime) -> bool:
    """ok -> broken; return whether it was us who switched."""
    reason = f"{counts.bad} of {counts.ok + counts.bad} answers of the last minute were bad"
    switched = rows(
        """
        INSERT INTO providers_accounthealth AS h
          (account_id, tenant_id, state, since, reason, probe_at, pause, canaries, switches)
        SELECT id, tenant_id, 'broken', %(now)s, %(reason)s, %(probe)s, %(pause)s, 0, ARRAY[%(now)s::timestamptz]
        FROM providers_provideraccount WHERE id = %(account)s
        ON CONFLICT (account_id) DO UPDATE SET state = 'broken', since = excluded.since, reason = excluded.reason,
          probe_at = excluded.probe_at, pause = excluded.pause, canaries = 0,
          switches = ARRAY(SELECT s FROM unnest(h.switches) s WHERE s > %(hour_ago)s) || excluded.switches
        WHERE h.state = 'ok' RETURNING 1
        """,
        {
            "account": account_id,
            "now": now,
            "reason": reason,
            "probe": now + timedelta(seconds=FIRST_PAUSE),
            "pause": FIRST_PAUSE,
            "hour_ago": now - _HOUR,
        },
    )
    if switched:
        log.error("account.broken", account=account_id, reason=reason)
    return bool(switched)


def elect(account_id: int, now: datetime) -> bool:
    """broken -> recovery: whoever this is true for sends the canary. A canary lost with its worker is sent again."""
    return bool(
        execute(
            """
            UPDATE providers_accounthealth SET state = 'recovery', probe_at = %s
            WHERE account_id = %s AND state <> 'ok' AND probe_at <= %s
            """,
            [now + CANARY_LIFE, account_id, now],
        )
    )


def canary_came_back(account_id: int, *, is_well: bool, now: datetime) -> None:
    """recovery -> ok after enough of them, and while it has not switched too often; else broken until the next."""
    back = rows(
        """
        UPDATE providers_accounthealth h SET
          canaries = CASE WHEN %(well)s THEN h.canaries + 1 ELSE 0 END,
          pause = CASE WHEN %(well)s THEN %(first)s ELSE least(h.pause * 2, %(longest)s) END,
          state = CASE WHEN k.is_back THEN 'ok' ELSE 'broken' END,
          since = CASE WHEN k.is_back THEN %(now)s ELSE h.since END,
          probe_at = CASE WHEN k.is_back THEN NULL
            ELSE %(now)s + (CASE WHEN %(well)s THEN %(first)s ELSE least(h.pause * 2, %(longest)s) END) * interval '1 second' END,
          switches = CASE WHEN k.is_back THEN h.switches || ARRAY[%(now)s]::timestamptz[] ELSE h.switches END
        FROM (SELECT account_id, %(well)s AND canaries + 1 >= %(enough)s
                AND (SELECT count(*) FROM unnest(switches) s WHERE s > %(hour_ago)s) < %(most)s AS is_back
              FROM providers_accounthealth WHERE account_id = %(account)s FOR UPDATE) k
        WHERE h.account_id = k.account_id AND h.state = 'recovery' RETURNING h.state
        """,
        {
            "account": account_id,
            "well": is_well,
            "now": now,
            "first": FIRST_PAUSE,
            "longest": LONGEST_PAUSE,
            "enough": CANARIES,
            "most": SWITCHES,
            "hour_ago": now - _HOUR,
        },
    )
    if back == [("ok",)]:
        log.warning("account.back", account=account_id)
        _forget_counts(account_id)


def reset(account_id: int, now: datetime) -> bool:
    """An operator says that it is well: any state -> ok. What it did of late still counts."""
    _forget_counts(account_id)
    return bool(
        execute(
            """
            UPDATE providers_accounthealth SET state = 'ok', since = %(now)s, reason = 'reset by an operator', probe_at = NULL,
              canaries = 0, switches = switches || ARRAY[%(now)s]::timestamptz[]
            WHERE account_id = %(account)s AND state <> 'ok'
            """,
            {"account": account_id, "now": now},
        )
    )


def _forget_counts(account_id: int) -> None:
    """What was seen before the return says nothing about the time after it."""
    try:
        redis.client().delete(_key(account_id))
    except redis.Unreachable:
        log.info("health.counts_kept", account=account_id)


def _key(account_id: int) -> str:
    return f"{{health:{account_id}}}"
