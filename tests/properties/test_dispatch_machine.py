"""Whatever happens in whatever order, every dispatch keeps the promises: once, never lost, within its limits, and it ends."""

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from campaigns import audits
from tests.properties import facts, town
from tests.properties.carrier import Reaction
from tests.properties.effort import trying
from tests.properties.machine import Dispatches
from tests.properties.turns_of_events import Meanwhile, Then

pytestmark = pytest.mark.timeout(900)  # finding the smallest story of a failure takes minutes


class LyingCarrier(Dispatches):
    """It takes messages and says that it did not. P1 cannot hold then; everything else must, and the audit must notice."""

    is_honest = False

    @rule(target=Dispatches.flights, which=st.integers(0, 3), has_next=st.booleans())
    def lies(self, which, has_next):
        lies = [Reaction.TAKES_AND_SAYS_NO] * 3
        flights = self.claims_and_posts(which, 0, Meanwhile.NOTHING, lies, Then.WAITS)
        self.settles(flights, has_next=has_next)
        return flights

    def _ends(self):
        super()._ends()
        told = Counter(f.dispatch_id for f in self.carrier.taken() if f.is_reported or f.is_heard)
        noticed, _ = audits.duplicates()
        assert set(noticed) == {dispatch_id for dispatch_id, times in told.items() if times > 1}


@pytest.fixture
def place(transactional_db, settings):
    settings.BATCH_SIZE = 3
    settings.MAX_FLIGHTS = 2
    facts.watch()
    yield town.build()
    facts.unwatch()


def test_dispatches_keep_every_promise(place):
    Dispatches.place = place
    run_state_machine_as_test(Dispatches, settings=trying(24))


def test_lies_of_a_carrier_are_noticed_and_break_nothing_else(place):
    LyingCarrier.place = place
    run_state_machine_as_test(LyingCarrier, settings=trying(8))
