"""How the admin shows what is about people: numbers masked for everybody, texts and fields for managers only.

Who needs a number presses the button on the row's page; that it was shown, and to whom, stands in the trail.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from smsplatform.common import masking
from smsplatform.tenancy import audit
from smsplatform.tenancy.admin_scope import actor_of, scope_of
from smsplatform.tenancy.admin_verbs import Verb
from smsplatform.tenancy.models import Role

if TYPE_CHECKING:
    from smsplatform.tenancy.admin_scope import TenantScopedAdmin as _Base
else:
    _Base = object


def masked(name: str, mask: Callable[[str], str]) -> Any:
    """Return a column, or a field of a page, that shows what the mask leaves."""

    @admin.display(description=name, ordering=name)
    def column(row: Any) -> str:
        return mask(getattr(row, name))

    return column


NUMBER: Any = masked("number", masking.number)  # country code and last four digits
DETAIL: Any = masked("detail", masking.text)  # providers' words often name the number that they are about


def hidden(name: str, told: Callable[[Any], str]) -> Any:
    """Return what stands in the place of a field for those who may not read it."""

    @admin.display(description=name)
    def column(row: Any) -> str:
        return told(getattr(row, name))

    return column


def revealing(what: Callable[[Any], str], label: str = "Show the number") -> Verb:
    """Return the button that shows a number, to managers and above; each time stands in the trail."""

    def do(request: HttpRequest, row: Any) -> str:
        audit.record(
            actor=actor_of(request),
            verb="number.revealed",
            target=str(row),
            tenant=getattr(row, "tenant_id", None),
            row=row,
        )
        return what(row)

    return Verb("reveal", label, do, role=Role.MANAGER, in_lists=False)


REVEAL: Verb = revealing(lambda row: f"The number is {row.number}.")


class Private(_Base):
    """Mixin of a ModelAdmin: viewers see what `stand_ins` has in the place of texts and fields."""

    stand_ins: ClassVar[Mapping[Any, Any]] = {}

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = super().get_list_display(request)
        scope = scope_of(request)
        is_manager = scope.is_superuser or scope.by_role[Role.MANAGER] >= scope.by_role[Role.VIEWER]
        return columns if is_manager else self._replaced(columns)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if self.may(request, Role.MANAGER, obj):
            return fieldsets
        return [(title, {**options, "fields": self._replaced(options["fields"])}) for title, options in fieldsets]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*super().get_readonly_fields(request, obj), *self.stand_ins.values()]

    def _replaced(self, names: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(
            self._replaced(name) if isinstance(name, tuple | list) else self.stand_ins.get(name, name) for name in names
        )
