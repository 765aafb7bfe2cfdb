"""Imports: into the tables, once, resumable, with every row accounted for."""

import csv
import io
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from campaigns import imports
from campaigns.imports import running, staging
from campaigns.models import Import, ListMember, Recipient, RecipientList, RefusedRow
from campaigns.models.recipient import SeenNumber
from compliance import suppression
from compliance.models import NotTextable, Suppression
from smsplatform.common import database
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy.models import Brand, Tenant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tenant():
    return Tenant.objects.create(name="Acme", slug="acme")


@pytest.fixture
def people(tenant):
    return RecipientList.objects.create(tenant=tenant, name="customers")


@pytest.fixture
def load(tenant, people, tmp_path):
    """Import a text and return the import, as it is in the database afterwards."""

    def load(text, *, name="file.csv", into=None, columns=None, run=True, **options):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        made = imports.create(
            tenant=tenant,
            list=into or people,
            file=str(path),
            source=Import.Source.PATH,
            columns=columns,
            options=options,
        )
        if run:
            imports.run(made.pk)
        made.refresh_from_db()
        return made

    return load


def number(index):
    return f"+1212{2_340_000 + index:07d}"


def rows_of(count, start=0):
    return "number,name\n" + "".join(f"{number(start + i)},Person {start + i}\n" for i in range(count))


def refusals(made):
    return list(RefusedRow.objects.filter(source=made).values_list("line", "reason", "is_taken"))


def adds_up(made):
    parts = (made.rows_new, made.rows_changed, made.rows_same, made.rows_duplicate, made.rows_refused)
    return made.rows_read == sum(parts)


def snapshot():
    """Everything an import leaves, without ids and times."""
    return {
        "recipients": list(
            Recipient.objects.order_by("number").values_list(
                "number", "country", "zones", "zone_source", "fields", "send_at"
            )
        ),
        "members": sorted(ListMember.objects.values_list("list__name", "recipient__number")),
        "refused": sorted(RefusedRow.objects.values_list("line", "reason", "detail", "is_taken")),
    }


def versions():
    """Which transaction last wrote each row."""
    return [
        database.rows(f"SELECT id, xmin::text, ctid::text FROM campaigns_{table} ORDER BY id")
        for table in ("recipient", "listmember", "recipientlist")
    ]


def test_takes_a_plain_file_into_recipients_and_the_list(load, tenant, people):
    made = load(
        "Mobile Number;First Name;Age;VIP;ZIP;TZ\n"
        "(212) 234-0001;Ann;41;yes;10001;\n"
        "+1 404 234 0002;Ben;;no;;America/Denver\n",
        types={"vip": "boolean"},
    )
    assert (made.status, made.reason) == ("done", "")
    assert (made.rows_read, made.rows_new, made.read_bytes) == (2, 2, made.total_bytes)
    ann, ben = Recipient.objects.get(number="+12122340001"), Recipient.objects.get(number="+14042340002")
    assert (ann.tenant, ann.country, ann.zones, ann.zone_source) == (
        tenant,
        "US",
        "America/New_York;NY",
        "postal_code",
    )
    assert ann.fields == {"first_name": "Ann", "age": 41, "vip": True, "postal_code": "10001"}
    assert (ben.zones, ben.zone_source, ben.state_source) == ("America/Denver;GA", "explicit", "area_code")
    assert ben.fields == {"first_name": "Ben", "vip": False}
    assert ListMember.objects.filter(list=people, tenant=tenant).count() == 2
    assert not SeenNumber.objects.exists()


def test_counts_every_row_once(load):
    made = load(
        "number,name\n"
        f"{number(1)},Ann\n"
        "\n"
        f"{number(2)},Ben\n"
        "911,Police\n"
        f"{number(1)},Ann again\n"
        "1-800-FLOWERS,Flora\n"
        f'{number(3)},"Cy\n'
        f"{number(4)},Di\n"
    )
    assert adds_up(made)
    assert (made.rows_read, made.rows_new, made.rows_duplicate, made.rows_refused) == (7, 3, 1, 3)
    assert refusals(made) == [
        (5, "too_short", False),
        (6, "duplicate", False),
        (7, "letters", False),
        (8, "unclosed_quote", False),
    ]
    assert Recipient.objects.get(number=number(1)).fields == {"name": "Ann"}
    assert "line 2" in RefusedRow.objects.get(line=6).detail


