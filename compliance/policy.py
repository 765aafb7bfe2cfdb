"""May we? The first rule that a dispatch breaks, as one SQL expression over its row.

The product puts the expression into its own UPDATE; this module knows nothing of batches and states. Rules are data:
code, version, and what breaking one means. A rule is checked when a batch is cleared and again in the claim.
"""

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Final

from compliance import consent_rules, hygiene
from compliance.data.statutes import RULES_VERSION
from compliance.quiet_hours import Window


class Category(enum.StrEnum):
    """What a message is for; it decides which rules apply (facts §2.2)."""

    MARKETING = "marketing"
    INFORMATIONAL = "informational"
    TRANSACTIONAL = "transactional"
    KEYWORD_REPLY = "keyword_reply"  # our answer to STOP, HELP, START or JOIN; nobody chooses it

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        """Return those that people choose from."""
        return [(category.value, category.value) for category in cls if not category.is_answer]

    @property
    def is_answer(self) -> bool:
        """Whether it goes out although the person has opted out of the brand (R35)."""
        return self is Category.KEYWORD_REPLY

    @property
    def has_quiet_hours(self) -> bool:
        return self is not Category.TRANSACTIONAL and not self.is_answer

    @property
    def has_daily_cap(self) -> bool:
        return not self.is_answer

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
    version: int | str = 1

    def __str__(self) -> str:
        return f"{self.code}@{self.version}"


CANCELLED: Final = Rule("campaign_cancelled", Fate.CANCELLED)
LATE: Final = Rule("lateness_limit", Fate.EXPIRED)
PAUSED: Final = Rule("paused", Fate.HELD)
NOT_TEXTABLE: Final = Rule("number_not_textable", Fate.BLOCKED)
COUNTRY: Final = Rule("country_not_allowed", Fate.BLOCKED)
SUPPRESSED_PLATFORM: Final = Rule("suppressed_platform", Fate.BLOCKED)
SUPPRESSED_BRAND: Final = Rule("suppressed_brand", Fate.BLOCKED)
SUPPRESSED_CATEGORY: Final = Rule("suppressed_category", Fate.BLOCKED)
PROVIDER_BLOCKED: Final = Rule("provider_blocked", Fate.BLOCKED)
ERASED: Final = Rule("erased", Fate.BLOCKED)
ERASED_UNREADABLE: Final = Rule("erased_unreadable", Fate.HELD)  # a pepper is missing: nobody can say who was erased
NOT_DUE: Final = Rule("not_due", Fate.HELD)
NO_CONSENT: Final = Rule("no_consent", Fate.BLOCKED)
CONSENT_PENDING: Final = Rule("consent_pending_double_opt_in", Fate.BLOCKED)
CONSENT_EXPIRED: Final = Rule("consent_expired", Fate.BLOCKED)
UNKNOWN_PLACE: Final = Rule("unknown_place", Fate.BLOCKED)
REGIONAL_HOLD: Final = Rule("regional_hold", Fate.HELD)
PLACE_CHANGED: Final = Rule("place_changed", Fate.HELD)
NO_WINDOW: Final = Rule("no_allowed_hour_in_time", Fate.EXPIRED, RULES_VERSION)
BLACKOUT: Final = Rule("brand_blackout", Fate.HELD)
QUIET: Final = Rule("quiet_hours", Fate.HELD, RULES_VERSION)
PERSON_CAP: Final = Rule("frequency_cap", Fate.HELD)
PERSON_LIMIT: Final = Rule("frequency_limit", Fate.HELD)
PROMISED_CAP: Final = Rule("frequency_promised", Fate.HELD)
DAILY_CAP: Final = Rule("daily_cap", Fate.HELD)
HOURLY_CAP: Final = Rule("hourly_cap", Fate.HELD)
CARRIER_CAP: Final = Rule("carrier_daily_cap", Fate.HELD)
ACCOUNT_CAP: Final = "account_cap"  # its version is the limit's
PERSON_BUSY: Final = Rule("person_busy", Fate.HELD)
MISSING_FIELD: Final = Rule("missing_merge_field", Fate.BLOCKED)
BAD_TEXT: Final = Rule("text_not_renderable", Fate.BLOCKED)
BAD_LINK: Final = Rule("link_not_allowed", Fate.BLOCKED)
TOO_LONG: Final = Rule("too_many_segments", Fate.BLOCKED)
BAD_HOST: Final = Rule("link_host_blocked", Fate.BLOCKED)
TRAFFIC_REVIEW: Final = Rule("traffic_review", Fate.HELD)
TRAFFIC_PUMPING: Final = Rule("traffic_pumping", Fate.BLOCKED)


