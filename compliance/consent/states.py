"""What of a person's consent holds: a function of the ledger alone, whatever the order in which its rows came.

A revocation ends every grant up to its instant (and wins a tie); so does the end of a number. A correction ends what was
before it. A term that is over ends the grants of its tier that had ended by then. Of the grants that stand the strongest
holds, then the one that lasts longest. Evidence without a date outlives no end. What is recorded for every category
counts for each.

One row per person, that of every category, is locked by whoever records something: two of them cannot miss each other.
"""

from collections.abc import Collection, Sequence
from typing import Final

from compliance.consent_rules import GRANTS, Tier
from smsplatform.common.database import execute, rows

_GRANTS: Final = ", ".join(f"'{event}'" for event in sorted(GRANTS))
_RANK: Final = "array_position(ARRAY[{}], {{}}.tier::text)".format(", ".join(f"'{tier}'" for tier in Tier))
_NAMES: Final = ("tier", "status", "since", "expires_at", "pending_id", "pending_until", "lapses_at", "consent_id")
_VALUES: Final = ", ".join(_NAMES)


def _of(alias: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in _NAMES)


def _fold(targets: str) -> str:
    """SQL: the state of each of the targets, a SELECT of (tenant_id, brand_id, number, category)."""
    return f"""
      WITH target AS MATERIALIZED ({targets}),
      seen AS (
        SELECT t.tenant_id, t.brand_id, t.number, t.category, e.id, e.event, e.tier, e.occurred_at, e.recorded_at,
          e.expires_at, e.is_undated,
          max(e.occurred_at) FILTER (WHERE e.event = 'revoked') OVER person AS revoked_at,
          max(e.occurred_at) FILTER (WHERE e.event = 'expired') OVER person AS expired_at,
          max(e.occurred_at) FILTER (WHERE e.event = 'expired' AND e.tier = '') OVER person AS gone_at,
          max(e.occurred_at) FILTER (WHERE e.event = 'corrected') OVER person AS corrected_at,
          max(e.occurred_at) FILTER (WHERE e.event = 'confirmed') OVER person AS confirmed_at,
          max(e.occurred_at) FILTER (WHERE e.event = 'expired')
            OVER (PARTITION BY t.brand_id, t.number, t.category, e.tier) AS lapsed_at
        FROM target t CROSS JOIN LATERAL (
          SELECT * FROM compliance_consent c WHERE c.brand_id = t.brand_id AND c.number = t.number OFFSET 0) e
        WHERE e.category IN ('', t.category)
        WINDOW person AS (PARTITION BY t.brand_id, t.number, t.category)),
      judged AS (
        SELECT s.*,
          (expires_at IS NULL OR lapsed_at IS NULL OR expires_at > lapsed_at)
          AND CASE WHEN is_undated THEN coalesce(revoked_at, gone_at, corrected_at) IS NULL
            ELSE (revoked_at IS NULL OR occurred_at > revoked_at) AND (gone_at IS NULL OR occurred_at > gone_at)
              AND (corrected_at IS NULL OR occurred_at >= corrected_at) END AS stands
        FROM seen s),
      chosen AS (
        SELECT j.tenant_id, j.brand_id, j.number, j.category, max(revoked_at) AS revoked_at, max(expired_at) AS expired_at,
          (array_agg(id ORDER BY {_RANK.format("j")} DESC, expires_at DESC NULLS FIRST, occurred_at DESC, recorded_at DESC,
            id DESC) FILTER (WHERE stands AND event IN ({_GRANTS})))[1] AS consent_id,
          (array_agg(id ORDER BY {_RANK.format("j")} DESC, expires_at DESC, occurred_at DESC, recorded_at DESC, id DESC)
            FILTER (WHERE stands AND event = 'asked' AND (confirmed_at IS NULL OR confirmed_at < occurred_at)))[1] AS pending_id
        FROM judged j GROUP BY 1, 2, 3, 4)
      SELECT t.tenant_id, t.brand_id, t.number, t.category, coalesce(g.tier, '') AS tier,
        CASE WHEN g.id IS NOT NULL THEN 'granted' WHEN a.id IS NOT NULL THEN 'pending'
          WHEN c.revoked_at >= coalesce(c.expired_at, c.revoked_at) THEN 'revoked'
          WHEN c.expired_at IS NOT NULL THEN 'expired' ELSE 'none' END AS status,
        coalesce(g.occurred_at, a.occurred_at, greatest(c.revoked_at, c.expired_at)) AS since, g.expires_at,
        a.id AS pending_id, a.expires_at AS pending_until, least(g.expires_at, a.expires_at) AS lapses_at,
        g.id AS consent_id
      FROM target t LEFT JOIN chosen c USING (brand_id, number, category)
        LEFT JOIN compliance_consent g ON g.id = c.consent_id
        LEFT JOIN compliance_consent a ON a.id = c.pending_id
          AND (g.id IS NULL OR {_RANK.format("g")} < {_RANK.format("a")})"""


