from dataclasses import replace
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance import keywords
from compliance.keywords import BrandWord, Context, Kind, Scope, is_exact_stop, match, normalise, review_ends_on, taken
from compliance.keywords.editions import EDITIONS, LANGUAGES, in_force
from compliance.keywords.rules import Field
from compliance.keywords.text import first_line, slips_of, squeeze

DAY = date(2026, 11, 21)
ANYBODY = Context(day=DAY)
PENDING = Context(day=DAY, is_opt_in_pending=True)
ENGLISH_ONLY = Context(day=DAY, languages=frozenset({"en"}))
JOIN = Context(day=DAY, words=(BrandWord("JOIN"), BrandWord("Été 24"), BrandWord("HOURS", Kind.KEYWORD)))


def stops(edition):
    """The words that stop texts, as people type them."""
    return {word for row in edition.words if row.field is Field.OUT for word in row.words}


def read(body, context=ANYBODY):
    """What a text is, in the notation of the facts: kind, and for an opt-out how it was recognised."""
    found = match(body, context=context)
    return f"{found.kind}/{found.name}" if found.kind is Kind.OPT_OUT else str(found.kind)


# -- the vectors of facts §1.3 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "bodies"),
    [
        ("opt_out/exact", ["STOP", "Stop.", " STOP \n", "“Stop”", "STOP!!!"]),
        ("opt_out/exact", ["S T O P", "\uff33\uff34\uff2f\uff30", "St\u200bop", "STOP 🙏", "🛑 stop"]),
        ("opt_out/exact", ["opt-out", "OPT OUT", "optout", "Stop all", "STOPALL"]),
        ("opt_out/exact", ["Revoke", "END", "Cancel", "quit", "remove"]),
        ("opt_out/exact", ["Arrêt", "ARRET", "alto", "BAJA", "parar", "no más", "СТОП", "退订"]),
        ("opt_out/first_line", ["STOP\n\nSent from my iPhone"]),
        ("opt_out/stretched", ["stopppp"]),
        ("opt_out/typo", ["Stpo", "sotp"]),
        ("none", ["shop", "step", "👍", "", "who is this"]),
        ("none", ["help me"]),
        ("none", ["Yes"]),
        ("opt_out/phrase", ["STOP PLEASE", "please stop", "Stop. Thank you"]),
        ("opt_out/phrase", ["stop texting me", "Unsubscribe please", "Please stopppp"]),
        ("opt_out/phrase", ["STOP HELP", "stop start"]),
        ("opt_out/intent", ["Can you stop texting me?", "take me off your list", "Wrong number"]),
        ("opt_out/intent", ["no me envien mas mensajes"]),
        ("review", ["cancel my appointment", "Can I cancel?", "when does it end"]),
        ("review", ["The bus stop is closed", "Stop by at 5", "non-stop fun", "I quit smoking"]),
        ("review", ["Count me in! we have got to STOP this bill", "The End"]),
        ("help", ["HELP", "Help!", "info"]),
        ("opt_in", ["start", "UNSTOP"]),
    ],
)
def test_reads_what_people_write(expected, bodies):
    assert {body: read(body) for body in bodies} == dict.fromkeys(bodies, expected)


def test_takes_a_yes_only_while_it_was_asked_for():
    assert [read(word, PENDING) for word in ("Yes", "y", "SÍ", "oui.")] == ["opt_in"] * 4
    assert [read(word) for word in ("Yes", "y", "SÍ", "oui.")] == ["none"] * 4
    assert read("yes please stop", PENDING) == "review"


