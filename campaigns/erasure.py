"""Forgets a person: what is about them goes, what is counted stays (facts §8.3).

Asking is one transaction: from its commit on no claim takes the person. Then step after step, each one bounded
transaction that moves the cursor, takes away what is there; a killed erasure goes on where it was. Reports and answers
may come for some days more, so all of it is done once again when none can come any more; then the number itself goes.

What is left of a number begins with #, and is not sent to: `compliance.policy` sees to it.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from campaigns import scheduling
from campaigns.models import Dispatch, Recipient, Run
from campaigns.states import EARLY, State
from compliance import erasure, policy
from compliance.consent import doors
from compliance.models import ErasedPerson
from smsplatform.common import database, mailbox, masking
from smsplatform.common.database import execute, key, keys_of, rows
from smsplatform.tenancy import audit
from smsplatform.tenancy.models import Tenant

_RUNS: Final = 200  # in one step
_EVENTS: Final = 5_000  # in one step
_MARGIN: Final = timedelta(hours=1)
_STOPPABLE: Final = (*EARLY, State.HELD)


def ask(
    *, tenant: Tenant, number: str, reason: str, actor: str, now: datetime, is_suppressed: bool = True
) -> ErasedPerson:
    """Store that the person (E.164, or an e-mail address) is to be forgotten. `work` does it; beat goes on with it."""
    number = mailbox.spelled(number)
    with transaction.atomic():
        person = erasure.remember(
            tenant_id=tenant.pk, number=number, is_suppressed=is_suppressed, reason=reason, actor=actor, now=now
        )
        audit.record(
            actor=actor,
            verb="person.erased",
            target=masking.number(number),
            tenant=tenant,
            at=now,
            row=person,
            reason=reason,
            is_suppressed=person.is_suppressed,
        )
    return person


def at_work(now: datetime) -> list[int]:
    """Return the erasures that have something to do now."""
    over = now - settings.REPORT_HORIZON - _MARGIN
    waiting = ErasedPerson.objects.filter(Q(erased_at=None) | Q(asked_at__lte=over), done_at=None)
    return list(waiting.order_by("asked_at").values_list("pk", flat=True)[:100])


def work(person_id: int, *, until: datetime | None = None) -> bool:
    """Take away what is there, step after step; return whether this call came to the end. Somebody else's is left."""
    while until is None or database.now() < until:
        with transaction.atomic():
            person = (
                ErasedPerson.objects.select_for_update(skip_locked=True, of=("self",))
                .filter(pk=person_id, done_at=None)
                .first()
            )
            if person is None:
                return False
            place = int(person.cursor.get("step", 0))
            if place == len(_STEPS):
                return _end(person, database.now())
            done = _STEPS[place](person, int(person.cursor.get("at", 0)), database.now())
            person.counts = dict(Counter(person.counts) + Counter(done.counts))
            following = {"step": place + 1, "at": 0} if done.at is None else {"step": place, "at": done.at}
            person.cursor = {**person.cursor, "people": _known_people(person), **following}
            person.save(update_fields=["counts", "cursor"])
        scheduling.end_where_empty(done.batches, database.now())
    return False


def _end(person: ErasedPerson, now: datetime) -> bool:
    is_over = now - person.asked_at >= settings.REPORT_HORIZON + _MARGIN
    person.erased_at, person.cursor = person.erased_at or now, {**person.cursor, "step": 0, "at": 0}
    if is_over:
        person.done_at, person.number, person.cursor = now, "", {}
    person.save(update_fields=["erased_at", "done_at", "number", "cursor"])
    return True


class _Done(NamedTuple):
    """What a step took away, where it goes on (None: it is done), and the batches that may have ended."""

    at: int | None = None
    counts: dict[str, int] = {}  # noqa: RUF012 - never changed
    batches: Sequence[int | None] = ()


_Step = Callable[[ErasedPerson, int, datetime], _Done]


def _mark(person: ErasedPerson) -> str:
    """Return what stands in the place of the number."""
    return f"#{person.pk}"


def _known_people(person: ErasedPerson) -> list[int]:
    """Return the recipients that had the number, also those of which only the tombstone is left."""
    now = Recipient.objects.filter(tenant=person.tenant_id, number=person.number).values_list("pk", flat=True)
    return sorted({*person.cursor.get("people", ()), *now})


# -- steps -----------------------------------------------------------------------------------------------------------


def _suppressions(person: ErasedPerson, _at: int, _now: datetime) -> _Done:
    """Opt-outs stay, under the hash."""
    hidden = erasure.hide_suppressions(tenant_id=person.tenant_id, number=person.number, keyed=person.keyed)
    return _Done(counts={"opt-outs kept": hidden})


def _consents(person: ErasedPerson, _at: int, _now: datetime) -> _Done:
    """The evidence stays for its legal term, under the hash; no consent holds any more."""
    kept = doors.erase(tenant_id=person.tenant_id, keyed={person.number: person.keyed})
    return _Done(counts={"consent records kept": kept})


