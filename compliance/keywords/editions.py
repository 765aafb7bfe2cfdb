"""The rules on keywords, by the date they hold from. Data only; the shapes are in `rules`.

A change of law or of our own mind is a new edition with a new version, never an edit of one that has decided
something. No edition may drop a word that stops texts: people have learned it.
"""

from datetime import date, timedelta
from typing import Final

from compliance.keywords.rules import (
    ENGLISH,
    AnswerRule,
    Content,
    Edition,
    Element,
    Fault,
    Field,
    Kind,
    Purpose,
    Rule,
    Sign,
    Words,
)

_RULES: Final = (
    Rule("R0", "empty", Kind.NONE, "§1.3", "D"),
    Rule("R1", "exact", Kind.OPT_OUT, "[CFR](a)(10), §1.1", "Q"),
    Rule("R2", "first_line", Kind.OPT_OUT, "[CFR](a)(10)", "D"),
    Rule("R3", "help", Kind.HELP, "[CTIA], [TELNYX-DOC]", "B"),
    Rule("R4", "start", Kind.OPT_IN, "§1.1", "A"),
    Rule("R4", "yes", Kind.OPT_IN, "§3.3", "D"),
    Rule("R4", "brand_word", Kind.OPT_IN, "§1.3", "D"),
    Rule("R5", "stretched", Kind.OPT_OUT, "[CFR](a)(10), [CTIA]", "D"),
    Rule("R6", "typo", Kind.OPT_OUT, "[CFR](a)(10), [BRAZE]", "D"),
    Rule("R7", "phrase", Kind.OPT_OUT, "[CFR](a)(10), [P2PU]", "D"),
    Rule("R8", "intent", Kind.OPT_OUT, "[CFR](a)(10), [CTIA]", "D"),
    Rule("R9", "review", Kind.REVIEW, "[CFR](a)(10)", "D"),
    Rule("R10", "none", Kind.NONE, "§1.3", "D"),
)

_EXACT: Final = (
    Words(
        Field.OUT,
        ENGLISH,
        (
            "stop", "stopall", "stop all", "unsubscribe", "unsub", "cancel", "end", "quit", "revoke",
            "opt out", "optout", "remove", "td",
        ),
        "[CFR](a)(10), [TW-KW], [AWS-KW], [TELNYX-AO], [VON-OOA], [PLIVO], [BRAZE]",
        "A/Q",
    ),
    Words(Field.OUT, "fr", ("arret", "arrete", "arrett"), "[TW-PROXY], [AWS-KW]", "A"),
    Words(Field.OUT, "fr", ("arreter", "desabonner", "desinscrire"), "§1.3", "C/D"),
    Words(
        Field.OUT,
        "es",
        ("alto", "parar", "pare", "baja", "cancelar", "detener", "basta", "no mas"),
        "§1.3",
        "C/D",
    ),
    Words(Field.OUT, "pt", ("sair", "parar", "cancelar", "descadastrar", "remover"), "§1.3", "C/D"),
    Words(Field.OUT, "de", ("stopp", "abmelden", "abbestellen"), "§1.3", "C/D"),
    Words(Field.OUT, "it", ("cancella", "disiscrivi"), "§1.3", "C/D"),
    Words(Field.OUT, "nl", ("afmelden",), "§1.3", "C/D"),
    Words(Field.OUT, "ru", ("стоп", "отписаться"), "§1.3", "C/D"),
    Words(Field.OUT, "zh", ("停止", "退订"), "§1.3", "C/D"),
    Words(Field.OUT, "ar", ("إيقاف",), "§1.3", "C/D"),
    Words(Field.HELP, ENGLISH, ("help", "info"), "[TW-KW], [PLIVO], [BRAZE]", "A"),
    Words(Field.HELP, "fr", ("aide",), "§1.3", "C/D"),
    Words(Field.HELP, "es", ("ayuda",), "§1.3", "C/D"),
    Words(Field.HELP, "pt", ("ajuda",), "§1.3", "C/D"),
    Words(Field.HELP, "de", ("hilfe",), "§1.3", "C/D"),
    Words(Field.IN, ENGLISH, ("start", "unstop", "resume", "subscribe"), "[TW-KW], [PLIVO]", "A"),
    Words(Field.YES, ENGLISH, ("yes", "y"), "§3.3", "D"),
    Words(Field.YES, "es", ("si",), "§3.3", "D"),
    Words(Field.YES, "fr", ("oui",), "§3.3", "D"),
    Words(Field.NETWORK_OUT, ENGLISH, ("stop",), "[TW-TF]", "A"),
    Words(Field.NETWORK_IN, ENGLISH, ("start", "unstop"), "[TW-TF]", "A"),
)  # fmt: skip

