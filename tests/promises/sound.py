"""What must be true after every step, whatever happened: the audits, and what they do not look at."""

from campaigns import audits
from campaigns.states import HOLDS, OPEN, TROUBLE, Hold, State
from smsplatform.common.database import rows

_LOCKED = [state for state in State if Hold.LOCK in HOLDS[state]]


def flaws():
    """Return everything that is not as it must be."""
    found = [f"{name}: {value}" for name, value in vars(audits.everything()).items() if value]
    found += [
        f"leaked lock of {number}"
        for (number,) in rows(
            """
            SELECT l.number FROM campaigns_sendlock l LEFT JOIN campaigns_dispatch d ON d.id = l.dispatch_id
            WHERE d.state IS NULL OR NOT d.state = ANY(%s)
            """,
            [_LOCKED],
        )
    ]
    found += [
        f"trouble list: {dispatch_id} is {state}, listed as {kind}"
        for dispatch_id, state, kind in rows(
            """
            SELECT coalesce(d.id, t.dispatch_id), d.state, t.kind
            FROM campaigns_dispatch d FULL JOIN campaigns_trouble t ON t.dispatch_id = d.id
            WHERE (CASE WHEN d.state = ANY(%s) THEN d.state END) IS DISTINCT FROM t.kind
            """,
            [list(TROUBLE)],
        )
    ]
    found += [
        f"lost: {dispatch_id} is {state} and nothing will come for it"
        for dispatch_id, state in rows(
            """
            SELECT d.id, d.state FROM campaigns_dispatch d LEFT JOIN campaigns_batch b ON b.id = d.batch_id
            WHERE d.state = ANY(%s) AND d.batch_id IS NOT NULL
              AND (b.id IS NULL OR b.phase = 'closed' OR (b.phase = 'waiting' AND b.due_at IS NULL)
                   OR (b.phase = 'leased' AND b.lease_until IS NULL))
            """,
            [list(OPEN)],
        )
    ]
    found += [
        f"two live attempts of {dispatch_id}"
        for (dispatch_id,) in rows(
            "SELECT dispatch_id FROM campaigns_attempt WHERE outcome IN ('open', 'accepted', 'unknown')"
            " GROUP BY 1 HAVING count(*) > 1"
        )
    ]
    return found


def check():
    assert flaws() == []
