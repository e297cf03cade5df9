"""The demo, started once for all journeys, and its visitors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from e2e.console_checks import Watch
from e2e.control import Control
from e2e.customers import HttpCustomer
from e2e.demo import Demo
from e2e.pages import OrderPage, Shop
from tests.parts import PARTS
from tests.parts.waiting import until

pytest_plugins = [*PARTS]
expect.set_options(timeout=15_000)  # three workers and their servers share two cores


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """All processes; after the last journey and the due work of its clock, every invariant has to hold. They end with
    the journeys, not with the session: idle, they would take time from the tests that follow.
    """
    demo = Demo(tmp_path_factory.mktemp("demo"))
    try:
        demo.start()
        yield demo
        with suppress(AssertionError):
            until(lambda: demo.flask("check").returncode == 0, within=30)
        found = demo.flask("check")
        assert found.returncode == 0, found.stdout + found.stderr
    finally:
        demo.close()


@pytest.fixture(scope="package")
def _control(demo: Demo) -> Control:
    return Control(demo)


@pytest.fixture
def acquirer(_control: Control) -> Iterator[Control]:
    """The acquirer's control API; a test's faults end with the test."""
    yield _control
    _control.calm_down()


@pytest.fixture
def http_customer(demo: Demo) -> HttpCustomer:
    """A customer without a browser."""
    return HttpCustomer(demo)


class Visitor:
    """A visitor with a browser context: cookies, tabs, and a check of the console."""

    def __init__(self, demo: Demo, context: BrowserContext) -> None:
        self.demo, self.context, self.watch = demo, context, Watch(context)
        context.set_default_timeout(30_000)

    def tab(self) -> Page:
        """A new tab."""
        return self.context.new_page()

    def shop(self) -> Shop:
        """The shop in a new tab."""
        return Shop(self.tab(), self.demo.shop)

    def order(self, url: str) -> OrderPage:
        """An order page in a new tab."""
        page = self.tab()
        page.goto(url)
        return OrderPage(page)


@pytest.fixture
def new_visitor(
    demo: Demo, acquirer: Control, new_context: Callable[..., BrowserContext]
) -> Iterator[Callable[..., Visitor]]:
    """Create visitors; keywords are those of a Playwright context. Their consoles must stay free of errors."""
    made: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        made.append(Visitor(demo, new_context(**options)))
        return made[-1]

    yield make
    for one in made:
        one.watch.silent()


@pytest.fixture
def visitor(new_visitor: Callable[..., Visitor]) -> Visitor:
    """A visitor with a browser."""
    return new_visitor()
