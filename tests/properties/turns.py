"""Drives the real claim and the real turn of `send`, with the carrier in the place of the network."""

from contextlib import contextmanager
from itertools import cycle
from unittest import mock

from django.conf import settings
from django.db import transaction

from campaigns import leases, pipeline, sending
from campaigns.states import State
from providers import delivery, routing, throttle
from smsplatform.common import database
from tests.properties.carrier import Flight


class OpenTurn:
    """A turn of `send` whose every step is the caller's: what was ready is read, nothing is claimed yet."""

    def __init__(self, leased):
        self._turn = sending._Turn(leased.batch_id, leased.lease, pipeline.judge_ready)
        with transaction.atomic(durable=True):
            batch = leases.take(leased.batch_id, leased.lease, database.now())
        self._turn.batch = batch
        self._turn.judge = pipeline.judge_ready(batch)
        self.brand_id = batch.brand_id
        self.channels = routing.routes(batch.brand_id).channels
        self.rows = [
            sending._Row(*values)
            for values in batch.dispatches.in_state(State.READY)
            .order_by("id")
            .values_list("id", "number", "text", "segments", "posts", "good_until")
        ]

    def claim(self, *, count, choice):
        """The flights that are ours now: committed, and not posted yet."""
        if not self.channels:
            return []
        channel = self.channels[choice % len(self.channels)]
        wanted, self.rows = self.rows[:count], self.rows[count:]
        drawn = routing.Choice(channel, "drawn")
        claimed = self._turn._claim([sending._Granted(row, drawn, 0.0) for row in wanted]) if wanted else None
        flights, now = (claimed.flights, claimed.at) if claimed else ({}, None)
        return [
            Flight(
                dispatch_id=row.id,
                flight=flights[row.id],
                brand_id=self.brand_id,
                number=row.number,
                channel=channel,
                posts=row.posts,
                claimed_at=now,
                post_by=now + settings.POST_WITHIN,
                is_echoed=channel is self.channels[0],
            )
            for row in wanted
            if row.id in flights
        ]


class Instant:
    """A poster that has every answer at once."""

    def __init__(self, carrier, reactions, now):
        self.flights = []
        self._carrier = carrier
        self._reactions = cycle(reactions)
        self._now = now

    def post(self, envelopes, answers, _again):
        for envelope in envelopes:
            flight = Flight(
                dispatch_id=envelope.dispatch_id,
                flight=envelope.flight,
                brand_id=0,
                number=envelope.message.to,
                channel=mock.Mock(account_id=envelope.account_id),
                posts=0,
                claimed_at=self._now,
                post_by=self._now + settings.POST_WITHIN,
            )
            self._carrier.post(flight, next(self._reactions), self._now)
            self.flights.append(flight)
            answers.put(flight.answer)


@contextmanager
def instantly(carrier, reactions, now):
    """Whoever posts meets this carrier and hears these reactions, one after the other; there are always tokens."""
    poster = Instant(carrier, reactions, now)
    with (
        mock.patch.object(delivery, "poster", return_value=poster),
        mock.patch.object(throttle, "take", lambda _, segments, **__: throttle.Granted((0.0,) * len(segments), 0.0)),
    ):
        yield poster
