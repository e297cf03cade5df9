"""Time from the click on Pay at the acquirer until the order page in the other tab reads "Payment received"."""

from __future__ import annotations

import argparse
import os
import shutil

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from bench.tools import note, percentile, running, table
from e2e.customers import HttpCustomer
from e2e.demo import Demo
from e2e.pages import OrderPage

NOW = "performance.timeOrigin + performance.now()"
WATCH_THE_CLICK = f'() => addEventListener("submit", () => seen("click", {NOW}), {{ capture: true }})'
WATCH_THE_HEADING = f"""() => {{
  const watch = () => {{
    if (document.getElementById("status-title").textContent === "Payment received") {{
      seen("paid", {NOW});
      observer.disconnect();
    }}
  }};
  const observer = new MutationObserver(watch);
  observer.observe(document.body, {{ childList: true, characterData: true, subtree: true }});
}}"""


def measure(demo: Demo, context: BrowserContext) -> float:
    """Pay one order and return the milliseconds from click to heading."""
    times: dict[str, float] = {}
    context.expose_function("seen", lambda what, at: times.setdefault(what, at))
    order = OrderPage(context.new_page())
    order.page.goto(HttpCustomer(demo).order().url)
    card = order.opens_payment()
    order.is_called("Finish paying in the other tab")
    order.page.evaluate(WATCH_THE_HEADING)
    card.page.evaluate(WATCH_THE_CLICK)
    card.pay()
    order.is_called("Payment received")
    return times["paid"] - times["click"]


def all_of(demo: Demo, browser: Browser, count: int) -> list[float]:
    found = []
    for number in range(count):
        context = browser.new_context()
        found.append(measure(demo, context))
        context.close()
        if number % 20 == 19:
            note(f"{number + 1} payments")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=100)
    count = parser.parse_args().payments
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with running() as demo, sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        all_of(demo, browser, 3)  # the first payments fill caches
        times = all_of(demo, browser, count)
        browser.close()
    rows: list[tuple[object, ...]] = [("", "milliseconds")]
    rows += [(f"p{percent}", percentile(times, percent)) for percent in (50, 90, 99)]
    rows += [("slowest", max(times))]
    table(f'Click on Pay until the other tab shows "Payment received", {count} payments', rows)


if __name__ == "__main__":
    main()
