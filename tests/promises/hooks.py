"""Speaks to our webhooks as the simulator's vendor would: signed, over HTTP as far as Django goes."""

import hashlib
import hmac
import itertools
import json

from django.test import Client

from campaigns import sending
from campaigns.models import Attempt

SECRET = "secret"
_ids = itertools.count(1)


def call(acme, *events, secret=SECRET):
    """Post these events to the account's webhook and return the answer's status."""
    body = json.dumps({"events": events}).encode()
    signature = hmac.new(secret.encode(), b"1." + body, hashlib.sha256).hexdigest()
    path = f"/webhooks/{acme.account.provider}/{acme.account.key}/status"
    answer = Client().post(
        path, body, content_type="application/json", headers={"X-Simulator-Signature": f"t=1,v1={signature}"}
    )
    return answer.status_code


def inbound(acme, number, text="STOP", *, to=None):
    return {"id": f"in{next(_ids)}", "type": "inbound", "from": number, "to": to or acme.sender.address, "text": text}


def report(dispatch_id, flight=1, status="delivered", *, id_="", code=""):
    return {
        "id": id_ or f"m{next(_ids)}",
        "type": "report",
        "status": status,
        "reference": sending.reference(dispatch_id, flight) if dispatch_id else "",
        "code": code,
    }


def stop(acme, number):
    """This person texts STOP; the webhook has answered when this returns."""
    assert call(acme, inbound(acme, number)) == 204


def flights(dispatch_id):
    """The ledger's outcomes of a dispatch, by flight."""
    return list(Attempt.objects.filter(dispatch_id=dispatch_id).order_by("flight").values_list("outcome", flat=True))