def _traces(person: ErasedPerson, _at: int, _now: datetime) -> _Done:
    """What the rules have noted, and when the person last wrote."""
    noted = erasure.forget_traces(tenant_id=person.tenant_id, number=person.number)
    noted += execute(
        """
        DELETE FROM campaigns_conversation c USING tenancy_brand b
        WHERE b.tenant_id = %s AND c.brand_id = b.id AND c.number = %s
        """,
        [person.tenant_id, person.number],
    )
    return _Done(counts={"notes": noted})


def _messages(person: ErasedPerson, at: int, now: datetime) -> _Done:
    """Messages of campaigns: a dispatch's id is made of run and recipient, so nothing is searched."""
    people = _known_people(person)
    runs = _runs(person, at)[:_RUNS] if people else []
    if not runs:
        return _Done()
    return _take_away(person, [key(run, one) for run in runs for one in people], now)._replace(at=runs[-1])


def _single_messages(person: ErasedPerson, at: int, now: datetime) -> _Done:
    """Single messages: each day's run is a range of ids that is read through."""
    runs = _runs(person, at, is_single=True)[:1]
    if not runs:
        return _Done()
    found = rows(
        "SELECT id FROM campaigns_dispatch WHERE id >= %(lowest)s AND id < %(above)s AND number = %(number)s",
        {**keys_of(runs[0]), "number": person.number},
    )
    return _take_away(person, [dispatch_id for (dispatch_id,) in found], now)._replace(at=runs[0])


def _permitted(person: ErasedPerson, _at: int, now: datetime) -> _Done:
    """What was sent is known by its permit, whatever recipient it was for; and whatever permit is left."""
    found = rows(
        """
        SELECT p.dispatch_id FROM tenancy_brand b JOIN compliance_permit p ON p.brand_id = b.id AND p.number = %s
        WHERE b.tenant_id = %s
        """,
        [person.number, person.tenant_id],
    )
    return _take_away(person, [dispatch_id for (dispatch_id,) in found], now)


def _runs(person: ErasedPerson, after: int, *, is_single: bool = False) -> list[int]:
    """Return the tenant's runs behind this one; the second time only those that may have got messages since."""
    own = Run.objects.filter(tenant=person.tenant_id, pk__gt=after, campaign__isnull=is_single)
    if person.erased_at is not None:
        own = own.filter(Q(settled_at=None) | Q(settled_at__gte=person.asked_at))
    return list(own.order_by("pk").values_list("pk", flat=True)[:_RUNS])


def _take_away(person: ErasedPerson, ids: Sequence[uuid.UUID], now: datetime) -> _Done:
    """End those of these messages that wait, then redact them and all that hangs on them. Locks: dispatch, permit."""
    if not ids:
        return _Done()
    given: dict[str, Any] = {"ids": sorted(set(ids)), "number": person.number, "mark": _mark(person)}
    found = rows(
        "SELECT id, batch_id FROM campaigns_dispatch WHERE id = ANY(%(ids)s) AND number = %(number)s ORDER BY id FOR UPDATE",
        given,
    )
    ours = Dispatch.objects.filter(id__in=[dispatch_id for dispatch_id, _ in found])
    blocked = ours.move(_STOPPABLE, State.BLOCKED, now=now, reason=str(policy.ERASED)).total() if found else 0
    messages = execute(
        """
        UPDATE campaigns_dispatch SET number = %(mark)s, text = '', links = NULL, detail = '', zones = ''
        WHERE id = ANY(%(ids)s) AND number = %(number)s
        """,
        given,
    )
    execute("UPDATE campaigns_attempt SET detail = '' WHERE dispatch_id = ANY(%(ids)s) AND detail <> ''", given)
    execute("UPDATE campaigns_receipt SET detail = '' WHERE dispatch_id = ANY(%(ids)s) AND detail <> ''", given)
    execute(
        "UPDATE compliance_permit SET number = %(mark)s WHERE dispatch_id = ANY(%(ids)s) AND number = %(number)s", given
    )
    links = rows(
        """
        UPDATE tracking_link SET destination = '', killed_at = coalesce(killed_at, %(now)s)
        WHERE dispatch_id = ANY(%(ids)s) AND destination <> '' RETURNING code
        """,
        {**given, "now": now},
    )
    clicks = execute(
        """
        UPDATE tracking_click SET ip = NULL, user_agent = '', signals = '{}' WHERE ip IS NOT NULL AND code IN (
          SELECT code FROM tracking_link WHERE dispatch_id = ANY(%(ids)s))
        """,
        given,
    )
    counts = {"messages": messages, "messages stopped": blocked, "links": len(links), "clicks": clicks}
    return _Done(counts=counts, batches=[batch_id for _, batch_id in found])


