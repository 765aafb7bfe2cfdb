"""P4, P6 and P7 in processes of their own: killed, or frozen by the kernel, between the claim and the post."""

import os
import signal
import subprocess
import sys

import pytest
from django.conf import settings as configured

from campaigns.models import Dispatch
from campaigns.states import State
from smsplatform.common import database
from tests import world
from tests.promises import sound
from tests.promises.aftermath import again, run_until_settled
from tests.promises.together import until

pytestmark = pytest.mark.django_db(transaction=True)


WORKER = """
import sys
import django
django.setup()
from campaigns import sending
from campaigns.pipeline import judge_ready
from providers import delivery
batch, lease = int(sys.argv[1]), int(sys.argv[2])
post = delivery.Poster.post
def pause(poster, *slices):
    print("claimed", flush=True)
    sys.stdin.readline()
    post(poster, *slices)
delivery.Poster.post = pause
sending.take_turn(batch, lease, judging=judge_ready)
print("done", flush=True)
"""


@pytest.fixture
def worker(acme):
    """A process of its own that has claimed a batch and not posted it yet."""
    acme.recipients(4)
    acme.account.timeout = 1
    acme.account.save()
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    database_url = configured.DATABASE_URL.rsplit("/", 1)[0] + "/" + database.connection.settings_dict["NAME"]
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(batch.pk), str(lease)],
        env={**os.environ, "DATABASE_URL": database_url, "POST_WITHIN_SECONDS": "0.5", "HORIZON_MARGIN_SECONDS": "0.1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "claimed\n"
    assert world.states(run) == {State.SENDING: 4}
    yield process, run, batch
    process.kill()
    process.wait()


def horizon_is_over():
    from campaigns.models import Attempt

    return not Attempt.objects.filter(horizon_at__gt=database.now()).exists()


def test_a_killed_worker_leaves_unknowns_that_nobody_sends_again(worker, simulator):
    process, run, batch = worker
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(horizon_is_over)
    run_until_settled(run)
    assert world.states(run) == {State.UNKNOWN: 4}
    assert simulator.ledger()["posts"] == 0
    again(batch)
    world.work()
    assert simulator.ledger()["posts"] == 0
    sound.check()


def test_a_worker_that_the_kernel_froze_posts_nothing_when_it_wakes(acme, worker, simulator):
    """SIGSTOP between claim and post; the horizon passes, recovery says unknown, STOP and cancel arrive; SIGCONT."""
    from tests.promises import hooks

    process, run, batch = worker
    process.send_signal(signal.SIGSTOP)
    until(horizon_is_over)
    again(batch)
    world.work()
    assert world.states(run) == {State.UNKNOWN: 4}
    first = Dispatch.objects.order_by("id").first()
    hooks.stop(acme, first.number)
    process.send_signal(signal.SIGCONT)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    assert simulator.ledger()["posts"] == 0
    assert world.states(run) == {State.HELD: 4}
    sound.check()
    acme.account.timeout = 5
    acme.account.save()
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 3, State.BLOCKED: 1}
    assert simulator.ledger()["accepted"] == 3