# -- the vectors of facts §1.1 to §1.2, and what lies beside them -----------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "stop, quit, end, revoke, opt out, cancel, unsubscribe",  # 47 CFR 64.1200(a)(10)
        "STOP, STOPALL, UNSUBSCRIBE, CANCEL, END, QUIT, REVOKE, OPTOUT",
        "ARRET, ARRETE, ARRETT",
        "ARRET, CANCEL, END, OPT-OUT, OPTOUT, QUIT, REMOVE, STOP, TD, UNSUBSCRIBE",
        "STOP, STOPALL, STOP ALL, UNSUBSCRIBE, CANCEL, END, QUIT",
        "stop, end, quit, cancel, unsubscribe",
        "STOP, END, QUIT, CANCEL, UNSUBSCRIBE, UNSUB, STOP ALL",
    ],
)
def test_knows_every_word_of_the_law_and_of_the_vendors(words):
    assert {word: read(word) for word in words.split(", ")} == dict.fromkeys(words.split(", "), "opt_out/exact")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # Natural language is honoured (§1.2, CTIA); a numbered answer is no single step.
        ("please opt me out", "opt_out/intent"),
        ("Please unsubscribe me from this list", "opt_out/intent"),
        ("2", "none"),
        ("Don\u2019t text me again", "opt_out/intent"),
        ("do not contact me", "opt_out/intent"),
        ("NO MORE TEXTS", "opt_out/intent"),
        ("lose this number!", "opt_out/intent"),
        ("Leave me alone", "opt_out/intent"),
        ("opt out please", "opt_out/intent"),
        ("no quiero más mensajes", "opt_out/intent"),
        ("Ne m\u2019envoyez plus rien", "opt_out/intent"),
        ("请不要再发了", "opt_out/intent"),
        ("Thanks\nstop", "opt_out/phrase"),
        ("alto por favor", "opt_out/phrase"),
        ("стоп, пожалуйста", "opt_out/phrase"),
        ("stop pleaseeee", "opt_out/phrase"),
        ("stop or cancel it", "review"),
        ("stop cancel", "opt_out/phrase"),
        ("stop stop stop", "opt_out/phrase"),
        ("unsubscribbe", "opt_out/stretched"),
        ("unsubscrive", "opt_out/typo"),
        ("ST0P", "opt_out/typo"),
        ("stopalk", "opt_out/typo"),
        ("STOP PLEASE\nSent from my iPhone", "review"),
        ("stoop", "review"),
        ("please stoop", "review"),
        ("top", "none"), ("spot", "none"), ("atop", "none"), ("stow", "none"), ("tops", "none"),
        ("cancel please", "review"),
        ("stopped by, nobody home", "none"),
        ("nomas", "opt_out/exact"),
        ("resume", "opt_in"), ("Subscribe", "opt_in"),
        ("aide", "help"), ("AYUDA", "help"), ("¡Ayuda!", "help"), ("Hilfe", "help"), ("ajuda", "help"),
        ("restart", "none"), ("start now", "none"), ("\u200b", "none"), ("...", "none"), ("\ud83d", "none"),
    ],
)  # fmt: skip
def test_reads_what_the_tables_do_not_show(body, expected):
    assert read(body) == expected


def test_says_which_rule_and_word_decided():
    found = match("Arrêt !", context=ANYBODY)
    assert (found.rule, found.name, found.version) == ("R1", "exact", 1)
    assert (found.keyword, found.language) == ("arret", "fr")
    assert str(found) == "R1_exact@1"
    assert match("please stop", context=ANYBODY).keyword == "stop"
    assert match("hm", context=ANYBODY).rule == "R10"
    assert match("stpo", context=ANYBODY).keyword == "stop"


def test_gives_a_shared_word_to_a_language_of_the_audience():
    assert match("parar", context=ANYBODY).language == "es"
    assert match("parar", context=Context(day=DAY, languages=frozenset({"pt"}))).language == "pt"


def test_reads_sentences_only_in_the_languages_of_the_audience():
    assert read("no me envien mas mensajes", ENGLISH_ONLY) == "none"
    assert read("alto por favor", ENGLISH_ONLY) == "none"
    assert read("Palo Alto store?", ENGLISH_ONLY) == "none"
    assert read("ALTO", ENGLISH_ONLY) == "opt_out/exact"
    assert read("wrong number", Context(day=DAY, languages=frozenset({"es"}))) == "opt_out/intent"


