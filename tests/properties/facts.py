"""What must be true after every step, counted from the tables by hand and compared with what the product says of itself."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from campaigns import audits, reports
from campaigns.models import Run
from campaigns.states import HOLDS, OPEN, PROOF_RANK, TRANSITIONS, Hold, State
from campaigns.verbs import LOCK_LIFE
from compliance import place, policy
from compliance.policy import Category
from smsplatform.common.database import execute, rows

_WATCH = """
CREATE TABLE watched_move (n bigserial, dispatch_id uuid, was text, state text);
CREATE FUNCTION watch_move() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO watched_move (dispatch_id, was, state) VALUES (NEW.id, OLD.state, NEW.state); RETURN NULL; END $$;
CREATE TRIGGER watch_move AFTER UPDATE OF state ON campaigns_dispatch
  FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION watch_move();
"""
_UNWATCH = "DROP TRIGGER watch_move ON campaigns_dispatch; DROP FUNCTION watch_move; DROP TABLE watched_move"


def watch():
    """Have the database itself write down every change of a state."""
    execute(_WATCH)


def unwatch():
    execute(_UNWATCH)


def moves():
    """Every change since the last look, in order: (dispatch, from, to)."""
    seen = rows(
        "WITH gone AS (DELETE FROM watched_move RETURNING *) SELECT dispatch_id, was, state FROM gone ORDER BY n"
    )
    return [(dispatch_id, State(was), State(state)) for dispatch_id, was, state in seen]


@dataclass(frozen=True)
class Row:
    id: UUID
    state: State
    reason: str
    run_id: int
    brand_id: int
    number: str
    category: str
    expires_at: datetime
    not_before: datetime | None
    batch_id: int | None
    due_at: datetime
    recipient_id: int | None
    flight: int
    good_until: datetime | None
    changed_at: datetime


@dataclass(frozen=True)
class Permit:
    id: UUID
    brand_id: int
    number: str
    is_person_capped: bool
    windows: list[int]
    at: datetime | None
    over_cap: bool
    charges: list[int] | None
    claim_windows: list[int] | None
    claim_charges: list[int] | None

    @property
    def taken(self):
        """What it took from each window."""
        found = Counter(dict(zip(self.windows, self.charges or [1] * len(self.windows), strict=True)))
        found.update(dict(zip(self.claim_windows or [], self.claim_charges or [], strict=True)))
        return found


def dispatches():
    """Every row, by id."""
    found = rows(
        """
        SELECT d.id, d.state, d.reason, d.run_id, d.brand_id, d.number, r.category, d.expires_at, d.not_before, d.batch_id,
          d.due_at, d.recipient_id, d.flight, d.good_until, d.changed_at
        FROM campaigns_dispatch d JOIN campaigns_run r ON r.id = d.run_id ORDER BY d.id
        """
    )
    return {row[0]: Row(row[0], State(row[1]), *row[2:]) for row in found}


def permits():
    """Every permit."""
    return [
        Permit(*row)
        for row in rows(
            "SELECT dispatch_id, brand_id, number, is_person_capped, windows, at, over_cap, charges, claim_windows,"
            " claim_charges FROM compliance_permit"
        )
    ]


# -- the rules ------------------------------------------------------------------------------------------------------


def check_moves(made, proven):
    """(a) Each change is in the table, or proof made it."""
    for dispatch_id, was, state in made:
        is_proof = PROOF_RANK.get(was, 0) < PROOF_RANK.get(state, 0)
        assert state in TRANSITIONS[was] or is_proof, f"{dispatch_id}: {was} -> {state}"
        if state in PROOF_RANK:
            assert dispatch_id in proven, f"{dispatch_id}: {was} -> {state}, and the carrier never took it"


def check_carrier(carrier, found):
    """(b) Nobody gets it twice, and a message that is out there is never taken for one that is not."""
    assert not carrier.taken_twice()
    out_there = {State.SENDING, State.UNKNOWN, *PROOF_RANK}
    for flight in carrier.taken():
        assert found[flight.dispatch_id].state in out_there, f"{flight} was taken: {found[flight.dispatch_id]}"
    assert not [row for row in found.values() if row.reason == "live_attempt_in_ledger"]


def check_patience(flights, found, now):
    """No try is given up while its answer may still come."""
    for flight in flights:
        if found[flight.dispatch_id].reason == "no_answer" and flight.flight == found[flight.dispatch_id].flight:
            assert now >= flight.claimed_at + timedelta(seconds=flight.channel.limits.timeout), f"given up: {flight}"


def check_holdings(found, now):
    """(d) What is held is what HOLDS says."""
    now_held = permits()
    held = {permit.id for permit in now_held}
    should = {row.id for row in found.values() if Hold.PERMIT in HOLDS[row.state]}
    assert held == should, f"without a permit: {should - held}; with one: {held - should}"
    spent = {State.UNKNOWN, *PROOF_RANK}
    for permit in now_held:
        assert (permit.at is not None) == (found[permit.id].state in spent), f"{permit} of {found[permit.id]}"
    locks = rows("SELECT dispatch_id, brand_id, number, until FROM campaigns_sendlock")
    for dispatch_id, brand_id, number, until in locks:
        row = found[dispatch_id]
        assert Hold.LOCK in HOLDS[row.state], f"a lock of {row}"
        assert Category(row.category).has_person_cap, f"a lock of an uncapped {row}"
        assert (row.brand_id, row.number) == (brand_id, number)
        assert until <= now + LOCK_LIFE
    persons = {(brand_id, number) for _, brand_id, number, _ in locks}
    for row in found.values():
        # Later another may have overtaken it, and be through; then its next stage begins anew.
        is_young = row.changed_at + LOCK_LIFE > now
        if row.state is State.LOCKED and is_young and Category(row.category).has_person_cap:
            assert (row.brand_id, row.number) in persons, f"locked by nobody: {row}"


def check_totals(found):
    """(e) What is told of each run is what its rows say."""
    facts = defaultdict(Counter)
    for row in found.values():
        facts[row.run_id][row.state] += 1
    for run in Run.objects.all():
        assert reports.totals(run.pk) == dict(facts[run.pk]), f"run {run.pk}"


def check_caps(town, now):
    """(e) Counters are numbers of permits; no person and no day has more than its cap allows."""
    all_permits = permits()
    used = sum((permit.taken for permit in all_permits), Counter())
    windows = rows("SELECT id, used, amount FROM compliance_capwindow")
    assert {window: number for window, number, _ in windows if number} == used
    within = sum((permit.taken for permit in all_permits if not permit.over_cap), Counter())
    assert not [row for row in windows if row[2] is not None and within[row[0]] > row[2]], "above a limit"
    out_there = {row.id: row.state for row in dispatches().values()}
    for permit in all_permits:
        early = {State.ALLOWED, State.READY}
        assert permit.claim_windows is None or out_there[permit.id] not in early, f"still at an account: {permit}"
    for brand in town.brands:
        ours = [permit for permit in all_permits if permit.brand_id == brand.pk and not permit.over_cap]
        if brand.daily_cap is not None:
            days = {
                id_
                for (id_,) in rows(
                    "SELECT id FROM compliance_capwindow WHERE subject = %s AND unit = 'messages'",
                    [f"brand:{brand.pk}"],
                )
            }
            regular = Counter(window for permit in ours for window in permit.windows if window in days)
            assert all(number <= brand.daily_cap for number in regular.values()), (
                f"{regular} over {brand.daily_cap} a day"
            )
        by_person = defaultdict(list)
        for permit in ours:
            if permit.is_person_capped:
                by_person[permit.number].append(permit.at or now)
        for number, times in by_person.items():
            _check_window(times, brand.person_cap, timedelta(hours=brand.person_cap_hours), number)


def check_deliveries(town, carrier, found):
    """(e) The same, by the carrier's book: nobody got more than allowed, whatever our tables say."""
    by_person, by_day = defaultdict(list), Counter()
    brands = {brand.pk: brand for brand in town.brands}
    for flight in carrier.taken():
        row = found[flight.dispatch_id]
        brand = brands[row.brand_id]
        by_day[brand.pk, flight.claimed_at.astimezone(ZoneInfo(brand.zone)).date()] += 1
        if Category(row.category).has_person_cap:
            by_person[brand.pk, row.number].append(flight.claimed_at)
    for (brand_id, number), times in by_person.items():
        brand = brands[brand_id]
        _check_window(times, brand.person_cap, timedelta(hours=brand.person_cap_hours), number)
    for (brand_id, day), number in by_day.items():
        cap = brands[brand_id].daily_cap
        assert cap is None or number <= cap, f"{number} on {day}, {cap} are allowed"


