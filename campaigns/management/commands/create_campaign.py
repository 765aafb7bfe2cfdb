"""`manage.py create_campaign`: what to say to whom and when. `launch` sends it."""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from django.db import transaction

from campaigns import occurrences
from campaigns.management.commands import _texts
from campaigns.models import Campaign, RecipientList, Template
from compliance.policy import Category
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand, made, make_once
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy import access, audit
from smsplatform.tenancy.models import Brand, Tenant

S = Campaign.Schedule
# Which options belong to which schedules; given with another one they are a mistake.
_BELONGS: Final[Mapping[str, tuple[str, ...]]] = {
    "at": (S.AT,),
    "local_at": (S.LOCAL,),
    "past_policy": (S.LOCAL, S.FIELD),
    "crontab": (S.REPEAT,),
    "crontab_clock": (S.REPEAT,),
    "time_field": (S.FIELD,),
}
_LATEST_LATENESS: Final = 7 * 24 * 60
_CANARY: Final = (
    "canary_percent", "canary_people", "canary_minutes", "canary_minimum", "canary_max_errors", "canary_max_opt_outs",
)  # fmt: skip


class Command(OperatorCommand):
    """Running it again with the same values changes nothing."""

    help = "Make a campaign of a brand."
    option_names: ClassVar = {
        "name": "NAME",
        "source": "--text",
        "texts": "--translation",
        "template": "--template",
        "recipientlist": "--list",
        "category": "--category",
        "schedule": "--schedule",
        "send_at": "--at",
        "local_at": "--local-at",
        "past_policy": "--past-policy",
        "crontab": "--crontab",
        "crontab_clock": "--crontab-clock",
        "time_field": "--time-field",
        "lateness_minutes": "--lateness-minutes",
        "spread_hours": "--spread-hours",
        "most_per_hour": "--most-per-hour",
        "canary_percent": "--canary-percent",
        "canary_people": "--canary-people",
        "canary_minutes": "--canary-minutes",
        "canary_minimum": "--canary-minimum",
        "canary_max_errors": "--canary-max-errors",
        "canary_max_opt_outs": "--canary-max-opt-outs",
    }

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("brand", help="slug of the brand")
        parser.add_argument("name", help="the campaign's name")
        _texts.declare(parser)
        parser.add_argument("--template", help="name of a template of the brand, instead of a text")
        parser.add_argument("--list", action="append", default=[], help="whom: name of a list; may be repeated")
        parser.add_argument("--minus-list", action="append", default=[], help="whom not; may be repeated")
        parser.add_argument(
            "--category", choices=[value for value, _ in Category.choices()], help="what it is for (marketing)"
        )
        parser.add_argument("--schedule", choices=S.values, help="when (now: when launched)")
        parser.add_argument("--at", help="one instant with its offset, like 2026-12-01T09:00-05:00")
        parser.add_argument("--local-at", help="wall time in each recipient's zone, like 2026-12-01T09:00")
        parser.add_argument("--past-policy", choices=Campaign.PastPolicy.values, help="whose time is over (skip)")
        parser.add_argument("--crontab", help="minute hour day-of-month month day-of-week, like '0 9 * * 1'")
        parser.add_argument("--crontab-clock", choices=Campaign.Clock.values, help="whose clock (brand)")
        parser.add_argument("--time-field", help="field with each recipient's own time (the send_at column)")
        parser.add_argument("--lateness-minutes", type=int, help="what is later than this expires (240)")
        parser.add_argument("--spread-hours", type=int, help="not at once: evenly over so many hours of allowed time")
        parser.add_argument("--most-per-hour", type=int, help="not at once: at most so many an hour")
        parser.add_argument("--canary-percent", type=int, help="this share first, the others if that goes well")
        parser.add_argument("--canary-people", type=int, help="so many people first, instead of a share")
        parser.add_argument("--canary-minutes", type=int, help="how long their answers are waited for (15)")
        parser.add_argument("--canary-minimum", type=int, help="messages below which nothing is judged (100)")
        parser.add_argument("--canary-max-errors", type=Decimal, help="%% that may fail (10)")
        parser.add_argument("--canary-max-opt-outs", type=Decimal, help="%% that may opt out (3)")

    def act(self, options: dict[str, Any]) -> Answer:
        """Make it, or find the same one."""
        tenant = access.access_tenant(options["tenant"])
        brand = access.access_brand(tenant, options["brand"])
        now = database.now()
        when = _when(options, now)
        if not options["list"]:
            raise InvalidInput("say whom: name a list; `manage.py import_recipients` makes one", field="--list")
        lists, minus = _lists(tenant, options["list"]), _lists(tenant, options["minus_list"])
        with transaction.atomic():
            template = _template(tenant, brand, options)
            campaign, is_new = make_once(
                Campaign,
                by={"tenant": tenant, "name": options["name"]},
                given={
                    "brand": brand,
                    "template": template,
                    "category": options["category"],
                    **when,
                    **{name: options[name] for name in _CANARY},
                },
            )
            if is_new:
                campaign.lists.set(lists)
                campaign.minus_lists.set(minus)
                audit.record(actor=options["actor"], verb="campaign.created", target=campaign, tenant=tenant)
            else:
                _check_same_lists(campaign, lists, minus)
        next_at = _next(campaign, now)
        version = campaign.template.latest
        found = _texts.remarks(version, campaign.category) if version else []
        data = {
            "tenant": tenant.slug,
            "brand": brand.slug,
            "campaign": campaign.name,
            "template": campaign.template.name,
            "schedule": campaign.schedule,
            "category": campaign.category,
            "lists": [each.name for each in lists],
            "minus_lists": [each.name for each in minus],
            "spread_hours": campaign.spread_hours,
            "most_per_hour": campaign.most_per_hour,
            "next_at": next_at,
            "findings": _texts.as_data(found),
            "made": is_new,
        }
        lines = [made("campaign", campaign.name, is_new=is_new), _what_next(campaign, tenant, next_at)]
        return Answer(data, [*lines, *_texts.as_lines(found)])


