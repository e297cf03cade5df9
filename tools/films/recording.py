"""Record two pages side by side: frames of the DevTools screencast, joined with captions into an animated WebP."""

from __future__ import annotations

import io
import time
from base64 import b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, Page

from e2e.control import Control
from e2e.customers import HttpCustomer, Placed
from e2e.demo import Demo
from e2e.pages import CardPage, OrderPage

WIDTH, HEIGHT, GAP, HEAD = 400, 680, 16, 76
"""Of a page, between pages, and of the caption above them, in pixels."""
SCALE = 0.8
LARGEST = 2_000_000
"""Bytes of a film."""
SHORTEST = 0.2
"""Seconds: changes that follow faster than that are one frame."""
_BACKGROUND, _INK, _SOFT = "#dfe5ea", "#1f2f36", "#51626a"
_TITLES = ("Shop", "Acquirer")


@dataclass(frozen=True)
class Change:
    """A new picture of a page (0 the shop, 1 the acquirer), or a new caption, at a time in seconds."""

    at: float
    page: int | None
    picture: Image.Image | None = None
    caption: str = ""


class Camera:
    """Records the frames of a page from now on."""

    def __init__(self, page: Page, number: int, changes: list[Change]) -> None:
        self._number, self._changes = number, changes
        self._session = page.context.new_cdp_session(page)
        self._session.on("Page.screencastFrame", self._take)
        size = {"maxWidth": WIDTH, "maxHeight": HEIGHT}
        self._session.send("Page.startScreencast", {"format": "png", **size})

    def _take(self, frame: dict[str, Any]) -> None:
        picture = Image.open(io.BytesIO(b64decode(frame["data"]))).convert("RGB")
        self._changes.append(Change(time.monotonic(), self._number, picture))
        self._session.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})


class Film:
    """An order page, the acquirer's page beside it, and the captions above; `order` is placed off camera."""

    def __init__(self, browser: Browser, demo: Demo, acquirer: Control) -> None:
        self.demo, self.acquirer = demo, acquirer
        self._changes: list[Change] = []
        self._contexts = [
            browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-GB", color_scheme="light")
            for _ in _TITLES
        ]
        self.customer = HttpCustomer(demo)
        self.order: Placed = self.customer.order("nesting-bowls")
        left, right = (context.new_page() for context in self._contexts)
        self.shop, self.card = OrderPage(left), CardPage(right)
        left.goto(self.order.url)
        right.goto(demo.acquirer)
        for number, page in enumerate((left, right)):
            Camera(page, number, self._changes)

    def caption(self, text: str, seconds: float = 2.5) -> None:
        """Show a caption, and record for some seconds."""
        self._changes.append(Change(time.monotonic(), None, caption=text))
        self.shop.page.wait_for_timeout(seconds * 1000)

    def open_payment(self) -> str:
        """Open the payment page as the customer does; the acquirer's id of the payment."""
        payment = self.customer.go_and_pay(self.order)
        self.card.page.goto(f"{self.demo.acquirer}/pay/{payment}")
        return payment

    def show_payment(self, payment: str) -> None:
        """Show the acquirer's own page about the payment, with its deliveries."""
        self.card.page.goto(f"{self.demo.acquirer}/payments/{payment}")

    def frames(self) -> list[tuple[Image.Image, float]]:
        """The pictures of the film, each with its seconds."""
        return joined(self._changes, time.monotonic())

    def close(self) -> None:
        """Close both pages."""
        for context in self._contexts:
            context.close()


def joined(changes: Sequence[Change], end: float) -> list[tuple[Image.Image, float]]:
    """Pictures of both pages with the caption, each with its seconds; none before both pages have a picture."""
    pages: list[Image.Image | None] = [None, None]
    caption = ""
    shown: list[tuple[float, Image.Image, Image.Image, str]] = []
    for change in sorted(changes, key=lambda one: one.at):
        if change.page is None:
            caption = change.caption
        else:
            pages[change.page] = change.picture
        left, right = pages
        if left is None or right is None:
            continue
        began = shown.pop()[0] if shown and change.at - shown[-1][0] < SHORTEST else change.at
        shown.append((began, left, right, caption))
    ends = [*(began for began, *_ in shown[1:]), end]
    return [
        (_drawn((left, right), text), after - began)
        for (began, left, right, text), after in zip(shown, ends, strict=True)
    ]


def save(frames: Iterable[tuple[Image.Image, float]], path: Path) -> None:
    """Write an animated WebP that repeats. Raises ValueError for one that is too large."""
    pictures, seconds = zip(*frames, strict=True)
    durations = [round(1000 * one) for one in seconds]
    options = {"save_all": True, "loop": 0, "quality": 60, "method": 4, "minimize_size": True}
    pictures[0].save(path, append_images=pictures[1:], duration=durations, **options)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes, more than {LARGEST:,}")


def _drawn(pages: Sequence[Image.Image], caption: str) -> Image.Image:
    """One picture: the caption, and the pages below it."""
    canvas = Image.new("RGB", (2 * WIDTH + 3 * GAP, HEAD + HEIGHT + GAP), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    draw.text((GAP, 14), caption, fill=_INK, font=ImageFont.load_default(21))
    for number, page in enumerate(pages):
        left = GAP + number * (WIDTH + GAP)
        draw.text((left, HEAD - 24), _TITLES[number], fill=_SOFT, font=ImageFont.load_default(15))
        canvas.paste(page.resize((WIDTH, HEIGHT)) if page.size != (WIDTH, HEIGHT) else page, (left, HEAD))
    return canvas.resize((round(canvas.width * SCALE), round(canvas.height * SCALE)), Image.Resampling.LANCZOS)
