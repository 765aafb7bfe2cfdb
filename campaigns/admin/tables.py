"""What pages show beside a row's own fields: small tables, and a run's progress as a bar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from campaigns.states import State

_COLOURS: Final[Mapping[State, str]] = {
    State.DELIVERED: "#2e7d32",
    State.ACCEPTED: "#81c784",
    State.SENDING: "#1e88e5",
    State.READY: "#4fa3e8",
    State.ALLOWED: "#7ab8ec",
    State.LOCKED: "#9ccaf1",
    State.CLEARED: "#bbdaf5",
    State.QUEUED: "#cfd8dc",
    State.HELD: "#ffd54f",
    State.UNDELIVERED: "#fb8c00",
    State.REJECTED: "#e53935",
    State.UNKNOWN: "#8e24aa",
    State.DEAD: "#6d1b1b",
    State.BLOCKED: "#a1887f",
    State.EXPIRED: "#90a4ae",
    State.CANCELLED: "#78909c",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; cells are texts, numbers, instants or HTML. `none` stands for no rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    none: str = "None."

    @property
    def cells(self) -> list[list[tuple[Any, bool]]]:
        """Return each cell with whether it is a number."""
        return [
            [(shown(cell), isinstance(cell, int) and not isinstance(cell, bool)) for cell in row] for row in self.rows
        ]


def shown(value: object) -> object:
    """Return a value as people read it: numbers grouped, instants to the second."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "" if value is None else value


def link(model: str, key: object, text: object) -> SafeString:
    """Return a link to a row's page; `model` is like campaigns_run."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{model}_change", args=[key]), text)


def list_link(model: str, text: object, **filters: object) -> SafeString:
    """Return a link to a list with filters."""
    return format_html('<a href="{}?{}">{}</a>', reverse(f"admin:{model}_changelist"), urlencode(filters), text)


def bar(totals: Mapping[str, int]) -> SafeString:
    """Return the totals as one bar: what is taken first, then what moves, then what ended otherwise."""
    everything = sum(totals.values())
    if not everything:
        return format_html(
            '<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img">{}</svg>', _part(0, 100, "#eceff1", "")
        )
    parts, start = [], 0.0
    for state, colour in _COLOURS.items():
        width = 100 * totals.get(state, 0) / everything
        if width:
            parts.append((_part(start, width, colour, f"{state}: {totals[state]:,}"),))
            start += width
    return format_html(
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img">{}</svg>', format_html_join("", "{}", parts)
    )


def legend(totals: Mapping[str, int]) -> SafeString:
    """Return what the colours of the bar mean, with numbers and shares."""
    everything = sum(totals.values())
    entries = [
        (colour, state, f"{totals[state]:,}", f"{100 * totals[state] / everything:.1f}")
        for state, colour in _COLOURS.items()
        if totals.get(state)
    ]
    return format_html(
        '<ul class="legend">{}</ul>',
        format_html_join(
            "",
            '<li><svg viewBox="0 0 1 1"><rect width="1" height="1" fill="{}"/></svg>{} <b>{}</b> ({} %)</li>',
            entries,
        ),
    )


def strip(parts: Sequence[tuple[str, str, int]]) -> SafeString:
    """Return (colour, name, number) side by side, as one bar with what its colours mean."""
    everything = sum(number for _, _, number in parts) or 1
    drawn, start = [], 0.0
    for colour, name, number in parts:
        width = 100 * number / everything
        drawn.append((_part(start, width, colour, f"{name}: {number:,}"),))
        start += width
    entries = [(colour, name, f"{number:,}", f"{100 * number / everything:.1f}") for colour, name, number in parts]
    return format_html(
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img">{}</svg><ul class="legend">{}</ul>',
        format_html_join("", "{}", drawn),
        format_html_join(
            "",
            '<li><svg viewBox="0 0 1 1"><rect width="1" height="1" fill="{}"/></svg>{} <b>{}</b> ({} %)</li>',
            entries,
        ),
    )


def meter(number: int, most: int) -> SafeString:
    """Return a number with a bar beside it, as long as its part of the most."""
    return format_html(
        '<svg class="meter" viewBox="0 0 100 10" preserveAspectRatio="none" role="img">{}</svg> {}',
        _part(0, 100 * number / max(most, 1), "#4fa3e8", f"{number:,}"),
        f"{number:,}",
    )


def _part(start: float, width: float, colour: str, title: str) -> SafeString:
    return format_html(
        '<rect x="{}" y="0" width="{}" height="10" fill="{}"><title>{}</title></rect>',
        f"{start:.3f}", f"{width:.3f}", colour, title,
    )  # fmt: skip
