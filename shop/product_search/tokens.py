"""Tokens of texts in four languages: words, and single characters and pairs of Chinese and Japanese. Pure.

Both databases store these tokens and compare them exactly; their own parsers are not used. A change of the tokens needs
a new EDITION, so that the release writes the index again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

EDITION = 1
"""Number of these rules, stored with each indexed product."""
LONGEST_WORD = 40
"""Characters of a word that count."""
_APOSTROPHES = frozenset("'\u2019\u02bc\u2018")
_ACCENTS = re.compile("[\u0300-\u036f]")
_LONG_VOWEL = "\u30fc"
"""Left out: コンピュータ and コンピューター are the same word."""
_CJK = re.compile(
    "[\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fd-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_KATAKANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_HALF_WIDTH_MARKS = frozenset("\uff9e\uff9f")


@dataclass(frozen=True, slots=True)
class Run:
    """A word, or neighbouring characters of Chinese and Japanese, folded. `spans` has the place in the text of each
    folded character.
    """

    text: str
    is_cjk: bool
    spans: tuple[tuple[int, int], ...]

    def tokens(self) -> list[str]:
        """The tokens that this run has in the index, without joins."""
        if self.is_cjk:
            return [*self.text, *pairs(self.text)]
        word = self.text[:LONGEST_WORD]
        return list(dict.fromkeys((word, stem(word))))


def runs(text: str) -> Iterator[Run]:
    """The runs of a text, in order."""
    folded: list[str] = []
    spans: list[tuple[int, int]] = []
    of_cjk = False
    for start, end in _clusters(text):
        for letter in _folded(text[start:end]):
            if letter in _APOSTROPHES or letter == _LONG_VOWEL:
                if spans and letter == _LONG_VOWEL:
                    spans[-1] = (spans[-1][0], end)
                continue
            is_cjk = _CJK.match(letter) is not None
            is_seen = is_cjk or _is_of_word(letter)
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
    """The runs of a text after normalisation, so that texts that look the same have the same ones."""
    return list(runs(unicodedata.normalize("NFKC", text)))


def indexed(text: str) -> set[str]:
    """All tokens of a text: those of its runs, and the joins of neighbouring words ("tea pot" has teapot)."""
    found: set[str] = set()
    before = ""
    for run in read(text):
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


@lru_cache(maxsize=16_384)
def _folded(cluster: str) -> str:
    """Without width, case and accents, and katakana as hiragana. Marks of kana and of other scripts have meaning."""
    plain = unicodedata.normalize("NFKC", cluster).casefold()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", plain)).casefold()
    return unicodedata.normalize("NFKC", bare).translate(_KATAKANA)


def _is_of_word(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter)[0] == "M"