_LIKENESS: Final = (
    Words(Field.SLIP, ENGLISH, ("stop", "stopall", "unsubscribe"), "§1.3 R6", "D"),
    Words(
        Field.REAL,
        ENGLISH,
        ("shop", "step", "top", "spot", "stoop", "atop", "stow", "tops"),
        "§1.3 R6",
        "D",
    ),
    Words(Field.CORE, ENGLISH, ("stop", "unsubscribe", "unsub", "revoke", "quit", "optout"), "§1.3", "D"),
    Words(Field.CORE, "fr", ("arret", "desabonner", "desinscrire"), "§1.3", "D"),
    Words(Field.CORE, "es", ("parar", "alto", "baja"), "§1.3", "D"),
    Words(Field.CORE, "pt", ("parar", "descadastrar"), "§1.3", "D"),
    Words(Field.CORE, "de", ("stopp", "abmelden", "abbestellen"), "§1.3", "D"),
    Words(Field.CORE, "it", ("disiscrivi",), "§1.3", "D"),
    Words(Field.CORE, "nl", ("afmelden",), "§1.3", "D"),
    Words(Field.CORE, "ru", ("стоп", "отписаться"), "§1.3", "D"),
    Words(Field.ENDING, ENGLISH, ("cancel", "end"), "§1.3 R7, R9", "D"),
    Words(
        Field.FILLER,
        ENGLISH,
        (
            "please", "pls", "plz", "now", "thanks", "thank", "you", "u", "ok", "okay", "text", "texts", "texting",
            "txt", "message", "messages", "msg", "msgs", "it", "this", "all", "me", "the", "sms", "sending", "these",
            "those", "your", "i", "want", "to", "everything", "immediately", "asap", "guys", "from", "just", "hey",
            "hi", "no", "more", "today", "ever", "again", "help", "start", "opt", "out",
        ),
        "§1.3",
        "D",
    ),
    Words(Field.FILLER, "fr", ("svp", "merci", "messages"), "§1.3", "D"),
    Words(Field.FILLER, "es", ("por", "favor", "gracias", "ya", "mensajes"), "§1.3", "D"),
    Words(Field.FILLER, "pt", ("por", "favor", "obrigado", "obrigada", "mensagens"), "§1.3", "D"),
    Words(Field.FILLER, "de", ("bitte", "danke", "nachrichten"), "§1.3", "D"),
    Words(Field.FILLER, "it", ("per", "favore", "grazie", "messaggi"), "§1.3", "D"),
    Words(Field.FILLER, "nl", ("aub", "alsjeblieft", "bedankt", "berichten"), "§1.3", "D"),
    Words(Field.FILLER, "ru", ("пожалуйста", "спасибо"), "§1.3", "D"),
)  # fmt: skip

