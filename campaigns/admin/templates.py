"""The admin of templates: a text for each language, what is to be said about it, and how it will look for some people."""

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.urls import path, reverse

from campaigns import content, preview, rendering
from campaigns.admin.tables import Table
from campaigns.content import Severity
from campaigns.models import Template, TemplateVersion
from compliance import languages
from smsplatform.tenancy.admin_scope import Facts, TenantForm, TenantScopedInline
from smsplatform.tenancy.admin_verbs import VerbsAdmin
from smsplatform.tenancy.models import Brand

_SLOTS: Final = range(1, 5)  # texts in other languages that a page offers
_PAIRS: Final = tuple((f"language_{slot}", f"text_{slot}") for slot in _SLOTS)


def _text_field(**options: Any) -> forms.CharField:
    return forms.CharField(
        widget=forms.Textarea(attrs={"rows": 6, "cols": 80}), max_length=rendering.MAX_TEXT, strip=False, **options
    )


class TemplateForm(TenantForm):
    """A template with its latest texts; other texts become the next version."""

    text = _text_field(
        help_text='Like: Hello {{ first_name | default: "there" }}! Saving another text adds a version; '
        "runs keep the version they were launched with.",
    )
    # One pair for each of _SLOTS: Django's admin wants to see a form's fields in its class.
    language_1 = forms.CharField(required=False, max_length=20, label="Language")
    text_1 = _text_field(required=False, label="Text")
    language_2 = forms.CharField(required=False, max_length=20, label="Language")
    text_2 = _text_field(required=False, label="Text")
    language_3 = forms.CharField(required=False, max_length=20, label="Language")
    text_3 = _text_field(required=False, label="Text")
    language_4 = forms.CharField(required=False, max_length=20, label="Language")
    text_4 = _text_field(required=False, label="Text")

    class Meta:
        model = Template
        fields = ("name", "brand")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None or (latest := self.instance.latest) is None or "text" not in self.fields:
            return
        self.fields["text"].initial = latest.source
        for (language, text), (tag, source) in zip(_PAIRS, latest.texts.items(), strict=False):
            self.fields[language].initial, self.fields[text].initial = tag, source

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        # Browsers send texts with CR LF; each would cost a character more in every message.
        for name in ("text", *(text for _, text in _PAIRS)):
            if name in cleaned:
                cleaned[name] = str(cleaned[name]).replace("\r\n", "\n")
        if "text" not in cleaned:
            return cleaned
        cleaned["texts"] = self._texts(cleaned)
        brand = cleaned.get("brand") or (self.instance.brand if self.instance.brand_id else None)
        for each in content.lint(source=cleaned["text"], texts=cleaned["texts"], brand=brand):
            if each.severity is Severity.ERROR:
                self.add_error(self._field_of(each.language), str(each))
        return cleaned

    def _texts(self, cleaned: dict[str, Any]) -> dict[str, str]:
        """Return the texts by language; a version may have more than the page offers, which stay."""
        latest = self.instance.latest if self.instance.pk is not None else None
        found = dict(list(latest.texts.items())[len(_PAIRS) :]) if latest is not None else {}
        for language, text in _PAIRS:
            said, source = cleaned.get(language, "").strip(), cleaned.get(text, "")
            tag = languages.tag(said)
            if said and not tag:
                self.add_error(language, f"“{said}” is no language; write it like es, es-mx or Spanish.")
            elif tag and tag in found:
                self.add_error(language, "This language has a text already.")
            elif bool(tag) != bool(source.strip()):
                self.add_error(text if tag else language, "Give both the language and its text, or neither.")
            elif tag:
                found[tag] = source
        return found

    def _field_of(self, language: str) -> str | None:
        said = {languages.tag(str(self.cleaned_data.get(name, ""))): text for name, text in _PAIRS}
        return said.get(language) if language else "text"


class VersionInline(Facts, TenantScopedInline):
    model = TemplateVersion
    fields = ("number", "source", "texts", "created_at")
    readonly_fields = fields
    verbose_name_plural = "versions"


@admin.display(description="version")
def _latest(template: Template) -> str:
    found = max(template.versions.all(), key=lambda version: version.number, default=None)
    return f"v{found.number}: {found.source[:60]}" if found else "no text yet"


