"""Stored hits are judged some seconds later, many by one statement, and judged again when lists change."""

import json
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from campaigns import clicks, retention, tasks
from campaigns.models import Dispatch
from smsplatform.common import database
from tests import world
from tests.campaigns.commands.shell import ask, refused, run
from tests.tracking.test_verdicts import APPLE_MESSAGES, CHROME, CLOUD, FULL, IPHONE, MOBILE
from tracking import judging, verdicts
from tracking.judging import SETTLED
from tracking.models import Click, Link

pytestmark = pytest.mark.django_db(transaction=True)

NOW = world.at("2026-11-21 12:00:00")
LATER = NOW + timedelta(minutes=10)
ONE_LINK = "Look: https://jobs.example.com/"


@pytest.fixture
def acme(settings):
    settings.LINK_SCHEME = "https"
    settings.LINK_DOMAIN = "testserver"
    return world.make()


@pytest.fixture
def judge(monkeypatch):
    """Judges all that is settled, as beat's task does."""

    def now_judge(now=LATER):
        monkeypatch.setattr(clicks.database, "now", lambda: now)
        return clicks.judge(until=now + timedelta(seconds=1))

    return now_judge


def messages(acme, number=1, text=ONE_LINK):
    """Return messages that have their links, and were accepted at NOW."""
    acme.recipients(number)
    found = acme.run(text=text)
    world.work(stages=world.PIPELINE[:4])
    sent = Dispatch.objects.of_run(found.pk)
    sent.update(state="accepted", accepted_at=NOW)
    return list(sent.order_by("pk"))


def link(dispatch, position=0):
    return Link.objects.get(dispatch_id=dispatch.pk, position=position)


def hit(of, after, *, agent=IPHONE, headers=FULL, ip=MOBILE, method="GET", without=()):
    signals = {name: value for name, value in headers.items() if name not in without}
    return Click.objects.create(
        tenant_id=of.tenant_id, code=of.code, dispatch_id=of.dispatch_id, at=NOW + timedelta(seconds=after), method=method,
        ip=ip, user_agent=agent, signals=signals,
    )  # fmt: skip


