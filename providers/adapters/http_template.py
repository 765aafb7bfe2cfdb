"""Any vendor with a simple HTTP interface, configured without code.

One request takes one message. How it is written, what answers mean and how reports and people's messages come in is
said by the account's options: their docstring (`TemplateOptions` in base_template_options.py) is the manual, and
docs/http-template.md has a worked example. As long as the options name no refusal, every answer without an id is
unknown. The webhook addresses to enter at the vendor end with `?token=` and the credential `webhook_token`.
"""

from typing import ClassVar

from providers.adapters.base import Limits
from providers.adapters.base_template import TemplateAdapter


class HttpTemplateAdapter(TemplateAdapter):
    """One account at a vendor whom only its options know."""

    slug: ClassVar[str] = "http_template"
    title: ClassVar[str] = "HTTP template"
    # Nobody's address: an account must have its own, and nothing is sent as long as it has none (RFC 6761, 6.4).
    default_base_url: ClassVar[str] = "https://base-url-is-missing.invalid"
    # A guess that hurts no vendor; the account has its own.
    limits: ClassVar[Limits] = Limits(segments_per_second=1.0, concurrency=8, timeout=30.0)
