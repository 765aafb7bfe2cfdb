"""What happened to one message, step by step, from the facts that are stored; and what happens next."""

from datetime import datetime
from typing import Any, Final

from campaigns import limited, whereabouts
from campaigns.models import Attempt, Dispatch, Receipt, Run, Trouble
from campaigns.states import OPEN, State
from compliance.models import Permit, Suppression
from providers.models import ProviderAccount
from smsplatform.common import database

_ENDINGS: Final = {
    State.DELIVERED: "The provider has reported it delivered. This is the end.",
    State.UNDELIVERED: "The provider has reported it undelivered. Only a later report of delivery changes that.",
    State.ACCEPTED: "The provider has taken it; a delivery report may follow.",
    State.REJECTED: "The provider has refused it for good. This is the end.",
    State.BLOCKED: "A rule forbids it. This is the end.",
    State.CANCELLED: "Its run was cancelled before it was sent. This is the end.",
    State.EXPIRED: "It could not go out before its lateness limit. This is the end.",
    State.DEAD: "Its tries are used up. `manage.py dead_letters --replay` tries again where that is safe.",
    State.SENDING: "A request is in the air, or its answer is being stored; without an answer it becomes unknown.",
}


def of(dispatch: Dispatch) -> dict[str, Any]:
    """Return everything stored about the message."""
    run = Run.objects.select_related("campaign", "version", "brand", "tenant").get(pk=dispatch.run_id)
    attempts = list(Attempt.objects.filter(dispatch_id=dispatch.pk).order_by("flight"))
    accounts = {
        account.pk: account for account in ProviderAccount.objects.filter(pk__in=[each.account_id for each in attempts])
    }
    permit = Permit.objects.filter(pk=dispatch.pk).first()
    trouble = Trouble.objects.filter(pk=dispatch.pk).first()
    suppressions = Suppression.objects.filter(number=dispatch.number, released_at=None).order_by("created_at")
    return {
        "id": str(dispatch.pk),
        "tenant": run.tenant.slug,
        "brand": run.brand.slug,
        "run": run.pk,
        "campaign": run.campaign.name if run.campaign else None,
        "template_version": str(run.version) if run.version else None,
        "category": run.category,
        "number": dispatch.number,
        "state": dispatch.state,
        "reason": dispatch.reason,
        "detail": dispatch.detail,
        "launched_at": run.launched_at,
        "due_at": dispatch.due_at,
        "expires_at": dispatch.expires_at,
        "not_before": dispatch.not_before,
        "changed_at": dispatch.changed_at,
        "accepted_at": dispatch.accepted_at,
        "settled_at": dispatch.settled_at,
        "batch": dispatch.batch_id,
        "text": dispatch.text,
        "segments": dispatch.segments,
        "attempts": [_attempt(each, accounts.get(each.account_id)) for each in attempts],
        "receipts": list(
            Receipt.objects.filter(dispatch_id=dispatch.pk)
            .order_by("id")
            .values("received_at", "flight", "status", "code", "detail", "provider_id")
        ),
        "suppressions": [
            {"scope": each.scope, "reason": each.reason, "source": each.source, "at": each.created_at}
            for each in suppressions.filter(brand=None) | suppressions.filter(brand=run.brand)
        ],
        "place": _place(dispatch, run),
        "permit": None if permit is None else {"counts_from": permit.at, "over_cap": permit.over_cap},
        "limits": [
            {
                "rule": each.rule,
                "what": each.what,
                "used": each.used,
                "limit": each.amount,
                "unit": each.unit,
                "free_at": each.until if each.is_full else None,
            }
            for each in limited.usage_of(dispatch, database.now())
        ],
        "final_at": trouble.due_at if trouble else None,
        "resend_of": str(dispatch.resend_of) if dispatch.resend_of else None,
        "next": _next(dispatch, run, trouble),
    }


def _place(dispatch: Dispatch, run: Run) -> dict[str, Any]:
    found = whereabouts.told(dispatch=dispatch, category=run.category, brand=run.brand)
    window = found.answer.window
    return {
        "where": found.words,
        "zones_from": found.zone_source,
        "states_from": found.state_source,
        "judged_by": dispatch.zones,
        "may_be_texted": window.is_open,
        "until": window.until,
        "now": found.answer.sentence,
        "rules": list(found.answer.rules),
        "rules_version": found.answer.version,
    }


def steps(found: dict[str, Any]) -> list[tuple[datetime | None, str]]:
    """Return what happened, in order of time; what has no time comes at its place."""
    told: list[tuple[datetime | None, str]] = [
        (found["launched_at"], f"run {found['run']} launched"),
        (found["due_at"], "due"),
    ]
    for each in found["attempts"]:
        told.append(
            (
                each["claimed_at"],
                f"try {each['flight']} claimed for {each['account']}, from {each['sender']}: {each['why']}"
                + (f"; passed {each['rules'].replace(' ', ', ')}" if each["rules"] else ""),
            )
        )
        if each["answered_at"]:
            words = " ".join(
                part for part in (each["outcome"], each["code"], each["detail"], each["provider_id"]) if part
            )
            told.append((each["answered_at"], f"try {each['flight']} answered: {words}"))
        elif each["outcome"] != Attempt.OPEN:
            told.append((each["horizon_at"], f"try {each['flight']}: {each['outcome']} {each['detail']}".rstrip()))
    for each in found["receipts"]:
        words = " ".join(part for part in (each["status"], each["code"], each["detail"]) if part)
        told.append((each["received_at"], f"report about try {each['flight']}: {words}"))
    told += [
        (each["at"], f"number suppressed ({each['scope']}): {each['reason']}, {each['source']}")
        for each in found["suppressions"]
    ]
    told.sort(key=lambda step: (step[0] is None, step[0] or found["launched_at"]))
    why = f" ({found['reason']}{', ' + found['detail'] if found['detail'] else ''})" if found["reason"] else ""
    return [*told, (found["changed_at"], f"is {found['state']}{why}")]


def _attempt(each: Attempt, account: ProviderAccount | None) -> dict[str, Any]:
    return {
        "flight": each.flight,
        "account": str(account) if account else f"account {each.account_id}",
        "sender": each.sender,
        "why": each.reason,
        "rules": each.rules,
        "claimed_at": each.claimed_at,
        "horizon_at": each.horizon_at,
        "answered_at": each.answered_at,
        "outcome": each.outcome,
        "code": each.code,
        "detail": each.detail,
        "provider_id": each.provider_id,
        "proof": each.proof,
        "proven_at": each.proven_at,
    }


def _next(dispatch: Dispatch, run: Run, trouble: Trouble | None) -> str:
    state = State(dispatch.state)
    if state in _ENDINGS:
        return _ENDINGS[state]
    if state is State.UNKNOWN:
        until = f" until {trouble.due_at:%F %T %Z}" if trouble and trouble.due_at else " any more"
        return (
            f"It may have been taken, so it is never sent again by itself; a late answer or report settles it{until}."
        )
    if run.cancelled_at and state in OPEN:
        return "Its run is cancelled; it ends when its batch is looked at next."
    expiry = f"It expires {dispatch.expires_at:%F %T %Z}."
    if state is State.HELD and dispatch.not_before:
        until = f"{dispatch.not_before:%F %T %Z}"
        return f"It waits until {until}; then every check is asked again. {expiry}"
    return f"Its batch goes on with it when it is due. {expiry}"