def nodes(plan):
    """Yield a plan and all parts of it."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def said():
    return list(Click.objects.order_by("pk").values_list("verdict", flat=True))


class TestJudge:
    def test_stores_verdict_reasons_points_and_lists(self, acme, judge, settings, tmp_path):
        clouds = tmp_path / "clouds"
        clouds.write_text("203.0.113.0/24\n")
        settings.SCANNER_RANGES = str(clouds)
        code = link(*messages(acme))
        hit(code, 1, agent=CHROME, ip=CLOUD, without=("accept-language", "sec-fetch-mode"))
        hit(code, 40)
        hit(code, 41, agent=APPLE_MESSAGES, ip="198.51.100.8")
        assert judge() == 3
        scanner, person, preview = Click.objects.order_by("pk")
        assert (scanner.verdict, scanner.points) == ("bot_suspected", 6)
        assert scanner.reasons == "data_centre at_once no_language no_navigation"
        assert (person.verdict, person.reasons, person.points) == ("human", "", 0)
        assert (preview.verdict, preview.subtype, preview.reasons) == ("bot", "preview", "user_agent")
        assert {scanner.list_version, person.list_version, preview.list_version} == {
            verdicts.version(judging.scanner_ranges())
        }

    def test_waits_until_the_neighbours_have_come(self, acme, judge):
        hit(link(*messages(acme)), 0)
        assert judge(NOW + SETTLED - timedelta(seconds=1)) == 0
        assert judge(NOW + SETTLED) == 1
        assert judge(LATER) == 0

    def test_counts_a_person_once_in_ten_seconds(self, acme, judge):
        code = link(*messages(acme))
        for after in (40, 43, 60):
            hit(code, after)
        judge()
        assert said() == ["human", "duplicate", "human"]

    def test_counts_the_tap_after_the_browser_has_fetched_ahead(self, acme, judge):
        code = link(*messages(acme))
        hit(code, 40, headers={**FULL, "sec-purpose": "prefetch;prerender"})
        hit(code, 42)
        judge()
        assert said() == ["prefetch", "human"]

    def test_suspects_who_follows_every_link_at_once(self, acme, judge):
        [message] = messages(acme, text="https://a.example.com/ or https://b.example.com/")
        first, second = link(message, 0), link(message, 1)
        hit(first, 40)
        hit(second, 41.9)
        hit(first, 80)
        hit(second, 90)
        judge()
        assert said() == ["bot_suspected", "bot_suspected", "human", "human"]
        assert Click.objects.earliest("pk").reasons == "all_links"

    def test_suspects_who_opens_many_peoples_links(self, acme, judge):
        for message, after in zip(messages(acme, 3), (40, 44, 50), strict=True):
            hit(link(message), after)
        judge()
        assert said() == ["bot_suspected"] * 3
        assert Click.objects.earliest("pk").reasons == "many_people"

    def test_one_person_may_open_all_messages(self, acme, judge):
        acme.recipient()
        for _ in range(3):
            acme.run(text=ONE_LINK)
        world.work(stages=world.PIPELINE[:4])
        for after, code in enumerate(Link.objects.all()):
            hit(code, 40 + after)
        judge()
        assert said() == ["human"] * 3

    def test_keeps_clients_apart(self, acme, judge):
        zebra = world.make("zebra")
        for message, after in zip((*messages(acme, 2), *messages(zebra, 1)), (40, 44, 50), strict=True):
            hit(link(message), after)
        judge()
        assert said() == ["human"] * 3

    def test_sees_neighbours_on_the_other_side_of_a_turn(self, acme, judge, monkeypatch):
        monkeypatch.setattr(judging, "AT_ONCE", 1)
        code, *others = (link(message) for message in messages(acme, 3))
        hit(code, 40)
        hit(code, 43)
        for other in others:
            hit(other, 49)
        assert judge() == 4
        assert said() == ["bot_suspected"] * 4

    def test_goes_on_where_hits_lie_far_apart(self, acme, judge, monkeypatch):
        monkeypatch.setattr(judging, "_STRETCH", 1)
        code = link(*messages(acme))
        for after in (40, 60, 80):
            hit(code, after)
        assert judge() == 3
        assert said() == ["human"] * 3

    def test_knows_nothing_of_a_message_that_is_gone(self, acme, judge):
        [message] = messages(acme)
        hit(link(message), 1)
        Dispatch.objects.all().delete()
        judge()
        assert Click.objects.get().points == 0

    def test_is_two_statements_however_many_there_are(self, acme, judge):
        def statements(number):
            codes = [link(message) for message in messages(acme, number)]
            for code in codes:
                hit(code, 40)
                hit(code, 41, agent="")
            with CaptureQueriesContext(connection) as seen:
                turn = judging.judge(message=clicks._MESSAGE, now=LATER)
            assert turn.looked == turn.changed == 2 * len(codes) >= 2 * number
            return len(seen)

        assert statements(1) == statements(20) == 2

    def test_reads_nothing_where_nothing_is_due(self, acme, judge):
        hit(link(*messages(acme)), 40)
        judge()
        with CaptureQueriesContext(connection) as seen:
            assert judging.judge(message=clicks._MESSAGE, now=LATER).looked == 0
        [asked] = seen.captured_queries
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {asked['sql']}")
            [[[plan]]] = cursor.fetchall()
        assert not any(node.get("Alias") == "c" and node["Actual Loops"] for node in nodes(plan["Plan"]))

    def test_leaves_a_hit_that_somebody_is_erasing_to_the_next_turn(self, acme, judge):
        code = link(*messages(acme))
        taken, free = hit(code, 40), hit(code, 80)
        other = connections.create_connection("default")
        try:
            other.set_autocommit(False)
            with other.cursor() as cursor:
                cursor.execute("UPDATE tracking_click SET ip = NULL WHERE id = %s", [taken.pk])
            assert judge() == 1
            other.rollback()
        finally:
            other.close()
        assert said() == ["", "human"]
        assert judge() == 1
        assert said() == ["human", "human"]
        assert free.pk

    def test_is_beats_task(self, acme):
        code = link(*messages(acme))
        Click.objects.filter(pk=hit(code, 0).pk).update(at=database.now() - timedelta(minutes=1))
        tasks.judge_clicks()
        assert said() == ["human"]


class TestAgain:
    @pytest.fixture
    def judged(self, acme, judge):
        code = link(*messages(acme))
        hit(code, 1, ip=CLOUD, without=("accept-language",))
        hit(code, 60, ip=CLOUD)
        Click.objects.filter(pk=Click.objects.latest("pk").pk).update(ip=MOBILE)
        judge()
        first, second = Click.objects.order_by("pk")
        # 2 for the haste and 1 for the language; nothing for the other.
        assert [(first.verdict, first.points), (second.verdict, second.points)] == [("bot_suspected", 3), ("human", 0)]
        return code

    @pytest.fixture
    def lists(self, settings, tmp_path):
        path = tmp_path / "clouds"

        def write(text):
            path.write_text(text)
            settings.SCANNER_RANGES = str(path)
            judging._read.cache_clear()

        return write

    def test_judges_by_new_lists_once(self, judged, lists):
        hit(judged, 120, ip=CLOUD, without=("accept-language",))
        Click.objects.filter(verdict="").update(verdict="human", list_version="older")
        lists("203.0.113.0/24\n")
        assert ask("reclassify_clicks") | {"last": 0} == {"looked": 3, "changed": 1, "last": 0, "dry_run": False}
        assert said() == ["bot_suspected", "human", "bot_suspected"]
        before = list(Click.objects.order_by("pk").values())
        assert ask("reclassify_clicks")["looked"] == 0
        assert ask("reclassify_clicks --all") | {"last": 0} == {"looked": 3, "changed": 0, "last": 0, "dry_run": False}
        assert list(Click.objects.order_by("pk").values()) == before

    def test_only_counts_when_asked_to(self, judged, lists):
        Click.objects.update(verdict="human", list_version="older")
        before = list(Click.objects.order_by("pk").values())
        assert ask("reclassify_clicks --dry-run")["changed"] == 1
        assert list(Click.objects.order_by("pk").values()) == before
        assert "1 would be judged differently" in run("reclassify_clicks --dry-run")

    def test_goes_on_behind_a_hit(self, judged):
        first, _ = Click.objects.order_by("pk")
        assert ask(f"reclassify_clicks --all --after {first.pk}")["looked"] == 1
        assert "--after: give the id of a hit" in refused("reclassify_clicks --after -1")

    def test_is_page_by_page(self, judged, monkeypatch):
        monkeypatch.setattr(judging, "AT_ONCE", 1)
        assert ask("reclassify_clicks --all")["looked"] == 2

    def test_leaves_new_hits_to_beat(self, judged):
        hit(judged, 60)
        assert ask("reclassify_clicks --all")["looked"] == 2

    def test_keeps_the_verdict_on_what_is_gone(self, judged, lists):
        assert retention.apply(now=NOW + timedelta(days=500))["clicks"] == 2
        before = list(Click.objects.order_by("pk").values())
        assert {(each["ip"], each["user_agent"], json.dumps(each["signals"])) for each in before} == {(None, "", "{}")}
        lists("203.0.113.0/24\n")
        assert ask("reclassify_clicks --all")["looked"] == 0
        assert list(Click.objects.order_by("pk").values()) == before
        assert said() == ["bot_suspected", "human"]

    def test_names_a_file_that_cannot_be_read(self, judged, lists):
        lists("203.0.113.9/24\n")
        with pytest.raises(ValueError, match="line 1"):
            judging.scanner_ranges()


def test_what_is_kept_of_a_verdict_is_about_nobody(acme, judge):
    """Address, browser and headers go with the person; the reasons are words of ours."""
    hit(link(*messages(acme)), 1, agent="curl/8 of Ana")
    judge()
    kept = Click.objects.values("verdict", "subtype", "reasons", "points", "list_version").get()
    assert set(kept["reasons"].split()) <= verdicts.WORDS.keys()
    assert "Ana" not in str(kept)


class TestRun:
    def test_counts_people_once_and_says_what_was_filtered(self, acme, judge):
        first, second, _ = messages(acme, 3)
        hit(link(first), 40)
        hit(link(first), 43)
        hit(link(first), 400)
        hit(link(second), 70, agent="GoogleMessages")
        hit(link(second), 75, method="HEAD")
        hit(link(second), 80, agent="")
        judge()
        found = clicks.of_run(first.run)
        assert (found.people, found.filtered) == (1, 3)
        assert found.verdicts == {"bot": 2, "human": 2, "bot_suspected": 1, "duplicate": 1}
        told = ask(f"run_status {first.run_id}")
        assert (told["people_who_clicked"], told["hits_filtered"]) == (1, 3)
        assert "1 people; 3 hits filtered out" in run(f"run_status {first.run_id}")

    def test_knows_nothing_of_other_runs(self, acme, judge):
        [first] = messages(acme)
        other = acme.run(text="nothing")
        hit(link(first), 40)
        judge()
        assert clicks.of_run(other) == clicks.Clicks(people=0, verdicts={})
