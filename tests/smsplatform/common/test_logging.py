"""Whoever logs, and whatever goes wrong: lines, error pages and reports name nobody."""

import io
import json
import logging

import pytest
import structlog
from django.conf import settings
from django.db import connection
from django.test import RequestFactory
from django.views.debug import get_exception_reporter_class, get_exception_reporter_filter

from smsplatform.common import logging as ours

NUMBER, TEXT, ADDRESS = "+12025550123", "Dear Ana, your code is plugh", "203.0.113.9"


@pytest.fixture
def lines():
    """What the one handler writes, with everybody at DEBUG; as it was afterwards."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:], logging.getLogger("django.request").level)
    ours.configure({"level": "DEBUG", "format": "json"})
    [handler] = [each for each in root.handlers if isinstance(each.formatter, ours._Formatter)]
    handler.setStream(written := io.StringIO())
    yield written
    ours.configure(settings.LOGGING)
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def told(lines):
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_structured_values_are_masked_and_bodies_hidden(lines):
    structlog.get_logger("x").info(
        "told", number=NUMBER, text=TEXT, many=[NUMBER], id=12025550123, at="2026-11-22T00:42:29Z"
    )
    [line] = told(lines)
    assert line["number"] == "+1*******0123"
    assert line["text"] == "(hidden)"
    assert line["many"] == ["+1*******0123"]
    assert line["at"] == "2026-11-22T00:42:29Z"
    assert "2025550" not in lines.getvalue()


def test_other_peoples_loggers_are_masked(lines):
    logging.getLogger("aiohttp.client").warning("POST %s: %r", "https://x.example/?to=%2B12025550123", {"to": NUMBER})
    assert "2025550" not in lines.getvalue()
    assert "0123" in lines.getvalue()


def test_nobody_writes_past_the_one_handler(lines):
    """Django gives some of its loggers handlers of their own."""
    tools = ("importlinter", "grimp", "_rustgrimp")  # of the checks: another test may have run them in this process
    known = [
        logging.getLogger(name)
        for name in logging.Logger.manager.loggerDict
        if not name.startswith("a.web") and name.partition(".")[0] not in tools
    ]
    loud = [handler for log in known for handler in log.handlers if not isinstance(handler, logging.NullHandler)]
    assert loud == []
    logging.getLogger("django.server").info('"GET /admin/?q=%s HTTP/1.1" 200', "%2B12025550123")
    assert "GET /admin/?q=%2B1*******0123" in lines.getvalue()


def test_tracebacks_are_masked(lines):
    try:
        raise ValueError(f"cannot send to {NUMBER}")  # noqa: TRY301
    except ValueError:
        structlog.get_logger("x").exception("failed", number=NUMBER)
        logging.getLogger("y").exception("failed for %s", NUMBER)
    assert len(told(lines)) == 2
    assert "cannot send to +1*******0123" in lines.getvalue()
    assert "2025550" not in lines.getvalue()


@pytest.mark.django_db
def test_statements_are_logged_without_their_values(lines):
    connection.force_debug_cursor = True
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::text, %s::text", [NUMBER, TEXT])
    finally:
        connection.force_debug_cursor = False
    [line] = [line for line in told(lines) if line["logger"] == "django.db.backends"]
    assert "SELECT '…'::text, '…'::text" in line["event"]
    assert "plugh" not in lines.getvalue()
    assert "0123" not in lines.getvalue()


def test_error_pages_and_mails_show_no_values(rf):
    request = rf.post(f"/x?q={NUMBER}", {"text": TEXT, "number": NUMBER}, HTTP_USER_AGENT="Robot", REMOTE_ADDR=ADDRESS)
    request.COOKIES["sessionid"] = TEXT

    def fails():
        secret_thing = f"{NUMBER} {TEXT}"
        raise ValueError(f"no route to {NUMBER} for {len(secret_thing)}")

    try:
        fails()
    except ValueError as error:
        reporter = get_exception_reporter_class(request)(request, type(error), error, error.__traceback__)
        pages = [reporter.get_traceback_html(), reporter.get_traceback_text()]
    for page in pages:
        assert "no route to +1*******0123" in page
        for said in (TEXT[-5:], NUMBER[2:9], ADDRESS):  # the page also shows these very lines
            assert said not in page
    assert get_exception_reporter_filter(request).is_active(request)


def test_what_goes_to_sentry_is_masked():
    event = {
        "message": f"failed for {NUMBER}",
        "user": {"ip_address": "203.0.113.9"},
        "request": {"url": f"https://x/?q={NUMBER}", "data": {"text": TEXT}, "cookies": {"a": "b"}, "env": {}},
        "exception": {"values": [{"value": NUMBER, "stacktrace": {"frames": [{"vars": {"text": TEXT}}]}}]},
        "extra": {"text": TEXT},
        "breadcrumbs": {"values": [{"message": f"SELECT '{NUMBER}'"}]},
    }
    sent = json.dumps(ours.before_send(event, {}))
    for said in ("plugh", "2025550", "203.0.113.9"):
        assert said not in sent
    crumb = ours.before_breadcrumb(
        {"category": "query", "message": f"SELECT '{TEXT}'", "data": {"db.params": [TEXT]}}, {}
    )
    assert "plugh" not in json.dumps(crumb)


def test_the_web_servers_own_lines_are_masked():
    found = {}
    exec((settings.BASE_DIR / "gunicorn.conf.py").read_text(), found)  # noqa: S102 - our own file
    log = logging.getLogger("a.web.server")
    kept = found["logger_class"].__new__(found["logger_class"])
    kept._set_handler(log, "-", logging.Formatter("%(message)s"), stream=(written := io.StringIO()))
    log.propagate = False
    log.warning('"GET /admin/campaigns/recipient/?q=%s HTTP/1.1" 200', "%2B12025550123")
    log.handlers.clear()
    assert "2025550" not in written.getvalue()
    assert "0123" in written.getvalue()


def test_a_request_factory_is_no_exception():
    reporter = get_exception_reporter_class(RequestFactory().get("/"))(None, ValueError, ValueError(NUMBER), None)
    assert "2025550" not in reporter.get_traceback_text()
