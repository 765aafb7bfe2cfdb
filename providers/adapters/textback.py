"""TextBack (textback.ai, US texting): sends by GET, and publishes no documents.

KNOWN, from third-party code: `GET https://api.textback.ai/send` with `action=sendText`, `apiKey`, `from`, `to` and
`text` in the query. Not to be confused with textback.io, another vendor.

ASSUMED, until the vendor's document or an account says otherwise; each is an option of the account:
- numbers are written as digits with the country code, without a plus (`path`); ten digits that come in are American
  (`country_code`);
- success is a 200 with JSON in which the message's id stands at `id` (`accepted_when`, `reply_type`, `id_field`);
- no answer proves that a message was not taken (`refused_when` is empty): all but success is unknown;
- people's messages, and reports if there are any, come as `id`, `from`, `to`, `text`, and `id`, `status`, `code`
  (`inbound_…`, `report_…`), in JSON, a form or the query, to addresses entered at the vendor that end with
  `?token=` and the credential webhook_token; nothing of ours is echoed, so the id finds the message.

The key and the text stand in the address, so they land in the vendor's logs and in those of proxies on the way. Whoever
stands there may repeat a GET; our own client never does (providers/delivery.py).
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from providers.adapters.base import Limits
from providers.adapters.base_template import TemplateAdapter, TemplateCredentials
from providers.adapters.base_template_options import TemplateOptions


@dataclass(frozen=True, slots=True)
class TextBackCredentials(TemplateCredentials):
    """The API key, and what proves webhooks."""

    api_key: str = field(repr=False)


@dataclass(frozen=True)
class TextBackOptions(TemplateOptions):
    """What is known and assumed of TextBack; see TemplateOptions."""

    method: str = "GET"
    path: str = "/send?action=sendText&apiKey={api_key}&from={from_digits}&to={to_digits}&text={text}"
    headers: str = "Cache-Control: no-store"
    country_code: str = "1"
    accepted_when: str = "status=200"


class TextBackAdapter(TemplateAdapter):
    """One TextBack account."""

    slug: ClassVar[str] = "textback"
    title: ClassVar[str] = "TextBack"
    default_base_url: ClassVar[str] = "https://api.textback.ai"
    # Nothing is published; one a second is what any US number may send.
    limits: ClassVar[Limits] = Limits(segments_per_second=1.0, concurrency=4, timeout=30.0)
    Credentials: ClassVar[type[Any]] = TextBackCredentials
    Options: ClassVar[type[Any]] = TextBackOptions
