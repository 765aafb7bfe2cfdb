"""Structured logs on standard output. Nothing in them names a person: numbers, addresses and texts are masked.

Twice: a processor masks every value before anything else sees it, and the formatter masks the finished line, whoever
wrote it (the standard library's loggers, tracebacks, other people's packages). The same masks stand before Sentry,
Django's error pages and mails, and the web server's own logs. What may be shown is `masking`'s business.
"""

import logging
import logging.config
from collections.abc import MutableMapping
from typing import Any

import structlog
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from smsplatform.common import masking

_DATABASE = "django.db.backends"
_OURS = frozenset({"_record", "_from_structlog", "timestamp", "exc_info", "level", "logger"})


def _mask(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if key not in _OURS:
            event[key] = masking.value(value, key)
    return event


class MaskedFormatter(logging.Formatter):
    """Masks the finished line: the safety net under formatters that are not ours."""

    def format(self, record: logging.LogRecord) -> str:
        return masking.text(super().format(record))


class _Formatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return masking.text(super().format(record))


class NoValues(logging.Filter):
    """Takes the values out of the statements that Django logs (DEBUG, or a level of DEBUG for its loggers)."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith(_DATABASE) and record.args:
            duration, statement = getattr(record, "duration", None), getattr(record, "sql", None)
            record.msg = "(%.3f) %s"
            record.args = (duration or 0.0, masking.sql(str(statement or "")))
            record.sql = record.params = masking.HIDDEN
        return True


def configure(config: dict[str, str]) -> None:
    """Install the one logging set-up (settings.LOGGING_CONFIG)."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.format_exc_info,
        _mask,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=False)
        if config["format"] == "console"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    quiet = "DEBUG" if config["level"] == "DEBUG" else "WARNING"  # who speaks a lot of little
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"no_values": {"()": NoValues}},
            "formatters": {
                "structured": {
                    "()": _Formatter,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                    "foreign_pre_chain": shared,
                },
            },
            "handlers": {
                "console": {"class": "logging.StreamHandler", "formatter": "structured", "filters": ["no_values"]}
            },
            "root": {"handlers": ["console"], "level": config["level"]},
            "loggers": {
                "celery": {"level": quiet},
                "kombu": {"level": quiet},
                # Named here, they lose the handlers that Django gives them, which mask nothing.
                "django": {"level": "DEBUG" if quiet == "DEBUG" else "INFO"},
                "django.server": {"level": "INFO", "propagate": True},
                "django.request": {"level": "ERROR"},
                "celery.beat": {"level": quiet},
                "django_celery_beat": {"level": quiet},
            },
        }
    )


# -- errors, wherever they are shown ----------------------------------------------------------------------------------


class NoVariables(SafeExceptionReporterFilter):
    """Django's error pages and mails: no value of a variable, of a form or of a cookie."""

    def is_active(self, request: HttpRequest | None) -> bool:  # noqa: ARG002 - also with DEBUG
        return True

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        return dict.fromkeys(request.POST, masking.HIDDEN) if request is not None else {}

    def get_traceback_frame_variables(
        self,
        request: HttpRequest | None,  # noqa: ARG002 - Django's signature
        tb_frame: Any,
    ) -> Any:
        return [(name, masking.HIDDEN) for name in tb_frame.f_locals]

    def get_safe_request_meta(self, request: HttpRequest) -> dict[str, Any]:
        found = super().get_safe_request_meta(request)
        return {name: masking.value(str(value), name) for name, value in found.items()}


class MaskedReporter(ExceptionReporter):
    """Django's report of an error, with every number in it masked."""

    def get_traceback_data(self) -> dict[str, Any]:
        data: dict[str, Any] = super().get_traceback_data()
        data["request_GET_items"] = [(name, masking.HIDDEN) for name, _ in data.get("request_GET_items", ())]
        data["request_COOKIES_items"] = [(name, masking.HIDDEN) for name, _ in data.get("request_COOKIES_items", ())]
        return data

    def get_traceback_html(self) -> SafeString:
        return SafeString(masking.text(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        return SafeString(masking.text(super().get_traceback_text()))


def before_send(event: Any, _hint: dict[str, Any]) -> Any:
    """Mask what goes to Sentry; its frames carry no variables, its requests no form and no cookie."""
    request = event.get("request", {})
    for part in ("data", "cookies", "env"):
        request.pop(part, None)
    event.pop("user", None)
    event.pop("extra", None)
    for error in event.get("exception", {}).get("values", ()):
        for frame in error.get("stacktrace", {}).get("frames", ()):
            frame.pop("vars", None)
    return _masked_deep(event)


def before_breadcrumb(crumb: Any, _hint: dict[str, Any]) -> Any:
    """Mask what Sentry remembers of the way to an error; statements of the database lose their values."""
    if crumb.get("category") == "query":
        crumb["message"] = masking.sql(str(crumb.get("message", "")))
        crumb.pop("data", None)
    return _masked_deep(crumb)


def _masked_deep(found: Any) -> Any:
    if isinstance(found, str):
        return masking.text(found)
    if isinstance(found, dict):
        return {key: _masked_deep(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_masked_deep(value) for value in found]
    return found
