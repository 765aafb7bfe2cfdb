"""One audit for every scenario: the database's facts against the ledger of the provider, and nothing left behind."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from campaigns.sending import MOST_CLOCK_DIFFERENCE
from campaigns.states import EARLY, SETTLED, State
from providers.models import ProviderAccount
from smsplatform.common import database
from smsplatform.common.database import rows
from smsplatform.tenancy.models import Brand
from tests.promises import sound

TAKEN = (State.ACCEPTED, State.DELIVERED, State.UNDELIVERED)
# Of a limit, in any second: the throttle keeps it; but the simulator too is late on a busy machine, and counts then what
# arrived before together with what arrives now.
_MOST_OF_RATE = 1.1
_EXTRA = 3  # posts; a tenth of a second more or less at small rates
_CLOCKS = timedelta(seconds=MOST_CLOCK_DIFFERENCE + 5)


@dataclass
class Expected:
    """What a scenario says about its end; whatever it does not say must not happen."""

    people: dict[int, int] = field(default_factory=dict)  # by run
    fates: set[str] = field(default_factory=set)  # reasons with which a row may end, or wait, without being taken
    doubt: int = 0  # most rows that may be left in doubt
    fences: list[tuple[int, datetime, datetime]] = field(default_factory=list)  # a run, and between when it stood still


@dataclass(frozen=True)
class Witness:
    """What the simulator saw."""

    summary: Mapping[str, Any]
    messages: list[Mapping[str, Any]]
    rates: Mapping[str, Any]

    @classmethod
    def ask(cls, simulator) -> "Witness":
        messages, after = [], 0
        while after is not None:
            page = simulator.ask("GET", f"/_control/ledger/messages?limit=1000&after={after}")
            messages += page["messages"]
            after = page["next"]
        return cls(simulator.ledger(), messages, simulator.ask("GET", "/_control/rates")["accounts"])


@dataclass
class Verdict:
    """What the audit found. `flaws` says it in words; the scenario failed if there are any."""

    dispatches: int = 0
    accepted: int = 0
    accepted_twice: int = 0
    lost: int = 0
    over_cap: int = 0
    in_doubt: int = 0
    of_rate: float = 0.0  # the most in any second, of an account's limit
    flaws: list[str] = field(default_factory=list)

    def complain(self, what: str, found: list[Any]) -> int:
        """Note a flaw if there is any, with a few examples; return how many were found."""
        if found:
            shown = "; ".join(str(one) for one in found[:3])
            self.flaws.append(f"{len(found)} {what}: {shown}{' …' if len(found) > 3 else ''}")
        return len(found)


def audit(expected: Expected, witness: Witness) -> Verdict:
    """Look at everything; the runs must have come to rest."""
    verdict = Verdict()
    found = rows(
        """
        SELECT replace(id::text, '-', ''), run_id, number, state, reason, not_before, accepted_at, brand_id
        FROM campaigns_dispatch WHERE run_id = ANY(%s)
        """,
        [list(expected.people)],
    )
    ours = {row[0]: _Row(*row) for row in found}
    verdict.dispatches = sum(expected.people.values())
    verdict.accepted = len(witness.messages)
    _twice(verdict, witness)
    _lost(verdict, expected, ours)
    _told(verdict, witness, ours)
    _doubt(verdict, expected, witness, ours)
    _caps(verdict, witness, ours)
    _rates(verdict, witness)
    _stops(verdict, witness)
    _fences(verdict, expected)
    _left_behind(verdict, expected)
    verdict.flaws += sound.flaws()
    return verdict


@dataclass(frozen=True)
class _Row:
    id: str
    run_id: int
    number: str
    state: str
    reason: str
    not_before: datetime | None
    accepted_at: datetime | None
    brand_id: int


def _dispatch(message: Mapping[str, Any]) -> str:
    return message["reference"][:32]


def _twice(verdict: Verdict, witness: Witness) -> None:
    """By dispatch, and by person and run: the first 16 characters of a reference are the run."""
    by_dispatch = Counter(_dispatch(message) for message in witness.messages)
    by_person = Counter((message["reference"][:16], message["to"]) for message in witness.messages)
    verdict.accepted_twice = verdict.complain("accepted twice", [id_ for id_, n in by_dispatch.items() if n > 1])
    verdict.complain("people texted twice in a run", [person for person, n in by_person.items() if n > 1])
    verdict.complain("posted again after doubt", list(witness.summary["resent_after_doubt"]))


def _lost(verdict: Verdict, expected: Expected, ours: Mapping[str, _Row]) -> None:
    """Everybody has come to an end with a reason, or waits for a stated instant of which the scenario knows."""
    born = Counter(row.run_id for row in ours.values())
    missing = [run for run, people in expected.people.items() for _ in range(people - born[run])]
    now = database.now()
    stuck, surprising = [], []
    for row in ours.values():
        if row.state in (*TAKEN, State.UNKNOWN):
            continue
        waits = row.state == State.HELD and row.not_before is not None and row.not_before > now
        if not (row.reason and (waits or row.state in (*SETTLED, State.DEAD))):
            stuck.append(row)
        elif row.reason not in expected.fates:
            surprising.append(f"{row.number} is {row.state}: {row.reason}")
    verdict.lost = verdict.complain("people without a dispatch", missing)
    verdict.lost += verdict.complain("lost", [f"{row.id} is {row.state}" for row in stuck])
    verdict.complain("ended as the scenario does not expect", surprising)


def _told(verdict: Verdict, witness: Witness, ours: Mapping[str, _Row]) -> None:
    """The ledger's acceptances are ours: all that we call taken, and besides only what we call unknown."""
    theirs = {_dispatch(message): message for message in witness.messages}
    verdict.complain(
        "taken, says our record alone", [r.id for r in ours.values() if r.state in TAKEN and r.id not in theirs]
    )
    verdict.complain(
        "taken, and our record denies it",
        [f"{id_} is {ours[id_].state if id_ in ours else 'nowhere'}" for id_ in theirs
         if id_ not in ours or ours[id_].state not in (*TAKEN, State.UNKNOWN)],
    )  # fmt: skip
    misdated = []
    for id_, message in theirs.items():
        row = ours.get(id_)
        at = datetime.fromtimestamp(message["at"], UTC)
        if row and row.accepted_at and abs(row.accepted_at - at) > _CLOCKS:
            misdated.append(f"{id_} taken {at:%T}, dated {row.accepted_at:%F %T}")
    verdict.complain("dated wrongly", misdated)


