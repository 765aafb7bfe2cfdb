"""Slooce's partner interface: XML both ways; the partner stands in the path, its password in the body.

A sender is a keyword. What is accepted is never heard of again: there are no reports. Nothing is signed; the script's
`secret` is the token with which `inbound_url` ends.
"""

from collections.abc import Sequence
from typing import ClassVar, Final
from xml.etree import ElementTree as ET

from providers.simulator.dialects.base import (
    Answer,
    BadPost,
    Dialect,
    Event,
    Hook,
    Post,
    Received,
    Routes,
    texts,
    with_token,
    with_wait,
)
from providers.simulator.segments import segments

_XML: Final = {"Content-Type": "application/xml"}
_LONGEST: Final = 160
# Of these two the vendor tells its customer a command, and not the words.
_COMMANDS: Final = {"STOP": "Q", "QUIT": "Q", "END": "Q", "CANCEL": "Q", "UNSUBSCRIBE": "Q", "HELP": "H"}


class SlooceDialect(Dialect):
    """It has no ids of its own: an acceptance repeats the customer's."""

    name: ClassVar[str] = "slooce"
    posts: ClassVar[Routes] = (("POST", "/slooce_apps/spi/{partner}/{user}/{keyword}/messages/mt"),)

    # How a wrong password and too many posts are answered is not known; these two are made up in its manner.
    _REFUSALS: Final = {
        "invalid_number": (403, "invalid phonenumber"),
        "opted_out": (403, "invalid mt request"),
        "rate_limited": (429, "too many requests"),
        "unauthorized": (401, "unauthorized"),
        "invalid_request": (400, "empty mt request"),
    }

    def caller(self, given: Received) -> tuple[str, str] | None:
        return given.path["partner"], ""

    def read(self, account: str, password: str, given: Received) -> list[Post]:  # noqa: ARG002 - it is in the body
        try:
            root = ET.fromstring(given.body)  # noqa: S314 - the poster is our own platform
        except ET.ParseError:
            raise BadPost("body: not XML") from None
        said = {"id": root.get("id"), **{child.tag: child.text for child in root}}
        found = texts(said, ("id", "partnerpassword", "content"))
        user, keyword, text = given.path["user"], given.path["keyword"], found["content"]
        if root.tag != "message" or not user.isdigit():
            raise BadPost("message or user: not understood")
        if len(text) > _LONGEST or any(char > "\xff" for char in text):
            raise BadPost("content: more than 160 characters of ISO-8859-1")
        return [Post(account, found["id"], f"+{user}", keyword, text, "", found["partnerpassword"], segments(text))]

    def accepted(self, posts: Sequence[Post], ids: Sequence[str]) -> Answer:  # noqa: ARG002 - these are the ledger's
        return _response(202, posts[0].reference, "ok")

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, result = self._REFUSALS[meaning]
        answer = _response(status, "", result, detail)
        return Answer(status, answer.body, with_wait(wait, _XML))

    def broken(self, status: int) -> Answer:
        return _response(status, "", "unknown error")

    def events(self, event: Event, segments: int) -> Sequence[Event]:  # noqa: ARG002 - whatever became of it
        return ()

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:
        [event] = events
        root = ET.Element("message", {"id": event.id})
        ET.SubElement(root, "user").text = event.number.removeprefix("+")
        ET.SubElement(root, "keyword").text = event.sender
        command = _COMMANDS.get(event.text.strip().upper())
        ET.SubElement(root, "command" if command else "content").text = command or event.text
        return Hook("POST", with_token(url, secret), _XML, ET.tostring(root, encoding="iso-8859-1"))


def _response(status: int, message_id: str, result: str, words: str = "") -> Answer:
    root = ET.Element("response", {"id": message_id, "result": result})
    root.text = words
    return Answer(status, ET.tostring(root), _XML)
