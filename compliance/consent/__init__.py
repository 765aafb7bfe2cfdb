"""The ledger of consent: who allowed which brand to text them what, with the proof, and what of that holds now.

    from compliance import consent
    consent.record(brand=…, number=…, event=consent.Event.GRANTED, tier=consent.Tier.WRITTEN, …)

`record` and `record_all` add evidence, `ask`, `standing`, `pending` and `confirm` are the double opt-in, `expire` and
`deactivate` end what is over, `explain`, `history` and `exported` tell it to people. The send gate reads the state that
follows (policy.py).
"""

from compliance.consent.ledger import Entry, last_disclosure, record, record_all
from compliance.consent.opt_in import (
    Asked,
    Standing,
    ask,
    asked_at,
    confirm,
    deactivate,
    expire,
    pending,
    standing,
)
from compliance.consent.reading import Explanation, as_csv, explain, exported, history
from compliance.consent_rules import Basis, Event, Source, Status, Tier

__all__ = [
    "Asked", "Basis", "Entry", "Event", "Explanation", "Source", "Standing", "Status", "Tier", "as_csv", "ask", "asked_at",
    "confirm", "deactivate", "expire", "explain", "exported", "history", "last_disclosure", "pending", "record", "record_all",
    "standing",
]  # fmt: skip