def test_knows_duplicates_across_chunks(load, monkeypatch):
    monkeypatch.setattr(running, "CHUNK_ROWS", 3)
    made = load(rows_of(10) + f"{number(0)},late\n212-234-0007,late\n")
    assert (made.rows_new, made.rows_duplicate) == (10, 2)
    assert list(RefusedRow.objects.values_list("detail", flat=True)) == [
        "the same number as in line 2, which was taken",
        "the same number as in line 9, which was taken",
    ]
    assert Recipient.objects.get(number=number(0)).fields == {"name": "Person 0"}


def test_writes_nothing_when_run_again(load):
    text = "number,name,zone,send_at,list\n" + "".join(
        f"{number(i)},P{i},{'America/Denver' if i % 2 else ''},2027-01-0{i % 9 + 1}T10:00-05:00,group {i % 3}\n"
        for i in range(50)
    )
    first = load(text)
    before = versions()
    again = load(text)
    assert (first.rows_new, again.rows_new, again.rows_changed, again.rows_same) == (50, 0, 0, 50)
    assert versions() == before


class TestMerging:
    def test_replaces_imported_fields_and_leaves_the_others(self, load):
        load(f"number,name,city\n{number(1)},Ann,Rome\n")
        made = load(f"number,name,age\n{number(1)},Anna,7\n")
        assert (made.rows_changed, made.rows_new) == (1, 0)
        assert Recipient.objects.get().fields == {"name": "Anna", "city": "Rome", "age": 7}

    def test_an_empty_cell_leaves_the_field(self, load):
        load(f"number,name\n{number(1)},Ann\n")
        made = load(f"number,name\n{number(1)},\n")
        assert made.rows_same == 1
        assert Recipient.objects.get().fields == {"name": "Ann"}

    @pytest.mark.parametrize(
        ("first", "then", "zones", "source"),
        [
            ("America/Denver,", ",", "America/Denver", "explicit"),
            ("America/Denver,", ",10001", "America/Denver", "explicit"),
            ("America/Denver,", "America/Chicago,", "America/Chicago", "explicit"),
            (",", "America/Chicago,", "America/Chicago", "explicit"),
            (",10001", ",", "America/New_York", "postal_code"),
            (",", "Nowhere/Town,", "America/New_York", "area_code"),
            ("America/Denver,", "Nowhere/Town,", "America/Denver", "explicit"),
        ],
    )
    def test_a_guessed_zone_never_replaces_a_told_one(self, load, first, then, zones, source):
        load(f"number,zone,zip\n{number(1)},{first}\n")
        load(f"number,zone,zip\n{number(1)},{then}\n")
        person = Recipient.objects.get()
        assert (person.zones, person.zone_source) == (f"{zones};NY", source)

    @pytest.mark.parametrize(
        ("first", "then", "place", "sources"),
        [
            # What is told of the state adds the zones of the state; the state of the number stays.
            (",TX,", ",,", "America/Chicago|America/Denver|America/New_York;NY|TX", ("state", "state")),
            (",Texas,", "America/Chicago,,", "America/Chicago;NY|TX", ("explicit", "state")),
            # Newer told knowledge of the same kind replaces older; a guess replaces nothing.
            (",TX,", ",FL,", "America/Chicago|America/New_York;FL|NY", ("state", "state")),
            ("85001,,", "32301,,", "America/New_York;FL|NY", ("postal_code", "postal_code")),
            # Worse knowledge of the state only adds.
            ("85001,,", ",TX,", "America/New_York|America/Phoenix;AZ|NY|TX", ("postal_code", "postal_code")),
            (",,Canada", ",,", None, ("country", "area_code")),
        ],
    )
    def test_states_add_up_and_only_told_ones_replace(self, load, first, then, place, sources):
        heads = ["zip" if first[:5].isdigit() else "zone", "state", "country"]
        load(f"number,{','.join(heads)}\n{number(1)},{first}\n")
        heads[0] = "zip" if then[:5].isdigit() else "zone"
        load(f"number,{','.join(heads)}\n{number(1)},{then}\n")
        person = Recipient.objects.get()
        assert (person.zone_source, person.state_source) == sources
        if place is None:
            assert person.zones.endswith(";NY|ca")
        else:
            assert person.zones == place

    def test_a_row_from_before_states_learns_its_own(self, load, tenant):
        Recipient.objects.create(
            tenant=tenant, number=number(1), country="US", zones="America/Denver", zone_source="explicit"
        )
        load(f"number\n{number(1)}\n")
        assert Recipient.objects.get().zones == "America/Denver;NY"

    def test_nothing_is_written_when_places_are_told_again(self, load):
        text = f"number,zip,state,country\n{number(1)},85001,TX,US\n{number(2)},,Florida,\n{number(3)},,,DO\n"
        load(text)
        before = versions()
        again = load(text)
        assert (again.rows_same, again.rows_changed) == (3, 0)
        assert versions() == before
        load(f"number\n{number(1)}\n{number(2)}\n{number(3)}\n")
        assert versions() == before

    def test_keeps_state_and_country_as_fields_too(self, load):
        load(f"number,State,Country\n{number(1)},Florida,US\n")
        assert Recipient.objects.get().fields == {"state": "Florida", "country": "US"}

    def test_a_state_that_is_none_is_remarked_on_and_the_row_taken(self, load):
        made = load(f"number,state\n{number(1)},Atlantis\n")
        assert (made.rows_new, made.rows_flagged) == (1, 1)
        assert refusals(made) == [(2, "unknown_place", True)]
        assert Recipient.objects.get().zones == "America/New_York;NY"

    def test_an_unknown_zone_is_remarked_on_and_the_row_taken(self, load):
        made = load(f"number,zone\n{number(1)},Mars/Base\n")
        assert (made.rows_new, made.rows_flagged, made.rows_refused) == (1, 1, 0)
        assert refusals(made) == [(2, "unknown_zone", True)]
        assert adds_up(made)

    def test_moves_updated_at_only_with_a_change(self, load):
        load(rows_of(2))
        before = dict(Recipient.objects.values_list("number", "updated_at"))
        load(f"number,name\n{number(0)},New\n{number(1)},Person 1\n")
        after = dict(Recipient.objects.values_list("number", "updated_at"))
        assert after[number(0)] > before[number(0)]
        assert after[number(1)] == before[number(1)]

    def test_leaves_other_tenants_alone(self, load):
        other = Tenant.objects.create(name="Other", slug="other")
        theirs = Recipient.objects.create(tenant=other, number=number(1), fields={"name": "Theirs"})
        load(f"number,name\n{number(1)},Mine\n")
        theirs.refresh_from_db()
        assert theirs.fields == {"name": "Theirs"}
        assert Recipient.objects.filter(number=number(1)).count() == 2


