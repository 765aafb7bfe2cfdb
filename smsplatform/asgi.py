"""The web process, for servers that speak ASGI."""

import os

from smsplatform import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smsplatform.settings")
embedded.use_where_unconfigured()

from django.core.asgi import get_asgi_application  # noqa: E402

application = get_asgi_application()
