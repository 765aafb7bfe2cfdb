"""The machine: the product's own verbs on a real database, in any order, and what must be true after each of them.

The carrier, the clock, the deaths of workers and the order of things are the machine's. Time stands still within a step.
"""

import sys
from collections import Counter
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from campaigns import dead_letters, launch, notifications, receipts, recovery, replies, scheduling, settling
from campaigns.leases import LeaseLost
from campaigns.models import Batch, Lane, Run
from campaigns.pipeline import PIPELINE
from compliance.policy import Category
from providers.adapters.base import ReceiptStatus
from providers.models import ProviderAccount
from smsplatform.tenancy.models import Brand
from tests.properties import events, facts, town
from tests.properties.carrier import HONEST, Carrier, Reaction, settlement
from tests.properties.clock import Clock
from tests.properties.turns import OpenTurn, instantly
from tests.properties.turns_of_events import Meanwhile, Then

_STAGES = [stage for stage in PIPELINE if stage.kind == "sql"]
_SEND = next(stage for stage in PIPELINE if stage.kind == "http")
_AT_ONCE = [reaction for reaction in HONEST if reaction.outcome is not None]
_WAITS = [{"seconds": 1}, {"seconds": 6}, {"seconds": 31}, {"seconds": 61}, {"minutes": 6}, {"hours": 3}]
_REACTIONS = st.tuples(st.sampled_from(HONEST), st.sampled_from(HONEST), st.sampled_from(HONEST) | st.none())
_AGES = st.integers(0, 5)  # of a lease: 0 is the latest
_RUNS = 4
_STOPS = 3
_LOOKS = 50  # how often rest is looked for before we say that it does not come


