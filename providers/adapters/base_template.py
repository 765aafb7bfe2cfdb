"""A vendor's HTTP dialect that is said by an account's options instead of code.

What they can say is in the docstring of `TemplateOptions`, with an example in docs/http-template.md. Whatever they say,
three things hold: a value never leaves its place in a request, an answer that fits no rule is unknown, and a webhook
proves that it knows `webhook_token`.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, quote, urlsplit

from providers.adapters.base import (
    Adapter,
    Finding,
    HttpCall,
    HttpReply,
    Inbound,
    MalformedEvent,
    Message,
    Outcome,
    Question,
    Receipt,
    ReceiptStatus,
    Result,
    Unreadable,
    WebhookAnswer,
    WebhookRequest,
    basic,
    digits,
    e164,
    is_id,
    query_value,
    retry_after,
    same_secret,
    storable,
)
from providers.adapters.base_documents import document, entries, kind_of, text_at
from providers.adapters.base_placeholders import Template
from providers.adapters.base_rules import Lookup, Report
from providers.adapters.base_template_options import HASHES, TemplateOptions

_CONTENT_TYPES: Final = MappingProxyType(
    {
        "json": "application/json",
        "form": "application/x-www-form-urlencoded",
        "xml": "application/xml",
        "text": "text/plain; charset=utf-8",
    }
)
_TEN_DIGITS: Final = re.compile(r"[0-9]{10}", re.ASCII)
_CODE_LIMIT: Final = 40
_ID_LIMIT: Final = 64
_MOST_FIELDS: Final = 500
_STRANGE: Final = Report(ReceiptStatus.UNKNOWN)


@dataclass(frozen=True, slots=True)
class TemplateCredentials:
    """What proves a webhook, and what requests are authorized with.

    `webhook_token` is long and random. It stands in the addresses that the vendor is given, `…/inbound?token=…`; or it
    is the key with which the vendor signs (option `hmac_header`).
    """

    webhook_token: str = field(repr=False)
    api_key: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


class TemplateAdapter(Adapter):
    """One account at a vendor whose dialect its options say."""

    Credentials: ClassVar[type[Any]] = TemplateCredentials
    Options: ClassVar[type[Any]] = TemplateOptions
    option_groups: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "method": "the request",
            "reply_type": "the answer",
            "events_field": "webhooks",
            "look_up_path": "questions",
        }
    )

    credentials: TemplateCredentials
    options: TemplateOptions

    def call(self, message: Message) -> HttpCall:
        """Return the request that the options describe."""
        ours = self.options
        values = self._values(message)
        body = b"" if ours.method == "GET" else ours.content.filled(values).encode("utf-8", "replace")
        return HttpCall(ours.method, self.base_url + ours.url.filled(values), self._headers(values), body)

    def _values(self, message: Message) -> dict[str, str]:
        longest = int(self.options.longest_valid_for)
        seconds = longest if message.valid_for is None else max(1, min(longest, message.valid_for))
        return {
            **self._addresses(message),
            "text": message.text,
            "status_url": self._with_token(message.status_url),
            "valid_for": str(seconds),
            "valid_for_minutes": str(max(1, seconds // 60)),
        }

    def _addresses(self, of: Message | Question) -> dict[str, str]:
        found = {**self._authority, "reference": of.reference}
        for name, number in (("to", of.to), ("from", of.sender)):
            national = number.removeprefix(f"+{self.options.country_code}")
            found |= {name: number, f"{name}_digits": digits(number), f"{name}_national": digits(national)}
        return found

    @cached_property
    def _authority(self) -> Mapping[str, str]:
        ours = self.credentials
        return {
            "api_key": ours.api_key,
            "user": ours.user,
            "password": ours.password,
            "basic": basic(ours.user, ours.password).removeprefix("Basic "),
        }

    def _with_token(self, url: str) -> str:
        if not url or self.options.hmac_header:
            return url
        return f"{url}{'&' if '?' in url else '?'}token={quote(self.credentials.webhook_token, safe='')}"

    def _headers(self, values: Mapping[str, str]) -> Mapping[str, str]:
        ours = self.options
        headers = {name: line.filled(values) for name, line in ours.header_lines}
        if ours.method == "POST" and "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = _CONTENT_TYPES[ours.content_type]
        return headers

    def read(self, message: Message, reply: HttpReply) -> Result:
        """Return what the answer means; one that is both an acceptance and a refusal is neither."""
        ours = self.options
        look = _looking(document(ours.reply_type, reply.body))
        given = look(ours.id_field) if ours.id_field else message.reference
        is_taken = ours.acceptance.holds(look, reply.status) and is_id(given)
        refusal = next((each for each in ours.refusals if each.when.holds(look, reply.status)), None)
        if is_taken and refusal is None:
            return Result(Outcome.ACCEPTED, provider_id=given)
        code, words = self.shown(look(ours.code_field))[:_CODE_LIMIT], self.shown(look(ours.detail_field))
        if is_taken or refusal is None:
            fits = "accepted_when and refused_when" if is_taken else "no rule"
            detail = f"HTTP {reply.status} fits {fits}: {words}"[:500]
            return Result(Outcome.UNKNOWN, code=code, detail=detail)
        return Result(
            refusal.outcome,
            code=code,
            detail=words,
            retry_after=retry_after(reply.headers),
            opted_out=refusal.opted_out,
        )

    def look_up(self, question: Question) -> HttpCall | None:
        """Return the question the options describe, if they do."""
        return self._get(self.options.look_up_url, self._addresses(question))

    def found(self, question: Question, reply: HttpReply) -> list[Finding]:
        """Return the messages with our reference; nothing else would be proof."""
        ours = self.options
        listed = entries(document(ours.reply_type, reply.body), ours.look_up_list)
        if not 200 <= reply.status < 300 or listed is None:  # noqa: PLR2004 - the success class of HTTP
            raise Unreadable(f"HTTP {reply.status}, or no list at {ours.look_up_list or 'the top'}")
        named = ((text_at(each, ours.look_up_id), text_at(each, ours.look_up_reference)) for each in listed)
        return [Finding(id_, ref) for id_, ref in named if is_id(id_) and ref == question.reference]

    def check(self) -> HttpCall | None:
        """Return the harmless request the options describe, if they do."""
        return self._get(self.options.check_url, {**self._authority, "reference": ""})

    def _get(self, url: Template | None, values: Mapping[str, str]) -> HttpCall | None:
        if url is None:
            return None
        headers = {name: line.filled(values) for name, line in self.options.header_lines}
        return HttpCall("GET", self.base_url + url.filled(values), headers, b"")

    def verify(self, request: WebhookRequest) -> bool:
        """Return whether the request knows our token, or is signed with it."""
        if self.options.hmac_header:
            return self._is_signed(request)
        try:
            given = query_value(request.url, "token")
        except ValueError:
            return False
        return same_secret(given, self.credentials.webhook_token)

    def _is_signed(self, request: WebhookRequest) -> bool:
        """Return whether the body is; one signature of an empty body would be good for every query."""
        ours = self.options
        key = self.credentials.webhook_token.encode("utf-8", "replace")
        if not key or not request.body:
            return False
        given = request.headers.get(ours.hmac_header.lower(), "").strip().removeprefix(f"{ours.hmac_algorithm}=")
        digest = hmac.new(key, request.body, HASHES[ours.hmac_algorithm]).digest()
        in_hex = same_secret(given.lower(), digest.hex())
        return in_hex or same_secret(given, base64.b64encode(digest).decode("ascii"))

    def parse(self, request: WebhookRequest) -> list[Receipt | Inbound]:
        """Return the events in the order in which they stand."""
        try:
            parts = urlsplit(request.url)
            query = dict(reversed(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)))
        except ValueError as error:
            raise MalformedEvent(f"query: {error}") from None
        has_body = bool(request.body.strip())
        listed = entries(document(kind_of(request.body), request.body) if has_body else {}, self.options.events_field)
        if listed is None:
            place = self.options.events_field or "body"
            raise MalformedEvent(f"{place}: neither an event nor a list of them in JSON, XML or a form")
        is_inbound = parts.path.rstrip("/").endswith("/inbound")
        return [self._event(_looking(each, query), is_inbound=is_inbound) for each in listed]

    def _event(self, look: Lookup, *, is_inbound: bool) -> Receipt | Inbound:
        conditions = self.options.message_when
        if conditions is not None:
            is_inbound = conditions.holds(look)
        return self._inbound(look) if is_inbound else self._receipt(look)

    def _receipt(self, look: Lookup) -> Receipt:
        ours = self.options
        said = _present(look, ours.report_status)
        provider_id = look(ours.report_id)
        reference = (look(ours.report_reference) or look("ref"))[:_ID_LIMIT]
        if not is_id(provider_id) and not reference:
            raise MalformedEvent(f"{ours.report_id or ours.report_reference}: neither an id nor our reference")
        meaning = ours.meanings.get(said.casefold(), _STRANGE)
        return Receipt(
            key=_key(look, ours.report_key),
            status=meaning.status,
            reference=reference,
            provider_id=provider_id if is_id(provider_id) else "",
            code=look(ours.report_code)[:_CODE_LIMIT],
            detail=said[:_CODE_LIMIT] if meaning is _STRANGE else "",
            opted_out=meaning.opted_out,
        )

    def _inbound(self, look: Lookup) -> Inbound:
        ours = self.options
        return Inbound(
            key=_key(look, ours.inbound_key),
            sender=self._number(_present(look, ours.inbound_from)),
            to=self._number(_present(look, ours.inbound_to)),
            text=look(ours.inbound_text),
        )

    def _number(self, given: str) -> str:
        number = given.strip()
        if self.options.country_code and _TEN_DIGITS.fullmatch(number):
            return f"+{self.options.country_code}{number}"
        return e164(number)

    def answer(self, request: WebhookRequest) -> WebhookAnswer:  # noqa: ARG002 - one for all
        """Return the answer the options describe."""
        ours = self.options
        return WebhookAnswer(int(ours.answer_status), ours.answer_type, ours.answer_body.encode("utf-8", "replace"))


def _looking(of: Any, query: Mapping[str, str] = MappingProxyType({})) -> Lookup:
    """Return what finds the text of a field, first in the value, then in the query; no field: no text."""

    def look(path: str) -> str:
        return (text_at(of, path) or storable(query.get(path, ""), limit=10_000)) if path else ""

    return look


def _present(look: Lookup, path: str) -> str:
    if not (said := look(path)):
        raise MalformedEvent(f"{path}: missing, or not text")
    return said


def _key(look: Lookup, paths: str) -> str:
    """Return the fields' values as one; none may be missing, or different events would have one key."""
    return ":".join(quote(_present(look, path), safe="") for path in paths.split())
