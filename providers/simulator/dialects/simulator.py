"""The simulator's own dialect: JSON both ways; the bearer token names the account."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from providers.simulator.dialects.base import (
    JSON_HEADERS,
    Answer,
    BadPost,
    Dialect,
    Event,
    Find,
    Hook,
    Post,
    Received,
    Routes,
    with_wait,
)
from providers.simulator.segments import segments


class OwnDialect(Dialect):
    """What the platform's `simulator` adapter speaks."""

    name: ClassVar[str] = "simulator"
    posts: ClassVar[Routes] = (("POST", "/v1/messages"),)
    look_ups: ClassVar[Routes] = (("GET", "/v1/messages"),)
    gathers: ClassVar[bool] = True

    _REFUSALS: Final = {
        "invalid_number": (422, "This number cannot receive texts"),
        "opted_out": (403, "This person has opted out"),
        "rate_limited": (429, "Too many messages"),
        "unauthorized": (401, "Unknown token"),
        "invalid_request": (400, "The request is not understood"),
    }

    def caller(self, given: Received) -> tuple[str, str] | None:
        scheme, _, token = given.headers.get("Authorization", "").partition(" ")
        return (token, token) if scheme.lower() == "bearer" and token else None

    def read(self, account: str, password: str, given: Received) -> list[Post]:
        try:
            said = json.loads(given.body)
        except (ValueError, RecursionError):
            raise BadPost("body: not JSON") from None
        if not isinstance(said, dict):
            raise BadPost("body: not an object")
        texts: dict[str, str] = {}
        for name in ("to", "from", "text", "reference", "status_url"):
            value = said.get(name, "")
            if not isinstance(value, str) or (not value and name in {"to", "from", "text"}):
                raise BadPost(f"{name}: missing, or not text")
            texts[name] = value
        text = texts["text"]
        return [
            Post(
                account,
                texts["reference"],
                texts["to"],
                texts["from"],
                text,
                texts["status_url"],
                password,
                segments(text),
            )
        ]

    def accepted(self, posts: Sequence[Post], ids: Sequence[str]) -> Answer:  # noqa: ARG002 - one shape for all
        return Answer(201, b'{"id":"%s","status":"accepted"}' % ids[0].encode("ascii"))

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, words = self._REFUSALS[meaning]
        error = {"code": meaning, "message": detail or words, "taken": False}
        return Answer(status, json.dumps({"error": error}).encode(), with_wait(wait))

    def broken(self, status: int) -> Answer:
        error = {"code": "internal", "message": "Something broke here"}
        return Answer(status, json.dumps({"error": error}).encode())

    def looked_up(self, account: str, given: Received, find: Find) -> Answer:
        reference = given.query.get("reference", "")
        if not reference:
            return self.refused("invalid_request", detail="reference: missing")
        found = find(account=account, reference=reference)
        return Answer(200, json.dumps({"messages": [entry._asdict() for _, entry in found]}).encode())

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:
        body = json.dumps({"events": [self._event(event) for event in events]}).encode()
        instant = str(int(events[-1].at))
        signed = hmac.new(secret.encode(), f"{instant}.".encode() + body, hashlib.sha256)
        signature = f"t={instant},v1={signed.hexdigest()}"
        return Hook("POST", url, {**JSON_HEADERS, "X-Simulator-Signature": signature}, body)

    def _event(self, event: Event) -> dict[str, Any]:
        at = datetime.fromtimestamp(event.at, UTC).isoformat()
        if event.status:
            return {
                "type": "report",
                "id": event.id,
                "reference": event.reference,
                "status": event.status,
                "code": event.code,
                "at": at,
            }
        return {
            "type": "inbound",
            "id": event.id,
            "from": event.number,
            "to": event.sender,
            "text": event.text,
            "at": at,
        }
