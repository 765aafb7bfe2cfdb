"""What Vonage's two APIs for texts share: the Reports API, which is asked what became of a message.

It is asked by person and time, as its specification has no `client_ref` among what may be asked for; ours is known by
the one that each record carries.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from providers.adapters.base import (
    Finding,
    HttpReply,
    InvalidOption,
    Question,
    Unreadable,
    digits,
    instant,
    is_id,
    json_object,
)

API: Final = "https://api.nexmo.com"
# A text is posted within moments of its claim; the clocks differ.
_BEFORE: Final = timedelta(minutes=5)
_AFTER: Final = timedelta(minutes=30)


def check_reports_url(url: str) -> None:
    """Raise InvalidOption unless the option `reports_url` is empty or an https:// address."""
    if url and not url.startswith("https://"):
        raise InvalidOption(f"reports_url: {url!r} is no https:// address; leave it empty to do without reports")


def records_url(host: str, product: str, api_key: str, question: Question) -> str:
    """Return the address of the person's records of those minutes; `product` is "SMS" or "MESSAGES"."""
    query = {
        "product": product,
        "account_id": api_key,
        "direction": "outbound",
        "to": digits(question.to),
        "date_start": _zulu(question.since - _BEFORE),
        "date_end": _zulu(question.since + _AFTER),
    }
    return f"{host}/v2/reports/records?{urlencode(query)}"


def records_found(product: str, question: Question, reply: HttpReply) -> list[Finding]:
    """Return the records with our reference; raises Unreadable."""
    body = json_object(reply.body) or {}
    records = body.get("records")
    if reply.status != 200 or body.get("product") != product or not isinstance(records, list):  # noqa: PLR2004 - OK
        raise Unreadable(f"HTTP {reply.status}: no records of {product}")
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise Unreadable(f"records[{number}]: not an object")
    return [
        Finding(record["message_id"], question.reference, instant(record.get("date_received")))
        for record in records
        if record.get("client_ref") == question.reference and is_id(record.get("message_id"))
    ]


def _zulu(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
