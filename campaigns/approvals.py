"""Four eyes: a campaign to more people than the tenant allows one person needs the yes of a second one.

Enforced twice. `launch` refuses without a fitting approval; and the fence lets nothing out of a run that turns out to
be for more people than anybody approved, however the run came about. Who approves is never who asked or launches, which
the tables check, too.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from django.conf import settings
from django.db import transaction

from campaigns import audience, fingerprints
from campaigns.models import Approval, Campaign, Run, TemplateVersion
from smsplatform.common.errors import Conflict, Forbidden, InvalidInput
from smsplatform.tenancy import access, audit
from smsplatform.tenancy.models import Role, User

# Lists live between a question and its answer: so many people more, in percent, are still what was approved.
GROWTH: Final = 10
_LONGEST_REASON: Final = 200


class ApprovalNeeded(Conflict):
    """Too many people for one person to decide about."""

    code: ClassVar[str] = "approval_needed"


def is_needed(campaign: Campaign, people: int) -> bool:
    """Return whether the tenant wants a second person for so many."""
    limit = campaign.tenant.approve_above
    return limit is not None and people > limit


def ask(*, campaign: Campaign, now: datetime, actor: str) -> Approval:
    """Ask for the yes of a second person to the campaign as it is now; return the question, also one asked before.

    A question about something else than the campaign is now is replaced.
    """
    version = campaign.template.latest
    if version is None:
        raise InvalidInput("the template has no text yet; write one first", field="template")
    people = audience.count_of(campaign)
    if not people:
        raise InvalidInput("nobody is on its lists; there is nothing to approve", field="lists")
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)
        fingerprint = fingerprints.of(campaign, version)
        open_ = campaign.approvals.filter(answer="").first()
        if open_ is not None and _fits(open_, fingerprint, people) and open_.expires_at > now:
            return open_
        if open_ is not None:
            open_.delete()
        asked = Approval.objects.create(
            tenant_id=campaign.tenant_id,
            campaign=campaign,
            version=version,
            fingerprint=fingerprint,
            people=people,
            asked_by=_name(actor),
            asked_at=now,
            expires_at=now + settings.APPROVAL_LIFE,
        )
        _record(asked, "asked", actor, now, people=people, version=version.number)
    return asked


def approve(approval: Approval, *, user: User, now: datetime) -> None:
    """Say yes. Raises Forbidden for the person who asked and for viewers, Conflict where it is no longer the question."""
    with transaction.atomic():
        found = _lock(approval, user, now)
        if found.asked_by == _name(user.email):
            raise Forbidden("you asked for it yourself; it takes a second person")
        version = found.campaign.template.latest
        people = audience.count_of(found.campaign)
        if version is None or not _fits(found, fingerprints.of(found.campaign, version), people):
            raise Conflict("the campaign has changed since it was asked; look at it and have it asked again")
        _answer(found, Approval.Answer.APPROVED, user, now)
    approval.refresh_from_db()


def decline(approval: Approval, *, user: User, reason: str, now: datetime) -> None:
    """Say no, and why. Who asked may decline, too: that takes the question back."""
    reason = reason.strip()
    if not reason:
        raise InvalidInput("say why, so that whoever asked knows what to change", field="reason")
    with transaction.atomic():
        found = _lock(approval, user, now)
        if found.asked_by == _name(user.email):
            _record(found, "taken back", user.email, now, why=reason)
            found.delete()
            return
        found.reason = reason[:_LONGEST_REASON]
        _answer(found, Approval.Answer.DECLINED, user, now)
    approval.refresh_from_db()


def claim(*, campaign: Campaign, version: TemplateVersion, people: int, actor: str, now: datetime) -> Mapping[str, Any]:
    """Return what a run for so many people stores of its approval; nothing where none is needed.

    Inside the launch's transaction: it locks the approval, so one yes makes one run, except of a repeating campaign,
    whose occurrences share it until something changes. Raises ApprovalNeeded.
    """
    if not is_needed(campaign, people):
        return {}
    latest = (
        Approval.objects.select_for_update(of=("self",))
        .filter(campaign=campaign)
        .exclude(answer=Approval.Answer.DECLINED)
        .order_by("-id")
        .first()
    )
    flaw = _flaw(latest, campaign, version, people, actor, now)
    if latest is None or flaw:
        raise ApprovalNeeded(
            f"{people:,} people are more than the {campaign.tenant.approve_above:,} that one person may decide about;"
            f" {flaw}",
            field="approval",
        )
    return {"approval": latest, "approved_by": latest.answered_by, "approved_people": _most(latest)}


def approve_run(run: Run, *, user: User, now: datetime) -> None:
    """Let a run go on that turned out to be for more people than were approved; not by who launched it."""
    access.require_role(user, run.tenant_id, Role.MANAGER)
    with transaction.atomic():
        found = Run.objects.select_for_update(of=("self",)).select_related("tenant").get(pk=run.pk)
        if _name(found.launched_by) == _name(user.email):
            raise Forbidden("you launched it yourself; it takes a second person")
        if found.cancelled_at is not None:
            raise Conflict("the run is cancelled; there is nothing to approve")
        if not waits(found):
            raise Conflict("the run does not wait for an approval")
        Run.objects.filter(pk=run.pk).update(approved_by=_name(user.email), approved_people=found.people)
        audit.record(
            actor=user.email, verb="run.approved", target=found, tenant=found.tenant_id, at=now, people=found.people
        )


def waits(run: Run) -> bool:
    """Return whether the fence holds the run because nobody approved so many people; as `fence.WAITS` says it."""
    limit = run.tenant.approve_above
    return limit is not None and run.campaign_id is not None and run.people > max(limit, run.approved_people or 0)


def state(approval: Approval, now: datetime) -> str:
    """Return what became of the question, in a word or two."""
    if approval.answer:
        return str(approval.answer)
    return "expired" if approval.expires_at <= now else "waits for an answer"


def _flaw(
    approval: Approval | None, campaign: Campaign, version: TemplateVersion, people: int, actor: str, now: datetime
) -> str:
    if approval is None:
        return "ask for the approval of a second person first"
    if not approval.answer:
        return f"{approval.asked_by} has asked for approval; a second person must say yes first"
    if not _fits(approval, fingerprints.of(campaign, version), people):
        return "what was approved has changed since; ask for approval again"
    if approval.answered_by == _name(actor):
        return "who approves cannot launch; have somebody else launch it"
    return "" if campaign.schedule == Campaign.Schedule.REPEAT else _spent(approval, now)


def _spent(approval: Approval, now: datetime) -> str:
    """Return why an approval for one launch is worth nothing any more."""
    if approval.runs.exists():
        return "its approval was used by an earlier launch; ask for approval again"
    if approval.expires_at <= now:
        return f"the approval is over since {approval.expires_at:%F %H:%M} UTC; ask for approval again"
    return ""


def _fits(approval: Approval, fingerprint: str, people: int) -> bool:
    return approval.fingerprint == fingerprint and people <= _most(approval)


def _most(approval: Approval) -> int:
    return approval.people * (100 + GROWTH) // 100


def _lock(approval: Approval, user: User, now: datetime) -> Approval:
    """Lock the question and check that this person may answer it."""
    access.require_role(user, approval.tenant_id, Role.MANAGER)
    found = Approval.objects.select_for_update(of=("self",)).select_related("campaign__template").get(pk=approval.pk)
    if found.answer:
        raise Conflict(f"{found.answered_by} has {found.answer} it already")
    if found.expires_at <= now:
        raise Conflict(f"the question is over since {found.expires_at:%F %H:%M} UTC; have it asked again")
    return found


def _answer(found: Approval, answer: Approval.Answer, user: User, now: datetime) -> None:
    found.answer, found.answered_by, found.answered_at = answer, _name(user.email), now
    found.save(update_fields=["answer", "answered_by", "answered_at", "reason"])
    why = {"why": found.reason} if found.reason else {}
    _record(found, answer.value, user.email, now, people=found.people, **why)


def _record(found: Approval, done: str, actor: str, now: datetime, **detail: Any) -> None:
    audit.record(actor=actor, verb=f"approval.{done}", target=found.campaign, tenant=found.tenant_id, at=now, **detail)


def _name(actor: str) -> str:
    return actor.strip().lower()[:120]
