"""Keeps the admin inside the tenants of the person who is logged in: the one mixin that every ModelAdmin has.

Whatever shows or takes a row goes through `visible`: lists, pages, history, delete, autocomplete, choices of foreign
keys, values of list filters, inlines, actions. What a person may do comes from the role in the row's tenant
(`smsplatform.tenancy.access`), never from Django's permissions. Superusers stand above tenants; facts (rows that are
only ever added) are read-only for them too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db import models
from django.db.models import Model, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest

from smsplatform.common import masking
from smsplatform.tenancy import audit
from smsplatform.tenancy.access import tenants_of
from smsplatform.tenancy.models import Role, Tenant

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
    ModelForm = forms.ModelForm[Any]
    InlineFormSet = BaseInlineFormSet[Any, Any, Any]
else:
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline
    ModelForm = forms.ModelForm
    InlineFormSet = BaseInlineFormSet


@dataclass(frozen=True, slots=True)
class Scope:
    """The tenants in which a person holds each role; a superuser has all of them."""

    is_superuser: bool
    by_role: dict[Role, frozenset[int]]

    def may(self, role: Role | None, tenant_id: int | None) -> bool:
        """Return whether the role is held in this tenant; no role is held by nobody."""
        return role is not None and (self.is_superuser or tenant_id in self.by_role[role])

    def may_somewhere(self, role: Role | None) -> bool:
        """Return whether the role is held in any tenant."""
        return role is not None and (self.is_superuser or bool(self.by_role[role]))

    def tenants(self, role: Role | None) -> frozenset[int] | None:
        """Return the tenants in which the role is held; None is all of them."""
        if self.is_superuser:
            return None
        return frozenset() if role is None else self.by_role[role]

    def only_tenant(self, role: Role | None) -> int | None:
        """Return the one tenant in which a new row can only be, if there is but one."""
        own = self.tenants(role) or frozenset()
        return next(iter(own)) if len(own) == 1 else None

    @property
    def is_in_many(self) -> bool:
        return self.is_superuser or len(self.by_role[Role.VIEWER]) > 1


def scope_of(request: HttpRequest) -> Scope:
    """Return the scope of the person behind the request; read once per request."""
    known: Scope | None = getattr(request, "tenant_scope", None)
    if known is None:
        user: Any = request.user
        is_superuser = user.is_active and user.is_superuser
        # Nobody is logged in on the login page, which lists the apps all the same.
        roles = () if is_superuser else tuple(Role)
        by_role = {role: frozenset(tenants_of(user, at_least=role) if user.is_authenticated else ()) for role in roles}
        known = Scope(is_superuser=is_superuser, by_role=by_role)
        request.tenant_scope = known  # type: ignore[attr-defined]
    return known


class TenantForm(ModelForm):
    """A row and everything it points to belong to one tenant, which a saved row never changes."""

    only_tenant: ClassVar[int | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.only_tenant is not None and self.instance.pk is None and _has_tenant(type(self.instance)):
            self.instance.tenant_id = self.only_tenant

    def _get_validation_exclusions(self) -> set[str]:
        # "Unique in the tenant" must be checked although the tenant is not on the form.
        exclusions: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return exclusions if "tenant" in self.fields else exclusions - {"tenant"}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        tenant = cleaned.get("tenant")
        tenant_id = tenant.pk if tenant is not None else getattr(self.instance, "tenant_id", None)
        for name, value in list(cleaned.items()):
            if name != "tenant" and any(_tenant_id(row) not in (None, tenant_id) for row in _rows(value)):
                self.add_error(name, "This belongs to another tenant.")
        return cleaned


class TenantInlineFormSet(InlineFormSet):
    """Inline rows are born in the tenant of the row they are shown under."""

    def _construct_form(self, i: int, **kwargs: Any) -> Any:
        form = super()._construct_form(i, **kwargs)  # type: ignore[misc]
        form.instance.tenant_id = self.instance.tenant_id
        return form

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        # Django lets the hidden id be that of any row in the table.
        name = "id"  # the key of every table that has an inline
        if name in form.fields:
            form.fields[name].queryset = self.get_queryset()


def _rows(value: object) -> Iterable[Model]:
    if isinstance(value, Model):
        return [value]
    return value if isinstance(value, QuerySet) else []


def _rows_changed(formset: Any) -> dict[str, list[str]]:
    """Return what was done to the rows below a row."""
    found = {
        "added": [str(row) for row in formset.new_objects],
        "changed": [f"{row}: {', '.join(names)}" for row, names in formset.changed_objects],
        "deleted": [str(row) for row in formset.deleted_objects],
    }
    return {done: rows for done, rows in found.items() if rows}


def _told(value: Any) -> Any:
    """Return a form's value as the trail keeps it: of rows their keys."""
    if isinstance(value, Model):
        return value.pk
    if isinstance(value, QuerySet | list | tuple):
        return [_told(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str | dict) else str(value)


def _tenant_id(row: Model) -> int | None:
    found: int | None = row.pk if isinstance(row, Tenant) else getattr(row, "tenant_id", None)
    return found


def _has_tenant(model: type[Model]) -> bool:
    try:
        model._meta.get_field("tenant")  # noqa: SLF001 - Django's own name for it
    except FieldDoesNotExist:
        return False
    return True


class OwnValuesFilter(admin.RelatedFieldListFilter):
    """A filter over a foreign key that offers only what the person may see."""

    MOST: ClassVar[int] = 200

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        rows = model_admin.get_field_queryset(None, field, request)
        return [(str(row.pk), str(row)) for row in rows[: self.MOST]]


class _Scoped:
    """What a ModelAdmin and an inline have in common. A role of None means nobody, superusers included."""

    view_role: ClassVar[Role | None] = Role.VIEWER
    add_role: ClassVar[Role | None] = Role.MANAGER
    change_role: ClassVar[Role | None] = Role.MANAGER
    delete_role: ClassVar[Role | None] = Role.OWNER
    tenant_path: ClassVar[str] = "tenant"
    form: Any = TenantForm

    if TYPE_CHECKING:
        model: type[Model]
        admin_site: admin.AdminSite

    def visible(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows that the person may see."""
        scope = scope_of(request)
        if scope.is_superuser:
            return queryset
        return queryset.filter(**{f"{self.tenant_path}__in": scope.by_role[Role.VIEWER]})

    def tenant_id_of(self, row: Any) -> int | None:
        """Return the tenant whose roles decide about the row."""
        return _tenant_id(row)

    def may(self, request: HttpRequest, role: Role | None, row: Any = None) -> bool:
        """Return whether the person holds the role in the row's tenant, or in any where no row is given."""
        scope = scope_of(request)
        return scope.may_somewhere(role) if row is None else scope.may(role, self.tenant_id_of(row))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, self.view_role, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, self.change_role, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, self.delete_role, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.visible(request, super().get_queryset(request))  # type: ignore[misc]

    def get_field_queryset(self, _db: str | None, db_field: Any, request: HttpRequest) -> QuerySet[Any]:
        """Return what a foreign key or a list of them may point to: every choice in the admin comes from here."""
        related = db_field.remote_field.model
        try:
            its_admin = self.admin_site.get_model_admin(related)
        except NotRegistered:
            every: QuerySet[Any] = related._default_manager.all()  # noqa: SLF001 - Django's own name for it
            return every if scope_of(request).is_superuser else every.none()
        rows: QuerySet[Any] = its_admin.get_queryset(request)
        if related is Tenant:
            ids = scope_of(request)
            return rows if ids.is_superuser or self.add_role is None else rows.filter(pk__in=ids.by_role[self.add_role])
        row_tenants: frozenset[int] | None = getattr(request, "row_tenants", None)
        return rows.filter(tenant__in=row_tenants) if row_tenants is not None and _has_tenant(related) else rows


class TenantScopedAdmin(_Scoped, ModelAdmin):
    """Every ModelAdmin's base. Subclasses list their fields without `tenant`: it is shown where there are several."""

    secret_fields: ClassVar[tuple[str, ...]] = ()
    list_per_page = 50
    show_full_result_count = False
    view_on_site = False

    # -- who may ----------------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, self.add_role)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, self.view_role)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse to be asked about secrets, and about other tables through this one's rows."""
        first = lookup.split("__", 1)[0]
        own = {"pk", *(each.name for each in (*self.opts.fields, *self.opts.many_to_many))}
        return first in own and first not in self.secret_fields and super().lookup_allowed(lookup, value, request)

    # -- the tenant of a row ----------------------------------------------------------------------------------------

    @property
    def _is_tenants(self) -> bool:
        return self.tenant_path == "tenant" and _has_tenant(self.model)

    def _shows_tenant(self, request: HttpRequest, obj: Any = None) -> bool:
        if not self._is_tenants:
            return False
        scope = scope_of(request)
        return scope.is_in_many if obj is not None else scope.only_tenant(self.add_role) is None

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if not self._shows_tenant(request, obj):
            return fieldsets
        (title, options), *others = fieldsets
        return [(title, {**options, "fields": ("tenant", *options["fields"])}), *others]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = ["tenant"] if obj is not None and self._is_tenants else []
        return [*super().get_readonly_fields(request, obj), *fixed]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        request.row_tenants = self._tenants_of_choices(request, obj)  # type: ignore[attr-defined]
        if not self._is_tenants:
            return super().get_form(request, obj, change=change, **kwargs)
        base = kwargs.pop("form", self.form)
        only = None if obj is not None else scope_of(request).only_tenant(self.add_role)
        return super().get_form(
            request, obj, change=change, form=type(base.__name__, (base,), {"only_tenant": only}), **kwargs
        )

    def _tenants_of_choices(self, request: HttpRequest, obj: Any) -> frozenset[int] | None:
        """Return the tenants to whose rows the form may point: the row's own, of a new row those it may be added in."""
        if obj is None:
            return scope_of(request).tenants(self.add_role)
        tenant_id = self.tenant_id_of(obj)
        return None if tenant_id is None else frozenset({tenant_id})

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:  # noqa: FBT001 - Django's
        """Return the row that the form makes; a new one only in a tenant where the person may add it.

        Which tenant that is, is known only now: forms take it from a brand, or from whatever else they ask for.
        """
        row = super().save_form(request, form, change)
        if not change and not self.may(request, self.add_role, row):
            raise PermissionDenied
        return row

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = tuple(super().get_list_display(request))
        return (*columns[:1], "tenant", *columns[1:]) if self._is_tenants and scope_of(request).is_in_many else columns

    def get_list_select_related(self, request: HttpRequest) -> Any:
        related = super().get_list_select_related(request)
        if isinstance(related, bool) or not self._is_tenants:
            return ["tenant"] if self._is_tenants else related
        return [*related, "tenant"]

    def get_list_filter(self, request: HttpRequest) -> Any:
        chosen = tuple(super().get_list_filter(request))
        if self._is_tenants and scope_of(request).is_in_many:
            chosen = ("tenant", *chosen)
        return [(each, OwnValuesFilter) if self._is_relation(each) else each for each in chosen]

    def _is_relation(self, name: object) -> bool:
        return isinstance(name, str) and "__" not in name and bool(self.opts.get_field(name).is_relation)

    # -- the trail --------------------------------------------------------------------------------------------------

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """Remember what the form changes, for the trail."""
        before, after = self._difference(form)
        after |= {each.prefix: found for each in formsets or () if (found := _rows_changed(each))}
        request.audited = before, after  # type: ignore[attr-defined]
        return super().construct_change_message(request, form, formsets, add)

    def _difference(self, form: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was changed, before and after; of what is secret or not stored as it is typed, only that it was."""
        stored = {each.name for each in (*self.opts.fields, *self.opts.many_to_many)} - {*self.secret_fields}
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        for name in form.changed_data:
            if form.cleaned_data.get(name) in (None, "", [], {}) and form.initial.get(name) in (None, "", [], {}):
                continue  # nothing, told in another way
            is_told = name in stored
            before[name] = _told(form.initial.get(name)) if is_told else masking.HIDDEN
            after[name] = _told(form.cleaned_data.get(name)) if is_told else masking.HIDDEN
        return before, after

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, "added", obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, "changed", obj)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for row in queryset:
            self._record(request, "deleted", row)
        return super().log_deletions(request, queryset)

    def _record(self, request: HttpRequest, done: str, row: Any) -> None:
        is_going = done == "deleted" and isinstance(row, Tenant)
        before, after = getattr(request, "audited", ({}, {})) if done != "deleted" else ({}, {})
        audit.record(
            actor=actor_of(request),
            verb=f"{self.opts.model_name}.{done}",
            target=f"{row.pk} {row}",
            tenant=None if is_going else self.tenant_id_of(row),
            row=row,
            before=before if done == "changed" else None,
            after=after if done in ("added", "changed") else None,
        )


class TenantScopedInline(_Scoped, TabularInline):
    """An inline's rows, choices and permissions follow the row they are shown under."""

    formset = TenantInlineFormSet
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, self.add_role, obj)


class Facts:
    """Rows that the platform writes and people read."""

    add_role: ClassVar[Role | None] = None
    change_role: ClassVar[Role | None] = None
    delete_role: ClassVar[Role | None] = None


class OperatorsWrite:
    """Rows that only superusers write, whatever Django permissions somebody has."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's
        return scope_of(request).is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's
        return scope_of(request).is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's
        return scope_of(request).is_superuser


class OperatorsOnly(OperatorsWrite):
    """Rows above all tenants: superusers only."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return scope_of(request).is_superuser

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's
        return scope_of(request).is_superuser


def actor_of(request: HttpRequest) -> str:
    """Return the name under which the person stands in the trail."""
    return str(getattr(request.user, "email", request.user))


def long_text(rows: int = 8) -> "dict[type[models.Field[Any, Any]], dict[str, Any]]":
    """Return the overrides that give text fields this many rows."""
    return {models.TextField: {"widget": forms.Textarea(attrs={"rows": rows, "cols": 80})}}
