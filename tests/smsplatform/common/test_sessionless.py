"""Webhooks, short links and the ping are answered without sessions and users; the admin is not."""

import pytest
from django.test import Client

from smsplatform.common import sessionless
from tracking.shortening import CODE_ALPHABET, CODE_LENGTH


@pytest.fixture
def looks(monkeypatch):
    """The paths for which somebody looked for a session."""
    from django.contrib.sessions.middleware import SessionMiddleware

    seen, look = [], SessionMiddleware.process_request

    def process_request(middleware, request):
        seen.append(request.path_info)
        look(middleware, request)

    monkeypatch.setattr(SessionMiddleware, "process_request", process_request)
    return seen


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "status"),
    [("/ping", 200), ("/webhooks/simulator/nobody/status", 404), (f"/{CODE_ALPHABET[:CODE_LENGTH]}", 404)],
)
def test_machines_cost_no_look_for_a_session(looks, path, status):
    answer = Client().get(path, HTTP_HOST="localhost")
    assert answer.status_code == status
    assert looks == []
    assert answer.headers["X-Content-Type-Options"] == "nosniff"  # what stands before it still counts


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/login/", "/no/such/page"])
def test_everything_else_goes_on(looks, path):
    Client().get(path, HTTP_HOST="localhost")
    assert looks == [path]


def test_a_view_that_raises_is_answered_as_ever(monkeypatch, settings):
    @sessionless.sessionless
    def broken(_request):
        raise ValueError("no such thing")

    monkeypatch.setattr(sessionless, "resolve", lambda _: type("Match", (), {"func": broken, "args": (), "kwargs": {}}))
    assert Client(raise_request_exception=False).get("/ping", HTTP_HOST="localhost").status_code == 500
