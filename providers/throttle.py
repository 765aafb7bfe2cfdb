"""Rates per account, sender and registration, in message segments, exact over all workers: one Lua call per slice.

Each bucket is one number, the instant at which its next segment is due. A slice's rows get their instants one after
the other, as far as the look-ahead reaches, so a burst never exceeds 2 % of a second. A missing bucket starts empty, and
in a Redis that has lost its memory only when all that was granted before is posted. Redis unreachable: nothing is
granted (P5). Tokens of rows that were not posted in the end are not given back: rows granted behind them keep their
instants, so a refund would let two rows share one. For the same reason a row that missed its instant takes another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from providers.routing import Channel
from smsplatform.common import redis

LOOK_AHEAD: Final = 1.0  # seconds; what is granted is posted within this time
LOOK_AHEAD_FIRST: Final = (
    2.0  # for what goes before others: urgent messages, and claimed ones that missed their instant
)
# Seconds after which nothing that was granted before Redis lost its memory falls into the same second as what comes now.
FORGOTTEN_AFTER: Final = LOOK_AHEAD_FIRST + 1.0
# Since when Redis remembers every grant. It is on one node, whatever the number of nodes.
SINCE: Final = "throttle:since"
# What lies between grant and post, a claim above all, has so long. It is the same for everybody, so instants stay apart.
LEAD: Final = 0.02  # seconds
_SHARE: Final = 0.95  # of the limit
_BURST: Final = 0.02  # seconds of rate that may be saved up; with what posts are late at most, below the limit
_IDLE: Final = 60  # seconds after which an unused bucket is forgotten
UNREACHABLE_WAIT: Final = 2.0

_SCRIPT: Final = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local look_ahead, burst, idle, begin = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local buckets = #KEYS
local next_at, gap = {}, {}
for i = 1, buckets do
  local stored = redis.call('GET', KEYS[i])
  if not stored and not begin then return {} end
  gap[i] = tonumber(ARGV[4 + i])
  next_at[i] = stored and math.max(tonumber(stored), now - burst) or math.max(now, begin)
end
local delays = {}
for row = 5 + buckets, #ARGV do
  local due = now
  for i = 1, buckets do due = math.max(due, next_at[i]) end
  if due - now > look_ahead then break end
  local segments = tonumber(ARGV[row])
  for i = 1, buckets do next_at[i] = math.max(next_at[i], due - burst) + gap[i] * segments end
  delays[#delays + 1] = string.format('%.6f', due - now)
end
local wait = 0
for i = 1, buckets do
  redis.call('SET', KEYS[i], string.format('%.6f', next_at[i]), 'EX', idle + math.ceil(math.max(next_at[i] - now, 0)))
  wait = math.max(wait, next_at[i] - now)
end
return {string.format('%.6f', wait), unpack(delays)}
"""
_SINCE_SCRIPT: Final = """
local clock = redis.call('TIME')
redis.call('SET', KEYS[1], clock[1] .. string.format('.%06d', tonumber(clock[2])), 'NX')
return redis.call('GET', KEYS[1])
"""


@dataclass(frozen=True, slots=True)
class Granted:
    """Seconds from now at which each of the first rows is to be posted, and until the bucket can serve again."""

    delays: tuple[float, ...]
    wait: float


def take(channel: Channel, segments: Sequence[int], *, look_ahead: float = LOOK_AHEAD) -> Granted:
    """Take the tokens of as many of these rows, in order, as are due within the look-ahead."""
    names, gaps = _buckets(channel)
    try:
        client = redis.client()
        script = client.register_script(_SCRIPT)
        answer = script(keys=names, args=[look_ahead, _BURST, _IDLE, "", *gaps, *segments])
        if not answer:  # a bucket is missing: it was idle, is new, or was lost with what had been granted from it
            since = float(client.register_script(_SINCE_SCRIPT)(keys=[SINCE]))
            answer = script(keys=names, args=[look_ahead, _BURST, _IDLE, since + FORGOTTEN_AFTER, *gaps, *segments])
    except redis.Unreachable:
        return Granted(delays=(), wait=UNREACHABLE_WAIT)
    wait, *delays = (float(value) + LEAD for value in answer)
    return Granted(delays=tuple(delays), wait=wait)


def _buckets(channel: Channel) -> tuple[list[str], list[float]]:
    """Return the keys (one hash tag per tenant, so they live on one node) and the seconds per segment of each.

    A registration is counted over all senders and accounts that use it, as carriers do (R67).
    """
    tag = f"{{throttle:{channel.tenant_id}}}"
    account = f"{tag}:account:{channel.account_id}"
    buckets = {account: channel.limits.segments_per_second}
    if channel.sender_rate:
        buckets[f"{account}:sender:{channel.sender}"] = channel.sender_rate
    if channel.registration_id and channel.registration_rate:
        buckets[f"{tag}:registration:{channel.registration_id}"] = channel.registration_rate
    return list(buckets), [1 / (rate * _SHARE) for rate in buckets.values()]