@admin.register(Template)
class TemplateAdmin(VerbsAdmin):
    """Texts with merge fields."""

    form = TemplateForm
    change_form_template = "admin/campaigns/template/change_form.html"
    list_display = ("name", "brand", _latest, "created_at")
    list_select_related = ("brand",)
    list_filter = ("brand",)
    search_fields = ("name",)
    autocomplete_fields = ("brand",)
    inlines = (VersionInline,)

    class Media:
        js = ("preview.js",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("versions")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        tenant = ("tenant",) if self._shows_tenant(request, obj) else ()
        if not self.may_write(request, obj):
            return ((None, {"fields": (*tenant, "name", "brand")}),)
        others = {
            "fields": _PAIRS,
            "classes": ("collapse",),
            "description": "For people whose field `language` says so; everybody else gets the text above.",
        }
        return ((None, {"fields": (*tenant, "name", "brand", "text")}), ("In other languages", others))

    def may_write(self, request: HttpRequest, obj: Any) -> bool:
        """Return whether the page has a form, and not only what there is."""
        return obj is None or self.has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Campaigns and runs of the template count on its brand.
        return [*super().get_readonly_fields(request, obj), *(["brand"] if obj is not None else [])]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        super().save_model(request, obj, form, change)
        before = obj.latest if change else None
        version = obj.write(form.cleaned_data["text"], form.cleaned_data["texts"])
        if before is None or before.pk != version.pk:
            self.message_user(request, f"Version {version.number} is written.", messages.INFO)
        for each in content.lint(source=version.source, texts=version.texts, brand=obj.brand):
            if each.severity in (Severity.REVIEW, Severity.WARNING):
                self.message_user(request, _capital(str(each)), messages.WARNING)

    def page_context(self, _request: HttpRequest, row: Template) -> dict[str, Any]:
        version = row.latest
        found = content.lint(source=version.source, texts=version.texts, brand=row.brand) if version else []
        rows = [(each.severity.value, each.language or "default", f"{each.line}:{each.column}", each.message, each.remedy)
                for each in found]  # fmt: skip
        columns = ("", "language", "line:column", "what", "what to do")
        return {"tables": [Table("About the latest text", columns, rows, none="Nothing to remark.")]}

    # -- preview ----------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        new = path("preview/", self.admin_site.admin_view(self.preview_view), name="campaigns_template_preview_new")
        known = path(
            "<path:object_id>/preview/",
            self.admin_site.admin_view(self.preview_view),
            name="campaigns_template_preview",
        )
        return [new, known, *super().get_urls()]

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        change: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        form_url: str = "",
        obj: Any = None,
    ) -> Any:
        if self.may_write(request, obj):
            url = (
                reverse("admin:campaigns_template_preview", args=[quote(obj.pk)])
                if obj is not None
                else reverse("admin:campaigns_template_preview_new")
            )
            context["preview_url"] = url
        return super().render_change_form(request, context, add, change, form_url, obj)

    def preview_view(self, request: HttpRequest, object_id: str = "") -> HttpResponse:
        """What is to be said about the text in the form, and how it would look; nothing is stored."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        brand = self._brand(request, object_id)
        source = request.POST.get("text", "").replace("\r\n", "\n")
        texts = {
            tag: text.replace("\r\n", "\n")
            for language, name in _PAIRS
            if (tag := languages.tag(request.POST.get(language, ""))) and (text := request.POST.get(name, "")).strip()
        }
        found = content.lint(source=source, texts=texts, brand=brand)
        samples = []
        if brand is not None and source.strip() and not any(each.code == "template" for each in found):
            samples = preview.samples(brand=brand, source=source, texts=texts)
        context = {"findings": found, "samples": samples, "total": preview.total(samples)}
        return render(request, "admin/campaigns/template/preview.html", context)

    def _brand(self, request: HttpRequest, object_id: str) -> Brand | None:
        """Return the brand of the template, or the one that a new template's form names; only one that may be seen."""
        if object_id:
            row = self.get_object(request, unquote(object_id))
            if row is None:
                raise Http404
            if not self.has_change_permission(request, row):
                raise PermissionDenied
            return row.brand  # type: ignore[no-any-return]
        if not self.has_add_permission(request):
            raise PermissionDenied
        named = request.POST.get("brand", "")
        if not named.isdigit():
            return None
        mine = self.get_field_queryset(None, Template._meta.get_field("brand"), request)  # noqa: SLF001 - Django's own name
        found = mine.filter(pk=int(named)).select_related("tenant").first()
        if found is not None and not self.may(request, self.add_role, found):
            raise PermissionDenied
        return found


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
