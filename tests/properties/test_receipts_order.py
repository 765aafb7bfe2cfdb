"""Reports arrive in any order, any number of times, before the answer or after it: the end is the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import launch, receipts, settling
from campaigns.models import Lane
from campaigns.pipeline import PIPELINE
from campaigns.states import PROOF_RANK, PROVEN, State
from providers.adapters.base import ReceiptStatus
from tests import world
from tests.properties import events, facts, town
from tests.properties.carrier import Carrier, Reaction, settlement
from tests.properties.clock import Clock
from tests.properties.effort import trying
from tests.properties.turns import OpenTurn

pytestmark = pytest.mark.timeout(900)  # finding the smallest story of a failure takes minutes
_PEOPLE = 5
_ANSWERS = [Reaction.ACCEPTS, Reaction.TAKES_BUT_IS_UNCLEAR, Reaction.TAKES_AND_THE_POSTER_DIES]


@pytest.fixture
def place(transactional_db):
    clock = Clock()
    clock.start()
    yield town.build(), clock
    clock.stop()


@st.composite
def stories(draw):
    """What each carrier does, and everything that is said of it: calls of one or more reports, and the answers, in some order."""
    reactions = draw(st.lists(st.sampled_from(_ANSWERS), min_size=_PEOPLE, max_size=_PEOPLE))
    echoed = draw(st.lists(st.booleans(), min_size=_PEOPLE, max_size=_PEOPLE))
    reports = draw(st.lists(st.tuples(st.integers(0, _PEOPLE - 1), st.sampled_from(ReceiptStatus)), max_size=12))
    again = draw(st.lists(st.sampled_from(reports), max_size=6)) if reports else []
    said = draw(st.permutations(reports + again))
    calls = []
    while said:
        size = draw(st.integers(1, 3))
        calls.append(said[:size])
        said = said[size:]
    answer_after = draw(st.lists(st.integers(0, len(calls)), min_size=_PEOPLE, max_size=_PEOPLE))
    return reactions, echoed, calls, answer_after


def test_every_order_of_reports_and_answers_ends_in_the_strongest_proof(place):
    here, clock = place
    account = here.accounts[0]

    @trying(40)
    @given(stories())
    def ends_in_the_strongest_proof(story):
        reactions, echoed, calls, answer_after = story
        here.clean()
        flights = _in_the_air(here, clock, reactions)
        for flight, is_echoed in zip(flights, echoed, strict=True):
            flight.is_echoed = is_echoed
        for number in range(len(calls) + 1):
            for flight, place_in_line in zip(flights, answer_after, strict=True):
                if place_in_line == number and flight.answer is not None:
                    settling.settle([settlement(flight, has_next=False)])
            if number < len(calls):
                events.call(account, [events.report(flights[n], status) for n, status in calls[number]])
                receipts.apply_events()
        clock.goes_on(minutes=30)  # parked reports are looked at again
        receipts.apply_events()
        found = facts.dispatches()
        said = [report for call in calls for report in call]
        for number, flight in enumerate(flights):
            expected = _strongest(flight, [status for n, status in said if n == number])
            assert found[flight.dispatch_id].state is expected, f"{flight} should be {expected}"
        facts.check_holdings(found, clock.now)
        facts.check_totals(found)

    ends_in_the_strongest_proof()


def _in_the_air(here, clock, reactions):
    clock.goes_on(milliseconds=1)
    run = launch.launch(campaign=here.campaigns[2], occurrence="1", now=clock.now, actor="test")
    launch.materialise(run.pk)
    [leased] = world.hand_out(Lane.BULK, clock.now)
    for stage in PIPELINE[:4]:
        stage.run(leased.batch_id, leased.lease)
    flights = OpenTurn(leased).claim(count=_PEOPLE, choice=0)
    assert len(flights) == _PEOPLE
    carrier = Carrier()
    for flight, reaction in zip(flights, reactions, strict=True):
        carrier.post(flight, reaction, clock.now)
    return flights


def _strongest(flight, reports):
    """The last word on a flight, from everything that could be told to be about it."""
    states = [State.SENDING]
    if flight.answer is not None:
        states.append(State.ACCEPTED if flight.is_heard else State.UNKNOWN)
    # The carrier's own id tells us nothing unless its answer gave it to us.
    states += [PROVEN[status] for status in reports if flight.is_echoed or flight.is_heard]
    return max(states, key=lambda state: (PROOF_RANK.get(state, 0), state is State.UNKNOWN))