_INTENTS: Final = (
    Words(
        Field.OPENER,
        ENGLISH,
        ("stop", "quit", "do not", "dont", "no more", "never", "cease"),
        "§1.3 R8, [CTIA]",
        "D",
    ),
    Words(
        Field.OBJECT,
        ENGLISH,
        (
            "text", "texts", "texting", "txt", "message", "messages", "messaging", "sms",
            "contact", "contacting", "sending",
        ),
        "§1.3 R8",
        "D",
    ),
    Words(
        Field.INTENT,
        ENGLISH,
        (
            "unsubscribe", "opt me out", "opt out", "take me off", "remove me",
            "lose my number", "lose this number", "leave me alone",
        ),
        "§1.3 R8, [CTIA]",
        "D",
    ),
    Words(
        Field.INTENT,
        "es",
        (
            "no me envien", "no quiero mensajes", "no quiero mas mensajes",
            "no me manden", "no me escriban", "dejen de enviar", "dejen de mandar",
        ),
        "§1.3 R8",
        "D",
    ),
    Words(
        Field.INTENT,
        "fr",
        ("ne m'envoyez plus", "ne me contactez plus", "plus aucun message", "laissez-moi tranquille"),
        "§1.3 R8",
        "D",
    ),
    Words(
        Field.INTENT,
        "pt",
        ("não me envie", "não me mande", "não quero mensagens", "não quero mais mensagens", "pare de enviar"),
        "§1.3 R8",
        "D",
    ),
    Words(
        Field.INTENT,
        "de",
        ("keine nachrichten mehr", "keine weiteren nachrichten", "keine sms mehr"),
        "§1.3 R8",
        "D",
    ),
    Words(Field.INTENT, "it", ("non inviatemi", "non mandatemi", "non voglio più messaggi"), "§1.3 R8", "D"),
    Words(Field.INTENT, "nl", ("geen berichten meer", "geen sms meer"), "§1.3 R8", "D"),
    Words(Field.INTENT, "ru", ("не пишите", "не присылайте"), "§1.3 R8", "D"),
    Words(Field.INTENT, "zh", ("退订", "取消订阅", "停止发送", "不要再发", "别再发"), "§1.3 R8", "D"),
    Words(Field.INTENT, "ar", ("إلغاء الاشتراك",), "§1.3 R8", "D"),
    Words(Field.WRONG_PERSON, ENGLISH, ("wrong number", "wrong person"), "§1.3 R8, §1.6", "D"),
    Words(Field.WRONG_PERSON, "es", ("número equivocado", "persona equivocada"), "§1.3 R8, §1.6", "D"),
    Words(Field.WRONG_PERSON, "fr", ("mauvais numéro",), "§1.3 R8, §1.6", "D"),
    Words(Field.WRONG_PERSON, "pt", ("número errado",), "§1.3 R8, §1.6", "D"),
    Words(Field.WRONG_PERSON, "de", ("falsche Nummer",), "§1.3 R8, §1.6", "D"),
    Words(Field.WRONG_PERSON, "it", ("numero sbagliato",), "§1.3 R8, §1.6", "D"),
    Words(Field.WRONG_PERSON, "nl", ("verkeerd nummer",), "§1.3 R8, §1.6", "D"),
)  # fmt: skip

# The first that fits decides.
_ANSWER_RULES: Final = (
    AnswerRule("A0", "not_a_keyword", is_ours=False, citation="§1.5", confidence="D"),
    AnswerRule("A1", "network_answered", is_ours=False, citation="[TW-TF]", confidence="A"),
    AnswerRule("A2", "vendor_answered", is_ours=False, citation="[TW-KW]", confidence="A"),
    AnswerRule("A3", "vendor_blocks", is_ours=False, citation="§1.1", confidence="A"),
    AnswerRule("A4", "late", is_ours=False, citation="[CFR](a)(12)", confidence="D"),
    AnswerRule("A5", "repeated", is_ours=False, citation="[CFR](a)(12), [TELNYX-DOC]", confidence="D"),
    AnswerRule("A6", "answered_lately", is_ours=False, citation="[TELNYX-DOC]", confidence="D"),
    AnswerRule("A7", "nothing_changed", is_ours=False, citation="§1.6", confidence="D"),
    AnswerRule("A8", "ours", is_ours=True, citation="[TW-SC], [CFR](a)(12)", confidence="A/D"),
)

_RATES: Final = "Msg&data rates may apply."

