"""A small drawing kit: boxes, groups and arrows as SVG, readable on light and on dark ground."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

_STYLE = """
  :root { --ink: #1d2733; --soft: #5b6876; --paper: #ffffff; --box: #f2f5f8; --line: #8b98a5; --good: #1c7a4a;
          --goodbox: #e5f4ec; --end: #8a5a12; --endbox: #fbf1df; --group: #d4dbe2; --mark: #2456a6; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e8edf2; --soft: #a3b0bd; --paper: #12171d; --box: #1f2832; --line: #71808f; --good: #6fd3a0;
            --goodbox: #16352a; --end: #e5b765; --endbox: #3a2d15; --group: #37434f; --mark: #86b2f5; } }
  text { font: 14px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; fill: var(--ink); }
  .paper { fill: var(--paper); }
  .box { fill: var(--box); stroke: var(--line); }
  .good { fill: var(--goodbox); stroke: var(--good); }
  .end { fill: var(--endbox); stroke: var(--end); }
  .group { fill: none; stroke: var(--group); stroke-width: 1.5; stroke-dasharray: 2 4; stroke-linecap: round; }
  .band { fill: var(--box); stroke: none; }
  .name { font-weight: 600; text-anchor: middle; }
  .soft { fill: var(--soft); font-size: 12.5px; }
  .label { fill: var(--soft); font-size: 12px; paint-order: stroke; stroke: var(--paper); stroke-width: 5px;
           stroke-linejoin: round; }
  .middle { text-anchor: middle; } .end-of-line { text-anchor: end; } .floor { font-weight: 600; }
  .title { font-size: 18px; font-weight: 650; }
  .arrow { fill: none; stroke: var(--soft); stroke-width: 1.4; marker-end: url(#head); }
  .correction { stroke: var(--mark); stroke-dasharray: 6 4; marker-end: url(#mark); }
  .thin { stroke: var(--line); stroke-width: 1; }
  .life { stroke: var(--group); stroke-width: 1.5; stroke-dasharray: 2 5; }
  .answer { stroke-dasharray: 4 4; }
  .heads { fill: var(--soft); } .marks { fill: var(--mark); }
"""
_HEAD = (
    '<marker id="{id}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7.5" markerHeight="7.5" orient="auto">'
    '<path class="{css}" d="M0 1 9 5 0 9z"/></marker>'
)


@dataclass(frozen=True)
class Box:
    """A rectangle by its top left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def center(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    def around(self, margin: float, top: float = 0) -> Box:
        """A bigger box around this one; `top` is room for a heading."""
        return Box(self.x - margin, self.y - margin - top, self.width + 2 * margin, self.height + 2 * margin + top)

    def holds(self, point: tuple[float, float], margin: float = 0) -> bool:
        x, y = point
        return (
            self.x - margin < x < self.x + self.width + margin and self.y - margin < y < self.y + self.height + margin
        )


def bounds(boxes: Iterable[Box]) -> Box:
    """The smallest box around all of them."""
    boxes = list(boxes)
    left, top = min(b.x for b in boxes), min(b.y for b in boxes)
    right, bottom = max(b.x + b.width for b in boxes), max(b.y + b.height for b in boxes)
    return Box(left, top, right - left, bottom - top)


class Drawing:
    """Collects shapes and becomes a self-contained SVG."""

    def __init__(self, width: int, height: int, title: str, says: str) -> None:
        self._size, self._title, self._says = (width, height), title, says
        self._shapes: list[str] = []

    def rect(self, box: Box, css: str, radius: float = 8) -> None:
        self._shapes.append(
            f'<rect class="{css}" x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}" '
            f'rx="{_n(radius)}"/>'
        )

    def text(self, x: float, y: float, words: str, css: str = "") -> None:
        self._shapes.append(f'<text class="{css}" x="{_n(x)}" y="{_n(y)}">{escape(words)}</text>')

    def named_box(self, box: Box, name: str, css: str = "box", below: str = "") -> None:
        """A box with its name in the middle, and a softer line under it."""
        self.rect(box, css)
        x, y = box.center
        self.text(x, y + (-2 if below else 5), name, "name")
        if below:
            self.text(x, y + 15, below, "soft middle")

    def line(self, points: Iterable[tuple[float, float]], css: str = "arrow") -> None:
        """A line through the points; class `arrow` gives it a head."""
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._shapes.append(f'<polyline class="{css}" points="{path}"/>')

    def svg(self) -> str:
        """The whole file."""
        width, height = self._size
        heads = _HEAD.format(id="head", css="heads") + _HEAD.format(id="mark", css="marks")
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" aria-labelledby="t d">\n<title id="t">{escape(self._title)}</title>\n'
            f'<desc id="d">{escape(self._says)}</desc>\n<style>{_STYLE}</style>\n<defs>{heads}</defs>\n'
            f'<rect class="paper" width="{width}" height="{height}" rx="12"/>\n'
            + "\n".join(self._shapes)
            + "\n</svg>\n"
        )


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def border_point(box: Box, toward: tuple[float, float]) -> tuple[float, float]:
    """Where the line from the middle of `box` to `toward` leaves the box."""
    (x, y), (tx, ty) = box.center, toward
    dx, dy = tx - x, ty - y
    if not dx and not dy:
        return x, y
    scale = min(
        box.width / 2 / abs(dx) if dx else math.inf,
        box.height / 2 / abs(dy) if dy else math.inf,
    )
    return x + dx * scale, y + dy * scale
