"""Who calls the API, and for which tenant: a key, as `Authorization: Bearer …`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import Q
from rest_framework import authentication, exceptions, permissions
from rest_framework.request import Request
from rest_framework.views import APIView

from smsplatform.common import database
from smsplatform.tenancy import access
from smsplatform.tenancy.models import KEY_PREFIX, ApiKey, Role, Tenant

_SCHEME: Final = "Bearer"
_USED_EVERY: Final = timedelta(minutes=1)  # a busy key's row is not written for each call


@dataclass(frozen=True, slots=True)
class Integrator:
    """The caller of a request. A key without scopes may do everything that a manager of its tenant may."""

    tenant: Tenant
    key: ApiKey
    is_authenticated: bool = True

    @property
    def actor(self) -> str:
        """Return the caller's name in the trail."""
        return f"API key {self.key.name}"

    def may(self, scope: str) -> bool:
        """Return whether the key was made for this."""
        return not self.key.scopes or scope in self.key.scopes


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """Knows a key by its prefix and its hash. All that is wrong with a key is answered alike."""

    def authenticate(self, request: Request) -> tuple[Integrator, ApiKey] | None:
        """Return the caller; None where no key is shown."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != _SCHEME.lower():
            return None
        now = database.now()
        prefix, _, _ = token.strip().removeprefix(KEY_PREFIX).partition("_")
        key = (
            ApiKey.objects.select_related("tenant", "owner")
            .filter(Q(expires_at=None) | Q(expires_at__gt=now), prefix=prefix, is_active=True)
            .first()
        )
        if key is None or not key.matches(token.strip()) or not _has_rights(key):
            raise exceptions.AuthenticationFailed("there is no such key, or it has ended; make one with create_api_key")
        if key.last_used_at is None or key.last_used_at <= now - _USED_EVERY:
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
        return Integrator(key.tenant, key), key

    def authenticate_header(self, _request: Request) -> str:
        """Return how to call, for a 401."""
        return _SCHEME


def _has_rights(key: ApiKey) -> bool:
    """Return whether the key's owner, if it has one, could still do this by hand."""
    owner = key.owner
    if owner is None:
        return True
    return owner.is_active and (owner.is_superuser or key.tenant_id in access.tenants_of(owner, at_least=Role.MANAGER))


class HasScope(permissions.BasePermission):
    """The view's `scope` is one of the key's."""

    message = "the key was made for something else; use one with the scope that this needs"

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the key may do this."""
        caller = request.user
        return isinstance(caller, Integrator) and caller.may(getattr(view, "scope", ""))