def _when(options: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return the schedule's fields; raises InvalidInput for options that belong to another schedule."""
    schedule = options["schedule"] or S.NOW
    for name, schedules in _BELONGS.items():
        if options[name] is not None and schedule not in schedules:
            raise InvalidInput(
                f"belongs to --schedule {' or '.join(schedules)}, and this is {schedule}; leave one out",
                field=f"--{name.replace('_', '-')}",
            )
    lateness = options["lateness_minutes"]
    if lateness is not None and not 1 <= lateness <= _LATEST_LATENESS:
        raise InvalidInput(f"give 1 to {_LATEST_LATENESS} minutes", field="lateness_minutes")
    names = (
        "past_policy", "crontab", "crontab_clock", "time_field", "lateness_minutes", "spread_hours", "most_per_hour"
    )  # fmt: skip
    found: dict[str, Any] = {name: options[name] for name in names}
    found["schedule"] = options["schedule"]
    found["send_at"] = _instant(options["at"])
    found["local_at"] = _wall(options["local_at"])
    if schedule == S.AT and found["send_at"] is None:
        raise InvalidInput("say when; write it like --at 2026-12-01T09:00-05:00", field="send_at")
    if schedule == S.LOCAL and found["local_at"] is None:
        raise InvalidInput("say when; write it like --local-at 2026-12-01T09:00", field="local_at")
    if schedule == S.REPEAT and not found["crontab"]:
        raise InvalidInput("say when; write it like --crontab '0 9 * * 1' for Mondays at nine", field="crontab")
    limit = Campaign(lateness_minutes=lateness).lateness
    if found["send_at"] is not None and found["send_at"] + limit <= now:
        raise InvalidInput(
            f"{options['at']} is over by more than the lateness limit; give a later one", field="send_at"
        )
    return found


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInput(
            f"{text!r} is no instant with an offset; write it like 2026-12-01T09:00-05:00", field="send_at"
        )
    return found


def _wall(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is not None or found.second:
        raise InvalidInput(f"{text!r} is no local time to the minute; write it like 2026-12-01T09:00", field="local_at")
    return found.isoformat(timespec="minutes")


def _lists(tenant: Tenant, names: Sequence[str]) -> list[RecipientList]:
    return [access.access(RecipientList, tenant, name=name) for name in sorted(set(names))]


def _template(tenant: Tenant, brand: Brand, options: dict[str, Any]) -> Template:
    """Return the template named, or the campaign's own with the text given; a text never changes another campaign."""
    if options["template"] is not None:
        if any(options[name] is not None for name in ("text", "text_file", "translation")):
            raise InvalidInput("give either a template or a text", field="template")
        template = access.access(Template, tenant, brand=brand, name=options["template"])
        if template.latest is None:
            raise InvalidInput("has no text yet; `manage.py create_template` writes one", field="template")
        return template
    source = _texts.read(options)
    template, is_new = make_once(Template, by={"tenant": tenant, "brand": brand, "name": options["name"]}, given={})
    latest = template.latest
    if not is_new and latest is not None and latest.source != source:
        raise Conflict(
            f"the template {template.name} has another text. Nothing was changed; `manage.py create_template"
            f" {tenant.slug} {brand.slug} {template.name!r}` writes a new version",
            field="source",
        )
    template.write(source, _texts.translations(options))
    return template


def _check_same_lists(campaign: Campaign, lists: Sequence[RecipientList], minus: Sequence[RecipientList]) -> None:
    for option, given, present in (("--list", lists, campaign.lists), ("--minus-list", minus, campaign.minus_lists)):
        names = set(present.values_list("name", flat=True))
        if names != {each.name for each in given}:
            raise Conflict(
                f"the campaign {campaign.name} exists with {', '.join(sorted(names)) or 'none'}. Nothing was changed;"
                " change it in the admin, or choose another name",
                field=option,
            )


def _next(campaign: Campaign, now: datetime) -> datetime | None:
    """Return the next instant that a repeating schedule fires at."""
    if campaign.schedule != S.REPEAT:
        return None
    # By the recipients' clocks it begins where the day begins first.
    zone = campaign.brand.zone if campaign.crontab_clock == Campaign.Clock.BRAND else "Pacific/Kiritimati"
    found = occurrences.next_due(crontab=campaign.crontab, zone=ZoneInfo(zone), after=now)
    return found.at if found else None


def _what_next(campaign: Campaign, tenant: Tenant, next_at: datetime | None) -> str:
    if campaign.schedule == S.REPEAT:
        return f"It fires by itself, next at {next_at:%F %H:%M %Z}; beat must run."
    return f"Send it with: manage.py launch {tenant.slug} {campaign.name!r}"
