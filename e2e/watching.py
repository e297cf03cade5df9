"""Watches every page of a browser context: whatever one complains about is a failure, unless it was expected."""

from __future__ import annotations

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, WebError

WIDTHS = (1280, 360)
SCHEMES = ("light", "dark")
_AWAY = re.compile(r"net::ERR_(CONNECTION_|INCOMPLETE_|EMPTY_RESPONSE)|status of 50[234]|htmx:(sse:)?error")
_CHECK = "axe.run({ resultTypes: ['violations'] }).then((found) => found.violations)"


class Watch:
    """Collects errors, warnings and policy reports of all pages of `context`. `complaints` should stay empty."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        context.on("console", self._heard)
        context.on("weberror", self._broke)

    def expect_status(self, status: int) -> None:
        """A page that answers with this status is part of the story; browsers complain about it."""
        self._expected.append(re.compile(f"status of {status}"))

    def expect_outage(self) -> None:
        """A server is taken away, and the browser says that it cannot reach it."""
        self._expected.append(_AWAY)

    def silent(self) -> None:
        """Raises AssertionError with what was heard and not expected."""
        heard = [text for text in self.complaints if not any(known.search(text) for known in self._expected)]
        assert not heard, "\n".join(heard)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self.complaints.append(f"{message.type} on {message.location['url']}: {message.text}")

    def _broke(self, error: WebError) -> None:
        self.complaints.append(f"exception: {error.error}")


def is_sound(page: Page) -> None:
    """The page in light and dark, wide and narrow: accessible, one main heading, nothing to scroll sideways."""
    wrong: list[str] = []
    page.evaluate(Axe().axe_script)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            wrong += [f"{width} {scheme}: {_told(violation)}" for violation in page.evaluate(_CHECK)]
        spare = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if spare > 0:
            wrong.append(f"{width}: {spare} px to scroll sideways")
    headings = page.get_by_role("heading", level=1).count()
    if headings != 1:
        wrong.append(f"{headings} main headings")
    if not page.title():
        wrong.append("no title")
    assert not wrong, f"{page.url}\n" + "\n".join(wrong)


def _told(violation: dict) -> str:  # type: ignore[type-arg]
    nodes = "; ".join(f"{node['target']} {node.get('failureSummary', '')[:200]}" for node in violation["nodes"][:3])
    return f"{violation['id']} ({violation['impact']}): {nodes}"
