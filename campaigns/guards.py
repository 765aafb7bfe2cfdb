"""What stands between a person and a launch: a second person, a question, a minute to think again, a canary."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings

from campaigns import approvals, audience, canaries, same_text
from campaigns.models import Campaign, TemplateVersion
from smsplatform.common.errors import Conflict


class SameText(Conflict):
    """Some of the people have been told the same of late."""

    code: ClassVar[str] = "same_text"


def pass_all(
    *, campaign: Campaign, version: TemplateVersion, actor: str, now: datetime, is_meant: bool, may_be_undone: bool
) -> Mapping[str, Any]:
    """Return what the run stores of its guards; raises ApprovalNeeded or SameText where it may not be launched.

    Inside the launch's transaction. `is_meant`: that people get the same text again is wanted. `may_be_undone`: a
    person pressed the button, so that a large run waits a moment; what a schedule fires never does.
    """
    if not is_meant and same_text.is_repeated(campaign=campaign, version=version, now=now):
        days = settings.SAME_TEXT_WITHIN.days
        raise SameText(
            f"some of its people got the same text within the last {days} days (`manage.py preflight` says how many);"
            " confirm that they are to get it again",
            field="same_text",
        )
    can_wait = may_be_undone and campaign.schedule != Campaign.Schedule.REPEAT
    people = audience.count_of(campaign) if can_wait or campaign.tenant.approve_above is not None else 0
    found = dict(approvals.claim(campaign=campaign, version=version, people=people, actor=actor, now=now))
    if can_wait and people > undo_above(campaign):
        found["undo_until"] = now + settings.UNDO_WINDOW
    if canaries.has_one(campaign):
        found["canary"] = canaries.FIRST
    return found


def undo_above(campaign: Campaign) -> int:
    """Return to how many people a launch is at once, without a moment to undo it."""
    own = campaign.brand.undo_above
    limit: int = settings.UNDO_ABOVE if own is None else own
    return limit
