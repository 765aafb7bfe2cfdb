"""Words that stop texts: whether a reply is exactly one of them, in any language we know.

A reply counts whatever its case, accents, punctuation, full-width letters, spacing or invisible
characters. These rules need no context and no configuration; they run inside the webhook before it
answers. The English words are those of 47 CFR 64.1200(a)(10) and of the providers' own lists.
"""

import unicodedata
from typing import Final

_ENGLISH: Final = (
    "stop", "stopall", "stop all", "unsubscribe", "unsub", "cancel", "end", "quit", "revoke",
    "opt out", "optout", "remove", "td",
)  # fmt: skip
_OTHER: Final = (
    "arret", "arreter", "desabonner", "desinscrire",
    "alto", "parar", "pare", "baja", "cancelar", "detener", "basta", "no mas",
    "sair", "descadastrar", "remover",
    "stopp", "abmelden", "abbestellen",
    "cancella", "disiscrivi",
    "afmelden",
    "стоп", "отписаться",
    "停止", "退订",
    "إيقاف",
)  # fmt: skip

# What people type as an apostrophe. It goes first: decomposition makes spaces of some of these.
_APOSTROPHES: Final = dict.fromkeys(map(ord, "'`´‘’‛ʼʹ′＇"))  # noqa: RUF001


def normalise(body: str) -> str:
    """The words of a reply: lower case, no accents, no marks, no punctuation, single spaces."""
    decomposed = unicodedata.normalize("NFKD", body.translate(_APOSTROPHES))
    kept = (character if character.isalnum() else " " for character in decomposed if not _is_invisible(character))
    return " ".join("".join(kept).casefold().split())


def is_exact_stop(body: str) -> bool:
    """Whether the reply, or its first line with words, is nothing but a word that stops texts."""
    if _is_word(normalise(body)):
        return True
    for line in body.splitlines():
        words = normalise(line)
        if words:
            return _is_word(words)
    return False


def _is_word(words: str) -> bool:
    return words in OPT_OUT or words.replace(" ", "") in OPT_OUT


def _is_invisible(character: str) -> bool:
    """Combining marks and format characters, such as the zero-width ones."""
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")


OPT_OUT: Final = frozenset(map(normalise, _ENGLISH + _OTHER))
"""Every word and phrase that stops texts, normalised."""