def _doubt(verdict: Verdict, expected: Expected, witness: Witness, ours: Mapping[str, _Row]) -> None:
    verdict.in_doubt = sum(row.state == State.UNKNOWN for row in ours.values())
    if verdict.in_doubt > expected.doubt:
        verdict.flaws.append(f"{verdict.in_doubt} in doubt, at most {expected.doubt} were in the air")


def _caps(verdict: Verdict, witness: Witness, ours: Mapping[str, _Row]) -> None:
    """Count permits and acceptances of each brand, and of each of its people, against the brand's limits."""
    over = []
    brands = Brand.objects.in_bulk({row.brand_id for row in ours.values()})
    of_brand = Counter(ours[_dispatch(message)].brand_id for message in witness.messages if _dispatch(message) in ours)
    of_person = Counter(
        (ours[_dispatch(message)].brand_id, message["to"]) for message in witness.messages if _dispatch(message) in ours
    )
    permits = dict(
        rows(
            "SELECT brand_id, count(*) FROM compliance_permit WHERE brand_id = ANY(%s) AND NOT over_cap GROUP BY 1",
            [list(brands)],
        )
    )
    for key, brand in brands.items():
        if brand.daily_cap is None:
            continue
        for what, number in (("permits", permits.get(key, 0)), ("acceptances", of_brand[key])):
            over += [f"{brand.slug}: {number} {what}, cap {brand.daily_cap}"] * (number > brand.daily_cap)
    marketing = {
        brand_id for (brand_id,) in rows("SELECT DISTINCT brand_id FROM campaigns_run WHERE category = 'marketing'")
    }
    over += [
        f"{number} of {brands[brand].slug}: {count} acceptances, cap {brands[brand].person_cap}"
        for (brand, number), count in of_person.items()
        if brand in marketing and count > brands[brand].person_cap
    ]
    verdict.over_cap = verdict.complain("caps exceeded", over)


