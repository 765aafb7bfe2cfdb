"""PineApple: no document, SDK or client of this vendor could be found, so the whole wire format is ASSUMED.

Assumed is what such vendors usually do: `POST <base_url>/v1/messages` in JSON with the key in `X-Api-Key`, an answer
with `message_id`, reports and people's messages as JSON. No answer proves that a message was not taken (`refused_when`
is empty), and no host is known: the account must have its base_url. Once the vendor's document is there, the account's
options say what it says; nothing here needs to change. The webhook addresses to enter at the vendor end with `?token=` and
the credential webhook_token.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from providers.adapters.base import Limits
from providers.adapters.base_template import TemplateAdapter, TemplateCredentials
from providers.adapters.base_template_options import TemplateOptions


@dataclass(frozen=True, slots=True)
class PineAppleCredentials(TemplateCredentials):
    """The API key, and what proves webhooks."""

    api_key: str = field(repr=False)


@dataclass(frozen=True)
class PineAppleOptions(TemplateOptions):
    """What is assumed of PineApple; see TemplateOptions."""

    path: str = "/v1/messages"
    headers: str = "X-Api-Key: {api_key}"
    body: str = (
        '{"to": "{to}", "from": "{from}", "text": "{text}", "reference": "{reference}",'
        ' "callback_url": "{status_url}", "valid_for": {valid_for}}'
    )
    country_code: str = "1"
    id_field: str = "message_id"
    code_field: str = "error_code"
    detail_field: str = "error_message"
    report_id: str = "message_id"
    report_code: str = "error_code"
    report_key: str = "message_id status"
    inbound_key: str = "message_id"


class PineAppleAdapter(TemplateAdapter):
    """One PineApple account."""

    slug: ClassVar[str] = "pineapple"
    title: ClassVar[str] = "PineApple"
    # Nobody's address (RFC 6761, 6.4): texts must not go to a host that was guessed.
    default_base_url: ClassVar[str] = "https://base-url-is-missing.invalid"
    # Nothing is published; one a second is what any US number may send.
    limits: ClassVar[Limits] = Limits(segments_per_second=1.0, concurrency=4, timeout=30.0)
    Credentials: ClassVar[type[Any]] = PineAppleCredentials
    Options: ClassVar[type[Any]] = PineAppleOptions
