"""Time from an event until 199 sockets and one browser have it, and memory over 10,000 events."""

from __future__ import annotations

import argparse
import json
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import CDPSession, Page, sync_playwright

from bench.tools import note, percentile, running, table
from e2e.customers import HttpCustomer
from e2e.demo import Demo
from shop import create_app
from shop.accounts.demo_people import PASSWORD
from shop.core.actor import Actor
from shop.core.db import transaction
from shop.core.event_types import OrderReviewEnded
from shop.orders import events

PEOPLE = ("support", "finance", "finance2", "admin")
_AT = re.compile(rb'^\{"type": "event", "seq": \d+, "at": "([^"]+)"')
WATCH = """() => {
  window.waits = [];
  new MutationObserver((changes) => {
    const at = changes.flatMap((change) => [...change.addedNodes]).map((row) => Date.parse(row.dataset?.at));
    requestAnimationFrame(() => {
      for (const one of at) if (one) window.waits.push(Date.now() - one);
    });
  }).observe(document.querySelector("#live tbody"), { childList: true });
}"""


class Sockets(threading.Thread):
    """Open WebSockets, read by one thread. `waits` are milliseconds from an event to its arrival at a socket."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        self.waits: list[float] = []
        self.ended = 0

    def open(self, address: str, cookie: str) -> None:
        """Open one."""
        shop = urlsplit(address)
        connection = socket.create_connection((shop.hostname or "", shop.port or 80))
        head = f"GET /ops/live HTTP/1.1\r\nHost: {shop.netloc}\r\nOrigin: {address}\r\nCookie: {cookie}\r\n"
        head += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        connection.sendall(f"{head}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        buffer = bytearray()
        while b"\r\n\r\n" not in buffer:
            buffer += connection.recv(4096)
        assert buffer.startswith(b"HTTP/1.1 101"), buffer[:200]
        del buffer[: buffer.index(b"\r\n\r\n") + 4]
        self.selector.register(connection, selectors.EVENT_READ, buffer)

    def run(self) -> None:
        while True:
            for key, _ in self.selector.select():
                connection: socket.socket = key.fileobj  # type: ignore[assignment]
                data = connection.recv(1 << 20)
                at = time.time()
                if not data:
                    self.selector.unregister(connection)
                    self.ended += 1
                key.data.extend(data)
                self._read_frames(connection, key.data, at)

    def _read_frames(self, connection: socket.socket, buffer: bytearray, at: float) -> None:
        while (size := _frame_size(buffer)) and len(buffer) >= sum(size):
            payload = bytes(buffer[size[0] : sum(size)])
            opcode = buffer[0] & 15
            del buffer[: sum(size)]
            if opcode == 9:
                connection.sendall(b"\x8a\x80\x00\x00\x00\x00")  # a pong, masked with zeros
            elif found := _AT.match(payload):
                self.waits.append((at - datetime.fromisoformat(found[1].decode()).timestamp()) * 1000)


def _frame_size(buffer: bytearray) -> tuple[int, int] | None:
    """Bytes of the head and of the content of the first frame; None while its head is not complete."""
    if len(buffer) < 2:
        return None
    size, extended = buffer[1] & 127, {126: 2, 127: 8}
    if size not in extended:
        return 2, size
    head = 2 + extended[size]
    return (head, int.from_bytes(buffer[2:head], "big")) if len(buffer) >= head else None


def sign_in(demo: Demo, person: str) -> str:
    """The cookie of a member of staff."""
    with httpx.Client(base_url=demo.shop) as client:
        token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)
        form = {"csrf_token": token[1] if token else "", "email": f"{person}@settled.example", "password": PASSWORD}
        assert client.post("/sign-in", data=form).status_code == 303
        return f"settled={client.cookies['settled']}"


def produce(environ: dict[str, str], count: int, rate: float) -> None:
    """Write `count` events of an order, `rate` a second."""
    app = create_app(environ)
    with app.app_context():
        started = time.monotonic()
        for number in range(count):
            with transaction():
                events.record(1, OrderReviewEnded(), actor=Actor.customer())
            time.sleep(max(0.0, started + number / rate - time.monotonic()))


def web_processes(demo: Demo) -> list[str]:
    first = demo.running["web"].pid
    return Path(f"/proc/{first}/task/{first}/children").read_text().split()


def memory(demo: Demo) -> float:
    """Resident memory of the web processes, in MB."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in web_processes(demo))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_time(demo: Demo) -> float:
    """CPU time of the web processes, in seconds."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in web_processes(demo)]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def of_browser(session: CDPSession) -> tuple[float, int]:
    """Used heap in MB and number of DOM nodes, after a collection."""
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    return heap, session.send("Memory.getDOMCounters")["nodes"]


def opened(demo: Demo, page: Page) -> None:
    """Open Live in the browser."""
    page.goto(f"{demo.shop}/ops/live")
    page.get_by_text("Connected.").wait_for()
    page.evaluate(WATCH)


def write_events(demo: Demo, count: int, rate: float) -> None:
    """Write events in a process of their own, as webhooks of other processes do."""
    given = json.dumps({"environ": demo.environ, "count": count, "rate": rate})
    subprocess.run([sys.executable, "-m", "bench.live_console", "--produce", given], check=True)
    time.sleep(1)


def measure(demo: Demo, page: Page, options: argparse.Namespace) -> None:
    HttpCustomer(demo).order()
    cookies = [sign_in(demo, person) for person in PEOPLE]
    name, _, value = cookies[0].partition("=")
    page.context.add_cookies([{"name": name, "value": value, "url": demo.shop}])
    opened(demo, page)
    sockets = Sockets()
    for number in range(options.sockets):
        sockets.open(demo.shop, cookies[number % len(cookies)])
    sockets.start()
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    note(f"{options.sockets} sockets and a browser are open")
    warm_up = 500
    write_events(demo, warm_up, options.rate)  # fills caches, and the page
    before, heap_before = memory(demo), of_browser(session)
    sockets.waits.clear()
    page.evaluate("window.waits.length = 0")
    used = -cpu_time(demo)
    write_events(demo, options.events, options.rate)
    used += cpu_time(demo)
    after, heap_after = memory(demo), of_browser(session)
    waits, on_screen = list(sockets.waits), page.evaluate("window.waits")
    arrived, expected = len(waits), options.sockets * options.events
    rows: list[tuple[object, ...]] = [("milliseconds from the event to", "a socket", "the screen")]
    rows += [(f"p{percent}", percentile(waits, percent), percentile(on_screen, percent)) for percent in (50, 90, 99)]
    rows += [("slowest", max(waits), float(max(on_screen)))]
    title = f"{options.events:,} events, {options.rate:g} a second, to {options.sockets} sockets and a browser"
    table(title, rows)
    rows = [("memory", "before", "after"), ("web process, MB", before, after)]
    rows += [("heap of the page, MB", heap_before[0], heap_after[0])]
    rows += [("DOM nodes of the page", heap_before[1], heap_after[1])]
    table("Memory", rows)
    print(f"\n  {used / options.events * 1000:.1f} ms of CPU time of the web process for each event")
    shown = page.locator("#live tbody tr").count()
    print(f"  {arrived:,} of {expected:,} messages arrived; {sockets.ended} sockets ended; {shown} rows on the page")
    if arrived != expected or sockets.ended or max(percentile(waits, 99), percentile(on_screen, 99)) > 200:
        sys.exit("A message is missing, or p99 is above 200 ms.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--sockets", type=int, default=199)
    parser.add_argument("--rate", type=float, default=30.0, help="events a second")
    parser.add_argument("--produce", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.produce:
        produce(**json.loads(options.produce))
        return
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with running() as demo, sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        measure(demo, browser.new_page(), options)
        browser.close()


if __name__ == "__main__":
    main()
