"""Every address of the platform."""

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.views.generic import RedirectView

from smsplatform.common.sessionless import sessionless


@sessionless
def ping(_request: HttpRequest) -> JsonResponse:
    """The process answers; whether the platform is well is the doctor's business."""
    return JsonResponse({"name": "smsplatform", "version": settings.VERSION})


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("ping", ping, name="ping"),
    path("admin/", admin.site.urls),
    path("", include("campaigns.urls")),
    path("", include("tracking.urls")),
]