def _answers(person: ErasedPerson, _at: int, _now: datetime) -> _Done:
    """What the person wrote."""
    redacted = execute(
        """
        UPDATE campaigns_reply SET number = %s, text = '', media = '[]', pieces = '{}', whole = ''
        WHERE tenant_id = %s AND number = %s
        """,
        [_mark(person), person.tenant_id, person.number],
    )
    return _Done(counts={"answers": redacted})


def _events(person: ErasedPerson, at: int, _now: datetime) -> _Done:
    """Requests of providers that name the number: read through by id, and emptied where they are applied.

    The second time from the first that was not applied yet the first time.
    """
    if person.erased_at is not None:
        at = max(at, person.cursor.get("events_from", 1) - 1)
    elif at == 0:
        [(person.cursor["events_from"],)] = rows(
            "SELECT coalesce((SELECT min(id) FROM campaigns_rawevent WHERE applied_at IS NULL),"
            " (SELECT max(id) FROM campaigns_rawevent), 0) + 0"
        )
    [(last,)] = rows(
        "SELECT max(id) FROM (SELECT id FROM campaigns_rawevent WHERE id > %s ORDER BY id LIMIT %s) r", [at, _EVENTS]
    )
    if last is None:
        return _Done()
    emptied = execute(
        """
        UPDATE campaigns_rawevent SET body = '', url = split_part(url, '?', 1), headers = '{}', flaw = ''
        WHERE id > %(after)s AND id <= %(last)s AND tenant_id = %(tenant)s AND applied_at IS NOT NULL
          AND (lower(encode(body, 'escape')) ~ %(written)s
            OR lower(encode(convert_to(url, 'UTF8'), 'escape')) ~ %(written)s)
        """,
        {"after": at, "last": last, "tenant": person.tenant_id, "written": _written(person.number)},
    )
    return _Done(at=int(last), counts={"events": emptied})


def _written(number: str) -> str:
    """Return a pattern for how vendors write a number or address, for lower case text out of encode(…, 'escape').

    Of a number what is the same in every notation. An address is looked for whole, its signs plain or as forms and JSON
    escape them: what stands next to it must not make it another one, as in pal@example.com.au.
    """
    local, at, domain = mailbox.spelled(number).rpartition("@")
    if not at:
        return number.removeprefix("+1") if number.startswith("+1") else number.lstrip("+")
    local, at, domain = ("".join(map(_spellings, part)) for part in (local, at, domain))
    # A plain + is a space in a form, and a part of the address anywhere else.
    return rf"({_BEFORE}{local}{at}|[+]{local}%40){domain}[.-]*($|[^a-z0-9.-])"


# What an address may follow: no sign of a mailbox, escaped or not. encode() has doubled each backslash.
_BEFORE: Final = (
    r"(^|[^a-z0-9._+%\\-]|\\[0-7]{3}|%(?!2b|2d|2e|5f)[0-9a-f]{2}"
    r"|\\\\[bfnrt]|\\\\u(?!002b|002d|002e|005f)[0-9a-f]{4})"
)


def _spellings(sign: str) -> str:
    """Return a pattern for one sign of an address: plain, as a form writes it, or as JSON may."""
    if sign.isascii() and sign.isalnum():
        return sign
    octets = sign.encode()
    plain = rf"\{sign}" if sign.isascii() else "".join(rf"\\{octet:03o}" for octet in octets)
    form = "".join(f"%{octet:02x}" for octet in octets)
    return rf"({plain}|{form}|(\\\\)+u{ord(sign):04x})"


def _people(person: ErasedPerson, _at: int, now: datetime) -> _Done:
    """The recipient leaves a tombstone: messages keep their ids, lists lose a member."""
    people = _known_people(person)
    given = {"people": people, "now": now, "number": person.number, "tenant": person.tenant_id}
    lists = execute("DELETE FROM campaigns_listmember WHERE recipient_id = ANY(%(people)s)", given)
    redacted = execute(
        """
        UPDATE campaigns_recipient SET number = '#' || id, country = '', zones = '',
          zone_source = 'unknown', state_source = 'unknown', fields = '{}', send_at = NULL, updated_at = %(now)s
        WHERE tenant_id = %(tenant)s AND number = %(number)s
        """,
        given,
    )
    if person.number.startswith("+"):
        execute(
            """
            DELETE FROM campaigns_seennumber s USING campaigns_import i
            WHERE s.source_id = i.id AND i.tenant_id = %s AND s.number = %s
            """,
            [person.tenant_id, int(person.number[1:])],
        )
    return _Done(counts={"people": redacted, "lists left": lists})


# Opt-outs first, people last: until then their ids lead to their messages.
_STEPS: Final[tuple[_Step, ...]] = (
    _suppressions,
    _consents,
    _messages,
    _single_messages,
    _permitted,
    _answers,
    _traces,
    _events,
    _people,
)
