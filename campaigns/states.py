"""The state machine of a dispatch, as data. Nothing else in the code decides where a dispatch may go.

`docs/architecture.md` carries the diagram drawn from this table (`manage.py state_diagram`).
"""

import enum
from typing import Final

from providers.adapters.base import Outcome, ReceiptStatus


class State(enum.StrEnum):
    """Where a dispatch is."""

    QUEUED = "queued"
    CLEARED = "cleared"
    LOCKED = "locked"
    ALLOWED = "allowed"
    READY = "ready"
    SENDING = "sending"
    HELD = "held"
    ACCEPTED = "accepted"
    UNDELIVERED = "undelivered"
    UNKNOWN = "unknown"
    DEAD = "dead"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


S = State
_STOPPED: Final = frozenset({S.BLOCKED, S.CANCELLED, S.EXPIRED})

# `dead` out of a stage is the last resort for a row that keeps killing its stage (R13).
TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    S.QUEUED: _STOPPED | {S.CLEARED, S.HELD, S.DEAD},
    S.CLEARED: _STOPPED | {S.LOCKED, S.QUEUED, S.HELD, S.DEAD},
    S.LOCKED: _STOPPED | {S.ALLOWED, S.QUEUED, S.HELD, S.DEAD},
    S.ALLOWED: _STOPPED | {S.READY, S.QUEUED, S.HELD, S.DEAD},
    S.READY: _STOPPED | {S.SENDING, S.QUEUED, S.HELD, S.DEAD, S.UNKNOWN},
    S.SENDING: frozenset({S.ACCEPTED, S.REJECTED, S.READY, S.HELD, S.DEAD, S.UNKNOWN, S.CANCELLED, S.EXPIRED}),
    S.HELD: _STOPPED | {S.QUEUED},
    S.ACCEPTED: frozenset(),
    S.UNDELIVERED: frozenset(),
    # only by the poster's own late answer
    S.UNKNOWN: frozenset({S.ACCEPTED, S.REJECTED, S.HELD, S.DEAD}),
    S.DEAD: frozenset({S.QUEUED}),
    S.DELIVERED: frozenset(),
    S.REJECTED: frozenset(),
    S.BLOCKED: frozenset(),
    S.CANCELLED: frozenset(),
    S.EXPIRED: frozenset(),
}

# The evidence rule: proof that a flight was taken beats every state but a stronger proof.
PROOF_RANK: Final[dict[State, int]] = {S.ACCEPTED: 1, S.UNDELIVERED: 2, S.DELIVERED: 3}


def proves(state: State) -> list[State]:
    """Return the states that proof of `state` may replace."""
    return [other for other in State if PROOF_RANK.get(other, 0) < PROOF_RANK[state]]


class Hold(enum.Flag):
    """What a dispatch holds while it is in a state; `move()` gives back the difference."""

    NOTHING = 0
    LOCK = enum.auto()
    PERMIT = enum.auto()


HOLDS: Final[dict[State, Hold]] = dict.fromkeys(State, Hold.NOTHING) | {
    S.LOCKED: Hold.LOCK,
    S.ALLOWED: Hold.PERMIT,
    S.READY: Hold.PERMIT,
    S.SENDING: Hold.PERMIT,
    S.ACCEPTED: Hold.PERMIT,
    S.UNDELIVERED: Hold.PERMIT,
    S.DELIVERED: Hold.PERMIT,
    S.UNKNOWN: Hold.PERMIT,
}

# Nothing was posted yet, or it is proven that nothing was taken: these still move by themselves.
WAITING: Final = (S.QUEUED, S.CLEARED, S.LOCKED, S.ALLOWED, S.READY, S.HELD)
EARLY: Final = (S.QUEUED, S.CLEARED, S.LOCKED, S.ALLOWED, S.READY)
OPEN: Final = (*WAITING, S.SENDING)
# Nothing will change such a row by itself.
SETTLED: Final = (S.DELIVERED, S.REJECTED, S.BLOCKED, S.CANCELLED, S.EXPIRED)
TROUBLE: Final = (S.DEAD, S.UNKNOWN)

# What an answer means for the dispatch; a state that depends on the tries left is decided in settling.verdict().
FATE: Final[dict[Outcome, State]] = {
    Outcome.ACCEPTED: S.ACCEPTED,
    Outcome.REJECTED_PERMANENT: S.REJECTED,
    Outcome.REJECTED_RETRYABLE: S.HELD,
    Outcome.REJECTED_PROVIDER: S.HELD,
    Outcome.UNKNOWN: S.UNKNOWN,
    Outcome.NOT_POSTED: S.READY,
}

# What a delivery report proves. Reports below a final one prove that the message was taken.
PROVEN: Final[dict[ReceiptStatus, State]] = {
    ReceiptStatus.ACCEPTED: S.ACCEPTED,
    ReceiptStatus.QUEUED: S.ACCEPTED,
    ReceiptStatus.SENT: S.ACCEPTED,
    ReceiptStatus.UNKNOWN: S.ACCEPTED,
    ReceiptStatus.DELIVERED: S.DELIVERED,
    ReceiptStatus.UNDELIVERED: S.UNDELIVERED,
    ReceiptStatus.FAILED: S.UNDELIVERED,
    ReceiptStatus.REJECTED: S.UNDELIVERED,
    ReceiptStatus.EXPIRED: S.UNDELIVERED,
}


def may_move(origin: State, to: State) -> bool:
    """Return whether the table allows the move."""
    return to in TRANSITIONS[origin]