@dataclass(frozen=True, slots=True)
class Objection:
    """SQL over `d` (a row with id, brand_id, number, due_at, expires_at) and `zones` (an expression of its zones key).

    `place` is the first broken rule's place in `rules`, or NULL; `until` is until when to wait, where the fate is that;
    `detail` says what the rule goes by, for people.
    """

    joins: str
    place: str
    until: str
    rules: Sequence[Rule]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    detail: str = "''"

    @property
    def dated(self) -> str:
        """Those of the rules that follow the law's dates, with their versions: what a row was judged by that passes."""
        found = {rule.code: str(rule) for rule in self.rules if rule.code in (NO_CONSENT.code, QUIET.code)}
        return " ".join(found.values())

    def at(self, instant: str) -> "Objection":
        """Return the same question, put to each row at an instant of its own: an SQL expression over `d`."""
        asked = {each.name: getattr(self, each.name) for each in fields(self)}
        changed: dict[str, Any] = {
            name: sql.replace("%(now)s", instant) for name, sql in asked.items() if isinstance(sql, str)
        }
        return replace(self, **changed)


def objection(  # noqa: PLR0913 - what the rules ask for
    *,
    category: Category,
    now: datetime,
    is_cancelled: bool,
    paused: str,
    windows: Mapping[str, Window] | None,
    zones: str,
    is_consent_here: bool,
    promised: str = "NULL",
    countries: Sequence[str] = (),
    country: str = "''",
    erased: Collection[str] = (),
    knows_erased: bool = True,
) -> Objection:
    """Return the expression for one group of rows that share category and fence.

    `is_consent_here`: the proof of consent is in our ledger, so who is not in it is not texted.
    `country` is an expression of the person's country, empty where it is not known; it must be one of `countries`, where
    there are any.
    `windows` maps each place key that occurs to its present window; a key without one counts as never allowed, so a
    person whose place changed in this instant waits instead of slipping through. None: no quiet hours apply.
    `promised` is an expression of the instant until which an earlier check allowed the row, and the provider would try:
    where the present window ends before, the row is checked again from the start.
    `erased` are those of the rows' numbers whose people were erased (`compliance.erasure`); what is left of one that was
    erased after its row was made begins with #.
    """
    whens = [
        (CANCELLED, "%(is_cancelled)s", "NULL"),
        (LATE, "d.expires_at <= %(now)s", "NULL"),
        (PAUSED, "%(paused)s <> ''", "d.expires_at"),
        (COUNTRY, f"{country} <> '' AND NOT {country} = ANY(%(countries)s)", "NULL"),
        (NOT_TEXTABLE, "nt.is_known", "NULL"),
        *_SUPPRESSED,
        (ERASED, "(starts_with(d.number, '#') OR d.number = ANY(%(erased)s::text[]))", "NULL"),
        (ERASED_UNREADABLE, "NOT %(knows_erased)s", "%(now)s + interval '5 minutes'"),
        (NOT_DUE, "d.due_at > %(now)s", "d.due_at"),
    ]
    if not countries:
        whens = [when for when in whens if when[0] is not COUNTRY]
    joins, details = _SUPPRESSION + hygiene.JOIN, dict[Rule, str]()
    parameters: dict[str, Any] = {
        "now": now,
        "is_cancelled": is_cancelled,
        "paused": paused,
        "category": category.value,
        "countries": list(countries),
        "erased": list(erased),
        "knows_erased": knows_erased,
        "is_answer": category.is_answer,
    }
    need = consent_rules.needed(category, now.date())
    if is_consent_here and need.tier is not None:
        joins += _CONSENT
        parameters["enough"] = [tier.value for tier in consent_rules.at_least(need.tier)]
        whens += [
            (replace(rule, version=need.version), f"coalesce(c.lack, 'none') = '{lack}'", "NULL")
            for rule, lack in ((CONSENT_PENDING, "pending"), (CONSENT_EXPIRED, "expired"), (NO_CONSENT, "none"))
        ]
    if windows is not None:
        joins += f"""
 LEFT JOIN unnest(%(w_zones)s::text[], %(w_open)s::bool[], %(w_until)s::timestamptz[], %(w_codes)s::text[],
   %(w_details)s::text[], %(w_spreads)s::int[]) AS w(zones, is_open, until, code, detail, spread) ON w.zones = {zones}"""
        parameters |= {
            "w_zones": list(windows),
            "w_open": [window.is_open for window in windows.values()],
            "w_until": [window.until for window in windows.values()],
            "w_codes": [window.code for window in windows.values()],
            "w_details": [window.detail for window in windows.values()],
            "w_spreads": [int(window.spread.total_seconds()) for window in windows.values()],
        }
        details = dict.fromkeys((UNKNOWN_PLACE, REGIONAL_HOLD, NO_WINDOW, BLACKOUT, QUIET), "coalesce(w.detail, '')")
        whens += [
            (UNKNOWN_PLACE, f"w.code = '{UNKNOWN_PLACE.code}'", "NULL"),
            (REGIONAL_HOLD, f"w.code = '{REGIONAL_HOLD.code}'", "w.until"),
            (
                NO_WINDOW,
                "w.zones IS NOT NULL AND NOT w.is_open AND (w.until IS NULL OR w.until >= d.expires_at)",
                "NULL",
            ),
            (BLACKOUT, f"w.code = '{BLACKOUT.code}'", _RELEASE),
            (QUIET, "w.zones IS NOT NULL AND NOT w.is_open", _RELEASE),
            (QUIET, "w.zones IS NULL", "%(now)s + interval '1 minute'"),
            (PLACE_CHANGED, f"w.is_open AND ({promised})::timestamptz > w.until", "%(now)s + interval '1 second'"),
        ]
    return Objection(
        joins=joins,
        place=_case((condition, str(place)) for place, (_, condition, _) in enumerate(whens)),
        until=_case((condition, f"({until})::timestamptz") for _, condition, until in whens),
        rules=[rule for rule, _, _ in whens],
        parameters=parameters,
        detail=_case((condition, details.get(rule, "''")) for rule, condition, _ in whens),
    )


