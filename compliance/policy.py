"""May we? The first rule that a dispatch breaks, as one SQL expression over its row.

The product puts the expression into its own UPDATE; this module knows nothing of batches and states. Rules are data:
code, version, and what breaking one means. A rule is checked when a batch is cleared and again in the claim.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from compliance.quiet_hours import Window


class Category(enum.StrEnum):
    """What a message is for; it decides which rules apply (facts §2.2)."""

    MARKETING = "marketing"
    INFORMATIONAL = "informational"
    TRANSACTIONAL = "transactional"

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(category.value, category.value) for category in cls]

    @property
    def has_quiet_hours(self) -> bool:
        return self is not Category.TRANSACTIONAL

    @property
    def has_person_cap(self) -> bool:
        return self is Category.MARKETING


class Fate(enum.StrEnum):
    """What becomes of a dispatch that breaks a rule; the values are names of its states."""

    BLOCKED = "blocked"
    HELD = "held"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `code@version` is stored with every decision."""

    code: str
    fate: Fate
    version: int = 1

    def __str__(self) -> str:
        return f"{self.code}@{self.version}"


CANCELLED: Final = Rule("campaign_cancelled", Fate.CANCELLED)
LATE: Final = Rule("lateness_limit", Fate.EXPIRED)
PAUSED: Final = Rule("paused", Fate.HELD)
SUPPRESSED_PLATFORM: Final = Rule("suppressed_platform", Fate.BLOCKED)
SUPPRESSED_BRAND: Final = Rule("suppressed_brand", Fate.BLOCKED)
NOT_DUE: Final = Rule("not_due", Fate.HELD)
NO_WINDOW: Final = Rule("no_allowed_hour_in_time", Fate.EXPIRED)
QUIET: Final = Rule("quiet_hours", Fate.HELD)
PERSON_CAP: Final = Rule("frequency_cap", Fate.HELD)
DAILY_CAP: Final = Rule("daily_cap", Fate.HELD)
PERSON_BUSY: Final = Rule("person_busy", Fate.HELD)
MISSING_FIELD: Final = Rule("missing_merge_field", Fate.BLOCKED)
BAD_TEXT: Final = Rule("text_not_renderable", Fate.BLOCKED)
BAD_LINK: Final = Rule("link_not_allowed", Fate.BLOCKED)
TOO_LONG: Final = Rule("too_many_segments", Fate.BLOCKED)


@dataclass(frozen=True, slots=True)
class Objection:
    """SQL over `d` (a row with id, brand_id, number, due_at, expires_at) and `zones` (an expression of its zones key).

    `place` is the first broken rule's place in `rules`, or NULL; `until` is until when to wait, where the fate is that.
    """

    joins: str
    place: str
    until: str
    rules: Sequence[Rule]
    parameters: Mapping[str, Any] = field(default_factory=dict)


def objection(
    *,
    category: Category,
    now: datetime,
    is_cancelled: bool,
    paused: str,
    windows: Mapping[str, Window] | None,
    zones: str,
) -> Objection:
    """Return the expression for one group of rows that share category and fence.

    `windows` maps each zones key that occurs to its present window; a key without one counts as never allowed, so a
    person whose place changed in this instant waits instead of slipping through. None: no quiet hours apply.
    """
    whens = [
        (CANCELLED, "%(is_cancelled)s", "NULL"),
        (LATE, "d.expires_at <= %(now)s", "NULL"),
        (PAUSED, "%(paused)s <> ''", "d.expires_at"),
        (SUPPRESSED_PLATFORM, "s.by_platform", "NULL"),
        (SUPPRESSED_BRAND, "NOT s.by_platform", "NULL"),
        (NOT_DUE, "d.due_at > %(now)s", "d.due_at"),
    ]
    joins = _SUPPRESSION
    parameters: dict[str, Any] = {
        "now": now,
        "is_cancelled": is_cancelled,
        "paused": paused,
        "category": category.value,
    }
    if windows is not None:
        joins += f"""
 LEFT JOIN unnest(%(w_zones)s::text[], %(w_open)s::bool[], %(w_until)s::timestamptz[]) AS w(zones, is_open, until)
   ON w.zones = {zones}"""
        parameters |= {
            "w_zones": list(windows),
            "w_open": [window.is_open for window in windows.values()],
            "w_until": [window.until for window in windows.values()],
        }
        whens += [
            (
                NO_WINDOW,
                "w.zones IS NOT NULL AND NOT w.is_open AND (w.until IS NULL OR w.until >= d.expires_at)",
                "NULL",
            ),
            (QUIET, "w.zones IS NOT NULL AND NOT w.is_open", "w.until"),
            (QUIET, "w.zones IS NULL", "%(now)s + interval '1 minute'"),
        ]
    return Objection(
        joins=joins,
        place=_case((condition, str(place)) for place, (_, condition, _) in enumerate(whens)),
        until=_case((condition, f"({until})::timestamptz") for _, condition, until in whens),
        rules=[rule for rule, _, _ in whens],
        parameters=parameters,
    )


_SUPPRESSION: Final = """
 LEFT JOIN LATERAL (
   SELECT bool_or(x.scope = 'platform') AS by_platform FROM compliance_suppression x
   WHERE x.number = d.number AND x.released_at IS NULL AND x.category IN ('', %(category)s)
     AND (x.brand_id = d.brand_id OR x.brand_id IS NULL)
 ) s ON true"""


def _case(branches: Iterable[tuple[str, str]]) -> str:
    return "CASE " + " ".join(f"WHEN {condition} THEN {value}" for condition, value in branches) + " END"
