from django.urls import path

from campaigns import webhooks

urlpatterns = [path("webhooks/<slug:provider>/<str:key>/<path:rest>", webhooks.receive, name="webhook")]
