"""The line that says how to end the texts, and when a person must be told it (facts §6.3, from CTIA).

A text with the word STOP belongs to the first that a person gets from a brand, and to one in 30 days after that. When
each was told last is one row per brand and person, written after a provider has taken such a text; what is not written
for a crash, or told by a receipt days later, only means that the line is told once more.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from compliance import languages
from smsplatform.common.database import execute

RULE: Final = "stop_line@1"
SINCE: Final = "2026-11-21"
EVERY: Final = timedelta(days=30)
_REMEMBERED_FOR: Final = timedelta(days=15)  # younger rows are not written again

# Version 1, 2026-11-21. Keywords are taken in every language, but STOP is the word that all of these hold.
LINES: Final[Mapping[str, str]] = {
    "en": "Reply STOP to opt out.",
    "es": "Responda STOP para cancelar.",
    "fr": "Répondez STOP pour vous désinscrire.",
    "pt": "Responda STOP para cancelar.",
    "de": "Antworten Sie STOP zum Abmelden.",
    "it": "Rispondi STOP per cancellarti.",
    "zh": "回复 STOP 退订。",
    "vi": "Trả lời STOP để hủy.",
    "ht": "Reponn STOP pou sispann.",
}
_PATTERN: Final = r"(^|[^[:alnum:]])STOP([^[:alnum:]]|$)"

# Parts of a SELECT over dispatches `d`.
# Row by row through the key: a planner that thinks the table small would read it whole.
JOIN: Final = """
 LEFT JOIN LATERAL (
   SELECT x.told_at FROM compliance_stopline x WHERE x.brand_id = d.brand_id AND x.number = d.number LIMIT 1) l ON true"""
IS_DUE: Final = "(l.told_at IS NULL OR l.told_at <= %(told_before)s)"


def is_due_at(instant: str) -> str:
    """Return the same at an instant of each row's own, an SQL expression; its parameter is %(stop_line_every)s."""
    return IS_DUE.replace("%(told_before)s", f"{instant} - %(stop_line_every)s::interval")


def tells_stop(text: str) -> bool:
    """Return whether a text says STOP, as a word, in capitals: "don't stop" is no way out."""
    at = text.find("STOP")
    while at >= 0:
        if not (text[at - 1 : at].isalnum() or text[at + 4 : at + 5].isalnum()):
            return True
        at = text.find("STOP", at + 4)
    return False


def told_before(now: datetime) -> datetime:
    """Return the instant before which it counts as not told; the parameter of IS_DUE."""
    return now - EVERY


def line(*, language: str, own: Mapping[str, str]) -> str:
    """Return the line in a person's language: the brand's own words where it has some; English where there are none."""
    texts = {**LINES, **own}
    return texts[languages.choose(language, texts) or ("default" if "default" in own else "en")]


def add(text: str, wording: str) -> str:
    """Return the text with the line at its end."""
    return f"{text.rstrip()} {wording}"


def remember(*, given: str, parameters: Mapping[str, Any], now: datetime) -> int:
    """Store who was told; return how many rows are news. One statement.

    `given` is a SELECT of (tenant_id, brand_id, number, text, at) of texts that were taken.
    """
    return execute(
        f"""
        INSERT INTO compliance_stopline AS old (tenant_id, brand_id, number, told_at)
        SELECT DISTINCT ON (g.brand_id, g.number) g.tenant_id, g.brand_id, g.number, g.at FROM ({given}) g
        LEFT JOIN LATERAL (
          SELECT x.told_at FROM compliance_stopline x WHERE x.brand_id = g.brand_id AND x.number = g.number LIMIT 1) l ON true
        WHERE (l.told_at IS NULL OR l.told_at < %(fresh)s) AND g.text ~ %(pattern)s
        ORDER BY g.brand_id, g.number, g.at DESC
        ON CONFLICT (brand_id, number) DO UPDATE SET told_at = greatest(old.told_at, excluded.told_at)
        """,
        {**parameters, "fresh": now - _REMEMBERED_FOR, "pattern": _PATTERN},
    )