class Dispatches(RuleBasedStateMachine):
    """The machine; `place` is given by the test."""

    place: town.Town
    is_honest = True

    turns = Bundle("turns")
    flights = Bundle("flights")

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.clock.start()
        self.carrier = Carrier()
        self.runs = []
        self.leases = []
        self.given_out = []
        self.stopped = set()
        self.proven = set()
        self.inbound = 0
        self.place.clean()
        facts.moves()

    # -- the world --------------------------------------------------------------------------------------------------

    @initialize(
        target=flights,
        person_cap=st.sampled_from([3, 1, 2]),
        daily_cap=st.sampled_from([None, 4]),
        hours=st.sampled_from(town.HOURS),
        limit=st.sampled_from(town.LIMITS),
        which=st.integers(0, 3),
        meanwhile=st.sampled_from(Meanwhile),
        reactions=_REACTIONS,
        then=st.sampled_from(Then),
    )
    def begins(self, person_cap, daily_cap, hours, limit, which, meanwhile, reactions, then):
        self.place.set_limits(person_cap=person_cap, daily_cap=daily_cap, hours=hours)
        self.place.limit(limit)
        self.launches(which)
        return self.claims_and_posts(0, 0, meanwhile, reactions, then)

    @precondition(lambda self: len(self.runs) < _RUNS)
    @rule(which=st.integers(0, 3))
    def launches(self, which):
        self.clock.goes_on(milliseconds=1)  # runs are told apart by their time
        campaign = self.place.campaigns[which]
        occurrence = str(len(self.runs))
        given = {
            "campaign": campaign,
            "occurrence": occurrence,
            "now": self.clock.now,
            "actor": "test",
            "is_meant": True,
        }
        run = launch.launch(**given)
        assert launch.launch(**given) == run
        launch.materialise(run.pk)
        self.runs.append(run.pk)

    @rule(
        person=st.integers(0, 4),
        brand=st.integers(0, 1),
        category=st.sampled_from([each for each in Category if not each.is_answer]),
    )
    def single_message(self, person, brand, category):
        self.clock.goes_on(milliseconds=1)
        notifications.send(
            brand=self.place.brands[brand],
            number=self.place.people[person][0],
            text="Your code is 1234",
            now=self.clock.now,
            category=category,
        )

    @rule(wait=st.sampled_from(_WAITS))
    def time_passes(self, wait):
        self.clock.goes_on(**wait)

    # -- the pipeline -----------------------------------------------------------------------------------------------

    @rule(lane=st.sampled_from(Lane), stages=st.integers(0, 4))
    def hands_out(self, lane, stages):
        for leased in self._handed_out(lane):
            self.leases.append(leased)
            for stage in PIPELINE[:stages]:
                self._run(stage, leased)

    def _handed_out(self, lane):
        with transaction.atomic():
            return scheduling.claim_due_batches(lane, self.clock.now)

    def _lease(self, age):
        return self.leases[-1 - age % len(self.leases)]

    @precondition(lambda self: self.leases)
    @rule(age=_AGES, first=st.integers(0, 4), count=st.integers(1, 5))
    def runs_stages(self, age, first, count):
        for stage in _STAGES[first : first + count]:
            self._run(stage, self._lease(age))

    @precondition(lambda self: self.leases)
    @rule(age=_AGES, is_published=st.booleans())
    def chain_breaks(self, age, is_published):
        leased = self._lease(age)
        if is_published:
            scheduling.fail(leased.batch_id, leased.lease, stage="any", error=ValueError(), now=self.clock.now)
        else:
            scheduling.give_back(leased, self.clock.now)

    @precondition(lambda self: self.leases)
    @rule(age=_AGES, reactions=st.lists(st.sampled_from(_AT_ONCE), min_size=1, max_size=4))
    def whole_chain(self, age, reactions):
        self._chain(self._lease(age), reactions)

    def _chain(self, leased, reactions):
        for stage in PIPELINE:
            if stage is _SEND:
                with instantly(self.carrier, reactions, self.clock.now) as poster:
                    self._run(stage, leased)
                self._check_claims(poster.flights)
            else:
                self._run(stage, leased)

    def _run(self, stage, leased):
        is_ours = self._is_live(leased)
        try:
            stage.run(leased.batch_id, leased.lease)
        except LeaseLost:
            assert not is_ours
        else:
            assert is_ours, f"{stage.name} worked under a stale lease: {leased}"

    # -- sending ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.leases)
    @rule(target=turns, age=_AGES)
    def begins_a_turn(self, age):
        try:
            return OpenTurn(self._lease(age))
        except LeaseLost:
            return multiple()

    @rule(target=flights, turn=turns, count=st.integers(1, 3), choice=st.integers(0, 1))
    def claims(self, turn, count, choice):
        return self._claimed(turn, count, choice)

    @rule(
        target=flights,
        which=st.integers(0, 3),
        choice=st.integers(0, 1),
        meanwhile=st.sampled_from(Meanwhile),
        reactions=_REACTIONS,
        then=st.sampled_from(Then),
    )
    def claims_and_posts(self, which, choice, meanwhile, reactions, then):
        leased = self._fresh_lease(which)
        if leased is None:
            return multiple()
        for stage in PIPELINE[:4]:
            self._run(stage, leased)
        turn = OpenTurn(leased)
        self._happens(meanwhile, leased, turn)
        flights = self._claimed(turn, 3, choice)
        for flight, reaction in zip(flights.values, reactions, strict=False):
            if reaction is not None:
                self.carrier.post(flight, reaction, self.clock.now)
        if then is Then.IS_HEARD:
            self.settles(flights, has_next=choice == 0)
        elif then is Then.IS_TRIED_ELSEWHERE:
            self.settles(flights, has_next=True)
            more = self._claimed(OpenTurn(leased), 3, choice + 1)
            self.settles(flights, has_next=True)  # whoever stored it did not hear that it was stored
            return multiple(*flights, *more)
        elif then is Then.IS_GIVEN_UP:
            self.clock.goes_on(seconds=61)
            self.ticks()
            for again in self._handed_out(leased.lane):
                self._chain(again, [Reaction.ACCEPTS])
        return flights

    def _fresh_lease(self, which):
        """One of the batches that are due; for want of one, of a new run."""
        for lane in Lane:
            self.hands_out(lane, 0)
        live = [leased for leased in self.leases if self._is_live(leased)]
        if not live and len(self.runs) < _RUNS:
            self.launches(which)
            self.hands_out(Lane.BULK, 0)
            live = [leased for leased in self.leases if self._is_live(leased)]
        return live[which % len(live)] if live else None

    @staticmethod
    def _is_live(leased):
        return Batch.objects.filter(pk=leased.batch_id, lease=leased.lease, phase=Batch.Phase.LEASED).exists()

    def _happens(self, meanwhile, leased, turn):
        """Between the checks and the claim."""
        run = Run.objects.get(pk=Batch.objects.get(pk=leased.batch_id).run_id)
        if meanwhile is Meanwhile.SOMEBODY_SAYS_STOP and turn.rows:
            self._stops(turn.rows[0].number, Brand.objects.get(pk=turn.brand_id))
        elif meanwhile is Meanwhile.THE_RUN_IS_CANCELLED:
            launch.cancel(run, now=self.clock.now, actor="test")
        elif meanwhile is Meanwhile.THE_RUN_IS_PAUSED and run.cancelled_at is None:
            launch.pause(run, now=self.clock.now, actor="test")
        elif meanwhile is Meanwhile.THE_ACCOUNT_IS_PAUSED:
            ProviderAccount.objects.filter(pk=self.place.accounts[0].pk).update(paused_at=self.clock.now)
        elif meanwhile is Meanwhile.MINUTES_PASS:
            self.clock.goes_on(minutes=6)
        elif meanwhile is Meanwhile.THE_DAY_ENDS:
            self.clock.goes_on(hours=15)

    def _claimed(self, turn, count, choice):
        flights = turn.claim(count=count, choice=choice)
        self._check_claims(flights)
        self.given_out += flights
        return multiple(*flights)

    def _check_claims(self, flights):
        """(c) and what else must be true in the moment of the claim."""
        found = facts.dispatches()
        runs = Run.objects.in_bulk({found[flight.dispatch_id].run_id for flight in flights})
        for flight in flights:
            row = found[flight.dispatch_id]
            assert (row.brand_id, row.number) not in self.stopped, f"claimed after STOP: {row}"
            assert runs[row.run_id].cancelled_at is None
            assert runs[row.run_id].paused_at is None
            assert not Brand.objects.filter(pk=row.brand_id).exclude(paused_at=None)
            assert not ProviderAccount.objects.filter(pk=flight.channel.account_id).exclude(paused_at=None)
            assert self.clock.now < min(row.expires_at, row.good_until)
            facts.check_hours(self.place, row, self.clock.now)
        assert all(times == 1 for times in Counter((f.dispatch_id, f.flight) for f in flights).values())

    @rule(flight=flights, reaction=st.sampled_from(HONEST), is_in_time=st.booleans())
    def posts(self, flight, reaction, is_in_time):
        if flight.is_in_hand and is_in_time:
            self.carrier.post(flight, reaction, self.clock.now)
        elif flight.is_in_hand:
            self.carrier.give_back(flight, self.clock.now)

    @rule(one=flights, others=st.lists(flights, max_size=2), has_next=st.booleans())
    def answers_are_stored(self, one, others, has_next):
        """The poster stores answers; a settlement whose commit was not heard of is stored again."""
        self.settles([one, *others], has_next=has_next)

    @rule()
    def all_answers_are_stored_again(self):
        self.settles([flight for flight in self.carrier.flights if flight.settlement is not None], has_next=False)

    @staticmethod
    def settles(flights, *, has_next):
        answered = {id(flight): flight for flight in flights if flight.answer is not None}
        settling.settle([settlement(flight, has_next=has_next) for flight in answered.values()])

    # -- what others do ---------------------------------------------------------------------------------------------

    @rule(
        one=flights,
        others=st.lists(flights, max_size=2),
        statuses=st.lists(st.sampled_from(ReceiptStatus), min_size=3, max_size=3),
        is_applied=st.booleans(),
    )
    def reports_come(self, one, others, statuses, is_applied):
        told = [(flight, status) for flight, status in zip([one, *others], statuses, strict=False) if flight.is_taken]
        for flight, status in told:
            account = ProviderAccount.objects.get(pk=flight.channel.account_id)
            events.call(account, [events.report(flight, status)])
            flight.is_reported |= flight.is_echoed
        if is_applied:
            receipts.apply_events()

    @precondition(lambda self: len(self.stopped) < _STOPS)
    @rule(person=st.integers(0, 4), brand=st.integers(0, 1))
    def says_stop(self, person, brand):
        self._stops(self.place.people[person][0], self.place.brands[brand])

    def _stops(self, number, ours):
        self.inbound += 1
        account = self.place.accounts[0]
        events.call(account, [events.message(number, self.place.senders[ours.pk], "Stop", key=self.inbound)])
        self.stopped.add((ours.pk, number))

    @rule(age=_AGES, verb=st.sampled_from([launch.pause, launch.resume, launch.cancel]))
    def is_stopped(self, age, verb):
        run = Run.objects.get(pk=self.runs[-1 - age % len(self.runs)])
        if run.cancelled_at is None:
            verb(run, now=self.clock.now, actor="test")

    @rule(model=st.sampled_from([ProviderAccount, Brand]), number=st.integers(0, 1), is_paused=st.booleans())
    def is_stopped_above(self, model, number, is_paused):
        thing = model.objects.order_by("id")[number]
        model.objects.filter(pk=thing.pk).update(paused_at=self.clock.now if is_paused else None)

    @rule()
    def dead_are_replayed(self):
        """An operator tries: whatever is out there must not start again."""
        dead_letters.replay(list(dead_letters.every_dead()), now=self.clock.now, actor="test")

    @rule()
    def ticks(self):
        """What beat does every few seconds."""
        recovery.end_leases(self.clock.now)
        recovery.settle_unknowns(self.clock.now)
        recovery.settle_runs(self.clock.now)
        notifications.collect(self.clock.now)
        receipts.apply_events()
        replies.tidy_stops(self.clock.now)

    # -- what must be true ------------------------------------------------------------------------------------------

    @invariant()
    def promises_hold(self):
        found = facts.dispatches()
        self.proven |= {flight.dispatch_id for flight in self.carrier.taken()}
        facts.check_moves(facts.moves(), self.proven)
        facts.check_holdings(found, self.clock.now)
        facts.check_patience(self.given_out, found, self.clock.now)
        facts.check_totals(found)
        facts.check_caps(self.place, self.clock.now)
        if self.is_honest:
            facts.check_carrier(self.carrier, found)
            facts.check_deliveries(self.place, self.carrier, found)

    def teardown(self):
        try:
            if sys.exc_info()[0] is None:  # else there is a failure already, and this is not the place to hide it
                self._ends()
        finally:
            self.clock.stop()

    def _ends(self):
        """Nobody stops anything any more and the carrier takes what it gets: everything comes to rest, and then to its end."""
        self._everything_goes_on()
        self._works_until_quiet()
        self.promises_hold()
        facts.check_rest(facts.dispatches(), self.clock.now)
        for instant in (self._next_due, self._next_due, self._last_end):
            self.clock.goes_to(instant() or self.clock.now)
            self._works_until_quiet()
            self.promises_hold()
        facts.check_end(facts.dispatches(), is_honest=self.is_honest)

    def _everything_goes_on(self):
        Brand.objects.update(paused_at=None)
        ProviderAccount.objects.update(paused_at=None)
        for run in Run.objects.filter(cancelled_at=None).exclude(paused_at=None):
            launch.resume(run, now=self.clock.now, actor="test")
        self.settles(self.carrier.flights, has_next=False)
        self.clock.goes_on(minutes=2)  # every lease and every horizon is over

    def _works_until_quiet(self):
        for _ in range(_LOOKS):
            recovery.end_leases(self.clock.now)
            notifications.collect(self.clock.now)
            replies.tidy_stops(self.clock.now)
            seen = receipts.apply_events()
            leased = [batch for lane in Lane for batch in self._handed_out(lane)]
            for batch in leased:
                self._chain(batch, [Reaction.ACCEPTS])
            if not leased and not seen:
                return
        pytest.fail("it never comes to rest")

    @staticmethod
    def _next_due():
        waiting = Batch.objects.filter(phase=Batch.Phase.WAITING).order_by("due_at").first()
        return waiting.due_at if waiting else None

    def _last_end(self):
        """Batches are due on full minutes."""
        return max((row.expires_at for row in facts.dispatches().values()), default=self.clock.now) + timedelta(
            minutes=1
        )
