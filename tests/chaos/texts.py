"""People who text in by the thousand, as their provider tells us: signed webhooks, some of them twice."""

import hashlib
import hmac
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from providers.models import ProviderAccount, Sender
from tests.bench import caller
from tests.bench.caller import Round
from tests.ground import Client

_REPEATED = 0.1
_STOPS = 0.05
_SECRET = b"secret"

Body = dict[str, object]


def bodies(client: Client, count: int, random: Random) -> list[tuple[str, Body]]:
    """Return what so many people write, each once, to the client's number; and the address it is posted to."""
    account = ProviderAccount.objects.get(pk=client.account_id)
    sender = Sender.objects.get(account=account).address
    url = f"{os.environ['PUBLIC_URL']}/webhooks/{account.provider}/{account.key}/inbound"
    found: list[tuple[str, Body]] = []
    for number in range(1, count + 1):
        text = "STOP" if random.random() < _STOPS else f"Thank you, number {number}"
        event = {"type": "inbound", "id": f"in{number}", "from": f"+1212{number:07d}", "to": sender, "text": text}
        found.append((url, event))
    again = random.sample(found, int(count * _REPEATED))
    return found + again


def of(written: Sequence[tuple[str, Body]]) -> Mapping[str, str]:
    """Return the text of each number."""
    return {str(event["from"]): str(event["text"]) for _, event in written}


def post(path: Path, written: Sequence[tuple[str, Body]]) -> dict[str, int]:
    """Post all of it as fast as it goes; return how often which status was answered."""
    requests = []
    for url, event in written:
        body, instant = json.dumps({"events": [event]}), int(time.time())
        signed = hmac.new(_SECRET, f"{instant}.{body}".encode(), hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Simulator-Signature": f"t={instant},v1={signed}"}
        requests.append(("POST", url, headers, body))
    [answers] = caller.call([Round(str(caller.write_requests(path, requests)), connections=32)])
    return answers.statuses
