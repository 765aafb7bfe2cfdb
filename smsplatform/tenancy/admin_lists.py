"""Lists of big tables: nothing is counted, and nothing is read but the newest rows or what an index finds."""

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Max, Q, QuerySet
from django.http import HttpRequest

from smsplatform.tenancy.admin_scope import TenantScopedAdmin

if TYPE_CHECKING:
    AnyPaginator = Paginator[Any]
else:
    AnyPaginator = Paginator


class EndlessPaginator(AnyPaginator):
    """Knows the pages up to the present one and whether there is a next."""

    def __init__(self, rows: Any, per_page: int, *args: Any, page: int = 1, **kwargs: Any) -> None:
        super().__init__(rows, per_page, *args, **kwargs)
        self.present = max(page, 1)

    @cached_property
    def count(self) -> int:
        start = (self.present - 1) * self.per_page
        seen = self.object_list[start : start + self.per_page + 1]
        # Without ids the rows would be read twice; without order_by they would be other rows.
        return start + len(seen.values_list("pk", flat=True)) if isinstance(seen, QuerySet) else start + len(seen)


class BigTableAdmin(TenantScopedAdmin):
    """A list of a table that grows with every message."""

    paginator = EndlessPaginator
    list_max_show_all = 0
    show_facets = admin.ShowFacets.NEVER  # they count
    sortable_by: ClassVar[Any] = ()  # the primary key's order is the only one that needs no sorting
    newest: ClassVar[int] = 0  # without a search, only so many of the latest ids are looked at; 0: all

    def get_paginator(
        self,
        request: HttpRequest,
        queryset: Any,
        per_page: int,
        orphans: int = 0,
        allow_empty_first_page: bool = True,  # noqa: FBT001, FBT002 - Django's signature
    ) -> EndlessPaginator:
        asked = request.GET.get("p") or request.GET.get("page") or "1"
        page = int(asked) if asked.isdigit() else 1
        return EndlessPaginator(queryset, per_page, orphans, allow_empty_first_page, page=page)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[Any, bool]:
        """Find rows by the whole value of one of the search fields, in the case as typed: so that indexes serve."""
        term = search_term.strip()
        if not term:
            return self.latest_rows(request, queryset), False
        wanted = Q()
        for name in self.get_search_fields(request):
            with suppress(ValidationError):
                wanted |= Q(**{name: _read(self.opts.get_field(name), term)})
        return queryset.filter(wanted) if wanted else queryset.none(), False

    def latest_rows(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return what the list shows when nothing is searched for."""
        if not self.newest:
            return queryset
        last = self.model._default_manager.aggregate(last=Max("pk"))["last"] or 0  # noqa: SLF001 - Django's own name for it
        return queryset.filter(pk__gt=last - self.newest)


def _read(field: Any, term: str) -> object:
    return field.to_python(term)


def instant(name: str, label: str = "") -> Any:
    """Return a list column that shows an instant to the second, in UTC."""

    @admin.display(description=label or name.removesuffix("_at").replace("_", " "), ordering=name)
    def column(row: Any) -> str:
        value = getattr(row, name)
        return f"{value:%Y-%m-%d %H:%M:%S}" if value else ""

    return column
