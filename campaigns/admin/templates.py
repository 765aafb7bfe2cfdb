"""The admin of templates: a text field that writes a new version, with what is wrong shown by line and column."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from campaigns import rendering
from campaigns.models import Template, TemplateVersion
from smsplatform.tenancy.admin_scope import Facts, TenantForm, TenantScopedAdmin, TenantScopedInline


class TemplateForm(TenantForm):
    """A template with its latest text; another text becomes the next version."""

    text = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 6, "cols": 80}),
        max_length=rendering.MAX_TEXT,
        strip=False,
        help_text='Like: Hello {{ first_name | default: "there" }}! Saving another text adds a version; '
        "runs keep the version they were launched with.",
    )

    class Meta:
        model = Template
        fields = ("name", "brand")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None and (latest := self.instance.latest) is not None and "text" in self.fields:
            self.fields["text"].initial = latest.source

    def clean_text(self) -> str:
        # Browsers send texts with CR LF; each would cost a character more in every message.
        text = str(self.cleaned_data["text"]).replace("\r\n", "\n")
        flaws = rendering.check(text)
        if flaws:
            raise forms.ValidationError([f"line {flaw.line}, column {flaw.column}: {flaw.message}" for flaw in flaws])
        return text


class VersionInline(Facts, TenantScopedInline):
    model = TemplateVersion
    fields = ("number", "source", "created_at")
    readonly_fields = fields
    verbose_name_plural = "versions"


@admin.display(description="version")
def _latest(template: Template) -> str:
    found = max(template.versions.all(), key=lambda version: version.number, default=None)
    return f"v{found.number}: {found.source[:60]}" if found else "no text yet"


@admin.register(Template)
class TemplateAdmin(TenantScopedAdmin):
    """Texts with merge fields."""

    form = TemplateForm
    list_display = ("name", "brand", _latest, "created_at")
    list_select_related = ("brand",)
    list_filter = ("brand",)
    search_fields = ("name",)
    autocomplete_fields = ("brand",)
    inlines = (VersionInline,)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("versions")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        self_fields = ("name", "brand", "text") if self.may_write(request, obj) else ("name", "brand")
        tenant = ("tenant",) if self._shows_tenant(request, obj) else ()
        return ((None, {"fields": (*tenant, *self_fields)}),)

    def may_write(self, request: HttpRequest, obj: Any) -> bool:
        """Return whether the page has a form, and not only what there is."""
        return obj is None or self.has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Campaigns and runs of the template count on its brand.
        return [*super().get_readonly_fields(request, obj), *(["brand"] if obj is not None else [])]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        super().save_model(request, obj, form, change)
        before = obj.latest if change else None
        version = obj.write(form.cleaned_data["text"])
        if before is None or before.pk != version.pk:
            self.message_user(request, f"Version {version.number} is written.", messages.INFO)
        for flaw in rendering.warnings(version.source):
            text = f"Line {flaw.line}, column {flaw.column}: {flaw.message}"
            self.message_user(request, text, messages.WARNING)