def test_tells_a_wrong_number_from_a_wish_about_one_brand():
    for body in ("Wrong number", "sorry, wrong person!", "número equivocado"):
        assert match(body, context=ANYBODY).scope is Scope.PLATFORM
    for body in ("STOP", "lose my number", "remove me"):
        assert match(body, context=ANYBODY).scope is Scope.BRAND


def test_lets_a_tenant_look_first_only_abroad():
    def wished(number):
        context = Context(day=DAY, is_intent_reviewed=True, number=number)
        return [match(body, context=context).kind for body in ("take me off your list", "stop please", "stop")]

    assert wished("+442071234567") == [Kind.REVIEW, Kind.OPT_OUT, Kind.OPT_OUT]
    assert wished("+12125550123") == wished("") == [Kind.OPT_OUT] * 3


def test_holds_marketing_while_somebody_has_to_look():
    bodies = {"STOP": True, "Can I cancel?": True, "HELP": False, "start": False, "hello": False}
    assert {body: match(body, context=ANYBODY).holds_marketing for body in bodies} == bodies


@pytest.mark.parametrize(
    ("received_on", "ends_on"),
    [
        (date(2026, 11, 20), date(2026, 12, 4)),  # a Friday; Thanksgiving counts as a business day
        (date(2026, 11, 21), date(2026, 12, 4)),
        (date(2026, 11, 23), date(2026, 12, 7)),
    ],
)
def test_gives_ten_business_days_to_look(received_on, ends_on):
    assert review_ends_on(received_on) == ends_on


# -- a brand's own words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "keyword"),
    [
        ("join", Kind.OPT_IN, "JOIN"),
        ("  Join! ", Kind.OPT_IN, "JOIN"),
        ("ete 24", Kind.OPT_IN, "Été 24"),
        ("hours?", Kind.KEYWORD, "HOURS"),
        ("join us", Kind.NONE, ""),
        ("STOP", Kind.OPT_OUT, "stop"),
        ("start", Kind.OPT_IN, "start"),
    ],
)
def test_knows_the_words_of_a_brand(body, kind, keyword):
    found = match(body, context=JOIN)
    assert (found.kind, found.keyword) == (kind, keyword)


@pytest.mark.parametrize(
    ("word", "rule"),
    [
        ("Stop", "R1"), ("q.u.i.t", "R1"), ("HELP", "R3"), ("start", "R4"), ("YES", "R4"), ("stopp!", "R1"),
        ("stoppp", "R5"), ("STIP", "R6"), ("STOP NOW", "R7"), ("opt out of winter", "R8"), ("END HUNGER", "R9"),
        ("", "R0"), ("👍", "R0"),
    ],
)  # fmt: skip
def test_leaves_no_word_with_a_meaning_of_its_own_to_a_brand(word, rule):
    context = Context(day=DAY, words=(BrandWord(word), BrandWord(word, Kind.KEYWORD)))
    assert taken(BrandWord(word), context=context).rule == rule
    assert match(word, context=context) == match(word, context=ANYBODY)


def test_leaves_other_words_to_a_brand():
    assert [taken(BrandWord(word), context=ANYBODY) for word in ("JOIN", "DEAL", "hours", "Café")] == [None] * 4


def test_lets_a_brand_add_words_that_stop():
    words = ("Genug", "Cancel my plan", "wrong number", "HELP")
    context = Context(day=DAY, words=tuple(BrandWord(word, Kind.OPT_OUT) for word in words))
    assert [read(f"{word}!", context) for word in words] == [
        "opt_out/brand_word", "opt_out/brand_word", "opt_out/intent", "help"
    ]  # fmt: skip
    assert read("genug davon", context) == "none"


def test_lets_the_opt_out_win_where_a_brand_gave_a_word_two_meanings():
    for words in ((BrandWord("x1", Kind.OPT_OUT), BrandWord("X1")), (BrandWord("X1"), BrandWord("x1", Kind.OPT_OUT))):
        assert read("x1", Context(day=DAY, words=words)) == "opt_out/brand_word"