def test_keeps_people_whom_no_text_reaches_and_says_how_many(load, tenant):
    other, third = (Tenant.objects.create(name=slug, slug=slug) for slug in ("other", "third"))
    known = {"reason": "landline", "provider": "twilio"}
    NotTextable.objects.create(tenant=tenant, number=number(0), **known)
    NotTextable.objects.create(tenant=None, number=number(1), **known)
    NotTextable.objects.create(tenant=other, number=number(2), **known)
    NotTextable.objects.create(tenant=third, number=number(2), **known)
    NotTextable.objects.create(tenant=other, number=number(3), **known)
    NotTextable.objects.create(tenant=tenant, number=number(4), cleared_at=database.now(), **known)
    NotTextable.objects.create(tenant=tenant, number=number(5), until=database.now(), **known)
    made = load(rows_of(6))
    assert (made.rows_new, made.rows_untextable) == (6, 3)


def test_keeps_suppressed_people_and_says_how_many(load, tenant):
    brand = Brand.objects.create(tenant=tenant, name="B", slug="b")
    other = Tenant.objects.create(name="Other", slug="other")
    others = Brand.objects.create(tenant=other, name="O", slug="o")
    stopped = {"reason": "stop", "source": "reply"}
    Suppression.objects.create(scope="brand", tenant=tenant, brand=brand, number=number(0), **stopped)
    Suppression.objects.create(scope="platform", number=number(1), **stopped)
    Suppression.objects.create(scope="brand", tenant=other, brand=others, number=number(2), **stopped)
    Suppression.objects.create(
        scope="brand", tenant=tenant, brand=brand, number=number(3), released_at=database.now(), **stopped
    )
    before = list(Suppression.objects.order_by("id").values())
    made = load(rows_of(5))
    assert (made.rows_new, made.rows_suppressed) == (5, 2)
    assert list(Suppression.objects.order_by("id").values()) == before


