"""The web process."""

import os

from smsplatform import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smsplatform.settings")
embedded.use_where_unconfigured()

from django.core.wsgi import get_wsgi_application  # noqa: E402

from smsplatform.common import garbage  # noqa: E402

application = get_wsgi_application()
garbage.collect_rarely()
