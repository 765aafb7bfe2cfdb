import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.keywords import OPT_OUT, is_exact_stop, normalise


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
    ],
)
def test_reduces_a_reply_to_its_words(body, words):
    assert normalise(body) == words


def test_keeps_its_words_in_the_form_it_compares():
    assert {normalise(word) for word in OPT_OUT} == OPT_OUT
    assert "" not in OPT_OUT


_DECORATION = st.text(alphabet=" .,!?*-_\"'\n\t\u200b\u200d\u00ad🙏🛑", max_size=8)


@settings(deadline=None)
@given(word=st.sampled_from(sorted(OPT_OUT)), before=_DECORATION, after=_DECORATION, data=st.data())
def test_sees_the_word_through_case_and_decoration(word, before, after, data):
    cased = "".join(data.draw(st.sampled_from([each, each.upper()])) for each in word)
    assert is_exact_stop(before + cased + after)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_answers_for_any_text(body):
    words = normalise(body)
    assert words == " ".join(words.split())
    assert isinstance(is_exact_stop(body), bool)
    if is_exact_stop(body):
        assert any(word.replace(" ", "") in words.replace(" ", "") for word in OPT_OUT)