# Every way in which a file may speak about a person who has opted out.
SPEAKS_OF_THEM = {
    "as a number that has opted in": (f"number,opt_in,consent,status\n{number(0)},true,yes,subscribed\n", {}),
    "with opted_out=false": (f"number,opted_out,suppressed\n{number(0)},false,no\n", {}),
    "in another spelling": ("phone\n(212) 234-0000\n", {}),
    "without the plus": ("msisdn\n12122340000\n", {"includes_country_code": True}),
    "as a float of a spreadsheet": ("Mobile\n12122340000.0\n", {}),
    "onto another list": (f"number,list\n{number(0)},gold\n", {}),
    "with news of the person": (f"number,name,time zone\n{number(0)},New Name,America/Denver\n", {}),
    "without a header": (f"{number(0)}\n", {"has_header": False}),
}


@pytest.mark.parametrize("file", SPEAKS_OF_THEM.values(), ids=SPEAKS_OF_THEM)
@pytest.mark.parametrize("reason", ["opt_out", "provider_blocked", "do_not_text_list", "complaint"])
def test_no_import_ever_lifts_a_suppression(load, tenant, file, reason):
    brand = Brand.objects.create(tenant=tenant, name="B", slug="b")
    load(f"number\n{number(0)}\n", name="old.csv")
    suppression.suppress(brand=brand, number=number(0), reason=reason, source="reply", now=database.now())
    before = list(Suppression.objects.values())
    text, options = file
    for _ in range(2):  # and again
        made = load(text, name="new.csv", **options)
        assert (made.status, made.rows_refused, made.rows_suppressed) == ("done", 0, 1)
        assert list(Suppression.objects.values()) == before
    assert Recipient.objects.get().number == number(0)
    assert suppression.suppressed(brand=brand, numbers=[number(0)], category="marketing") == {number(0)}


def test_an_old_import_that_is_run_again_re_enables_nobody(load, tenant):
    """Everybody who opted out since the file was written stays out, and is reported."""
    brand = Brand.objects.create(tenant=tenant, name="B", slug="b")
    first = load(rows_of(20))
    assert first.rows_suppressed == 0
    out = [number(place) for place in (1, 5, 19)]
    people = [suppression.Person(tenant.pk, brand.pk, each) for each in out]
    suppression.suppress_all(people, reason="opt_out", source="reply", now=database.now())
    before = list(Suppression.objects.order_by("id").values())
    made = load(rows_of(20))
    assert (made.rows_same, made.rows_suppressed) == (20, 3)
    Import.objects.filter(pk=first.pk).update(status="waiting", cursor={})
    imports.run(first.pk)
    first.refresh_from_db()
    assert (first.status, first.rows_suppressed) == ("done", 3)
    assert list(Suppression.objects.order_by("id").values()) == before


def test_puts_people_on_extra_lists_by_name(load, people):
    load(f"number,list\n{number(1)},gold\n{number(2)},\n{number(3)},gold\n{number(4)},{people.name}\n")
    assert sorted(ListMember.objects.values_list("list__name", "recipient__number")) == sorted(
        [(people.name, number(i)) for i in (1, 2, 3, 4)] + [("gold", number(1)), ("gold", number(3))]
    )