_CONTENTS: Final = (
    Content(
        Purpose.OPT_OUT,
        must=(Element.PROGRAM, Element.NO_MORE, Element.COME_BACK),
        must_not=(Fault.OFFER, Fault.LINK, Fault.QUESTION, Fault.TOO_LONG),
        parts=(
            "{program}:",
            "You are unsubscribed and will get no more messages from us.",
            "Reply START to resubscribe.",
        ),
        citation="[CFR](a)(12), [CTIA]",
        confidence="Q/B",
    ),
    Content(
        Purpose.HELP,
        must=(Element.PROGRAM, Element.CONTACT, Element.STOP, Element.RATES, Element.FREQUENCY),
        must_not=(Fault.OFFER, Fault.TOO_LONG),
        parts=("{program}:", "up to {monthly} msgs/month.", "Help: {contact}.", _RATES, "Reply STOP to opt out."),
        citation="[TELNYX-DOC], [CTIA]",
        confidence="B",
    ),
    Content(
        Purpose.OPT_IN,
        must=(Element.PROGRAM, Element.RECURRING, Element.FREQUENCY, Element.RATES, Element.HELP, Element.STOP),
        must_not=(Fault.LINK, Fault.TOO_LONG),
        parts=(
            "{program}: you're subscribed!",
            "Up to {monthly} msgs/mo.",
            _RATES,
            "Reply HELP for help, STOP to opt out.",
            "Consent not required to buy.",
        ),
        citation="[CTIA] 5.1.2.1",
        confidence="B",
    ),
    Content(
        Purpose.ASK,
        # How often is asked of every disclosure on which consent rests (facts §3.1).
        must=(
            Element.PROGRAM,
            Element.RECURRING,
            Element.FREQUENCY,
            Element.RATES,
            Element.HELP,
            Element.STOP,
            Element.YES,
        ),
        must_not=(Fault.OFFER, Fault.LINK, Fault.TOO_LONG),
        parts=(
            "{program}: reply YES to get recurring marketing texts",
            "(up to {monthly}/mo).",
            _RATES,
            "HELP for help, STOP to cancel.",
        ),
        citation="§1.4, §3.1, §3.3",
        confidence="B/D",
    ),
)

_OFTEN: Final = (
    r"\b\d+ (?:\w+ )?(?:a |per |each )?(?:mo|month|wk|week|day)\b"
    r"|\b(?:msg|message) frequency varies\b|\b(?:daily|weekly|monthly)\b"
)
_TEXTS: Final = r"(?:messages|msgs|texts|sms)"

_SIGNS: Final = (
    Sign(Element.NO_MORE, rf"\bno (?:more|further) (?:\w+ )?{_TEXTS}\b"),
    Sign(Element.NO_MORE, rf"\b(?:will not|wont|not) (?:get|receive|be sent) (?:\w+ )*{_TEXTS}\b"),
    Sign(Element.COME_BACK, r"\b(?:reply|text|send) (?:with )?(?:start|unstop|resume|subscribe)\b"),
    Sign(Element.RECURRING, rf"\brecurring\b|{_OFTEN}"),
    Sign(Element.FREQUENCY, _OFTEN),
    Sign(Element.RATES, r"\b(?:msg|message) (?:and )?data rates may apply\b"),
    Sign(Element.HELP, r"\bhelp\b"),
    Sign(Element.STOP, r"\bstop\b"),
    Sign(Element.YES, r"\byes\b"),
    Sign(
        Fault.OFFER,
        r"\b(?:sales?|discounts?|coupons?|promo\w*|deals?|offers?|save|\d+ off|percent off|off your"
        r"|(?:shop|order|buy) now|free (?:gift|shipping|trial))\b",
    ),
)

EDITIONS: Final = (
    Edition(
        version=1,
        effective_from=date(2025, 4, 11),
        rules=_RULES,
        words=_EXACT + _LIKENESS + _INTENTS,
        unspaced=frozenset({"zh"}),
        review_days=10,
        answer_rules=_ANSWER_RULES,
        confirm_within=timedelta(minutes=5),
        answer_again_after=timedelta(hours=24),
        segments=1,
        toll_free=frozenset({"800", "833", "844", "855", "866", "877", "888"}),
        contents=_CONTENTS,
        signs=_SIGNS,
        link=r"https?://|\bwww\.|(?<![@\w.-])[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\b(?!@)",
        allowed_questions=(
            "which messages",
            "which texts",
            "which categories",
            "all messages",
            "all texts",
            "all categories",
        ),
    ),
)
"""Oldest first."""


def in_force(day: date) -> Edition:
    """The edition that holds on this date; before the first one, the first."""
    return next((edition for edition in reversed(EDITIONS) if edition.effective_from <= day), EDITIONS[0])


def of_version(version: int) -> Edition:
    """The edition a stored decision names."""
    return next(edition for edition in EDITIONS if edition.version == version)


LANGUAGES: Final = frozenset(row.language for edition in EDITIONS for row in edition.words)
"""Every language that has words, as ISO 639 codes."""
