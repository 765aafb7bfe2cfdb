"""PineApple as it is assumed to be: JSON both ways; the key in `X-Api-Key` names the account."""

import json
from collections.abc import Sequence
from typing import ClassVar, Final

from providers.simulator.dialects.base import (
    JSON_HEADERS,
    Answer,
    BadPost,
    Dialect,
    Event,
    Hook,
    Post,
    Received,
    Routes,
    texts,
    with_wait,
)
from providers.simulator.segments import segments


class PineAppleDialect(Dialect):
    """Reports go where each message says; nothing is signed."""

    name: ClassVar[str] = "pineapple"
    id_prefix: ClassVar[str] = "pa"
    posts: ClassVar[Routes] = (("POST", "/pineapple/v1/messages"),)

    _REFUSALS: Final = {
        "invalid_number": (422, "This number cannot receive texts"),
        "opted_out": (422, "This person has opted out"),
        "rate_limited": (429, "Too many messages"),
        "unauthorized": (401, "Unknown key"),
        "invalid_request": (400, "The request is not understood"),
    }

    def caller(self, given: Received) -> tuple[str, str] | None:
        key = given.headers.get("X-Api-Key", "")
        return (key, key) if key else None

    def read(self, account: str, password: str, given: Received) -> list[Post]:
        try:
            said = json.loads(given.body)
        except (ValueError, RecursionError):
            raise BadPost("body: not JSON") from None
        if not isinstance(said, dict):
            raise BadPost("body: not an object")
        if not isinstance(said.get("valid_for"), int):
            raise BadPost("valid_for: missing, or not a whole number")
        needed = texts(said, ("to", "from", "text"))
        text = needed["text"]
        reference, callback = (str(said.get(name) or "") for name in ("reference", "callback_url"))
        return [Post(account, reference, needed["to"], needed["from"], text, callback, password, segments(text))]

    def accepted(self, posts: Sequence[Post], ids: Sequence[str]) -> Answer:  # noqa: ARG002 - one shape for all
        return Answer(202, json.dumps({"message_id": ids[0], "status": "queued"}).encode())

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, words = self._REFUSALS[meaning]
        error = {"error_code": meaning, "error_message": detail or words}
        return Answer(status, json.dumps(error).encode(), with_wait(wait))

    def broken(self, status: int) -> Answer:
        error = {"error_code": "internal", "error_message": "Something went wrong"}
        return Answer(status, json.dumps(error).encode())

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:  # noqa: ARG002 - nothing is signed
        [event] = events
        said = {"message_id": event.id}
        if event.status:
            said |= {"reference": event.reference, "status": event.status, "error_code": event.code}
        else:
            said |= {"from": event.number, "to": event.sender, "text": event.text}
        return Hook("POST", url, JSON_HEADERS, json.dumps(said).encode())