def _check_window(times, cap, span, number):
    times = sorted(times)
    for first, last in zip(times, times[cap:], strict=False):
        assert last - first >= span, f"more than {cap} to {number} in {span}: {times}"


def check_hours(town, row, now):
    """Nothing is claimed outside the hours of any zone its person may be in; of a stranger only the number is known.

    All of them are New Yorkers, and one law holds for marketing and for informational messages there: 08-21.
    """
    if not Category(row.category).has_quiet_hours:
        return
    brand = next(brand for brand in town.brands if brand.pk == row.brand_id)
    key = place.locate(number=row.number).key if row.recipient_id is None else town.zones_of(row.number)
    zones, _, states = key.partition(";")
    assert states == "NY"
    for zone in zones.split("|"):
        local = now.astimezone(ZoneInfo(zone)).time()
        assert brand.opens_at <= local < brand.closes_at, f"claimed at {local} in {zone}"
        assert time(8) <= local < time(21), f"claimed at {local} in {zone}"


def check_rest(found, now):
    """(f) What is still open waits for a stated instant, which is not after its end."""
    for row in found.values():
        if row.state in OPEN:
            assert row.state is State.HELD, f"nothing is to be done, and yet: {row}"
            assert row.not_before is not None, f"held for ever: {row}"
            assert row.reason != str(policy.PAUSED), f"nothing is paused any more: {row}"
            assert now < row.not_before <= row.expires_at, (
                f"held until {row.not_before}, ends at {row.expires_at}: {row}"
            )


def check_end(found, *, is_honest):
    """(f) Everything has ended."""
    still_open = [row for row in found.values() if row.state in OPEN]
    assert not still_open, still_open
    phases = rows("SELECT DISTINCT phase FROM campaigns_batch")
    assert phases in ([], [("closed",)])
    findings = {name: found for name, found in vars(audits.everything()).items() if found}
    assert is_honest <= (not findings), findings
    assert findings.keys() <= {"accepted_twice", "reported_twice"}, findings
