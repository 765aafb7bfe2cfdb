"""What a carrier calls us with: signed reports and messages from people, stored as the webhook stores them."""

import hashlib
import hmac
import json

from campaigns import sending, webhooks
from providers.adapters.base import WebhookRequest


def report(flight, status):
    """One report of a flight; some carriers name only their own id of the message."""
    event = {"id": flight.provider_id, "type": "report", "status": status, "code": "c", "detail": "d"}
    if flight.is_echoed:
        event["reference"] = sending.reference(flight.dispatch_id, flight.flight)
    return event


def message(number, to, text, *, key):
    """One message from a person."""
    return {"id": f"i{key}", "type": "inbound", "from": number, "to": to, "text": text}


def signed(account, events):
    """The carrier's request."""
    body = json.dumps({"events": list(events)}).encode()
    signature = hmac.new(b"secret", b"1." + body, hashlib.sha256).hexdigest()
    return WebhookRequest(
        method="POST",
        url=f"http://127.0.0.1:8000/webhooks/{account.provider}/{account.key}/events",
        headers={"content-type": "application/json", "x-simulator-signature": f"t=1,v1={signature}"},
        body=body,
    )


def call(account, events):
    """Verify, read and store a request; return whether it was news."""
    request = signed(account, events)
    adapter = account.adapter()
    assert adapter.verify(request)
    return webhooks.store(account, request, adapter.parse(request))
