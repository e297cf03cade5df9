"""Charts as numbers: bars in units of a drawing, and their texts. Pure; `templates/ops/_charts.html` draws them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

HEIGHT = 100.0
"""Height of the drawing, which is that of the highest bar."""


class Bar(NamedTuple):
    """A bar from the bottom of the drawing, `height` high, and a second one within it; `title` states their values."""

    title: str
    height: float
    inner: float = 0.0


@dataclass(frozen=True)
class Columns:
    """A chart of upright bars, one for each day or class. `label` describes it in a sentence; `first`, `last` and `top`
    are written at its edges. `legend` names the bars, and the inner ones.
    """

    label: str
    bars: tuple[Bar, ...]
    first: str
    last: str
    top: str
    legend: tuple[str, ...]

    def drawn(self) -> Iterator[tuple[str, ...]]:
        """Title, x, and (x, height, y) of both bars, of each column; columns are 10 wide. A height of zero is empty.
        The numbers are texts, which a template writes faster.
        """
        for number, bar in enumerate(self.bars):
            x = 10 * number
            yield bar.title, f"{x}", f"{x + 1}", *_drawn(bar.height), f"{x + 2.5}", *_drawn(bar.inner)


@dataclass(frozen=True)
class Shares:
    """A chart of horizontal bars: (percent, text) of each row of its table."""

    label: str
    bars: tuple[tuple[float, str], ...]


def columns(
    label: str,
    values: Sequence[tuple[str, int, int]],
    edges: tuple[str, str, str],
    legend: tuple[str, ...],
) -> Columns:
    """A chart of (title, value, value of the inner bar); `edges` are texts at the first bar, the last, and the top."""
    highest = max((max(outer, inner) for _, outer, inner in values), default=0) or 1
    bars = tuple(Bar(title, _scaled(outer, highest), _scaled(inner, highest)) for title, outer, inner in values)
    first, last, top = edges
    return Columns(label, bars, first, last, top, legend)


def _drawn(height: float) -> tuple[str, str]:
    return (f"{height}", f"{round(HEIGHT - height, 1)}") if height else ("", "")


def _scaled(value: int, highest: int) -> float:
    """The height of a bar. A value that is not zero can be seen."""
    return max(1.0, round(HEIGHT * value / highest, 1)) if value else 0.0
