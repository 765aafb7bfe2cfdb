"""How often one person may be texted, by law: the states that set a number. Data only; nothing here reads a clock.

Facts of 2026-11-21 (facts/compliance.md §2.4, §2.7). Federal law sets none. The statutes of FL, MD and OK count
messages "on the same subject"; all of a brand's marketing counts as one subject here, which is stricter. OR exempts an
established business relationship of up to 18 months and answers to the person; neither is claimed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final


@dataclass(frozen=True, slots=True)
class StateCap:
    """At most so many marketing messages to a person of this state in so many hours, from a date on."""

    state: str
    amount: int
    hours: int
    citation: str
    confidence: str  # A, Q, B, C as in the facts
    effective_from: date | None = None  # None: in force before these facts were gathered
    effective_to: date | None = None  # exclusive
    version: int = 1

    def holds_on(self, day: date) -> bool:
        """Return whether it is in force on this day."""
        return (self.effective_from is None or self.effective_from <= day) and (
            self.effective_to is None or day < self.effective_to
        )


RULES: Final = (
    StateCap("FL", 3, 24, "Fla. Stat. 501.616(6)", "Q"),
    StateCap("MD", 3, 24, "Md. Com. Law 14-4502(c)", "Q"),
    StateCap("OK", 3, 24, "15 O.S. 775C.4(A)", "Q"),
    StateCap("OR", 3, 24, "ORS 646.563 (HB 3865)", "B", effective_from=date(2026, 1, 1)),
)

BY_STATE: Final[Mapping[str, tuple[StateCap, ...]]] = {
    state: tuple(rule for rule in RULES if rule.state == state) for state in {rule.state for rule in RULES}
}
