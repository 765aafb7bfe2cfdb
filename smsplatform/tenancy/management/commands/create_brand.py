"""`manage.py create_brand`: a tenant's identity towards people, with its hours and limits."""

import re
from argparse import ArgumentParser
from datetime import time
from typing import Any, ClassVar

from django.db import transaction

from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand, made, make_once
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access, audit, consent_keeping
from smsplatform.tenancy.models import Brand

_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*(:[0-9]{1,5})?").fullmatch


class Command(OperatorCommand):
    """Running it again with the same values changes nothing."""

    help = "Make a brand of a tenant."
    option_names: ClassVar = {
        "slug": "SLUG",
        "name": "--name",
        "zone": "--zone",
        "opens_at": "--opens",
        "closes_at": "--closes",
        "daily_cap": "--daily-cap",
        "person_cap": "--person-cap",
        "person_cap_hours": "--person-cap-hours",
        "link_domain": "--link-domain",
        "consent_attestation": "--consent-elsewhere",
        "max_segments": "--max-segments",
        "adds_stop_line": "--stop-line",
        "undo_above": "--undo-above",
    }

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("slug", help="the brand's short name, like acme-shoes")
        parser.add_argument("--name", help="its name for people (the slug)")
        parser.add_argument("--zone", help="its time zone, whose days the daily cap counts (America/New_York)")
        parser.add_argument("--opens", metavar="HH:MM", help="first local time of a recipient for texts (08:00)")
        parser.add_argument("--closes", metavar="HH:MM", help="local time of a recipient from which no more (21:00)")
        parser.add_argument("--daily-cap", type=int, help="messages a day (no cap)")
        parser.add_argument("--person-cap", type=int, help="marketing messages per person in the window (3)")
        parser.add_argument("--person-cap-hours", type=int, help="the window's length (24)")
        parser.add_argument("--link-domain", help="host of its short links (the platform's)")
        parser.add_argument(
            "--consent-elsewhere",
            metavar="WORDS",
            help="the tenant keeps the proof of consent itself and vouches for it in these words"
            " (it is kept here: nobody is texted without a consent on record)",
        )
        parser.add_argument("--max-segments", type=int, help="a longer text is not sent (the platform's limit)")
        parser.add_argument(
            "--stop-line", choices=("yes", "no"), help="tell people every 30 days how to end the texts (yes)"
        )
        parser.add_argument("--undo-above", type=int, help="people above which a launch can be undone (the platform's)")

    def act(self, options: dict[str, Any]) -> Answer:
        """Make it, or find the same one."""
        tenant = access.access_tenant(options["tenant"])
        known = Brand.objects.filter(tenant=tenant, slug=options["slug"]).first()
        opens, closes = _time(options["opens"], "opens_at"), _time(options["closes"], "closes_at")
        before = known or Brand()
        if (opens or before.opens_at) >= (closes or before.closes_at):
            raise InvalidInput("must come before the closing time, like --opens 08:00 --closes 21:00", field="opens_at")
        with transaction.atomic():
            brand, is_new = make_once(
                Brand,
                by={"tenant": tenant, "slug": options["slug"]},
                given={
                    "name": options["name"] or (None if known else options["slug"]),
                    "zone": options["zone"],
                    "opens_at": opens,
                    "closes_at": closes,
                    "daily_cap": options["daily_cap"],
                    "person_cap": options["person_cap"],
                    "person_cap_hours": options["person_cap_hours"],
                    "link_domain": _host(options["link_domain"]),
                    "max_segments": options["max_segments"],
                    "adds_stop_line": options["stop_line"] and options["stop_line"] == "yes",
                    "undo_above": options["undo_above"],
                },
            )
            words = options["consent_elsewhere"]
            if words is not None and words.strip() != brand.consent_attestation:
                now = database.now()
                consent_keeping.keep_elsewhere(brand=brand, words=words, actor=options["actor"], now=now)
            if is_new:
                audit.record(actor=options["actor"], verb="brand.created", target=brand.slug, tenant=tenant)
        data = {
            "tenant": tenant.slug,
            "brand": brand.slug,
            "name": brand.name,
            "zone": brand.zone,
            "opens": f"{brand.opens_at:%H:%M}",
            "closes": f"{brand.closes_at:%H:%M}",
            "daily_cap": brand.daily_cap,
            "person_cap": brand.person_cap,
            "person_cap_hours": brand.person_cap_hours,
            "link_domain": brand.link_domain,
            "consent_kept": brand.consent_kept,
            "undo_above": brand.undo_above,
            "made": is_new,
        }
        return Answer(data, [made("brand", brand.slug, is_new=is_new)])


def _time(text: str | None, field: str) -> time | None:
    if text is None:
        return None
    try:
        found = time.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no time of day; write it like 08:00", field=field) from None
    if found.tzinfo is not None:
        raise InvalidInput("is a local time and has no offset; write it like 08:00", field=field)
    return found


def _host(text: str | None) -> str | None:
    if text and not _HOST(text.lower()):
        raise InvalidInput(f"{text!r} is no host; write it like go.example.com, without https://", field="link_domain")
    return text.lower() if text else text
