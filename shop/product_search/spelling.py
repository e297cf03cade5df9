"""Words that differ from a typed one by a typing error, found by the letters that are left after deletions. Pure.

Two words that differ by one letter have a deletion in common: `tepot` is one of `teapot`. The index has the deletions
of each word, so that candidates are found by equality (the symmetric deletion of SymSpell).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

SHORTEST, LONGEST = 4, 30
"""Letters of words that are corrected."""
_COMPARED = 8
"""First letters of which some are deleted."""
MOST = 3
"""Candidates for a word."""


def is_corrected(word: str) -> bool:
    """True for words of letters that are long enough that most typing errors make no other word."""
    return SHORTEST <= len(word) <= LONGEST and word.isalpha()


def errors(word: str) -> int:
    """Typing errors that are allowed in a word: one, two in a long one."""
    return 1 if len(word) < _COMPARED else 2


def deletions(word: str) -> set[str]:
    """Rests of the first letters of a word after up to `errors` deletions."""
    first = word[:_COMPARED]
    return {
        "".join(letter for at, letter in enumerate(first) if at not in left_out)
        for number in range(errors(word) + 1)
        for left_out in combinations(range(len(first)), number)
    }


def nearest(typed: str, words: Iterable[str]) -> list[str]:
    """The words within the allowed distance, the nearest first; at most MOST."""
    allowed = errors(typed)
    near = [(distance(typed, word, allowed), word[0] != typed[0], word) for word in set(words) if word]
    return [word for far, _, word in sorted(near) if far <= allowed][:MOST]


def distance(one: str, other: str, limit: int) -> int:
    """Inserted, left out, changed and swapped letters between two words; `limit` + 1 if there are more."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        following = [at]
        for place, there in enumerate(other, 1):
            cost = min(row[place] + 1, following[-1] + 1, row[place - 1] + (letter != there))
            if at > 1 and place > 1 and letter == other[place - 2] and one[at - 2] == there:
                cost = min(cost, before[place - 2] + 1)
            following.append(cost)
        if min(following) > limit:
            return limit + 1
        before, row = row, following
    return min(row[-1], limit + 1)
