"""A carrier that keeps its own book: for every flight that was posted, whether it took it and what it answered.

It is the witness of P1. What we are told may be less than the truth (no answer, an unclear one), but "not taken" is only
ever said where it did not take the message, unless the carrier lies.
"""

import enum
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from campaigns import settling
from campaigns.verbs import Settlement
from providers.adapters.base import Outcome, Result
from providers.delivery import Answer
from providers.routing import Channel


class Reaction(enum.Enum):
    """What becomes of a posted message: (whether it is taken, what its poster hears)."""

    ACCEPTS = (True, Outcome.ACCEPTED)
    TAKES_BUT_IS_UNCLEAR = (True, Outcome.UNKNOWN)
    TAKES_AND_THE_POSTER_DIES = (True, None)
    LOSES_AND_IS_UNCLEAR = (False, Outcome.UNKNOWN)
    LOSES_AND_THE_POSTER_DIES = (False, None)
    REFUSES_FOR_GOOD = (False, Outcome.REJECTED_PERMANENT)
    REFUSES_FOR_NOW = (False, Outcome.REJECTED_RETRYABLE)
    REFUSES_THE_ACCOUNT = (False, Outcome.REJECTED_PROVIDER)
    # only from a carrier that lies
    TAKES_AND_SAYS_NO = (True, Outcome.REJECTED_RETRYABLE)

    @property
    def is_taken(self):
        return self.value[0]

    @property
    def outcome(self):
        return self.value[1]


HONEST = [reaction for reaction in Reaction if reaction is not Reaction.TAKES_AND_SAYS_NO]


@dataclass(eq=False)
class Flight:
    """One claimed try, from the claim to the last time its answer was stored."""

    dispatch_id: uuid.UUID
    flight: int
    brand_id: int
    number: str
    channel: Channel
    posts: int
    claimed_at: datetime
    post_by: datetime
    posted_at: datetime | None = None
    is_given_back: bool = False
    is_taken: bool = False
    provider_id: str = ""
    answer: Answer | None = None
    settlement: Settlement | None = None
    is_echoed: bool = True  # whether the carrier's reports name our reference, or only its own id
    is_reported: bool = False

    @property
    def is_in_hand(self):
        return self.posted_at is None and not self.is_given_back

    @property
    def is_heard(self):
        """The poster knows that it was taken."""
        return self.answer is not None and self.answer.result.outcome is Outcome.ACCEPTED

    def __str__(self):
        return f"try {self.flight} of {self.dispatch_id} to {self.number}"


@dataclass
class Carrier:
    """The book."""

    flights: list[Flight] = field(default_factory=list)

    def post(self, flight, reaction, now):
        """The request reaches us. Later than `post_by` nothing is posted: the message is given back."""
        if now > flight.post_by:
            self.give_back(flight, now)
            return
        flight.posted_at = now
        flight.is_taken = reaction.is_taken
        flight.provider_id = f"m{len(self.flights):x}{flight.dispatch_id.hex[-8:]}{flight.flight}"
        self.flights.append(flight)
        if reaction.outcome is not None:
            is_named = reaction.outcome is Outcome.ACCEPTED
            self._answer(flight, Result(reaction.outcome, provider_id=flight.provider_id if is_named else ""), now)

    def give_back(self, flight, now):
        """No byte of it left."""
        flight.is_given_back = True
        self._answer(flight, Result(Outcome.NOT_POSTED, code="too_late_to_post"), now)

    @staticmethod
    def _answer(flight, result, now):
        flight.answer = Answer(flight.dispatch_id, flight.flight, flight.channel.account_id, result, now)

    def taken(self):
        return [flight for flight in self.flights if flight.is_taken]

    def taken_twice(self):
        """The dispatches that reached their person more than once."""
        times = Counter(flight.dispatch_id for flight in self.taken())
        return {dispatch_id for dispatch_id, count in times.items() if count > 1}


def settlement(flight, *, has_next):
    """What the poster stores for the answer: decided once, however often it is stored."""
    if flight.settlement is None:
        flight.settlement = settling.verdict(flight.answer, posts=flight.posts, has_next=has_next)
    return flight.settlement
