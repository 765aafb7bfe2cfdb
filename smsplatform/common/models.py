"""The base of every table that belongs to a tenant."""

from typing import TYPE_CHECKING, Self, TypeVar

from django.db import models

if TYPE_CHECKING:
    from smsplatform.tenancy.models import Tenant


Row_co = TypeVar("Row_co", bound=models.Model, covariant=True)


class TenantQuerySet(models.QuerySet[Row_co]):
    """The first filter of every query path that starts from a request."""

    def for_tenant(self, tenant: "Tenant | int") -> Self:
        return self.filter(tenant=tenant)


class TenantScoped(models.Model):
    """A row of one tenant. Big tables declare their own `tenant` without constraint and index."""

    tenant = models.ForeignKey("tenancy.Tenant", on_delete=models.PROTECT, related_name="+")

    class Meta:
        abstract = True
