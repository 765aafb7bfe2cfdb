"""Twilio's classic Messages API: form in, JSON out."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from itertools import islice
from typing import ClassVar, Final
from urllib.parse import parse_qs, urldefrag, urlencode, urlsplit

from providers.simulator.dialects.base import (
    Answer,
    BadPost,
    Dialect,
    Event,
    Find,
    Hook,
    Post,
    Received,
    Routes,
    basic,
    with_wait,
)
from providers.simulator.segments import segments

_PAGE: Final = 1_000


class TwilioDialect(Dialect):
    """The account stands in the path, the reference in the callback's query."""

    name: ClassVar[str] = "twilio"
    id_prefix: ClassVar[str] = "SM"
    posts: ClassVar[Routes] = (("POST", "/2010-04-01/Accounts/{sid}/Messages.json"),)
    look_ups: ClassVar[Routes] = (("GET", "/2010-04-01/Accounts/{sid}/Messages.json"),)

    _REFUSALS: Final = {
        "invalid_number": (400, 21211, "The 'To' number is not a valid phone number."),
        "opted_out": (400, 21610, "Attempt to send to unsubscribed recipient"),
        "rate_limited": (429, 20429, "Too Many Requests"),
        "unauthorized": (401, 20003, "Authenticate"),
        "invalid_request": (400, 21602, "A parameter is missing or wrong."),
    }
    _BROKEN: Final = {500: 20500, 503: 20503, 504: 30410}
    _ERRORS: Final = {"invalid_number": "30005", "unreachable": "30003", "lost": "30008"}

    def caller(self, given: Received) -> tuple[str, str] | None:
        user, password = basic(given.headers.get("Authorization", ""))
        return (given.path["sid"], password) if user and password else None

    def read(self, account: str, password: str, given: Received) -> list[Post]:
        form = {name: values[0] for name, values in parse_qs(given.body.decode("utf-8", "replace")).items()}
        sender = form.get("From") or form.get("MessagingServiceSid") or ""
        for name, value in (("To", form.get("To")), ("From", sender), ("Body", form.get("Body"))):
            if not value:
                raise BadPost(f"{name}: missing")
        # The fragment tells Twilio how to insist; it is not part of what is called or signed.
        callback = urldefrag(form.get("StatusCallback", "")).url
        reference = parse_qs(urlsplit(callback).query).get("ref", [""])[0] if callback else ""
        text = form["Body"]
        return [Post(account, reference, form["To"], sender, text, callback, password, segments(text))]

    def accepted(self, posts: Sequence[Post], ids: Sequence[str]) -> Answer:
        [post], [message_id] = posts, ids
        message = {
            "sid": message_id,
            "status": "queued",
            "account_sid": post.account,
            "to": post.to,
            "from": post.sender,
            "body": post.text,
            "direction": "outbound-api",
            "num_segments": str(post.segments),
            "error_code": None,
            "error_message": None,
            "uri": f"/2010-04-01/Accounts/{post.account}/Messages/{message_id}.json",
        }
        return Answer(201, json.dumps(message).encode("ascii"))

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, code, words = self._REFUSALS[meaning]
        return Answer(status, self._error(status, code, detail or words), with_wait(wait))

    def broken(self, status: int) -> Answer:
        code = self._BROKEN.get(status, 20500)
        return Answer(status, self._error(status, code, "Internal Server Error"))

    def _error(self, status: int, code: int, message: str) -> bytes:
        more = f"https://www.twilio.com/docs/errors/{code}"
        error = {"code": code, "message": message, "more_info": more, "status": status}
        return json.dumps(error).encode()

    def looked_up(self, account: str, given: Received, find: Find) -> Answer:
        found = find(account=account, to=given.query.get("To", ""), sender=given.query.get("From", ""))
        listed = [
            {
                "sid": entry.id,
                "to": entry.to,
                "from": entry.sender,
                "body": entry.text,
                "status": "sent",
                "direction": "outbound-api",
                "num_segments": str(entry.segments),
                "date_created": time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(entry.at)),
            }
            for _, entry in islice(found, _PAGE)
        ]
        return Answer(200, json.dumps({"messages": listed, "next_page_uri": None}).encode())

    def inbound_id(self, unique: str) -> str:
        return f"SM{unique}"

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:
        form = self._form(events[0])
        signed = url + "".join(name + form[name] for name in sorted(form))
        digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha1).digest()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": base64.b64encode(digest).decode("ascii"),
        }
        return Hook("POST", url, headers, urlencode(form).encode("ascii"))

    def _form(self, event: Event) -> dict[str, str]:
        form = {
            "MessageSid": event.id,
            "SmsSid": event.id,
            "AccountSid": event.account,
            "ApiVersion": "2010-04-01",
        }
        if not event.status:
            inbound = {"From": event.number, "To": event.sender, "Body": event.text}
            return form | inbound | {"NumMedia": "0", "NumSegments": "1", "SmsStatus": "received"}
        side = "MessagingServiceSid" if event.sender.startswith("MG") else "From"
        form |= {"MessageStatus": event.status, "SmsStatus": event.status}
        form |= {"To": event.number, side: event.sender}
        return form | ({"ErrorCode": self._ERRORS[event.code]} if event.code else {})
