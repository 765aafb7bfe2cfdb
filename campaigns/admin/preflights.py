"""The admin of pre-flights: what a launch would do, with bars, and live while it is counted."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from campaigns import preflight
from campaigns.admin.tables import Table, link, meter, strip
from campaigns.models import Preflight
from campaigns.preflight import reading
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_scope import Facts
from smsplatform.tenancy.admin_verbs import VerbsAdmin
from smsplatform.tenancy.models import Role

_OPEN = (Preflight.Status.WAITING, Preflight.Status.RUNNING)
_FATES = (
    ("now", "#43a047", "texted at once"),
    ("later", "#fbc02d", "texted later"),
    ("never", "#a1887f", "not texted"),
)


def overview(row: Preflight, *, is_page: bool = True) -> SafeString:
    """Return a pre-flight's answer in short, or how far it is."""
    if row.status in _OPEN:
        share = 100 * row.done / row.people if row.people else 0
        refresh = format_html('<meta http-equiv="refresh" content="{}">', 2) if is_page else ""
        done, left = min(row.done, row.people), max(row.people - row.done, 0)
        bar = strip([("#4fa3e8", "looked at", done), ("#cfd8dc", "to come", left)])
        return format_html(
            "{}{}<p><b>{} %</b> of {} people looked at.</p>", refresh, bar, f"{share:.0f}", f"{row.people:,}"
        )
    if row.status == Preflight.Status.FAILED:
        return format_html('<div class="remarks"><p>It could not be counted: {}</p></div>', row.reason)
    numbers = row.numbers
    bar = strip([(colour, name, numbers[fate]) for fate, colour, name in _FATES])
    told = format_html("<p><b>{}</b></p>", reading.headline(numbers))
    return format_html("{}{}{}", _remarks(row), bar, told)


def _remarks(row: Preflight) -> SafeString | str:
    changed = preflight.changes(row)
    told = [*row.numbers["remarks"]]
    if changed:
        told.insert(0, f"Stale. Since it was counted this has changed: {', '.join(changed)}. Count it again.")
    if not told:
        return ""
    return format_html('<div class="remarks">{}</div>', format_html_join("", "<p>{}</p>", [(each,) for each in told]))


def tables(row: Preflight, *, with_texts: bool) -> list[Table]:
    """Return the numbers by rule, instant, zone and country, and the texts to look at, or how long they are."""
    numbers = row.numbers
    found = [Table(title, columns, rows) for title, columns, rows in reading.tables(numbers)]
    most = max((each["people"] for each in numbers["instants"]), default=1)
    instants = [
        (f"{each['at'][:16].replace('T', ' ')}{' and later' if each['is_rest'] else ''}", meter(each["people"], most))
        for each in numbers["instants"]
    ]
    texts = [
        (kind, number, segments, (_shown(text) if with_texts else f"{len(text):,} characters") if text else why)
        for kind, number, segments, text, why in reading.worst(row.campaign, numbers)
    ]
    encodings = [(name, people) for name, people in sorted(numbers["encodings"].items())]
    return [
        found[0],
        Table("When", ("at (UTC)", "people"), instants, none="Nobody is texted."),
        *found[1:],
        Table("Alphabet", ("encoding", "texts"), encodings, none="The texts were only sampled."),
        Table("Texts to look at", ("kind", "number", "segments", "text"), texts, none="None."),
    ]


def _shown(text: str) -> SafeString:
    return format_html('<pre class="text">{}</pre>', text)


@admin.display(description="campaign", ordering="campaign__name")
def _campaign(row: Preflight) -> SafeString:
    return link("campaigns_campaign", row.campaign_id, row.campaign)


@admin.display(description="answer")
def _answer(row: Preflight) -> str:
    if row.status != Preflight.Status.DONE:
        return f"{row.status}: {row.done:,} of {row.people:,}" if row.status in _OPEN else row.status
    return " · ".join(f"{row.numbers[fate]:,} {name}" for fate, _, name in _FATES)


@admin.register(Preflight)
class PreflightAdmin(Facts, VerbsAdmin, BigTableAdmin):
    """What launches would do, as counted then."""

    list_display = ("__str__", _campaign, _answer, "created_by", instant("created_at"))
    list_select_related = ("campaign",)
    list_filter = ("status",)
    ordering = ("-pk",)
    readonly_fields: ClassVar[Any] = (_campaign,)
    fields: ClassVar[Any] = (
        _campaign,
        "version",
        "at",
        "occurrence",
        "status",
        "created_by",
        "created_at",
        "finished_at",
    )

    def page_context(self, request: HttpRequest, row: Preflight) -> dict[str, Any]:
        is_manager = self.may(request, Role.MANAGER, row)
        shown = tables(row, with_texts=is_manager) if row.status == Preflight.Status.DONE else []
        return {"overview": overview(row), "tables": shown}