class TestSendAt:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2027-01-05T10:00:00-05:00", datetime(2027, 1, 5, 15, tzinfo=UTC)),
            ("2027-01-05T10:00Z", datetime(2027, 1, 5, 10, tzinfo=UTC)),
            ("2027-01-05 10:00", datetime(2027, 1, 5, 15, tzinfo=UTC)),
            ("2027-07-05 10:00", datetime(2027, 7, 5, 14, tzinfo=UTC)),
        ],
    )
    def test_is_an_instant_or_the_rows_own_wall_time(self, load, text, expected):
        load(f"number,send_at\n{number(1)},{text}\n")
        assert Recipient.objects.get().send_at == expected

    @pytest.mark.parametrize(
        ("phone", "text"),
        [
            (number(1), "tomorrow"),
            (number(1), "2027-01-05"),
            (number(1), "2027-13-05T10:00"),
            (number(1), "0007-01-05T10:00Z"),
            ("+18502340001", "2027-01-05 10:00"),
        ],
    )
    def test_refuses_what_is_no_certain_instant(self, load, phone, text):
        made = load(f"number,send_at\n{phone},{text}\n")
        assert refusals(made) == [(2, "bad_send_at", False)]
        assert not Recipient.objects.exists()


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing is caught and nothing is tidied."""


class TestResuming:
    @pytest.fixture(autouse=True)
    def _small_chunks(self, monkeypatch):
        monkeypatch.setattr(running, "CHUNK_ROWS", 10)

    TEXT = rows_of(35) + "911,x\n" + f"{number(3)},again\n" + rows_of(12, start=100).split("\n", 1)[1] + "\n\n"

    def killed_after(self, monkeypatch, chunks):
        merge, calls = staging.merge, []

        def fatal(*args, **kwargs):
            merged = merge(*args, **kwargs)
            calls.append(1)
            if len(calls) > chunks:
                raise Killed
            return merged

        monkeypatch.setattr(staging, "merge", fatal)

    def lease_over(self, made):
        Import.objects.filter(pk=made.pk).update(lease_until=database.now() - timedelta(seconds=1))

    @pytest.mark.parametrize("chunks", [0, 1, 3, 4])
    def test_ends_as_if_it_had_never_been_killed(self, load, monkeypatch, chunks):
        expected_counts = imports.progress(load(self.TEXT, name="other.csv"))
        expected = snapshot()
        RefusedRow.objects.all().delete()
        ListMember.objects.all().delete()
        Recipient.objects.all().delete()

        made = load(self.TEXT, run=False)
        with monkeypatch.context() as patch:
            self.killed_after(patch, chunks)
            with pytest.raises(Killed):
                imports.run(made.pk)
        made.refresh_from_db()
        assert (made.status, made.rows_read) == ("running", chunks * 10)
        assert Recipient.objects.count() == min(chunks * 10, 35 + max(0, chunks - 3) * 3)
        imports.run(made.pk)
        made.refresh_from_db()
        assert made.rows_read == chunks * 10, "the lease still holds"

        self.lease_over(made)
        assert imports.resume_stalled(database.now()) == [made.pk]
        assert imports.resume_stalled(database.now()) == []
        imports.run(made.pk)
        made.refresh_from_db()
        assert made.status == "done"
        assert imports.progress(made) == expected_counts
        assert snapshot() == expected
        assert adds_up(made)

    def test_a_worker_that_lost_its_lease_changes_nothing_more(self, load):
        made = load(rows_of(30), run=False)

        def steal(_progress):
            Import.objects.filter(pk=made.pk).update(lease=99)

        assert imports.run(made.pk, on_progress=steal)
        made.refresh_from_db()
        assert (made.rows_read, made.status, made.lease) == (10, "running", 99)
        assert Recipient.objects.count() == 10

    def test_goes_on_in_turns(self, load):
        made = load(rows_of(35), run=False)
        turns = 1
        while not imports.run(made.pk, turn=timedelta(0)):
            turns += 1
        made.refresh_from_db()
        assert (turns, made.status, made.rows_new) == (5, "done", 35)

    def test_starts_over_when_the_file_has_changed(self, load, monkeypatch, tmp_path):
        made = load(self.TEXT, run=False)
        with monkeypatch.context() as patch:
            self.killed_after(patch, 2)
            with pytest.raises(Killed):
                imports.run(made.pk)
        (tmp_path / "file.csv").write_text("number,name\n" + f"{number(500)},New\n{number(0)},Person 0\n")
        self.lease_over(made)
        imports.run(made.pk)
        made.refresh_from_db()
        assert (made.status, made.rows_read, made.rows_new, made.rows_same) == ("done", 2, 1, 1)

    def test_gives_up_on_rows_that_kill_it_every_time(self, load, monkeypatch):
        made = load(rows_of(15), run=False)
        with monkeypatch.context() as patch:
            self.killed_after(patch, 0)
            for _ in range(running.MAX_STARTS):
                with pytest.raises(Killed):
                    imports.run(made.pk)
                self.lease_over(made)
            imports.run(made.pk)
        made.refresh_from_db()
        assert made.status == "failed"
        assert "stopped 5 times" in made.reason
        imports.run(imports.retry(made).pk)
        made.refresh_from_db()
        assert (made.status, made.rows_new) == ("done", 15)


def in_threads(*calls):
    """Run the calls at once, each with its own connection, and raise what any of them raised."""
    errors = []
    start = threading.Barrier(len(calls))

    def body(call):
        try:
            start.wait(10)
            call()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=body, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


class TestAtOnce:
    @pytest.fixture(autouse=True)
    def _small_chunks(self, monkeypatch):
        monkeypatch.setattr(running, "CHUNK_ROWS", 50)

    def test_overlapping_files_do_not_deadlock(self, load, people):
        lines = rows_of(600).splitlines()[1:]
        listed = [f"{line},{'gold' if at % 2 else 'silver'}" for at, line in enumerate(lines)]
        forth = load("number,name,list\n" + "\n".join(listed), name="a.csv", run=False)
        back = load("number,name,list\n" + "\n".join(reversed(listed)), name="b.csv", run=False)
        mixed = load(
            "number,name,list\n" + "\n".join(sorted(listed, key=lambda line: hash(line) % 97)),
            name="c.csv",
            run=False,
        )
        in_threads(*(lambda pk=made.pk: imports.run(pk) for made in (forth, back, mixed)))
        for made in (forth, back, mixed):
            made.refresh_from_db()
            assert (made.status, adds_up(made), made.rows_read) == ("done", True, 600)
        assert forth.rows_new + back.rows_new + mixed.rows_new == 600
        assert ListMember.objects.count() == 1200

    def test_one_import_is_run_by_one_worker(self, load):
        made = load(rows_of(400), run=False)
        in_threads(lambda: imports.run(made.pk), lambda: imports.run(made.pk), lambda: imports.run(made.pk))
        made.refresh_from_db()
        assert (made.status, made.rows_new, made.rows_same, made.lease) == ("done", 400, 0, 1)


class TestFailing:
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "the file is empty"),
            (b"\n \n,,\n", "no rows"),
            (b"PK\x03\x04rest", "Excel workbook"),
        ],
    )
    def test_says_what_is_wrong_with_the_file(self, load, content, reason):
        made = load(content)
        assert made.status == "failed"
        assert reason in made.reason

    def test_names_the_missing_column_and_those_there_are(self, load):
        made = load("Phone,Name\n2122340001,Ann\n", columns={"zone": "Zeitzone"})
        assert made.reason == "there is no column 'Zeitzone' for zone; the file has: Phone, Name"

    def test_a_column_of_something_else_makes_no_lists(self, load):
        made = load("number,list\n" + "".join(f"{number(i)},ticket {i}\n" for i in range(300)))
        assert (made.status, "names 300 lists" in made.reason) == ("failed", True)
        assert RecipientList.objects.count() == 1

    def test_a_missing_file_can_be_tried_again(self, load, tmp_path):
        made = load("x", run=False)
        path = tmp_path / "file.csv"
        path.unlink()
        imports.run(made.pk)
        made.refresh_from_db()
        assert made.status == "failed"
        assert "there is no file" in made.reason
        path.write_text(rows_of(3))
        imports.run(imports.retry(made, actor="ann").pk)
        made.refresh_from_db()
        assert (made.status, made.reason, made.rows_new) == ("done", "", 3)

    def test_a_folder_and_a_way_out_of_the_storage_are_told(self, tenant, people, load, tmp_path):
        folder = imports.create(tenant=tenant, list=people, file=str(tmp_path), source="path")
        outside = imports.create(tenant=tenant, list=people, file="../../etc/passwd", source="storage")
        for made, reason in ((folder, "is a folder"), (outside, "outside the file storage")):
            imports.run(made.pk)
            made.refresh_from_db()
            assert (made.status, reason in made.reason) == ("failed", True)

    def test_only_a_failed_import_is_tried_again(self, load):
        with pytest.raises(Conflict, match="done"):
            imports.retry(load(rows_of(1)))

    def test_forgets_what_failed_long_ago(self, load):
        made = load("x\n\0\n", run=False)
        Import.objects.filter(pk=made.pk).update(status="failed", cursor={"line": 5}, finished_at=database.now())
        SeenNumber.objects.create(tenant=made.tenant, source=made, number=1, line=1)
        assert imports.forget_failed(database.now()) == 0
        assert imports.forget_failed(database.now() + timedelta(days=8)) == 1
        assert not SeenNumber.objects.exists()


class TestCreating:
    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"options": {"colour": 1}}, "options"),
            ({"options": {"default_region": "usa"}}, "options.default_region"),
            ({"options": {"encoding": "base64"}}, "options.encoding"),
            ({"options": {"delimiter": "xx"}}, "options.delimiter"),
            ({"options": {"types": {"age": "float"}}}, "options.types"),
            ({"options": {"sandbox": "yes"}}, "options.sandbox"),
            ({"columns": {"First Name": "x"}}, "columns"),
            ({"columns": {"number": ""}}, "columns"),
            ({"file": ""}, "file"),
            ({"source": "ftp"}, "source"),
        ],
    )
    def test_refuses_what_could_never_run(self, tenant, people, wrong, field):
        with pytest.raises(InvalidInput) as refused:
            imports.create(**{"tenant": tenant, "list": people, "file": "a.csv", **wrong})
        assert refused.value.field == field

    def test_refuses_another_tenants_list(self, people):
        other = Tenant.objects.create(name="Other", slug="other")
        with pytest.raises(InvalidInput):
            imports.create(tenant=other, list=people, file="a.csv")


def test_reads_from_the_storage(tenant, people, settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)
    name = default_storage.save("up.csv", ContentFile(rows_of(3).encode("utf-16")))
    made = imports.create(tenant=tenant, list=people, file=name)
    imports.run(made.pk)
    made.refresh_from_db()
    assert (made.status, made.rows_new) == ("done", 3)


def test_the_error_file_is_a_csv_without_numbers_or_formulas(load, monkeypatch):
    monkeypatch.setattr(imports, "_PAGE", 2)
    made = load(
        "number,age\n" + "".join(f"+1212555014{i},1\n" for i in range(3)) + f"{number(1)},=1+1\n",
        types={"age": "integer"},
    )
    RefusedRow.objects.filter(line=5).update(detail="=cmd()")
    rows = list(csv.DictReader(io.StringIO("".join(imports.error_file(made)))))
    assert [row["line"] for row in rows] == ["2", "3", "4", "5"]
    assert rows[0]["reason"] == "reserved_number"
    assert "+*********40" in rows[0]["detail"]
    assert rows[3]["detail"] == "'=cmd()"
    assert imports.reasons(made) == [("reserved_number", False, 3), ("bad_value", False, 1)]


def test_the_sandbox_takes_numbers_of_fiction(load):
    made = load("number\n202-555-0123\n+15005550006\n", sandbox=True)
    assert made.rows_new == 2


def test_progress_is_told_after_every_chunk(load, monkeypatch):
    monkeypatch.setattr(running, "CHUNK_ROWS", 10)
    made = load(rows_of(25), run=False)
    seen = []
    imports.run(made.pk, on_progress=seen.append)
    assert [one.read for one in seen] == [10, 20, 25]
    assert all(0 < one.read_bytes <= one.total_bytes for one in seen)


def test_sends_as_many_statements_for_a_large_chunk_as_for_a_small_one(load):
    counts = []
    for count, start in ((2, 0), (500, 1000)):
        made = load(rows_of(count, start), run=False)
        with CaptureQueriesContext(connection) as queries:
            imports.run(made.pk)
        counts.append(len(queries))
    assert counts[0] == counts[1]


KILLED_WORKER = """
import sys
import django
django.setup()
from campaigns import imports
from campaigns.imports import running, staging
running.CHUNK_ROWS = 10
merge, calls = staging.merge, []
def stuck(*args, **kwargs):
    merged = merge(*args, **kwargs)
    calls.append(1)
    if len(calls) == 3:
        print("in the third chunk", flush=True)
        sys.stdin.read()
    return merged
