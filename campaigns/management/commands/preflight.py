"""`manage.py preflight`: who would be texted, who not and why, segments, cost, and when it would be through."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any, ClassVar

from campaigns import preflight
from campaigns.models import Campaign
from campaigns.preflight import reading
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access


class Command(OperatorCommand):
    """Nothing is sent, and nothing is stored."""

    help = "Say what launching a campaign would do."
    option_names: ClassVar = {**dict.fromkeys(("campaign", "template", "lists", "brand"), "CAMPAIGN"), "at": "--at"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("campaign", help="name of the campaign")
        parser.add_argument("--at", help="the launch, with its offset, like 2026-12-01T09:00-05:00 (now)")

    def act(self, options: dict[str, Any]) -> Answer:
        """Count, and say how far it is meanwhile."""
        tenant = access.access_tenant(options["tenant"])
        campaign = access.access(Campaign, tenant, name=options["campaign"])
        numbers = preflight.count(
            campaign=campaign, at=_instant(options["at"]) or database.now(), progress=self._went_on
        )
        texts = reading.worst(campaign, numbers)
        lines = [reading.headline(numbers), *numbers["remarks"]]
        tables = [Table(f"\n{title}", columns, rows) for title, columns, rows in reading.tables(numbers)]
        if texts:
            shown = [(kind, number, segments, text or why) for kind, number, segments, text, why in texts]
            tables.append(Table("\nTexts to look at", ("kind", "number", "segments", "text"), shown))
        return Answer({"tenant": tenant.slug, "campaign": campaign.name, **numbers}, lines, tables)

    def _went_on(self, done: int, people: int) -> None:
        if done < people:
            self.tell(f"{done:,} of {people:,} people")


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInput(f"{text!r} is no instant with an offset; write it like 2026-12-01T09:00-05:00", field="at")
    return found