# -- editions ---------------------------------------------------------------------------------------------------------


def test_takes_the_edition_of_the_day():
    assert [edition.effective_from for edition in EDITIONS] == sorted(edition.effective_from for edition in EDITIONS)
    assert len({edition.version for edition in EDITIONS}) == len(EDITIONS)
    for edition in EDITIONS:
        assert in_force(edition.effective_from) is edition
    assert in_force(date(1999, 1, 1)) is EDITIONS[0]
    assert in_force(date(2999, 1, 1)) is EDITIONS[-1]


def test_never_unlearns_a_word_that_stops():
    for before, after in pairwise(EDITIONS):
        assert stops(before) <= stops(after)


def test_every_rule_has_a_test_and_a_source():
    for edition in EDITIONS:
        assert [rule.name for rule in edition.rules] == list(keywords.matching._TESTS)
        assert edition.rules[-1].name == "none"
        assert all(row.citation and row.confidence and row.words for row in edition.words)
        assert all(rule.citation and rule.confidence for rule in edition.rules)


# -- normalising ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("  Don\u2019t   STOP!! ", "dont stop"),
        ("ARRÊT", "arret"),
        ("opt_out", "opt out"),
        ("ﬁn", "fin"),
        ("Straße", "strasse"),
        ("退订。", "退订"),
        ("٣ 3", "٣ 3"),
        ("ŉ", "n"),
        ("st\u3164op st\uffa0op", "stop stop"),
        ("st\ufe0f\u034f\u2065op", "stop"),
        ("no ma\u0301s", "no mas"),
        ("s\x00top\x85now", "s top now"),
    ],
)
def test_reduces_a_text_to_its_words(body, words):
    assert normalise(body) == words


def test_finds_the_first_line_with_words():
    assert first_line("\n👍\r\nStop.\rThank you") == "stop"
    assert first_line("\u2028") == first_line("") == ""


def test_writes_runs_of_letters_once():
    assert squeeze("please stopppp 2000") == "please stop 2000"


def test_knows_what_lies_beside_a_key():
    assert {"dtop", "srop", "stip", "st0p", "stol"} < slips_of("stop")
    assert not slips_of("stop") & {"stop", "shop", "step", "sto", "stopp"}


# -- exact stops need no context --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "STOP", "Stop.", " STOP \n", "“Stop”", "STOP!!!", "'stop'", "`stop`", "st'op",
        "S T O P",
        "\uff33\uff34\uff2f\uff30", "St\u200bop", "STOP 🙏", "🛑 stop", "\ufeffstop", "st\u00adop",
        "opt-out", "OPT OUT", "optout", "Stop all", "STOPALL",
        "Revoke", "END", "Cancel", "quit", "remove", "unsubscribe", "UNSUB", "td",
        "Arrêt", "ARRET", "alto", "BAJA", "parar", "no más", "СТОП", "退订",
        "Désabonner", "отписаться", "停止", "إيقاف", "Cancella", "afmelden", "stopp", "SAIR",
        "no ma\u0301s",
        "STOP\n\nSent from my iPhone", "\n\nSTOP\r\nSent from my phone", "👍\nstop\nbye",
        "Stop.\rThank you", "stop\u2028--\u2028Ana",
    ],
)  # fmt: skip
def test_is_a_word_that_stops_texts(body):
    assert is_exact_stop(body)


@pytest.mark.parametrize(
    "body",
    [
        "", " ", "👍", "\u200b", "...", "who is this", "shop", "step", "Help!", "start", "UNSTOP",
        "Stop by at 5", "The bus stop is closed", "non-stop fun", "I quit smoking", "The End",
        "cancel my appointment", "Thanks\nstop", "stopppp", "Stpo", "STOP HELP", "Yes", "help me",
    ],
)  # fmt: skip
def test_is_not_exactly_a_word_that_stops_texts(body):
    assert not is_exact_stop(body)


# -- whatever people write --------------------------------------------------------------------------------------------

