"""The query of a search: its parts, the ranks of products that match, and its form in each database. Pure.

All parts must be found. A part is a word or a pair of Chinese or Japanese characters, found exactly or, for a word, as
the beginning of one. Each word is also found joined with its neighbour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shop.product_search import tokens

LONGEST = 80
"""Characters of a typed query; more are ignored."""
MOST_WORDS, MOST_PARTS = 8, 16
"""Words of a query, and its parts; more are ignored."""
SHORTEST_BEGINNING = 2
"""Characters of a word that finds longer ones."""
IN_NAME, CATEGORY = "§", "¤"
"""Signs before a token of a name, and before the slug of a category. No token of a text contains them."""


@dataclass(frozen=True)
class Part:
    """A part: the tokens of which one is found, and the beginnings of words."""

    typed: str
    exact: tuple[str, ...]
    beginnings: tuple[str, ...] = ()
    is_word: bool = False


@dataclass(frozen=True)
class Term:
    """A token of the index, or the beginning of one."""

    text: str
    is_beginning: bool = False


Group = tuple[Term, ...]
"""Terms of which one is found."""
Condition = tuple[Group, ...]
"""Groups that are all found."""


def parse(typed: str) -> list[Part]:
    """The parts of a typed query; empty if it has no word."""
    found: list[Part] = []
    words = _limited(tokens.read(typed[:LONGEST]))
    for at, run in enumerate(words):
        if run.is_cjk:
            pairs = dict.fromkeys(tokens.pairs(run.text) or [run.text])
            found += [Part(pair, (pair,)) for pair in pairs]
            continue
        joins = [
            one.text + other.text
            for one, other in zip(words[max(0, at - 1) : at + 1], words[max(1, at) : at + 2], strict=False)
            if not one.is_cjk and not other.is_cjk
        ]
        exact = [token for word in (run.text, *joins) for token in tokens.joined("", word)]
        longer = [word[: tokens.LONGEST_WORD] for word in (run.text, *joins) if len(word) >= SHORTEST_BEGINNING]
        found.append(Part(run.text, tuple(dict.fromkeys(exact)), tuple(longer), is_word=True))
    return found[:MOST_PARTS]


def _limited(found: Sequence[tokens.Run]) -> list[tokens.Run]:
    kept: list[tokens.Run] = []
    words = 0
    for run in found:
        words += not run.is_cjk
        if run.is_cjk or words <= MOST_WORDS:
            kept.append(run)
    return kept


def corrected(parts: Sequence[Part], corrections: Mapping[str, Sequence[str]]) -> list[Part]:
    """The parts with other spellings of some words."""
    return [
        replace(part, exact=(*part.exact, *_with_stems(corrections[part.typed]))) if part.typed in corrections else part
        for part in parts
    ]


def _with_stems(words: Iterable[str]) -> list[str]:
    return [token for word in words for token in tokens.joined("", word)]


def ranks(parts: Sequence[Part], categories: Mapping[str, frozenset[str]]) -> list[Condition]:
    """Conditions from the best rank to the last one, each of which includes those before: all parts in the name; in the
    name as beginnings of words; in the name or the category; anywhere.

    `categories` are the tokens of the names of each category by its slug.
    """
    in_name = tuple(_group(part, IN_NAME, is_exact=True) for part in parts)
    begins_in_name = tuple(_group(part, IN_NAME) for part in parts)
    kinds = [
        tuple(Term(CATEGORY + slug) for slug, names in categories.items() if _names(part, names)) for part in parts
    ]
    in_category = tuple(group + kind for group, kind in zip(begins_in_name, kinds, strict=True))
    anywhere = tuple(_group(part, "") + kind for part, kind in zip(parts, kinds, strict=True))
    return list(dict.fromkeys((in_name, begins_in_name, in_category, anywhere)))


def _group(part: Part, sign: str, *, is_exact: bool = False) -> Group:
    exact = [Term(sign + token) for token in part.exact]
    return (*exact, *(Term(sign + word, is_beginning=True) for word in part.beginnings if not is_exact))


def exact(condition: Condition) -> Condition:
    """The condition without beginnings of words."""
    return tuple(tuple(term for term in group if not term.is_beginning) for group in condition)


def _names(part: Part, names: frozenset[str]) -> bool:
    return not names.isdisjoint(part.exact) or any(one.startswith(part.beginnings) for one in names if part.beginnings)


# --- the forms of the databases ---


def for_fts5(condition: Condition, without: Condition | None = None) -> str:
    """The condition as a query of SQLite's FTS5; `without` excludes what fulfils that one."""
    found = " AND ".join(f"({' OR '.join(map(_fts5_term, group))})" for group in condition)
    return f"({found}) NOT ({for_fts5(without)})" if without else found


def _fts5_term(term: Term) -> str:
    quoted = term.text.replace('"', '""')
    return f'"{quoted}"{" *" if term.is_beginning else ""}'


def for_tsquery(condition: Condition, without: Condition | None = None) -> str:
    """The condition as a `tsquery` of PostgreSQL."""
    found = " & ".join(f"({' | '.join(map(_tsquery_term, group))})" for group in condition)
    return f"({found}) & !({for_tsquery(without)})" if without else found


def _tsquery_term(term: Term) -> str:
    quoted = term.text.replace("\\", "\\\\").replace("'", "''")
    return f"'{quoted}'{':*' if term.is_beginning else ''}"
