"""The tables that counsel reads are written from the data that the code obeys, and a stale copy is noticed."""

import re

import pytest

from compliance.data import frequency, states, statutes
from compliance.management.commands import law_tables
from tests.campaigns.commands.shell import ask, failed, refused, run

MARKERS = ("states", "countries", "holidays", "caps")
EMPTY = "# Law\n\n" + "".join(f"<!-- {name} -->\n<!-- /{name} -->\n\n" for name in MARKERS) + "rest\n"


def cells(table):
    return [re.split(r"(?<!\\) ?\| ?", line)[1:-1] for line in table.splitlines()[2:]]


def test_every_row_stands_once_with_its_source():
    written = cells(law_tables.of_states()) + cells(law_tables.of_countries())
    assert sorted((row[6], row[8]) for row in written) == sorted(
        (row.id, f"{row.source} ({row.confidence})") for row in statutes.STATUTES
    )


def test_every_state_and_territory_is_named():
    federal = cells(law_tables.of_states())[0]
    assert federal[:2] == ["United States", "08-21"]
    named = {row[6].partition("/")[0] for row in cells(law_tables.of_states())}
    assert named | set(re.findall(r"\b[A-Z]{2}\b", federal[5])) == {"US", *states.NAMES}


@pytest.mark.parametrize(
    "row",
    [
        (
            "Pennsylvania (PA) | 09-19 | 09-19 | none | none | texts covered; assume that consent changes nothing"
            " | PA/2026-10-18 | 2026-10-18 | 73 P.S. 2245 (Act 47 of 2026) (B)"
        ),
        "Pennsylvania (PA) | 08-21 | 08-21 | 08-21 | none |  | PA | before 2026-11-21, until 2026-10-17 | 73 P.S. 2245 (B)",
        (
            "Maryland (MD) | 08-20 | 08-20 | 08-20 | as other days | 3 in 24 hours (frequency_cap_md) | MD"
            " | before 2026-11-21 | Md. Com. Law 14-4502(c) (Q)"
        ),
        (
            "New York (NY) | 08-21 | 08-21 | 08-21 | as other days | a statute of its own with these hours | NY"
            " | before 2026-11-21 | federal hours (47 CFR 64.1200(c)(1)); state citation not researched (Q)"
        ),
    ],
)
def test_a_row_says_all_that_holds(row):
    assert f"| {row} |" in law_tables.of_states().splitlines()


def test_what_was_not_researched_is_cited_nowhere():
    silent = {row.jurisdiction for row in statutes.STATUTES if not row.is_researched}
    assert silent == {
        *("DC", "HI", "IL", "MO", "MT", "NC", "ND", "NY", "SC", "TN", "WI", "WV"),
        *("VA", "GA", "NE"),
    }
    assert not [row.citation for row in statutes.STATUTES if "own statute" in row.citation]


def test_the_caps_are_those_of_the_hours():
    written = {row[2].removeprefix("frequency_cap_"): row[1] for row in cells(law_tables.of_caps())}
    assert written == {
        f"{cap.state.lower()}@{cap.version}": "at most 3 in 24 hours, rolling" for cap in frequency.RULES
    }
    assert {row.jurisdiction: row.cap for row in statutes.STATUTES if row.cap} == {
        cap.state: cap.amount for cap in frequency.RULES
    }


def test_names_the_holidays_in_the_order_of_the_year():
    days = dict(cells(law_tables.of_holidays()))
    assert days["Utah (UT)"].startswith("New Year's Day, ")
    assert "Independence Day, Pioneer Day, Labor Day" in days["Utah (UT)"]
    assert "observed" not in "".join(days.values())
    assert len(days) == len({row.jurisdiction for row in statutes.STATUTES if row.bars_holidays})


def test_writes_between_the_markers_only(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(EMPTY)
    assert "is stale; run `manage.py law_tables --write" in failed(f"law_tables --check {page}")[1]
    assert ask(f"law_tables --write {page}")["written"]
    assert not ask(f"law_tables --write {page}")["written"]
    assert ask(f"law_tables --check {page}")["fresh"]
    text = page.read_text()
    assert text.startswith("# Law\n\n<!-- states -->\n| place | Monday to Friday |")
    assert text.endswith("<!-- /caps -->\n\nrest\n")
    page.write_text(text.replace("| 09-19 |", "| 08-19 |"))
    assert "the tables in" in failed(f"law_tables --check {page}")[1]
    assert run("law_tables").count("| Florida (FL) |") == 2


@pytest.mark.django_db
def test_refuses_a_page_that_lacks_a_marker(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(EMPTY.replace("<!-- caps -->", ""))
    assert "must have the markers <!-- caps --> and <!-- /caps --> once" in refused(f"law_tables --write {page}")
    assert "| place |" not in page.read_text()
