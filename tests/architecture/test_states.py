"""The tables of the state machine are closed and complete, and nothing goes around them."""

import re
from collections.abc import Collection, Mapping

import pytest

from campaigns.models import Dispatch
from campaigns.moves import IllegalMove
from campaigns.states import (
    EARLY,
    FATE,
    HOLDS,
    OPEN,
    PROOF_RANK,
    PROVEN,
    SETTLED,
    TRANSITIONS,
    TROUBLE,
    WAITING,
    Hold,
    State,
    may_move,
    proves,
)
from compliance.policy import Fate
from providers.adapters.base import Outcome, ReceiptStatus
from smsplatform.common.database import rows
from tests.architecture import source

ENDS = [state for state in State if not TRANSITIONS[state]]


def reached(starts: Collection[State], ways: Mapping[State, Collection[State]]) -> set[State]:
    """Return where one gets from here, the starts included."""
    found, new = set(starts), set(starts)
    while new:
        new = {to for state in new for to in ways[state]} - found
        found |= new
    return found


# -- the tables -----------------------------------------------------------------------------------------------------


def test_every_state_has_its_exits_and_its_holdings():
    assert set(TRANSITIONS) == set(HOLDS) == set(State)


def test_exits_lead_to_states_and_never_back_to_the_same_one():
    for state, exits in TRANSITIONS.items():
        assert exits <= set(State)
        assert state not in exits


def test_no_end_has_an_exit():
    assert set(SETTLED) <= set(ENDS)
    assert set(ENDS) == set(SETTLED) | {State.ACCEPTED, State.UNDELIVERED}  # these two go on by proof alone


def test_every_state_can_be_reached():
    by_proof = {state: [better for better in PROOF_RANK if state in proves(better)] for state in State}
    both = {state: TRANSITIONS[state] | set(by_proof[state]) for state in State}
    assert reached([State.QUEUED], both) == set(State)


@pytest.mark.parametrize("state", OPEN)
def test_an_open_state_can_end(state):
    assert set(SETTLED) & reached([state], TRANSITIONS)
    assert TRANSITIONS[state]


def test_nothing_that_may_be_taken_is_sent_again():
    """P1, P4: no way from a state in which a message may be out there leads to another claim without a proof of the contrary."""
    assert not TRANSITIONS[State.ACCEPTED] | TRANSITIONS[State.DELIVERED] | TRANSITIONS[State.UNDELIVERED]
    assert not may_move(State.UNKNOWN, State.READY)
    assert not may_move(State.UNKNOWN, State.QUEUED)
    assert not may_move(State.SENDING, State.QUEUED)


def test_every_outcome_and_every_report_means_something():
    assert set(FATE) == set(Outcome)
    assert set(PROVEN) == set(ReceiptStatus)
    assert set(PROVEN.values()) <= set(PROOF_RANK)


def test_every_outcome_may_follow_sending():
    for outcome, state in FATE.items():
        assert may_move(State.SENDING, state), outcome


def test_every_fate_of_a_broken_rule_is_a_state_that_early_ones_may_move_to():
    for fate in Fate:
        assert all(may_move(state, State(fate.value)) for state in EARLY), fate


def test_proof_is_a_strict_order():
    assert len(set(PROOF_RANK.values())) == len(PROOF_RANK)
    assert proves(State.DELIVERED) == [state for state in State if state is not State.DELIVERED]


def test_what_may_be_out_there_keeps_its_permit():
    for state in (State.SENDING, State.UNKNOWN, *PROOF_RANK):
        assert Hold.PERMIT in HOLDS[state], state


def test_the_groups_fit_together():
    assert set(EARLY) | {State.HELD} == set(WAITING)
    assert set(WAITING) | {State.SENDING} == set(OPEN)
    groups = [set(OPEN), set(SETTLED), set(TROUBLE), {State.ACCEPTED, State.UNDELIVERED}]
    assert sorted(state for group in groups for state in group) == sorted(State)


def test_the_column_holds_every_state():
    assert max(len(state) for state in State) <= (Dispatch._meta.get_field("state").max_length or 0)


def test_a_move_that_cannot_be_is_refused():
    from campaigns import moves

    with pytest.raises(IllegalMove):
        moves._statement("SELECT 1", frozenset({State.DELIVERED}), frozenset({State.QUEUED}), "")
    with pytest.raises(IllegalMove):
        moves._statement("SELECT 1", frozenset({State.QUEUED}), frozenset({State.CLEARED, State.DELIVERED}), "")


# -- nothing goes around them ---------------------------------------------------------------------------------------

_UPDATES = re.compile(
    r"\bUPDATE\s+campaigns_dispatch\b.*?\bSET\b(.*?)(?:\bFROM\b|\bWHERE\b|\bRETURNING\b|\Z)", re.DOTALL
)
_SETS_STATE = re.compile(r"(?:\A|,)\s*state\s*=")


def test_only_one_module_changes_states():
    changed = set()
    for path in source.files(with_migrations=True):
        # The breaker has states of its own.
        text = re.sub(
            r"UPDATE providers_accounthealth (h )?SET state|DO UPDATE SET state = 'broken'",
            "",
            re.sub(r"\s+", " ", path.read_text()),
        )
        if re.search(r"\bSET state\b", text) or any(_SETS_STATE.search(found) for found in _UPDATES.findall(text)):
            changed.add(source.named(path))
        for call in source.calls(path):
            is_update = getattr(call.func, "attr", "") in {"update", "bulk_update", "update_or_create"}
            assert not (is_update and any(each.arg == "state" for each in call.keywords)), source.where(path, call)
    assert changed == {"campaigns/moves.py"}


@pytest.mark.django_db
def test_no_index_knows_the_state_of_a_dispatch():
    """Neither as a column nor in a predicate: it would end heap-only updates (measured: 71 % to 0 %)."""
    found = rows("SELECT indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'campaigns\\_dispatch%%'", {})
    assert {"campaigns_dispatch_by_batch", "campaigns_dispatch_to_collect"} <= {name for name, _ in found}
    assert [name for name, definition in found if re.search(r"\bstate\b", definition)] == []


@pytest.mark.django_db
def test_the_database_allows_one_live_try_per_dispatch():
    """The predicate of P1 covers every outcome that may have been taken, on every partition."""
    found = rows("SELECT tablename, indexdef FROM pg_indexes WHERE tablename LIKE 'campaigns\\_attempt%%'", {})
    tables = {table for table, _ in found}
    live = {table: definition for table, definition in found if "UNIQUE" in definition and "WHERE" in definition}
    assert set(live) == tables
    assert {definition.rpartition("WHERE ")[2] for definition in live.values()} == {"is_live"}
    generated = rows(
        "SELECT generation_expression FROM information_schema.columns"
        " WHERE table_name LIKE 'campaigns\\_attempt%%' AND column_name = 'is_live' AND is_generated = 'ALWAYS'",
        {},
    )
    assert len(generated) >= len(tables)
    for (expression,) in generated:
        assert set(re.findall(r"'(\w+)'", expression)) == {"open", Outcome.ACCEPTED, Outcome.UNKNOWN}
