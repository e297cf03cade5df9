"""Errors, warnings and policy reports of every page of a browser context fail the test, unless expected."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, WebError

from tests.parts import selection

WIDTHS = (1280, 360)
SCHEMES = ("light", "dark")
_AWAY = re.compile(
    r"net::ERR_(CONNECTION_|INTERNET_DISCONNECTED|INCOMPLETE_|EMPTY_RESPONSE)|status of 50[234]|htmx:(sse:)?error"
)
_KINDS = """[...new Set([...document.querySelectorAll("body, body *")].map((element) => [
  element.parentElement.localName, element.localName, element.getAttribute("class"), element.getAttributeNames().sort(),
  element.textContent.trim() === "",
].join(" ")))]"""
"""Tag, classes and names of attributes of each element, its parent's tag, and whether it is empty."""
_CHECK = "axe.run({ resultTypes: ['violations'], iframes: false }).then((found) => found.violations)"
_TOO_HIGH = """[...document.querySelectorAll("td[data-label]")].filter(
  (cell) => cell.scrollHeight > cell.clientHeight + 1).map((cell) => cell.dataset.label)"""
"""Headings of the cells of narrow tables that are higher than their cell."""
_accessible: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
"""Kinds of elements of pages without a violation, by width and colour scheme."""


class Watch:
    """Collects errors, warnings and policy reports of all pages of `context`. `complaints` should stay empty."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        context.on("console", self._record)
        context.on("weberror", self._broke)

    def expect_status(self, status: int) -> None:
        """Expect a page with this status; browsers log it as an error."""
        self._expected.append(re.compile(f"status of {status}"))

    def expect_outage(self) -> None:
        """Expect that a server is unreachable, which the browser logs."""
        self._expected.append(_AWAY)

    def silent(self) -> None:
        """Raise AssertionError with unexpected messages."""
        messages = [text for text in self.complaints if not any(known.search(text) for known in self._expected)]
        assert not messages, "\n".join(messages)

    def _record(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self.complaints.append(f"{message.type} on {message.location['url']}: {message.text}")

    def _broke(self, error: WebError) -> None:
        self.complaints.append(f"exception: {error.error}")


def is_sound(page: Page) -> None:
    """The page in light and dark, wide and narrow: accessible, one main heading, no horizontal scrolling.

    With `--full` in each of the four combinations, else in two that have each width and each colour scheme, and there
    the accessibility only of pages with a kind of element that was not yet on an accessible page of this run.
    """
    wrong: list[str] = []
    for width, schemes in _combinations(page.title()).items():
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            wrong += [f"{width} {scheme}: {violation}" for violation in _violations(page, _accessible[width, scheme])]
        spare = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if spare > 0:
            wrong.append(f"{width}: {spare} px to scroll sideways")
        wrong += [f"{width}: the heading {heading} covers the next cell" for heading in page.evaluate(_TOO_HIGH)]
    headings = page.get_by_role("heading", level=1).count()
    if headings != 1:
        wrong.append(f"{headings} main headings")
    if not page.title():
        wrong.append("no title")
    assert not wrong, f"{page.url}\n" + "\n".join(wrong)


def _violations(page: Page, known: set[str]) -> list[str]:
    """Violations that axe reports; none, without a check, if all kinds of elements are `known`, which it extends."""
    kinds = set(page.evaluate(_KINDS))
    if kinds <= known and not selection.is_full():
        return []
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = [_reported(violation) for violation in page.evaluate(_CHECK)]
    if not found:
        known |= kinds
    return found


def _combinations(title: str) -> dict[int, tuple[str, ...]]:
    """The colour schemes to try at each width."""
    first = zlib.crc32(title.encode()) % 2
    pairs = dict(zip(WIDTHS, ((SCHEMES[first],), (SCHEMES[1 - first],)), strict=True))
    return {width: SCHEMES if selection.is_full() else pairs[width] for width in WIDTHS}


def _reported(violation: dict) -> str:  # type: ignore[type-arg]
    nodes = "; ".join(f"{node['target']} {node.get('failureSummary', '')[:200]}" for node in violation["nodes"][:3])
    return f"{violation['id']} ({violation['impact']}): {nodes}"
