"""Minimal HTTP client with cookies and kept connections. It needs a fraction of a full client's CPU time, which is left
to the processes under test.
"""

from __future__ import annotations

import http.client
import select
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlencode, urlsplit

PATIENCE = 8.0
"""Timeout of a page in seconds."""
KEPT = 2.0
"""Seconds for which an idle connection is reused; the servers keep theirs for five."""


class NoAnswer(Exception):
    """No response: the request may or may not have been processed."""


@dataclass(frozen=True)
class Answer:
    """A response; `location` is the redirect target or empty."""

    status: int
    location: str
    text: str


class Pool:
    """Connection pool per site, shared by all browsers; each connection has one user at a time."""

    def __init__(self) -> None:
        self._idle: dict[str, list[tuple[float, http.client.HTTPConnection]]] = defaultdict(list)
        self._lock = threading.Lock()

    def send(
        self, site: str, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[Answer, list[str]]:
        """Send a request; returns the response and its cookies. Raises NoAnswer."""
        line = self._connection(site)
        try:
            line.request(method, path, body=body, headers=dict(headers))
            response = line.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            line.close()
            raise NoAnswer(f"{type(error).__name__}: {error}") from error
        if response.will_close:
            line.close()
        else:
            with self._lock:
                self._idle[site].append((time.monotonic(), line))
        return Answer(response.status, response.getheader("Location") or "", text), response.headers.get_all(
            "Set-Cookie"
        ) or []

    def _connection(self, site: str) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                if not self._idle[site]:
                    break
                since, line = self._idle[site].pop()
            if time.monotonic() - since < KEPT and not _closed_by_server(line):
                return line
            line.close()
        host = urlsplit(site)
        return http.client.HTTPConnection(host.hostname or "localhost", host.port, timeout=PATIENCE)


def _closed_by_server(line: http.client.HTTPConnection) -> bool:
    """True when the server has closed an idle connection (it is readable, although nothing was requested)."""
    return line.sock is None or bool(select.select([line.sock], [], [], 0)[0])


@dataclass
class Browser:
    """A browser's cookies, and its state in the shop: the cart's currency, and the account signed in."""

    pool: Pool
    orders: int = 0
    currency: str = ""
    account: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    def send(
        self, site: str, method: str, path: str, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Answer:
        """Send a form, or get a page. Raises NoAnswer."""
        body = None if form is None else urlencode(form)
        sent = dict(headers)
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer, cookies = self.pool.send(site, method, path, body, sent)
        for cookie in cookies:
            self._keep(cookie)
        return answer

    def _keep(self, cookie: str) -> None:
        try:
            self.cookies.update((name, morsel.value) for name, morsel in SimpleCookie(cookie).items())
        except CookieError:
            return
