"""The form of a provider account, with a field for each credential and each option that its adapter declares.

Credentials are written and never shown again, not even after a mistake elsewhere on the form; an empty field keeps the
stored value. Options are shown as they are in force; what is as the adapter has it anyway is not stored.
"""

import dataclasses
import inspect
import re
from typing import Any, ClassVar, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.safestring import SafeString

from providers.adapters import ADAPTERS
from providers.models import ProviderAccount
from smsplatform.common import crypto
from smsplatform.tenancy.admin_scope import TenantForm

_CREDENTIAL: Final = "credential_"
_OPTION: Final = "option_"
_WIDTH: Final = 100
_SHORT_MANUAL: Final = 900  # characters that nobody needs to fold away


def credential_fields(provider: str, *, is_new: bool) -> dict[str, forms.Field]:
    """Return a form field for each text that the adapter's credentials consist of."""
    return {
        f"{_CREDENTIAL}{each.name}": forms.CharField(
            label=_label(each.name),
            required=is_new and _is_needed(each),
            widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "size": 60}),
            help_text=("" if _is_needed(each) else "May stay empty.") if is_new else "Empty: as it is.",
        )
        for each in dataclasses.fields(ADAPTERS[provider].Credentials)
    }


def option_fields(provider: str, account: ProviderAccount | None) -> dict[str, forms.Field]:
    """Return a form field for each option of the adapter, with what is in force."""
    stored = account.options if account is not None else {}
    return {
        f"{_OPTION}{each.name}": _Option(each.name, str(each.default), stored.get(each.name, str(each.default)))
        for each in dataclasses.fields(ADAPTERS[provider].Options)
    }


class _Option(forms.CharField):
    """A text of any number of lines, each ended as in files."""

    def __init__(self, name: str, default: str, value: str) -> None:
        lines = sum(1 + len(line) // _WIDTH for line in value.split("\n"))
        super().__init__(
            label=_label(name),
            required=False,
            strip=False,
            initial=value,
            widget=forms.Textarea(attrs={"rows": lines, "cols": _WIDTH, "class": "option", "spellcheck": "false"}),
            help_text="" if value == default else f"Usually: {default or 'empty'}",
        )

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


def option_groups(provider: str) -> list[tuple[str, tuple[str, ...], SafeString]]:
    """Return the titles of the option fields, which belong under each, and what a person must know to fill them in."""
    kind = ADAPTERS[provider]
    groups: list[tuple[str, list[str]]] = []
    for each in dataclasses.fields(kind.Options):
        title = kind.option_groups.get(each.name)
        if title is not None or not groups:
            groups.append((f"Options: {title}" if title else "Options", []))
        groups[-1][1].append(f"{_OPTION}{each.name}")
    return [
        (title, tuple(names), manual(kind.Options) if place == 0 else SafeString(""))
        for place, (title, names) in enumerate(groups)
    ]


def manual(declared: type[Any]) -> SafeString:
    """Return what the docstrings of credentials or options say, those of what they are made from included."""
    classes = [each for each in declared.__mro__ if dataclasses.is_dataclass(each)]
    text = "\n\n".join(inspect.cleandoc(each.__doc__ or "") for each in classes)
    if len(text) <= _SHORT_MANUAL:
        return format_html('<p class="told">{}</p>', text)
    return format_html(
        '<details class="manual"><summary>How to write them</summary><pre class="text">{}</pre></details>', text
    )


class AccountForm(TenantForm):
    """An account; its credentials are encrypted when everything else is right."""

    provider_slug: ClassVar[str] = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.provider_slug:
            self._tell_defaults()

    def _tell_defaults(self) -> None:
        kind = ADAPTERS[self.provider_slug]
        usual = {
            "base_url": kind.default_base_url,
            "segments_per_second": f"{kind.limits.segments_per_second:g}",
            "concurrency": f"{kind.limits.concurrency}",
            "timeout": f"{kind.limits.timeout:g}",
        }
        told = {
            "base_url": ("Address", "Where the provider's API is"),
            "segments_per_second": ("Segments per second", "Over all senders; a long text has several"),
            "concurrency": ("Requests at a time", "In the air at once"),
            "timeout": ("Time-out", "Seconds to wait for an answer; one that comes later leaves a message unknown"),
        }
        if "base_url" in self.fields:
            self.fields["base_url"].widget.attrs["class"] = "vURLField"  # Django's wider one
        for name in usual.keys() & self.fields.keys():
            label, meaning = told[name]
            is_usable = ".invalid" not in usual[name]  # a name that is nobody's (RFC 6761, 6.4)
            self.fields[name].label = label
            self.fields[name].help_text = f"{meaning}. " + (
                f"Empty: {usual[name]}" if is_usable else "This provider has no usual one."
            )
            self.fields[name].required = not is_usable and "{" not in usual[name]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.provider_slug:  # its adapter is gone: what it was set to stays
            return cleaned
        self.instance.provider = self.provider_slug
        tenant = cleaned.get("tenant")
        if tenant is not None:
            self.instance.tenant = tenant
        given = {name: value for name, value in self._of(_CREDENTIAL).items() if value}
        if not self.errors and self.instance.tenant_id and (given or not self.instance.secret):
            self.instance.set_credentials({**self._stored(), **given})
        usual = {each.name: each.default for each in dataclasses.fields(ADAPTERS[self.provider_slug].Options)}
        options = {**self.instance.options, **self._of(_OPTION)}
        self.instance.options = {name: value for name, value in options.items() if usual.get(name, value) != value}
        if not self.errors and self.instance.secret:
            self._check(cleaned.get("base_url", ""))
        return cleaned

    def _of(self, prefix: str) -> dict[str, str]:
        """Return the fields of this kind that were sent along."""
        return {
            name.removeprefix(prefix): value
            for name, value in self.cleaned_data.items()
            if name.startswith(prefix) and self.add_prefix(name) in self.data
        }

    def _check(self, base_url: str) -> None:
        self.instance.base_url = base_url
        try:
            self.instance.check_options()
        except ValidationError as error:
            for field, flaws in error.message_dict.items():
                for flaw in flaws:
                    self.add_error(*self._place(field, flaw))
        except crypto.UndecryptableSecret:
            self.add_error(None, "The stored credentials cannot be read any more; enter all of them.")

    def _place(self, field: str, flaw: str) -> tuple[str | None, str]:
        """Return the field that a flaw is about, and the flaw: an option's begins with its name."""
        if field in self.fields:
            return field, flaw
        found = re.match(r"(\w+)(?:: |, )", flaw)
        name = f"{_OPTION}{found[1]}" if found else ""
        return (name, flaw[found.end() :]) if found and name in self.fields else (None, flaw)

    def _stored(self) -> dict[str, Any]:
        """Return the stored credentials; none if they cannot be read any more, so that all must be given."""
        if not self.instance.secret:
            return {}
        try:
            return crypto.decrypt(self.instance.secret, tenant_id=self.instance.tenant_id)
        except crypto.UndecryptableSecret:
            return {}


def _is_needed(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()
