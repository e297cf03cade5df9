"""docs/pictures/working.png: the order page before and after, beside the payment page, taken from a running demo.

bin/run                                   # in another terminal
python -m tools.docs.working_picture       # takes the shop's address when it is not http://localhost:8000
"""

from __future__ import annotations

import os
import shutil
import sys
from base64 import b64encode

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from e2e.pages import Shop
from tools.docs.code import ROOT

_VIEW = ViewportSize(width=400, height=700)
_CAPTIONS = (
    "1. The order's page, open in its tab",
    "2. The acquirer's page, in another tab",
    "3. The first tab again, untouched",
)
_SHEET = """<!doctype html><style>
 body {{ margin: 0; padding: 24px; display: flex; gap: 20px; background: #dfe5ea; color: #24303b }}
 body {{ font: 600 15px system-ui, sans-serif }}
 figure {{ margin: 0 }} figcaption {{ padding: 0 2px 10px }}
 img {{ display: block; width: 400px; height: 700px; border-radius: 10px; box-shadow: 0 2px 14px #0003 }}
</style>{figures}"""


def main(shop_address: str = "http://localhost:8000") -> None:
    """Buy something and write the picture. Raises Playwright's errors when a page differs from what is expected."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        sheet = browser.new_page(viewport={"width": 1288, "height": 700}, device_scale_factor=1.5)
        shots = _buy(browser, shop_address)
        figures = "".join(map(_figure, _CAPTIONS, shots))
        sheet.set_content(_SHEET.format(figures=figures))
        sheet.screenshot(path=ROOT / "docs" / "pictures" / "working.png", full_page=True)
        browser.close()


def _buy(browser: Browser, shop_address: str) -> list[bytes]:
    context = browser.new_context(viewport=_VIEW, device_scale_factor=1.5, color_scheme="light", locale="en-GB")
    order = Shop(context.new_page(), shop_address).buy("nesting-bowls")
    card = order.opens_payment()
    order.is_called("Finish paying in the other tab")
    before = _shoot(order.page)
    card.fill_in()
    payment = _shoot(card.page)
    card.page.get_by_role("button", name="Pay", exact=True).click()
    order.is_called("Payment received")
    return [before, payment, _shoot(order.page)]


def _figure(caption: str, shot: bytes) -> str:
    address = f"data:image/png;base64,{b64encode(shot).decode()}"
    return f"<figure><figcaption>{caption}</figcaption><img src='{address}'></figure>"


def _shoot(page: Page) -> bytes:
    page.evaluate("scrollTo(0, 0)")
    return page.screenshot(animations="disabled")


if __name__ == "__main__":
    main(*sys.argv[1:])
