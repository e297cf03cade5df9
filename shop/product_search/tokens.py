"""Tokens of texts in four languages: words, and single characters and pairs of Chinese and Japanese. Pure.

Both databases store these tokens and compare them exactly; their own parsers are not used. A change of the tokens needs
a new EDITION, so that the release writes the index again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

EDITION = 2
"""Number of these rules, stored with each indexed product."""
LONGEST_WORD = 40
"""Characters of a word that count."""
_APOSTROPHES = frozenset("'\u2019\u02bc\u2018")
_ACCENTS = re.compile("[\u0300-\u036f]")
_LONG_VOWEL = "\u30fc"
"""Left out: コンピュータ and コンピューター are the same word."""
_CJK_LETTERS = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fd-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_CJK = re.compile(f"[{_CJK_LETTERS}]")
_RUN = re.compile(f"([{_CJK_LETTERS}]+)|[^{_CJK_LETTERS}]+")
_ASCII_WORD = re.compile("[A-Za-z0-9]+")
_LEFT_OUT = dict.fromkeys(map(ord, (*_APOSTROPHES, _LONG_VOWEL)))
_KATAKANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_HALF_WIDTH_MARKS = frozenset("\uff9e\uff9f")


@dataclass(frozen=True, slots=True)
class Run:
    """A word, or neighbouring characters of Chinese and Japanese, folded. With `spans`, each folded character has its
    place in the text.
    """

    text: str
    is_cjk: bool
    spans: tuple[tuple[int, int], ...] = ()

    def tokens(self) -> list[str]:
        """The tokens that this run has in the index, without joins."""
        if self.is_cjk:
            return [*self.text, *pairs(self.text)]
        word = self.text[:LONGEST_WORD]
        return list(dict.fromkeys((word, stem(word))))


def placed(text: str) -> Iterator[Run]:
    """The runs of a text in order, with their places in it."""
    if text.isascii() and "'" not in text:
        for word in _ASCII_WORD.finditer(text):
            yield Run(word[0].lower(), False, tuple((at, at + 1) for at in range(*word.span())))
        return
    folded: list[str] = []
    spans: list[tuple[int, int]] = []
    of_cjk = False
    for start, end in _clusters(text):
        for letter in _folded(text[start:end]):
            if letter in _APOSTROPHES or letter == _LONG_VOWEL:
                if spans and letter == _LONG_VOWEL:
                    spans[-1] = (spans[-1][0], end)
                continue
            is_cjk, is_seen = _CJK.match(letter) is not None, _is_of_word(letter)
            if folded and (not is_seen or is_cjk is not of_cjk):
                yield Run("".join(folded), of_cjk, tuple(spans))
                folded, spans = [], []
            if is_seen:
                of_cjk = is_cjk
                folded.append(letter)
                spans.append((start, end))
    if folded:
        yield Run("".join(folded), of_cjk, tuple(spans))


def read(text: str) -> list[Run]:
    """The runs of a text in order, without places: several times as fast. Texts that look the same have the same."""
    if text.isascii():
        return [Run(word, False) for word in _ASCII_WORD.findall(text.lower().replace("'", ""))]
    folded = _folded_text(unicodedata.normalize("NFKC", text)).translate(_LEFT_OUT)
    between = {ord(letter): " " for letter in set(folded) if not _is_of_word(letter)}
    words = folded.translate(between).split()
    return [Run(found[0], found[1] is not None) for word in words for found in _RUN.finditer(word)]


def sorted_as(name: str) -> str:
    """The text by which a name is sorted: its words, folded. Chinese is in the order of its characters in Unicode,
    which is that of radicals; in Japanese kana come before kanji.
    """
    return " ".join(run.text for run in read(name))


def indexed(text: str) -> set[str]:
    """All tokens of a text: those of its runs, and the joins of neighbouring words ("tea pot" has teapot)."""
    return of_runs(read(text))


def of_runs(found_in_text: Iterable[Run]) -> set[str]:
    """All tokens of the runs of a text."""
    found: set[str] = set()
    before = ""
    for run in found_in_text:
        found.update(run.tokens())
        if run.is_cjk:
            before = ""
            continue
        if before:
            found.update(joined(before, run.text))
        before = run.text
    return found


def joined(first: str, second: str) -> list[str]:
    """The tokens of two neighbouring words that are written as one."""
    word = (first + second)[:LONGEST_WORD]
    return list(dict.fromkeys((word, stem(word))))


def pairs(text: str) -> list[str]:
    """Neighbouring characters."""
    return [text[at : at + 2] for at in range(len(text) - 1)]


def stem(word: str) -> str:
    """The singular of an English word, by its ending; not always a word, but the same one for both numbers."""
    if len(word) < 4 or not word.isascii() or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    return word[:-1]


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Places of characters with the marks that follow them."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not (unicodedata.combining(text[at]) or text[at] in _HALF_WIDTH_MARKS):
            yield start, at
            start = at


def _folded_text(text: str) -> str:
    """Without width, case and accents, and katakana as hiragana. Marks of kana and of other scripts have meaning."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", plain)).casefold()
    return unicodedata.normalize("NFKC", bare).translate(_KATAKANA)


_folded = lru_cache(maxsize=16_384)(_folded_text)


@lru_cache(maxsize=16_384)
def _is_of_word(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter)[0] == "M"
