"""When a person may get another marketing message, for messages that are not there yet: one SQL expression.

`caps.reserve` decides it for rows that hold their person's lock; this says the same beforehand, of the permits that there
are, and reserves nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from compliance import limit_rules
from compliance.data import frequency, npa
from compliance.limit_rules import PersonRule
from compliance.policy import Category
from smsplatform.tenancy.models import Brand


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A query of (until when, by which of `rules`) for one person; no row: at once.

    `is_closed`: a rule lets nobody get anything, so that whoever asks again is refused again.
    """

    query: str
    rules: Sequence[PersonRule] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    is_closed: bool = False


_NEVER: Final = Foreseen("SELECT NULL::timestamptz AS frees_at, NULL::int AS broken WHERE false")


def foreseen(*, brand: Brand, category: Category, now: datetime, number: str, zones: str, at: str) -> Foreseen:
    """Return the query; `number`, `zones` and `at` are SQL: the person's number and place key, and the instant they ask.

    Permits whose outcome is open count as of `now`.
    """
    if not category.has_person_cap:
        return _NEVER
    own = limit_rules.person_rules(brand, limit_rules.live(brand))
    # The law comes first, so that of equal holds it is the one that is named.
    scopes = [
        (limit_rules.of_state(cap), cap) for state in sorted(frequency.BY_STATE) for cap in frequency.BY_STATE[state]
    ]
    everybody = [(rule, None) for rule in own]
    asked: list[tuple[PersonRule, frequency.StateCap | None]] = [*scopes, *everybody]
    rules = [rule for rule, _ in asked]
    is_closed = any(rule.amount == 0 for rule in own)
    return Foreseen(
        query=f"""
      SELECT x.broken, x.frees_at FROM (
        SELECT array_agg(coalesce(p.at, %(cap_now)s) ORDER BY coalesce(p.at, %(cap_now)s)) AS times
        FROM compliance_permit p
        WHERE p.brand_id = %(cap_brand)s AND p.number = {number} AND p.is_person_capped
          AND coalesce(p.at, %(cap_now)s) > {at} - %(cap_longest)s::interval
        {"" if is_closed else "HAVING count(*) > 0"}) t
      CROSS JOIN LATERAL (
        SELECT u.broken, CASE WHEN u.amount = 0 THEN {at} ELSE t.times[cardinality(t.times) - u.amount + 1] END + u.span
          AS frees_at
        FROM unnest(%(cap_broken)s::int[], %(cap_amounts)s::int[], %(cap_spans)s::interval[], %(cap_states)s::text[],
          %(cap_areas)s::text[], %(cap_since)s::date[], %(cap_until)s::date[])
          AS u(broken, amount, span, state, areas, since, until)
        WHERE (u.amount = 0 OR t.times[cardinality(t.times) - u.amount + 1] > {at} - u.span)
          AND (u.state = '' OR split_part({zones}, ';', 2) ~ ('\\y' || u.state || '\\y')
            OR starts_with({number}, '+1') AND strpos(u.areas, substr({number}, 3, 3)) > 0)
          AND (u.since IS NULL OR u.since <= ({at} AT TIME ZONE 'UTC')::date)
          AND (u.until IS NULL OR u.until > ({at} AT TIME ZONE 'UTC')::date)
        ORDER BY frees_at DESC, u.broken LIMIT 1) x""",
        rules=rules,
        parameters={
            "cap_now": now,
            "cap_brand": brand.pk,
            "cap_longest": max([rule.span for rule in rules], default=timedelta()),
            "cap_broken": list(range(len(rules))),
            "cap_amounts": [rule.amount for rule in rules],
            "cap_spans": [rule.span for rule in rules],
            "cap_states": [cap.state if cap else "" for _, cap in asked],
            "cap_areas": [_areas(cap.state) if cap else "" for _, cap in asked],
            "cap_since": [cap.effective_from if cap else None for _, cap in asked],
            "cap_until": [cap.effective_to if cap else None for _, cap in asked],
        },
        is_closed=is_closed,
    )


def _areas(state: str) -> str:
    """Return the area codes of a state, parted by commas."""
    return ",".join(sorted(area for area, of in npa.STATE.items() if of == state))