_TOUCHED: Final = """
  SELECT DISTINCT %(tenant)s::bigint AS tenant_id, %(brand)s::bigint AS brand_id, u.number, k.category
  FROM unnest(%(numbers)s::text[], %(categories)s::text[]) AS u(number, category)
    CROSS JOIN LATERAL (VALUES (u.category), ('')) AS k(category)"""
_KNOWN: Final = """
  SELECT s.tenant_id, s.brand_id, s.number, s.category
  FROM unnest(%(brands)s::bigint[], %(numbers)s::text[]) AS u(brand_id, number) CROSS JOIN LATERAL (
    SELECT * FROM compliance_consentstate x WHERE x.brand_id = u.brand_id AND x.number = u.number OFFSET 0) s"""

# Gives back whom we have known before: their states are still the old ones.
_ADD: Final = f"""
  WITH made AS (
    INSERT INTO compliance_consentstate (tenant_id, brand_id, number, category, {_VALUES})
    SELECT tenant_id, brand_id, number, category, {_VALUES} FROM ({_fold(_TOUCHED)}) f
    ORDER BY brand_id, number, category
    ON CONFLICT (brand_id, number, category) DO NOTHING RETURNING number, category)
  SELECT number FROM unnest(%(numbers)s::text[]) AS u(number) EXCEPT SELECT number FROM made WHERE category = ''"""
_LOCK: Final = """
  SELECT 1 FROM compliance_consentstate s
  JOIN unnest(%(brands)s::bigint[], %(numbers)s::text[]) AS u(brand_id, number)
    ON s.brand_id = u.brand_id AND s.number = u.number
  WHERE s.category = '' ORDER BY s.brand_id, s.number FOR UPDATE OF s"""
_UPDATE: Final = f"""
  UPDATE compliance_consentstate s SET ({_VALUES}) = ROW({_of("f")})
  FROM ({_fold(_KNOWN)}) f
  WHERE s.brand_id = f.brand_id AND s.number = f.number AND s.category = f.category
    AND ({_of("s")}) IS DISTINCT FROM ({_of("f")})"""

Person = tuple[int, str]
"""Brand and number."""


def follow(*, tenant_id: int, brand_id: int, numbers: Sequence[str], categories: Sequence[str]) -> None:
    """Bring the states of these persons up to date with what was recorded, in the caller's transaction."""
    given = {"tenant": tenant_id, "brand": brand_id, "numbers": list(numbers), "categories": list(categories)}
    refresh({(brand_id, number) for (number,) in rows(_ADD, given)})


def lock(people: Collection[Person]) -> None:
    """Let nobody else record anything of these persons until the transaction ends. Who has no state is not locked."""
    if people:
        rows(_LOCK, _columns(people))


def refresh(people: Collection[Person]) -> int:
    """Compute the states of persons who have one again; return how many changed."""
    if not people:
        return 0
    lock(people)
    # A statement of its own: it sees what was recorded by those who had the lock before.
    return execute(_UPDATE, _columns(people))


def differences(*, brand_id: int, after: str = "", most: int = 10_000) -> tuple[list[tuple[str, str]], str]:
    """Return (number, category) whose state is not what the ledger says, and behind which number to go on ("": the end).

    Looks at `most` persons of the brand, in the order of their numbers, including those who have records and no state.
    """
    numbers = [
        number
        for (number,) in rows(
            "SELECT number FROM (SELECT DISTINCT number FROM compliance_consent WHERE brand_id = %(brand)s AND number > %(after)s"
            " UNION SELECT number FROM compliance_consentstate WHERE brand_id = %(brand)s AND number > %(after)s) n"
            " ORDER BY number LIMIT %(most)s",
            {"brand": brand_id, "after": after, "most": most},
        )
    ]
    if not numbers:
        return [], ""
    found = rows(
        f"""
        SELECT coalesce(f.number, s.number), coalesce(f.category, s.category)
        FROM ({_fold(_RECORDED)}) f FULL JOIN (
          SELECT * FROM compliance_consentstate WHERE brand_id = %(brand)s AND number = ANY(%(numbers)s)) s
          ON s.number = f.number AND s.category = f.category
        WHERE ({_of("s")}) IS DISTINCT FROM ({_of("f")}) ORDER BY 1, 2
        """,
        {"brand": brand_id, "numbers": numbers},
    )
    return [(number, category) for number, category in found], numbers[-1] if len(numbers) == most else ""


_RECORDED: Final = """
  SELECT DISTINCT c.tenant_id, c.brand_id, c.number, k.category
  FROM compliance_consent c CROSS JOIN LATERAL (VALUES (c.category), ('')) AS k(category)
  WHERE c.brand_id = %(brand)s AND c.number = ANY(%(numbers)s)"""


def _columns(people: Collection[Person]) -> dict[str, list[int] | list[str]]:
    ordered = sorted(people)
    return {"brands": [brand_id for brand_id, _ in ordered], "numbers": [number for _, number in ordered]}
