"""What all calls of clients' own programs share: a key of the right scope, JSON in and JSON out."""

from typing import Any

from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from smsplatform.tenancy.auth import ApiKeyAuthentication, HasScope, Integrator


class ClientView(APIView):
    """A call that needs a key; the subclass names its `scope`."""

    authentication_classes = (ApiKeyAuthentication,)
    permission_classes = (HasScope,)
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)


def read(request: Request, form: type[Serializer[dict[str, Any]]]) -> tuple[dict[str, Any], Integrator]:
    """Return what the call says and who makes it; raises ValidationError for what the form does not allow."""
    said = form(data=request.data)
    said.is_valid(raise_exception=True)
    caller = request.user
    assert isinstance(caller, Integrator)  # noqa: S101 - HasScope has seen to it
    return said.validated_data, caller
