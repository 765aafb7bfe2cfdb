from django.apps import AppConfig
from django.conf import settings


class CommonConfig(AppConfig):
    name = "smsplatform.common"
    label = "common"

    def ready(self) -> None:
        """Report errors to Sentry, where an operator wants that; as masked as the logs."""
        if not settings.SENTRY_DSN:
            return
        import sentry_sdk

        from smsplatform.common import logging

        sentry_sdk.init(
            dsn=settings.SENTRY_DSN,
            release=settings.VERSION,
            send_default_pii=False,
            include_local_variables=False,
            max_request_body_size="never",
            before_send=logging.before_send,
            before_breadcrumb=logging.before_breadcrumb,
        )