def _rates(verdict: Verdict, witness: Witness) -> None:
    limits = {
        account.tenant.slug: account.segments_per_second or 0
        for account in ProviderAccount.objects.select_related("tenant").filter(tenant__slug__in=list(witness.rates))
    }
    over = []
    for slug, report in witness.rates.items():
        if not (limit := limits.get(slug)):
            continue
        peak = report["peak"]["segments"]
        verdict.of_rate = max(verdict.of_rate, round(peak / limit, 2))
        if peak > limit * _MOST_OF_RATE + _EXTRA:
            over.append(f"{slug}: {peak} segments in a second, limit {limit:g}")
    verdict.complain("rates exceeded", over)


def _stops(verdict: Verdict, witness: Witness) -> None:
    """Nothing was claimed after the STOP's answer; what was claimed before it may have been in the air."""
    # Each brand of the scenarios has one sender; to whom another one is told STOP, this one may write.
    after = [entry for entry in witness.summary["accepted_after_stop"] if entry["same_sender"]]
    claimed = dict(
        rows(
            "SELECT replace(dispatch_id::text, '-', '') || lpad(to_hex(flight::int), 8, '0'),"
            " extract(epoch FROM claimed_at)::float"
            " FROM campaigns_attempt WHERE dispatch_id = ANY(%s::uuid[])",
            [[_dispatch(entry) for entry in after]],
        )
    )
    late = [
        f"{entry['to']}: claimed {claimed.get(entry['reference'], 0) - entry['stop_answered_at']:+.2f} s from the answer"
        for entry in after
        if claimed.get(entry["reference"], entry["at"]) > entry["stop_answered_at"]
    ]
    verdict.complain("texted after an answered STOP", late)


def _fences(verdict: Verdict, expected: Expected) -> None:
    """After pause or cancel nothing is claimed any more: only what was in the air goes out."""
    for run_id, closed_at, opened_at in expected.fences:
        late = rows(
            "SELECT a.dispatch_id FROM campaigns_attempt a JOIN campaigns_dispatch d ON d.id = a.dispatch_id"
            " WHERE d.run_id = %s AND a.claimed_at > %s AND a.claimed_at < %s",
            [run_id, closed_at, opened_at],
        )
        verdict.complain(f"claimed after run {run_id} was stopped", [str(id_) for (id_,) in late])


def _left_behind(verdict: Verdict, expected: Expected) -> None:
    """Nothing is locked, leased or open, and no report waits for a message that does not come."""
    runs = list(expected.people)
    verdict.complain(
        "rows at work",
        rows("SELECT id, state FROM campaigns_dispatch WHERE run_id = ANY(%s) AND state = ANY(%s)",
             [runs, [*EARLY, State.SENDING]]),
    )  # fmt: skip
    verdict.complain("batches leased", rows("SELECT id FROM campaigns_batch WHERE phase = 'leased'"))
    verdict.complain("locks left", rows("SELECT number FROM campaigns_sendlock"))
    verdict.complain("attempts open", rows("SELECT dispatch_id FROM campaigns_attempt WHERE outcome = 'open'"))
    verdict.complain("reports not applied", rows("SELECT id, flaw FROM campaigns_rawevent WHERE applied_at IS NULL"))
    verdict.complain("reports that fit nothing", rows("SELECT id, flaw FROM campaigns_rawevent WHERE flaw <> ''"))
    verdict.complain(
        "batches neither closed nor waiting for anybody",
        rows(
            "SELECT b.id FROM campaigns_batch b WHERE b.phase <> 'closed' AND NOT EXISTS"
            " (SELECT 1 FROM campaigns_dispatch d WHERE d.batch_id = b.id AND d.state = 'held')"
        ),
    )
