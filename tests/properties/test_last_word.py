"""A person whose last own word was STOP is never textable, whatever is said, imported, replayed or lifted in which order."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import imports
from campaigns.models import Import
from compliance import policy, suppression
from compliance.models import Suppression
from compliance.policy import Category
from smsplatform.common.database import rows
from tests import world
from tests.properties.effort import trying

pytestmark = pytest.mark.timeout(900)
NUMBER = "+12122340000"
BEGAN = datetime(2026, 11, 22, tzinfo=UTC)
PHONE, COMPLAINT = ("opt_out", "voice"), ("complaint", "email")
# A few instants, so that ties are common.
instants = st.integers(0, 5).map(lambda minute: BEGAN + timedelta(minutes=minute))
words = st.one_of(
    st.tuples(st.just("stop"), instants, st.sampled_from([("opt_out", "reply"), ("opt_out", "web"), PHONE, COMPLAINT])),
    st.tuples(st.just("blocked"), instants, st.just(("provider_blocked", "provider"))),
    st.tuples(st.just("start"), instants, st.just(("", ""))),
    st.tuples(
        st.just("import"), instants, st.sampled_from([("2122340000", ""), (NUMBER, ""), ("(212) 234-0000", "new list")])
    ),
    st.tuples(st.just("listed"), instants, st.just(("do_not_text_list", "list"))),
)


@pytest.fixture
def acme(transactional_db):
    return world.make()


def test_the_last_word_counts(acme, tmp_path):
    @trying(60)
    @given(st.lists(words, min_size=1, max_size=10), st.data())
    def holds(said, data):
        Suppression.objects.all().delete()
        told = said + data.draw(st.lists(st.sampled_from(said), max_size=4), label="told again")
        heard = []
        for event in told:
            apply(acme, event, tmp_path)
            heard.append(event)
            must = last(heard, "stop", "blocked", "listed") >= last(heard, "start") and any(
                kind in {"stop", "blocked", "listed"} for kind, _, _ in heard
            )
            if must:
                assert not is_textable(acme), heard

    holds()


def last(heard, *kinds):
    return max((at for kind, at, _ in heard if kind in kinds), default=BEGAN - timedelta(days=1))


def apply(acme, event, folder):
    kind, at, (first, second) = event
    if kind == "start":
        suppression.lift(brand=acme.brand, number=NUMBER, before=at, now=at)
    elif kind == "import":
        path = folder / "old.csv"
        path.write_text(f"phone,opt_in,consent,list\n{first},true,yes,{second}\n")
        source = imports.create(tenant=acme.tenant, list=acme.people, file=str(path), source=Import.Source.PATH)
        before = list(Suppression.objects.order_by("id").values())
        imports.run(source.pk)
        source.refresh_from_db()
        assert (source.status, source.rows_suppressed) == ("done", int(not is_textable(acme)))
        assert list(Suppression.objects.order_by("id").values()) == before
    else:
        suppression.suppress(brand=acme.brand, number=NUMBER, reason=first, source=second, now=at)


def is_textable(acme):
    """Ask what the claim asks."""
    objection = policy.suppressions(Category.MARKETING)
    [(place,)] = rows(
        f"SELECT {objection.place} FROM (SELECT %(number)s::text AS number, %(brand)s::bigint AS brand_id) d {objection.joins}",
        {**objection.parameters, "number": NUMBER, "brand": acme.brand.pk},
    )
    return place is None
