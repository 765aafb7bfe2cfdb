"""What an account says of a vendor's HTTP dialect, as texts that are checked when they are set."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from providers.adapters.base import InvalidOption
from providers.adapters.base_documents import KINDS
from providers.adapters.base_placeholders import ESCAPES, Template, check_body, in_header, in_url, read_template
from providers.adapters.base_rules import Refusal, Report, When, read_refusals, read_statuses, read_when

HASHES: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512}
)
_OURS: Final = ("api_key", "user", "password", "basic")
_ADDRESSED: Final = ("to", "to_digits", "to_national", "from", "from_digits", "from_national", "reference")
_SENT: Final = (*_ADDRESSED, "text", "status_url", "valid_for", "valid_for_minutes")

_NUMBERS: Final = MappingProxyType({"longest_valid_for": (1, 9_999_999), "answer_status": (200, 299)})
_FIELDS: Final = ("report_status", "inbound_from", "inbound_to", "inbound_text", "look_up_id", "look_up_reference")
_OPTIONAL_FIELDS: Final = (
    *("id_field", "code_field", "detail_field", "events_field"),
    *("report_id", "report_reference", "report_code", "look_up_list"),
)
_KEYS: Final = ("report_key", "inbound_key")
_NUMBER: Final = re.compile(r"[0-9]{1,7}", re.ASCII)
_FIELD: Final = re.compile(r"[^\s.]+(\.[^\s.]+)*")
# Option -> what it must look like, and what to write.
_SHAPES: Final = MappingProxyType(
    {
        "country_code": (re.compile(r"([1-9][0-9]{0,2})?", re.ASCII), "write 1 for +1, or leave it empty"),
        "hmac_header": (re.compile(r"[A-Za-z0-9_-]*", re.ASCII), "write the header's name, or leave it empty"),
        "answer_type": (re.compile(r"[a-z]+/[!-~ ]+", re.ASCII), "write a content type, such as text/plain"),
    }
)
_PATH: Final = re.compile(r"/[!\"$-\[\]-~]*", re.ASCII)  # neither # nor a backslash
_HEADER: Final = re.compile(r"([A-Za-z0-9_-]+): *([ -~]*)", re.ASCII)
_ACCEPTANCES: Final = frozenset(range(200, 300))


@dataclass(frozen=True)
class TemplateOptions:
    """Everything a vendor's HTTP dialect can have, as texts; the defaults are below.

    Options are shown to people: secrets belong into the credentials `api_key`, `user` and `password`.

    THE REQUEST. `method` is POST or GET (which sends no body). `path` follows the account's base_url and may have a
    query. `headers` is one `Name: value` a line. `content_type` is json, form (`name=value`, joined by & or one a line),
    xml or text, and says how `body` is written; it is sent as UTF-8, and a Content-Type among the headers replaces the
    usual one. In path and body may stand, each value escaped for its place:

      {to} {from}                   E.164, +12025550123; a short code or name as it is
      {to_digits} {from_digits}     without the plus
      {to_national} {from_national} without the `country_code` either, which must be given (1 for +1); numbers of ten
                                    digits that come in are then national, too
      {text}                        the text
      {reference}                   our 40 characters for this message, never used twice
      {status_url}                  where reports on this message go, our reference and the proof included
      {valid_for}                   seconds for which it may still be delivered, at most `longest_valid_for`
      {valid_for_minutes}           the same in minutes
      {api_key} {user} {password}   the credentials
      {basic}                       user:password in base64

    Headers may have {reference} and the credentials. Before the ? of a path there is neither {text} nor {from}; in a
    plain text body, {text} stands at the end, as nothing could be escaped there.

    THE ANSWER. `reply_type` is json, xml, form or text. A field in it is a path with dots: `error.code`; `messages.0.id`
    is in the first entry of a list; `response.@id` is an attribute of the XML's outermost element; in a text, `0` is
    the first word (words end at white space and : = , ; |).

    - `accepted_when` has the conditions of a success: `status=200,201` (only 2xx) and `field=a.path value=text`, which
      must all hold. Then the vendor's id must stand at `id_field`. If the vendor gives none, leave id_field empty and
      have a field's value prove the success.
    - `refused_when` has the answers which prove that nothing was taken, a rule a line:

        status=400 field=error.code value=E12 -> rejected_permanent            # this text or person: never
        status=403 field=error.code value=E13 -> rejected_permanent opted_out
        status=429 field=error.code value=*   -> rejected_retryable            # may work later
        status=401 field=error.code value=E11 -> rejected_provider             # our account or sender

      `value=*` is anything but nothing. The first line that fits counts, and `-> unknown` takes something out. Choose a
      field that only this vendor sends: a message that is wrongly taken for refused is sent twice.
    - Everything else is unknown and never sent again; so is what fits both. What stands at `code_field` and
      `detail_field` is shown to people.

    WEBHOOKS bring reports and people's messages, as JSON, XML or form, or in the query of the address. A field is looked
    for in the event, then in the query. `events_field` is the path of a list with several events; empty: the body is
    one event, or a list of them.

    - An event is a person's message if the address ends in `/inbound`; or, if `inbound_when` is given, if its conditions
      hold, as in `field=type value=mo`. All others are reports.
    - Reports: `report_id` is the vendor's id, `report_reference` our reference (if there is none, the one in
      {status_url} counts), `report_status` and `report_code` are the vendor's words. `statuses` says what these mean,
      a line for each meaning, in any case: `DELIVRD "handed over" -> delivered`. Meanings are accepted queued sent
      delivered undelivered failed rejected expired unknown, which also stand for themselves; `opted_out` may follow.
    - Messages: `inbound_from`, `inbound_to`, `inbound_text`.
    - `report_key` and `inbound_key` are the fields, with spaces between, that together are equal for the vendor's
      repeats of one event and differ for any two events.
    - Proof: the addresses entered at the vendor end with `?token=` and the credential `webhook_token`. Or else
      `hmac_header` is the header with the HMAC of the body, in hex or base64, by `hmac_algorithm` (sha1, sha256,
      sha512), with that credential as its key.
    - `answer_status` (2xx), `answer_type` and `answer_body` are what the vendor hears.

    QUESTIONS, both optional, by GET with the same headers. `look_up_path` asks for a message of which nobody knows
    whether it was taken, by {reference}, {to} or {from} in their spellings, and credentials. `look_up_list` is the path
    of the list in the answer; `look_up_id` and `look_up_reference` are fields of its entries. `check_path` is any
    harmless address that shows whether the credentials work.
    """

    method: str = "POST"
    path: str = "/send"
    headers: str = "Authorization: Bearer {api_key}"
    content_type: str = "json"
    body: str = (
        '{"to": "{to}", "from": "{from}", "text": "{text}", "reference": "{reference}", "status_url": "{status_url}"}'
    )
    country_code: str = ""
    longest_valid_for: str = "172800"

    reply_type: str = "json"
    accepted_when: str = "status=200,201,202"
    id_field: str = "id"
    refused_when: str = ""
    code_field: str = "error.code"
    detail_field: str = "error.message"

    events_field: str = ""
    inbound_when: str = ""
    report_id: str = "id"
    report_reference: str = "reference"
    report_status: str = "status"
    report_code: str = "code"
    report_key: str = "id status"
    statuses: str = ""
    inbound_from: str = "from"
    inbound_to: str = "to"
    inbound_text: str = "text"
    inbound_key: str = "id"
    hmac_header: str = ""
    hmac_algorithm: str = "sha256"
    answer_status: str = "200"
    answer_type: str = "text/plain"
    answer_body: str = ""

    look_up_path: str = ""
    look_up_list: str = "messages"
    look_up_id: str = "id"
    look_up_reference: str = "reference"
    check_path: str = ""

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_fields()
        # Read now, so that a mistake is told now.
        _ = self.url, self.content, self.header_lines, self.look_up_url, self.check_url
        _ = self.acceptance, self.refusals, self.message_when, self.meanings
        self._check_placeholders()

    @cached_property
    def url(self) -> Template:
        """Return what follows the base URL when a message is sent."""
        return _url("path", self.path, _SENT)

    @cached_property
    def look_up_url(self) -> Template | None:
        """Return what follows the base URL in a look-up, if there is one."""
        return _url("look_up_path", self.look_up_path, _ADDRESSED) if self.look_up_path else None

    @cached_property
    def check_url(self) -> Template | None:
        """Return what follows the base URL in a check of the credentials, if there is one."""
        return _url("check_path", self.check_path, ()) if self.check_path else None

    @cached_property
    def content(self) -> Template:
        """Return the body; a form's lines are joined."""
        text = self.body.strip()
        if self.content_type == "form":
            text = "&".join(filter(None, (line.strip() for line in text.splitlines())))
        made = read_template("body", text, ESCAPES[self.content_type], (*_SENT, *_OURS))
        if self.method == "POST":
            check_body("body", self.content_type, made)
        return made

    @cached_property
    def header_lines(self) -> tuple[tuple[str, Template], ...]:
        """Return the headers of every request."""
        found = []
        for number, line in enumerate(filter(None, map(str.strip, self.headers.splitlines())), start=1):
            place = f"headers, line {number}"
            parts = _HEADER.fullmatch(line)
            if parts is None:
                raise InvalidOption(f"{place}: {line!r} is no header; write Name: value, in ASCII")
            found.append((parts[1], read_template(place, parts[2], in_header, ("reference", *_OURS))))
        return tuple(found)

    @cached_property
    def acceptance(self) -> When:
        """Return the conditions of an acceptance, besides the id."""
        found = read_when("accepted_when", self.accepted_when)
        if not found.statuses or not found.statuses <= _ACCEPTANCES:
            raise InvalidOption("accepted_when: only success can accept; write status=200, or several from 200 to 299")
        if not found.fields and not (self.id_field and self.reply_type in {"json", "xml"}):
            raise InvalidOption(
                "accepted_when: without an id in JSON or XML any page would do; add field=… value=… of a success"
            )
        return found

    @cached_property
    def refusals(self) -> tuple[Refusal, ...]:
        """Return the rules of refusals."""
        return read_refusals("refused_when", self.refused_when)

    @cached_property
    def message_when(self) -> When | None:
        """Return the conditions under which an event is a person's message; None: the address tells."""
        found = read_when("inbound_when", self.inbound_when)
        if found.statuses:
            raise InvalidOption("inbound_when: events have no HTTP status; write field=… value=…")
        return found if found.fields else None

    @cached_property
    def meanings(self) -> Mapping[str, Report]:
        """Return what the vendor's statuses mean, in small letters."""
        return read_statuses("statuses", self.statuses)

    def _check_choices(self) -> None:
        choices: dict[str, Collection[str]] = {"method": ("POST", "GET"), "content_type": KINDS, "reply_type": KINDS}
        for option, known in (choices | {"hmac_algorithm": HASHES}).items():
            if (given := getattr(self, option)) not in known:
                raise InvalidOption(f"{option}: {given!r} is unknown; write one of {', '.join(known)}")
        for option, (least, most) in _NUMBERS.items():
            given = getattr(self, option)
            if not _NUMBER.fullmatch(given) or not least <= int(given) <= most:
                raise InvalidOption(f"{option}: {given!r} is no such number; write one from {least} to {most}")
        for option, (shape, remedy) in _SHAPES.items():
            given = getattr(self, option)
            if not shape.fullmatch(given):
                raise InvalidOption(f"{option}: {given!r} cannot be used; {remedy}")

    def _check_fields(self) -> None:
        for option in (*_FIELDS, *_OPTIONAL_FIELDS):
            given = getattr(self, option)
            if not _FIELD.fullmatch(given) and (given or option in _FIELDS):
                raise InvalidOption(f"{option}: {given!r} is no field; write its path, such as error.code")
        for option in _KEYS:
            names = getattr(self, option).split()
            if not names or not all(map(_FIELD.fullmatch, names)):
                raise InvalidOption(f"{option}: must name fields; write their paths with spaces between")

    def _check_placeholders(self) -> None:
        """A message must carry its text and its person, and a national number needs a country."""
        names = {*self.url.names, *(self.content.names if self.method == "POST" else ())}
        option = "body" if self.method == "POST" else "path"
        if "text" not in names:
            raise InvalidOption(f"{option}: the text is not sent; put {{text}} where it belongs")
        if not names & {"to", "to_digits", "to_national"}:
            raise InvalidOption(f"{option}: the person is not named; put {{to}} or {{to_digits}} where they belong")
        asked = {*names, *(self.look_up_url.names if self.look_up_url else ())}
        if not self.country_code and asked & {"to_national", "from_national"}:
            raise InvalidOption("country_code: {to_national} and {from_national} need one; write 1 for +1")


def _url(option: str, text: str, known: Collection[str]) -> Template:
    *folders, last = text.partition("?")[0].split("/")[1:] or [""]
    if not _PATH.fullmatch(text) or not {"", ".", ".."}.isdisjoint(folders) or last in {".", ".."}:
        raise InvalidOption(
            f"{option}: {text!r} is no path; write /send or /send?to={{to}}, without spaces, #, // or .."
        )
    # Among the folders a text of dots would lead elsewhere.
    folder_names = [name for name in (*known, *_OURS) if name not in {"text", "status_url", "from"}]
    read_template(f"{option}, before the ?", text.partition("?")[0], in_url, folder_names)
    return read_template(option, text, in_url, (*known, *_OURS))
