"""Measured process of `bench/pages.py`: CPU time of page requests, in one process, without a server.

Imports only the shop in the current folder, so that it can measure any checkout of the repository. Reads one line from
standard input for each round and answers with one line of JSON: milliseconds of CPU and SQL statements by page.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from typing import Any

sys.path.insert(0, os.getcwd())  # noqa: PTH109

from flask import Flask
from sqlalchemy import event
from werkzeug.test import EnvironBuilder

from shop import create_app
from shop.core.db import db

FORM = {
    "email": "ada@example.com",
    "name": "Ada Lin",
    "line1": "12 Yongkang St",
    "line2": "",
    "city": "Taipei",
    "postcode": "106",
    "country": "TW",
    "method": "kpay",
}
PRODUCTS = ("blue-kettle", "speckled-mug")
_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA")


class Visitor:
    """Browser with a cookie. `request` returns (status, headers, text) and records CPU time and statements."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.cookies: dict[str, str] = {}
        self.text = ""
        self.cpu_ms = 0.0
        self.statements = 0

    def request(self, path: str, form: dict[str, str] | None = None) -> str:
        """The Location of the response, or its text. Raises SystemExit for an error status."""
        environ = self._environ(path, form)
        answer: list[Any] = []
        self.statements = 0
        began = time.process_time()
        body = self.app(environ, lambda status, headers, _=None: answer.extend((status, headers)))
        text = b"".join(body).decode()
        if close := getattr(body, "close", None):
            close()
        self.cpu_ms = (time.process_time() - began) * 1000
        status, headers = answer
        if status[0] in "45":
            raise SystemExit(f"{path}: {status}\n{text[:3000]}")
        self._keep_cookies(headers)
        self.text = text or self.text
        return dict(headers).get("Location", text)

    def field(self, name: str) -> str:
        """Value of an input of the last page."""
        found = re.search(rf'<input[^>]*name="{name}"[^>]*value="([^"]*)"', self.text)
        return found[1] if found else ""

    def _environ(self, path: str, form: dict[str, str] | None) -> dict[str, Any]:
        path, _, query = path.partition("?")
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookie, "Accept-Language": "en"}
        method = "GET" if form is None else "POST"
        builder = EnvironBuilder(path, self.app.config["SHOP_URL"], query, method=method, headers=headers, data=form)
        environ = builder.get_environ()
        environ["REMOTE_ADDR"] = "127.0.0.1"
        environ["wsgi.errors"] = io.StringIO()
        return environ

    def _keep_cookies(self, headers: list[tuple[str, str]]) -> None:
        for name, value in headers:
            if name == "Set-Cookie" and "Path=/;" in f"{value};":
                key, _, content = value.partition(";")[0].partition("=")
                self.cookies[key] = content


class Round:
    """Requests of one visitor who buys two products, measured by page."""

    def __init__(self, app: Flask) -> None:
        self.visitor = Visitor(app)
        self.cpu_ms: dict[str, list[float]] = {}
        self.statements: dict[str, int] = {}

    def measure(self, page: str, path: str, form: dict[str, str] | None = None) -> str:
        """Send one request and record its cost under the name of its page."""
        answer = self.visitor.request(path, form)
        self.cpu_ms.setdefault(page, []).append(self.visitor.cpu_ms)
        self.statements[page] = max(self.visitor.statements, self.statements.get(page, 0))
        return answer

    def buy(self) -> None:
        """Buy: from the product to the order page, which is requested twice."""
        for slug in PRODUCTS:
            self.measure("product", f"/products/{slug}")
            form = {name: self.visitor.field(name) for name in ("csrf_token", "sku")}
            self.visitor.request("/cart/lines", {**form, "quantity": "1"})
        self.measure("cart", "/cart")
        self.measure("checkout", "/checkout")
        hidden = {name: self.visitor.field(name) for name in ("csrf_token", "key", "terms", "shown", "customer")}
        order = self.measure("POST /checkout", "/checkout", {**hidden, **FORM})
        self.measure("order page, first view", order)
        self.measure("order page, again", order)
        token = self.visitor.field("csrf_token")
        self.visitor.request(f"{order}/cancel", {"csrf_token": token})  # releases the stock


def counted(app: Flask, at: list[Round]) -> None:
    """Count the statements of the current round's visitor; BEGIN, COMMIT and ROLLBACK are not counted."""

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if at and not statement.startswith(_CONTROL):
            at[-1].visitor.statements += 1

    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", note)


def main() -> None:
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keep log lines out of the report
    app = create_app(RATE_LIMITS=False)
    runner = app.test_cli_runner()
    for command in (["db", "upgrade"], ["seed"]):
        done = runner.invoke(args=command)
        if done.exit_code:
            raise SystemExit(f"{command}: {done.output} {done.exception!r}")
    current: list[Round] = []
    counted(app, current)
    for line in sys.stdin:
        current[:] = [Round(app)]
        for _ in range(int(line)):
            current[0].buy()
        print(json.dumps({"cpu_ms": current[0].cpu_ms, "statements": current[0].statements}), file=report, flush=True)


if __name__ == "__main__":
    main()
