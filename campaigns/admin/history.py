"""What happened to one dispatch, for its page: a sentence, and a table for each kind of fact."""

from typing import Final
from urllib.parse import urlsplit

from campaigns import limited, whereabouts
from campaigns.admin.tables import Table, link
from campaigns.models import Attempt, Dispatch, Receipt, Reply, Run, SendLock
from campaigns.states import OPEN, State
from compliance.models import Permit
from providers.models import ProviderAccount
from smsplatform.common import database, masking
from tracking.models import Click, Link
from tracking.verdicts import in_words

_ROWS: Final = 50

_MEANINGS: Final = {
    State.QUEUED: "It waits for its batch to be worked on.",
    State.CLEARED: "No rule forbids it; its text is rendered.",
    State.LOCKED: "The person is reserved for this message for the moment.",
    State.ALLOWED: "The caps allow it; its permit is reserved.",
    State.READY: "It waits for the provider account's turn.",
    State.SENDING: "A request may be in the air.",
    State.HELD: "It waits, and is checked again.",
    State.ACCEPTED: "The provider took it; no delivery report yet.",
    State.UNDELIVERED: "The provider took it and reported that it could not be delivered.",
    State.UNKNOWN: "The provider may or may not have taken it. "
    "It is never sent again by itself; a receipt or its deadline settles it.",
    State.DEAD: "It gave up. An operator may replay it where every try is proven untaken.",
    State.DELIVERED: "It was delivered.",
    State.REJECTED: "The provider refused it for good.",
    State.BLOCKED: "A rule forbids it.",
    State.CANCELLED: "It was cancelled.",
    State.EXPIRED: "It was too late.",
}


def explain(dispatch: Dispatch) -> str:
    """Return in a sentence where the dispatch is, why, and what comes next."""
    words = [_MEANINGS[State(dispatch.state)]]
    if dispatch.reason:
        words.append(f"Reason: {dispatch.reason}{f' ({masking.text(dispatch.detail)})' if dispatch.detail else ''}.")
    if dispatch.state == State.HELD and dispatch.not_before:
        words.append(f"Next look at {dispatch.not_before:%Y-%m-%d %H:%M:%S} UTC.")
    if dispatch.state in OPEN:
        words.append(f"It expires at {dispatch.expires_at:%Y-%m-%d %H:%M:%S} UTC.")
    return " ".join(words)


def tables(dispatch: Dispatch, *, with_texts: bool) -> list[Table]:
    """Return everything known of the dispatch beside its own row; what was written, and whole links, only with texts."""
    links = list(Link.objects.filter(dispatch_id=dispatch.pk).order_by("position"))
    return [
        _tries(dispatch),
        _reports(dispatch),
        _replies(dispatch, with_texts=with_texts),
        _links(links, with_texts=with_texts),
        _hits(links),
        _held(dispatch),
        _limits(dispatch),
        _place(dispatch),
    ]


def _place(dispatch: Dispatch) -> Table:
    run = Run.objects.select_related("brand").get(pk=dispatch.run_id)
    found = whereabouts.told(dispatch=dispatch, category=run.category, brand=run.brand)
    columns = ("where", "zones from", "states from", "was judged by", "now", "rules looked at")
    row = (
        found.words, found.zone_source, found.state_source, dispatch.zones, found.answer.sentence,
        "; ".join(found.answer.rules),
    )  # fmt: skip
    return Table("Place and time", columns, [row])


def _tries(dispatch: Dispatch) -> Table:
    tries = list(Attempt.objects.filter(dispatch_id=dispatch.pk).order_by("flight"))
    accounts = dict(ProviderAccount.objects.filter(pk__in={one.account_id for one in tries}).values_list("pk", "name"))
    columns = (
        "try", "account", "sender", "claimed (UTC)", "answered (UTC)", "outcome", "proof", "code", "detail",
        "provider's id", "why this one", "passed",
    )  # fmt: skip
    rows = [
        (
            one.flight,
            accounts.get(one.account_id, f"account {one.account_id}"),
            one.sender,
            one.claimed_at,
            one.answered_at,
            one.outcome,
            one.proof,
            one.code,
            masking.text(one.detail),
            one.provider_id,
            one.reason,
            one.rules,
        )
        for one in tries
    ]
    return Table("Tries", columns, rows, none="Not tried yet.")


def _reports(dispatch: Dispatch) -> Table:
    found = Receipt.objects.filter(dispatch_id=dispatch.pk).order_by("pk")[:_ROWS]
    rows = [(one.received_at, one.flight, one.status, one.code, masking.text(one.detail)) for one in found]
    return Table("Delivery reports", ("received (UTC)", "try", "status", "code", "detail"), rows)


def _replies(dispatch: Dispatch, *, with_texts: bool) -> Table:
    found = Reply.objects.filter(brand=dispatch.brand_id, number=dispatch.number, received_at__gte=dispatch.due_at)
    rows = [
        (
            one.received_at,
            link("campaigns_reply", one.pk, (one.text or "(empty)") if with_texts else f"{len(one.text):,} characters"),
            one.is_opt_out,
        )
        for one in found.order_by("pk")[:_ROWS]
    ]
    return Table("The person's replies since then", ("received (UTC)", "text", "opt-out"), rows)


def _links(links: list[Link], *, with_texts: bool) -> Table:
    rows = [
        (
            link("tracking_link", one.code, one.code),
            one.destination if with_texts else urlsplit(one.destination).hostname,
            one.expires_at,
            one.killed_at,
        )
        for one in links
    ]
    return Table("Short links", ("code", "goes to", "expires (UTC)", "killed (UTC)"), rows)


def _hits(links: list[Link]) -> Table:
    found = Click.objects.filter(code__in=[one.code for one in links]).order_by("pk")[:_ROWS]
    rows = [
        (
            one.at,
            one.code,
            one.get_verdict_display() or "not judged yet",
            in_words(one.reasons),
            one.method,
            masking.ip(one.ip or ""),
            one.user_agent,
        )
        for one in found
    ]
    return Table("Hits on them", ("at (UTC)", "code", "taken for", "why", "method", "address", "browser"), rows)


def _held(dispatch: Dispatch) -> Table:
    permits = Permit.objects.filter(pk=dispatch.pk)
    locks = SendLock.objects.filter(brand=dispatch.brand_id, number=dispatch.number)
    rows = [
        *(("permit", one.at, "taken on proof, above the cap" if one.over_cap else "") for one in permits),
        *(("lock", one.until, "" if one.dispatch_id == dispatch.pk else "of another message") for one in locks),
    ]
    return Table("Permit and lock", ("what", "since or until (UTC)", "remark"), rows, none="Nothing is held.")


def _limits(dispatch: Dispatch) -> Table:
    """What limits such a message now; of one that ended long ago it says nothing."""
    found = limited.usage_of(dispatch, database.now()) if dispatch.state in OPEN else []
    rows = [
        (one.what, one.used, "only counted" if one.amount is None else one.amount, one.unit, one.rule,
         one.until if one.is_full else None)
        for one in found
    ]  # fmt: skip
    columns = ("what", "used", "limit", "counts", "rule", "free again (UTC)")
    return Table("Limits, now", columns, rows, none="It waits for none.")
