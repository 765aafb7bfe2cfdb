"""The edge of the API: every refusal is `application/problem+json` (RFC 9457), whoever said it."""

import math
from typing import Any, Final

from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from smsplatform.common.errors import ApplicationError, TooMany

PROBLEM: Final = "application/problem+json"


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the answer to a refusal; None for what is none, which Django then answers with 500.

    `errors` has one entry per field: {"field", "problem"}.
    """
    if isinstance(error, ApplicationError):
        headers = {"Retry-After": _seconds(error)} if isinstance(error, TooMany) else {}
        return _answer(error.status, error.code, str(error), _named(error.field, error.message), headers)
    answer = exception_handler(error, context)
    if answer is None or not isinstance(error, exceptions.APIException):
        return answer
    told = error.detail
    listed = [each for name, problems in told.items() for each in _named(name, _sentence(problems))] \
        if isinstance(told, dict) else []  # fmt: skip
    code = error.default_code if listed else getattr(told, "code", error.default_code)
    sentence = "; ".join(f"{each['field']}: {each['problem']}" for each in listed) or _sentence(told)
    return _answer(answer.status_code, str(code), sentence, listed, dict(answer.headers))


def _answer(
    status: int, code: str, sentence: str, errors: list[dict[str, str]], headers: dict[str, str] | None = None
) -> Response:
    said: dict[str, Any] = {"type": "about:blank", "title": code, "status": status, "detail": sentence}
    kept = {name: value for name, value in (headers or {}).items() if name in ("WWW-Authenticate", "Retry-After")}
    return Response(said | ({"errors": errors} if errors else {}), status, headers=kept, content_type=PROBLEM)


def _seconds(error: TooMany) -> str:
    return str(max(math.ceil(error.wait.total_seconds()), 1))


def _named(field: str, sentence: str) -> list[dict[str, str]]:
    return [{"field": field, "problem": sentence}] if field else []


def _sentence(told: Any) -> str:
    return " ".join(_sentence(each) for each in told) if isinstance(told, list) else str(told)
