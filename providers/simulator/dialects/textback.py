"""TextBack: messages by GET, with the key in the query; it names the account.

The request is as third-party code sends it. Nothing is published of answers and webhooks; these are made up, as plain as
can be. Reports go to the script's `status_url`, as a message names no address.
"""

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


class TextBackDialect(Dialect):
    """A GET is a message."""

    name: ClassVar[str] = "textback"
    id_prefix: ClassVar[str] = "tb"
    posts: ClassVar[Routes] = (("GET", "/textback/send"),)

    _REFUSALS: Final = {
        "invalid_number": (400, "This number cannot receive texts"),
        "opted_out": (400, "This contact has unsubscribed"),
        "rate_limited": (429, "Too many requests"),
        "unauthorized": (401, "Unknown API key"),
        "invalid_request": (400, "A parameter is missing or wrong"),
    }

    def caller(self, given: Received) -> tuple[str, str] | None:
        key = given.query.get("apiKey", "")
        return (key, key) if key else None

    def read(self, account: str, password: str, given: Received) -> list[Post]:
        said = texts(given.query, ("action", "from", "to", "text"))
        if said["action"] != "sendText":
            raise BadPost("action: unknown")
        for name in ("from", "to"):
            if not said[name].isdigit():
                raise BadPost(f"{name}: not digits")
        text = said["text"]
        return [Post(account, "", f"+{said['to']}", f"+{said['from']}", text, "", password, segments(text))]

    def accepted(self, posts: Sequence[Post], ids: Sequence[str]) -> Answer:  # noqa: ARG002 - one shape for all
        return Answer(200, json.dumps({"success": True, "id": ids[0]}).encode())

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, words = self._REFUSALS[meaning]
        return Answer(status, _failure(meaning, detail or words), with_wait(wait))

    def broken(self, status: int) -> Answer:
        return Answer(status, _failure("internal", "Something went wrong"))

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:  # noqa: ARG002 - nothing is signed
        [event] = events
        number, sender = event.number.removeprefix("+"), event.sender.removeprefix("+")
        said = {"id": event.id, "from": number, "to": sender, "text": event.text}
        if event.status:
            said = {"id": event.id, "status": event.status, "code": event.code}
        return Hook("POST", url, JSON_HEADERS, json.dumps(said).encode())


def _failure(code: str, message: str) -> bytes:
    return json.dumps({"success": False, "error": {"code": code, "message": message}}).encode()
