"""Fixtures: the simulator as a process of its own, and an empty Redis."""

import json
import subprocess
import sys
import urllib.request

import pytest
from django.conf import settings
from django.core.management.commands import flush
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test import override_settings

from smsplatform.common.garbage import collect_rarely
from tests.properties import effort

effort.set_usual()


def pytest_collection_finish():
    """Thousands of collected tests are a large heap, and to look for garbage in it took a sixth of their time."""
    collect_rarely()


class Simulator:
    """The provider simulator as a process of its own, and what its ledger says."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "providers.simulator", "--port", "0", "--smtp-port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url, self.mail_url = (self.process.stdout.readline().split(" at ")[1].strip() for _ in range(2))

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def script(self, account, **script):
        return self.ask("PUT", f"/_control/accounts/{account}", {"secret": "secret", **script})

    def ledger(self):
        return self.ask("GET", "/_control/ledger")

    def reset(self):
        self.ask("DELETE", "/_control/ledger")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="session")
def _simulator():
    simulator = Simulator()
    yield simulator
    simulator.stop()


@pytest.fixture
def simulator(_simulator):
    """A fresh ledger."""
    _simulator.reset()
    return _simulator


@pytest.fixture(autouse=True)
def _fresh_redis():
    """No tokens and no messages of an earlier test."""
    from tests import world

    world.lose_redis()


@pytest.fixture(autouse=True, scope="session")
def _static_files_as_they_are():
    """Pages link to static files by their own names: nothing needs to be collected before the tests."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    # And nobody looks for them all again with each new client, which takes longer than most requests.
    with override_settings(STORAGES={**settings.STORAGES, "staticfiles": plain}, WHITENOISE_USE_FINDERS=False):
        yield


# Django makes these again after every flush, one by one; no test here touches them.
_KEPT = {"django_content_type", "auth_permission"}


@pytest.fixture(autouse=True, scope="session")
def _cheap_flush():
    """Empty the tables by DELETE: a TRUNCATE of some dozens of nearly empty tables costs half a second a test."""

    def deletes(_operations, _style, tables, **_):
        emptied = ";".join(f'DELETE FROM "{table}"' for table in sorted({*tables} - _KEPT))
        return [f"SET session_replication_role = replica; {emptied}; SET session_replication_role = origin"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", deletes)
        # What is made after a migration is kept: to look for it after each test takes longer than the deletes.
        patch.setattr(flush, "emit_post_migrate_signal", lambda *_arguments, **_options: None)
        yield