_INVISIBLE = st.sampled_from(
    "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\ufe0f\u061c\u180e\u3164\uffa0\u2065\U000e0041\u0301"
)
_DECORATION = st.text(alphabet=" .,!?*-_\"'\n\t\u200b\u200d\u00ad🙏🛑", max_size=8)
_WORDS = sorted({word for edition in EDITIONS for row in edition.words for word in row.words})
_VOCABULARY = st.sampled_from(
    [*_WORDS, "stoppp", "stpo", "my", "the bus", "when does it", "Yes", "JOIN", "hours", "5", "\n"]
)
_SENTENCE = st.lists(_VOCABULARY, min_size=1, max_size=6).map(" ".join)
_CONTEXTS = st.builds(
    Context,
    day=st.dates(),
    languages=st.frozensets(st.sampled_from(sorted(LANGUAGES))),
    words=st.lists(st.builds(BrandWord, _VOCABULARY | st.text(max_size=6), st.sampled_from(Kind)), max_size=4).map(
        tuple
    ),
    is_opt_in_pending=st.booleans(),
    is_intent_reviewed=st.booleans(),
    number=st.sampled_from(["", "+12125550123", "+442071234567"]),
)
# From what weighs most to what weighs least for a person who wants no texts.
_WEIGHT = {Kind.OPT_OUT: 2, Kind.REVIEW: 1}


def weight(body, context):
    return _WEIGHT.get(match(body, context=context).kind, 0)


@settings(deadline=None)
@given(body=st.text(max_size=200) | _SENTENCE, context=_CONTEXTS)
def test_reads_any_text_in_any_context(body, context):
    found = match(body, context=context)
    rules = {(rule.id, rule.name) for rule in in_force(context.day).rules}
    assert (found.rule, found.name) in rules
    assert found.version == in_force(context.day).version
    assert found.name not in ("exact", "first_line") or is_exact_stop(body)


@settings(deadline=None)
@given(st.text(max_size=200) | _SENTENCE)
def test_has_nothing_left_to_normalise(body):
    words = normalise(body)
    assert normalise(words) == words == " ".join(words.split())


def test_has_nothing_left_to_normalise_in_any_character():
    folded = {normalise(chr(code)) for code in range(0x110000)}
    assert {words for words in folded if normalise(words) != words} == set()


@settings(deadline=None)
@given(
    word=st.sampled_from(sorted(stops(EDITIONS[0]))),
    before=_DECORATION,
    after=_DECORATION,
    context=_CONTEXTS,
    data=st.data(),
)
def test_stops_by_an_exact_word_in_every_context(word, before, after, context, data):
    cased = "".join(data.draw(st.sampled_from([each, each.upper()])) for each in word)
    body = before + cased + after
    assert match(body, context=context).kind is Kind.OPT_OUT
    assert is_exact_stop(body)


@settings(deadline=None)
@given(body=_SENTENCE, context=_CONTEXTS, data=st.data())
def test_is_not_weakened_by_what_nobody_sees(body, context, data):
    hidden = "".join(each + "".join(data.draw(st.lists(_INVISIBLE, max_size=2))) for each in body)
    assert weight(hidden, context) == weight(body, context)


@settings(deadline=None)
@given(body=_SENTENCE, context=_CONTEXTS, case=st.sampled_from([str.upper, str.lower, str.title, str.swapcase]))
def test_is_not_weakened_by_case(body, context, case):
    assert weight(case(body), context) == weight(body, context)


@settings(deadline=None)
@given(body=_SENTENCE, context=_CONTEXTS)
def test_is_not_weakened_by_the_words_of_a_brand(body, context):
    without = replace(context, words=())
    assert weight(body, context) >= weight(body, without)


@settings(deadline=None)
@given(body=_SENTENCE, more=st.frozensets(st.sampled_from(sorted(LANGUAGES))), context=_CONTEXTS)
def test_is_not_weakened_by_another_language(body, more, context):
    wider = replace(context, languages=context.languages | more)
    assert weight(body, wider) >= weight(body, context)
