"""Asks a vendor whether it has a message nobody knows the fate of, and judges the answer.

Only a positive hit proves anything: our own reference, or, where the vendor gives none back, the one message to that
person with that text that was made just then and is nobody else's. Two of them prove as little as none (facts §0.3).
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

import requests

from providers.adapters.base import Adapter, Finding, HttpCall, HttpReply, Question, Unreadable

# The vendor's message may be made so long before our claim's instant (clocks differ) and after it.
BEFORE: Final = timedelta(minutes=1)
AFTER: Final = timedelta(minutes=10)
_SECONDS: Final = (5.0, 20.0)  # to connect, to answer
_MOST_BYTES: Final = 4 * 1024 * 1024


class NoAnswer(Unreadable):
    """The vendor did not answer at all; whoever asks it more now waits in vain."""


def ask(adapter: Adapter, question: Question) -> list[Finding] | None:
    """Return what the vendor has; None: it cannot be asked. Raises Unreadable for anything but an answer."""
    call = adapter.look_up(question)
    return None if call is None else adapter.found(question, fetch(call))


def proof(
    question: Question, findings: Sequence[Finding], claimed: Collection[str], *, answered_until: datetime
) -> Finding | None:
    """Return the message that is proven to be the one asked for; `claimed` are the ids of other flights.

    Whose a message is that was made after `answered_until` cannot be told yet: its poster may not have its id so far.
    """
    for finding in findings:
        if finding.reference == question.reference:
            return finding
    candidates = [
        finding
        for finding in findings
        if not finding.reference
        and finding.provider_id not in claimed
        and finding.created_at is not None
        and question.since - BEFORE <= finding.created_at <= question.since + AFTER
    ]
    [only] = candidates if len(candidates) == 1 else [None]
    is_settled = only is not None and only.created_at is not None and only.created_at <= answered_until
    return only if is_settled else None


def fetch(call: HttpCall) -> HttpReply:
    """Return the answer to a harmless request; raises NoAnswer where there is none."""
    try:
        with requests.request(
            call.method,
            call.url,
            headers=dict(call.headers),
            data=call.body or None,
            timeout=_SECONDS,
            allow_redirects=False,
            stream=True,
        ) as answer:
            body = answer.raw.read(_MOST_BYTES, decode_content=True)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return HttpReply(answer.status_code, headers, body)
    except (requests.RequestException, OSError, ValueError) as error:
        # The class alone: the error's text may repeat the address, and with it what we authenticate with.
        raise NoAnswer(f"no answer: {type(error).__name__}") from None
