"""The admin of the product; importing it registers everything."""

from campaigns.admin import (
    approvals,
    campaigns,
    dispatches,
    events,
    imports,
    keywords,
    limits,
    numbers,
    people,
    preflights,
    runs,
    templates,
)

__all__ = [
    "approvals",
    "campaigns",
    "dispatches",
    "events",
    "imports",
    "keywords",
    "limits",
    "numbers",
    "people",
    "preflights",
    "runs",
    "templates",
]
