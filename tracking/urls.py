from django.urls import re_path

from tracking import views
from tracking.shortening import CODE_ALPHABET, CODE_LENGTH

urlpatterns = [re_path(rf"^(?P<code>[{CODE_ALPHABET}]{{{CODE_LENGTH}}})$", views.follow, name="follow")]
