"""The admin of the product; importing it registers everything."""

from campaigns.admin import campaigns, dispatches, events, imports, people, runs, templates

__all__ = ["campaigns", "dispatches", "events", "imports", "people", "runs", "templates"]
