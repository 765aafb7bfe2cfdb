"""The admin of imports: a file is uploaded into the storage and read by a task; its progress and errors are shown."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.text import get_valid_filename

from campaigns import imports, tasks
from campaigns.admin.tables import Table, bar
from campaigns.imports.options import Options, check_columns
from campaigns.models import Import, RefusedRow
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import audit
from smsplatform.tenancy.admin_lists import BigTableAdmin
from smsplatform.tenancy.admin_scope import Facts, TenantForm, actor_of, scope_of
from smsplatform.tenancy.admin_verbs import Verb, VerbsAdmin
from smsplatform.tenancy.models import Brand


class ImportForm(TenantForm):
    """An upload and how to read it. Files that are in the storage or on the server already are for superusers."""

    upload = forms.FileField(required=False, label="CSV file", help_text="The first line may name the columns.")
    default_region = forms.CharField(
        initial="US", max_length=2, help_text="Country of numbers written without country code."
    )
    includes_country_code = forms.BooleanField(
        required=False, help_text="Numbers carry their country code, though without a plus sign."
    )
    has_header = forms.TypedChoiceField(
        choices=[("", "find out"), ("yes", "yes"), ("no", "no")],
        required=False,
        coerce=lambda told: told == "yes",
        empty_value=None,
        label="First line names the columns",
    )

    attestation = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 80}),
        label="How they consented",
        help_text="If the file has columns about consent (consent_at, consent_source), or all in it consented: how do you"
        " know? You sign this with your name.",
    )
    disclosure = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 80}),
        label="What they were shown",
        help_text="Word for word: without it nobody may be sent marketing. Or in a column consent_text.",
    )
    consent_brand = forms.CharField(
        required=False, label="To which brand", help_text="Its short name; empty if you have only one."
    )

    class Meta:
        model = Import
        fields = ("list", "source", "file", "columns")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("file", "source"):
            if name in self.fields:
                self.fields[name].required = False

    signer = "whoever uploads it"

    def options(self) -> dict[str, Any]:
        """Return how to read the file."""
        names = ("default_region", "includes_country_code", "has_header")
        said = {name: self.cleaned_data.get(name) or "" for name in ("attestation", "disclosure", "consent_brand")}
        signed = {name: value for name, value in said.items() if value}
        if "attestation" in signed:
            signed["attested_by"] = self.signer
        return {name: self.cleaned_data.get(name) for name in names} | signed

    def clean_default_region(self) -> str:
        return str(self.cleaned_data["default_region"]).upper()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if bool(cleaned.get("upload")) == bool(cleaned.get("file")):
            self.add_error("upload", "Choose one file.")
        elif cleaned.get("upload"):
            # What the model needs before the upload is stored; save_model has the real name.
            cleaned["file"], cleaned["source"] = str(cleaned["upload"].name)[:400], Import.Source.STORAGE
            self.instance.file = cleaned["file"]
        self._check_brand(cleaned)
        try:
            check_columns(cleaned.get("columns") or {})
            Options.from_json(self.options())
        except InvalidInput as error:
            name = error.field.split(".")[-1]
            self.add_error(name if name in self.fields else None, error.message)
        return cleaned

    def _check_brand(self, cleaned: dict[str, Any]) -> None:
        tenant = cleaned.get("tenant") or self.instance.tenant_id
        slug = cleaned.get("consent_brand")
        if slug and not Brand.objects.filter(tenant=tenant, slug=slug).exists():
            self.add_error("consent_brand", f"There is no brand {slug!r}; write its short name as under Brands.")


def _retry(request: HttpRequest, row: Import) -> str:
    with transaction.atomic():
        imports.retry(row, actor=actor_of(request))
        transaction.on_commit(partial(tasks.start_import, row.pk))
    return f"{row} is tried again; it goes on where it stopped."


def _share(row: Import) -> float:
    if row.status == Import.Status.DONE:
        return 100.0
    return 100 * row.read_bytes / row.total_bytes if row.total_bytes else 0.0


@admin.display(description="progress")
def _progress(row: Import) -> str:
    return f"{_share(row):.0f} %"


@admin.display(description="rows")
def _rows(row: Import) -> str:
    return f"{row.rows_read:,}"


@admin.display(description="refused")
def _refused(row: Import) -> str:
    return f"{row.rows_refused:,}"


@admin.register(Import)
class ImportAdmin(VerbsAdmin):
    """Files on their way into lists."""

    form = ImportForm
    change_role = delete_role = None
    list_display = ("file", "list", "status", _progress, _rows, _refused, "created_by", "created_at")
    list_select_related = ("list",)
    list_filter = ("status", "list")
    autocomplete_fields = ("list",)
    verbs = (Verb("retry", "Try again", _retry, lambda row: row.status == Import.Status.FAILED),)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None:
            told = ("list", "source", "file", "columns", "options", "status", "reason")
            when = ("created_by", "created_at", "started_at", "finished_at")
            fieldsets: Any = [(None, {"fields": told}), ("When", {"fields": when})]
        else:
            fieldsets = [
                (None, {"fields": ("list", "upload")}),
                ("How to read it", {"fields": ("has_header", "default_region", "includes_country_code", "columns")}),
                ("Consent", {"fields": ("attestation", "disclosure", "consent_brand")}),
            ]
            if scope_of(request).is_superuser:
                help_text = "For operators: a file that is in the storage or on the server already."
                fieldsets.append(("Instead of an upload", {"fields": ("source", "file"), "description": help_text}))
        if self._shows_tenant(request, obj):
            fieldsets[0][1]["fields"] = ("tenant", *fieldsets[0][1]["fields"])
        return fieldsets

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001, ARG002 - Django's
        form.signer = actor_of(request)
        upload, source, file = form.cleaned_data.get("upload"), Import.Source.STORAGE, ""
        if upload:
            name = f"imports/{obj.tenant_id}/{get_valid_filename(upload.name or 'upload.csv')}"
            file = default_storage.save(name, upload)
        else:
            source, file = form.cleaned_data["source"], form.cleaned_data["file"]
        made = imports.create(
            tenant=obj.tenant, list=obj.list, file=file, source=source,
            columns=obj.columns, options=form.options(), actor=actor_of(request),
        )  # fmt: skip
        obj.pk = made.pk
        obj.refresh_from_db()
        transaction.on_commit(partial(tasks.start_import, made.pk))

    def get_urls(self) -> list[Any]:
        errors = path(
            "<path:object_id>/errors.csv", self.admin_site.admin_view(self.errors_view), name="campaigns_import_errors"
        )
        return [errors, *super().get_urls()]

    def errors_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """The refused and remarked rows as a file."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        audit.record(
            actor=actor_of(request), verb="import.errors_exported", target=row.pk, tenant=row.tenant_id, row=row
        )
        headers = {"Content-Disposition": f'attachment; filename="import-{row.pk}-errors.csv"'}
        return StreamingHttpResponse(imports.error_file(row), content_type="text/csv; charset=utf-8", headers=headers)

    def page_context(self, _request: HttpRequest, row: Import) -> dict[str, Any]:
        share = round(_share(row), 1)
        counts = [
            ("new people", row.rows_new),
            ("changed", row.rows_changed),
            ("as they were", row.rows_same),
            ("twice in the file", row.rows_duplicate),
            ("refused", row.rows_refused),
            ("taken, with a remark", row.rows_flagged),
            ("suppressed: kept, and never texted", row.rows_suppressed),
            ("consents put on record", row.rows_consented),
            ("landlines and dead numbers: kept, and not texted", row.rows_untextable),
        ]
        reasons = [(reason, "yes" if is_taken else "no", count) for reason, is_taken, count in imports.reasons(row)]
        overview = format_html(
            "{}<p><b>{} %</b> of the file read, {} rows. {}</p>",
            bar({"sending": int(share * 10), "queued": 1000 - int(share * 10)})
            if share < _WHOLE
            else bar({"accepted": 1}),
            share,
            f"{row.rows_read:,}",
            self._errors_link(row) if reasons else "",
        )
        tables = [
            Table("Rows", ("what", "rows"), counts),
            Table("Refusals and remarks", ("reason", "taken", "rows"), reasons),
        ]
        return {"overview": overview, "tables": tables}

    @staticmethod
    def _errors_link(row: Import) -> str:
        url = reverse("admin:campaigns_import_errors", args=[row.pk])
        return format_html('<a href="{}">Download the refused and remarked rows</a>', url)


_WHOLE = 100


@admin.register(RefusedRow)
class RefusedRowAdmin(Facts, BigTableAdmin):
    """Rows of imports that were not taken, or taken with a remark."""

    list_display = ("line", "source", "reason", "is_taken", "detail")
    list_select_related = ("source__list",)
    list_filter = ("is_taken",)
    ordering = ("-pk",)
    newest = 100_000
    fields = ("source", "line", "reason", "is_taken", "detail")