# Not everybody at the first minute; but whoever has little time left gets most of it.
_RELEASE: Final = "w.until + least(w.spread * interval '1 second', (d.expires_at - w.until) / 4)"


def suppressions(category: Category) -> Objection:
    """Return the expression that asks for suppressions alone: for rows that wait when one is stored."""
    return Objection(
        joins=_SUPPRESSION,
        place=_case((condition, str(place)) for place, (_, condition, _) in enumerate(_SUPPRESSED)),
        until="NULL::timestamptz",
        rules=[rule for rule, _, _ in _SUPPRESSED],
        parameters={"category": category.value, "is_answer": category.is_answer},
    )


# One probe of the index per row, by its number; of several suppressions the first in the order of the rules counts.
# The brand is compared in a way that no index serves: left to choose, the planner looks for all that have none as well.
_SUPPRESSION: Final = """
 LEFT JOIN LATERAL (
   SELECT min(CASE WHEN x.brand_id IS NULL THEN 1 WHEN x.category <> '' THEN 3
     WHEN x.reason = 'provider_blocked' THEN 4 ELSE 2 END) AS kind
   FROM compliance_suppression x
   WHERE x.number = d.number AND x.released_at IS NULL AND x.category IN ('', %(category)s)
     AND coalesce(x.brand_id, d.brand_id) = d.brand_id AND (x.brand_id IS NULL OR NOT %(is_answer)s)
 ) s ON true"""
_SUPPRESSED: Final = (
    (SUPPRESSED_PLATFORM, "s.kind = 1", "NULL"),
    (SUPPRESSED_BRAND, "s.kind = 2", "NULL"),
    (SUPPRESSED_CATEGORY, "s.kind = 3", "NULL"),
    (PROVIDER_BLOCKED, "s.kind = 4", "NULL"),
)

# The category's own state if there is one, else that of all categories: rows of the key that lie side by side.
_CONSENT: Final = """
 LEFT JOIN LATERAL (
   SELECT CASE
       WHEN x.tier = ANY(%(enough)s) AND (x.expires_at IS NULL OR x.expires_at > %(now)s) THEN ''
       WHEN x.pending_until > %(now)s THEN 'pending'
       WHEN x.tier = ANY(%(enough)s) OR x.pending_until <= %(now)s OR x.status = 'expired' THEN 'expired'
       ELSE 'none' END AS lack
   FROM compliance_consentstate x
   WHERE x.brand_id = d.brand_id AND x.number = d.number AND x.category IN ('', %(category)s)
   ORDER BY x.category DESC LIMIT 1
 ) c ON true"""


def consent_until(*, category: Category, now: datetime, is_consent_here: bool) -> tuple[str, str, dict[str, Any]]:
    """Return a join, an expression and its parameters: until when the consent of a row `d` lasts, or NULL.

    Messages must not lie at a provider for longer than that. Where no consent is asked for, there is nothing to join.
    """
    need = consent_rules.needed(category, now.date())
    if not is_consent_here or need.tier is None:
        return "", "NULL::timestamptz", {}
    return _CONSENT_UNTIL, "c.until", {"of_category": category.value}


_CONSENT_UNTIL: Final = """
 LEFT JOIN LATERAL (
   SELECT x.expires_at AS until FROM compliance_consentstate x
   WHERE x.brand_id = d.brand_id AND x.number = d.number AND x.category IN ('', %(of_category)s)
   ORDER BY x.category DESC LIMIT 1
 ) c ON true"""


def _case(branches: Iterable[tuple[str, str]]) -> str:
    return "CASE " + " ".join(f"WHEN {condition} THEN {value}" for condition, value in branches) + " END"
