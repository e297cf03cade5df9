"""The parts of a text that a search has found, for marking them on a page. Pure; the template escapes each part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shop.product_search import tokens
from shop.product_search.query import Part


def marked(text: str, parts: Sequence[Part]) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it was found. The pieces together are the text."""
    if not parts:
        return [(text, False)]
    pieces: list[tuple[str, bool]] = []
    at = 0
    for start, end in _merged(sorted(_found(text, parts))):
        if at < start:
            pieces.append((text[at:start], False))
        pieces.append((text[start:end], True))
        at = end
    return [*pieces, (text[at:], False)] if at < len(text) or not pieces else pieces


def _found(text: str, parts: Sequence[Part]) -> Iterator[tuple[int, int]]:
    exact = {token for part in parts for token in part.exact}
    beginnings = tuple(word for part in parts for word in part.beginnings)
    before: tokens.Run | None = None
    for run in tokens.placed(text):
        if run.is_cjk:
            yield from _found_in(run, exact)
        elif _is_found(tokens.stem(run.text), exact, ()) or _is_found(run.text, exact, beginnings):
            yield _span(run)
        elif before is not None and not exact.isdisjoint(tokens.joined(before.text, run.text)):
            yield _span(before)[0], _span(run)[1]
        before = None if run.is_cjk else run


def _is_found(word: str, exact: set[str], beginnings: tuple[str, ...]) -> bool:
    return word in exact or bool(beginnings) and word.startswith(beginnings)


def _found_in(run: tokens.Run, exact: set[str]) -> Iterator[tuple[int, int]]:
    for length in (1, 2):
        for at in range(len(run.text) - length + 1):
            if run.text[at : at + length] in exact:
                yield run.spans[at][0], run.spans[at + length - 1][1]


def _span(run: tokens.Run) -> tuple[int, int]:
    return run.spans[0][0], run.spans[-1][1]


def _merged(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans in order, without overlaps."""
    start, end = -1, -1
    for first, last in spans:
        if first > end:
            if start >= 0:
                yield start, end
            start, end = first, last
        end = max(end, last)
    if start >= 0:
        yield start, end