staging.merge = stuck
imports.run(int(sys.argv[1]))
"""


def test_survives_kill_minus_nine_inside_a_chunk(load, monkeypatch):
    monkeypatch.setattr(running, "CHUNK_ROWS", 10)
    made = load(rows_of(45) + f"{number(3)},again\n", run=False)
    database_url = urlsplit(os.environ["DATABASE_URL"])
    here = database_url._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED_WORKER, str(made.pk)],
        env={**os.environ, "DATABASE_URL": here},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert worker.stdout.readline() == "in the third chunk\n"
    finally:
        worker.kill()
        worker.wait(10)
        worker.stdin.close()
        worker.stdout.close()
    made.refresh_from_db()
    assert (made.status, made.rows_read, Recipient.objects.count()) == ("running", 20, 20)
    Import.objects.filter(pk=made.pk).update(lease_until=database.now() - timedelta(seconds=1))
    imports.run(made.pk)
    made.refresh_from_db()
    assert (made.status, made.rows_read, made.rows_new, made.rows_duplicate) == ("done", 46, 45, 1)
    assert Recipient.objects.count() == 45


def test_looks_rows_up_by_their_key_whatever_the_statistics_say(load, tenant, people):
    load(rows_of(3000))
    # Statistics of a time when another import and hardly anybody were there, as autovacuum leaves them.
    database.execute("ANALYZE campaigns_recipient, campaigns_listmember, campaigns_seennumber")
    ids = {"tenant": tenant.pk + 1000, "list": people.pk + 1000, "source": 10**6, "now": database.now()}
    statements = (
        staging._FIND_DUPLICATES,
        staging._MERGE,
        staging._ADD_MEMBERS,
        staging._COUNT_SUPPRESSED,
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(staging._BY_KEY)
        cursor.execute(staging._STAGE)
        for sql in statements:
            cursor.execute(f"EXPLAIN {sql}", ids)
            plan = "\n".join(row[0] for row in cursor.fetchall())
            lines = [line.strip() for line in plan.splitlines()]
            looked_up = [
                condition
                for scan, condition in itertools.pairwise(lines)
                if re.search(
                    r"Scan using .* on (campaigns_(recipient|seennumber|listmember)|compliance_suppression)\b", scan
                )
            ]
            assert looked_up
            assert all(re.match(r"Index Cond: .*(staged\.|campaigns_recipient\.id)", one) for one in looked_up), plan
            assert "Seq Scan on campaigns" not in plan


class TestCommand:
    def call(self, *arguments):
        out = io.StringIO()
        call_command("import_recipients", "--tenant", "acme", *map(str, arguments), stdout=out)
        return out.getvalue()

    def test_imports_a_file_and_sums_up(self, tenant, tmp_path):
        path = tmp_path / "people.csv"
        path.write_text(f"Mobile,Alter\n{number(1)},41\n911,1\n{number(1)},2\n")
        shown = self.call("--list", "new", path, "--map", "age=Alter", "--type", "age=integer")
        assert Recipient.objects.get().fields == {"age": 41}
        assert ListMember.objects.get().list.name == "new"
        for text in ("new people", "too_short", "the same number again", "100 %"):
            assert text in shown

    def test_prints_json_and_the_refused_rows(self, tenant, tmp_path):
        path, errors = tmp_path / "people.csv", tmp_path / "errors.csv"
        path.write_text(f"{number(1)}\n911\n")
        told = json.loads(self.call("--list", "new", path, "--json", "--errors", errors))
        assert (told["status"], told["read"], told["new"], told["refused"]) == ("done", 2, 1, 1)
        assert told["reasons"] == [{"reason": "too_short", "taken": False, "rows": 1}]
        assert errors.read_text().splitlines()[1].startswith("2,too_short,no,")

    def test_fails_with_the_reason_and_goes_on_later(self, tenant, tmp_path):
        path = tmp_path / "people.csv"
        with pytest.raises(CommandError, match=r"(?s)there is no file .*--resume"):
            self.call("--list", "new", path)
        path.write_text(rows_of(2))
        made = Import.objects.get()
        assert "new people" in self.call("--resume", made.pk)
        assert Recipient.objects.count() == 2

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--list", "x"], "name a file"),
            (["--list", "x", "a.csv", "--map", "number"], "--map number"),
            (["--list", "x", "a.csv", "--type", "age=float"], "the types are"),
            (["--resume", "99999"], "no import"),
        ],
    )
    def test_says_what_is_wrong_with_the_call(self, tenant, arguments, message):
        with pytest.raises(CommandError, match=message):
            self.call(*arguments)

    def test_knows_no_strangers(self):
        with pytest.raises(CommandError, match="no tenant"):
            self.call("--list", "x", "a.csv")
