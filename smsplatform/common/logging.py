"""Structured logs on standard output; telephone numbers are masked before anything else sees them."""

import logging
import logging.config
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

_NUMBER = re.compile(r"\+\d{4,}(?=\d{2})")


def mask(text: str) -> str:
    """Return the text with all but the last two digits of E.164 numbers hidden."""
    return _NUMBER.sub(lambda match: match[0][:2] + "*" * (len(match[0]) - 2), text)


def _mask_numbers(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = mask(value)
    return event


def configure(config: dict[str, str]) -> None:
    """Install the one logging set-up (settings.LOGGING_CONFIG)."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.format_exc_info,
        _mask_numbers,
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
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                    "foreign_pre_chain": shared,
                },
            },
            "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["console"], "level": config["level"]},
            "loggers": {
                "celery": {"level": "WARNING"},
                "kombu": {"level": "WARNING"},
                "django.request": {"level": "ERROR"},
                "celery.beat": {"level": "WARNING"},
                "django_celery_beat": {"level": "WARNING"},
            },
        }
    )
