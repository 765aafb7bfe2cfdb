"""How often we ask whether a connection lives: rarely, and never too rarely to notice that it is gone."""

import pytest
from django.db import connection, connections

from smsplatform.common.database import rows
from smsplatform.common.postgres import base


@pytest.fixture
def checked(transactional_db):
    """A connection as a request finds it: to be checked before its first use."""
    rows("SELECT 1")

    def begin():
        connection.health_check_enabled = True
        connection.health_check_done = False

    begin()
    rows("SELECT 1")
    yield begin
    connection.health_check_enabled = False
    connection.close()


def test_a_connection_used_just_now_is_not_asked(checked, monkeypatch):
    asked = []
    monkeypatch.setattr(base.base.DatabaseWrapper, "is_usable", lambda _: asked.append(1) or True)
    checked()
    rows("SELECT 2")
    assert asked == []
    connection._trusted_until = 0.0
    checked()
    rows("SELECT 3")
    assert asked == [1]


def test_a_connection_that_the_server_has_closed_is_noticed_at_once(checked):
    [(pid,)] = rows("SELECT pg_backend_pid()")
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    finally:
        other.close()
    assert connection._trusted_until > 0
    checked()
    assert rows("SELECT pg_backend_pid()") != [(pid,)]


def test_a_connection_that_had_an_error_is_asked(checked, monkeypatch):
    asked = []
    monkeypatch.setattr(base.base.DatabaseWrapper, "is_usable", lambda _: asked.append(1) or True)
    connection.errors_occurred = True
    connection.close_if_unusable_or_obsolete()
    assert asked == [1]
