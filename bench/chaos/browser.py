"""The least a browser needs: connections that are kept, a cookie, an answer. Many times cheaper than a client that can
do everything, so that the machine is left to what is tried out.
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
"""Seconds for which a buyer looks at a page that does not come."""
KEPT = 2.0
"""Seconds for which a connection that rests is used again; the servers keep theirs for five."""


class NoAnswer(Exception):
    """Nobody knows whether the other side has heard."""


@dataclass(frozen=True)
class Answer:
    """What came back; `location` is where a redirect leads, else empty."""

    status: int
    location: str
    text: str


class Lines:
    """Connections to sites, shared by all browsers, each used by one at a time."""

    def __init__(self) -> None:
        self._resting: dict[str, list[tuple[float, http.client.HTTPConnection]]] = defaultdict(list)
        self._lock = threading.Lock()

    def send(
        self, site: str, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[Answer, list[str]]:
        """The answer and its cookies. Raises NoAnswer."""
        line = self._take(site)
        try:
            line.request(method, path, body=body, headers=dict(headers))
            came = line.getresponse()
            text = came.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            line.close()
            raise NoAnswer(f"{type(error).__name__}: {error}") from error
        if came.will_close:
            line.close()
        else:
            with self._lock:
                self._resting[site].append((time.monotonic(), line))
        return Answer(came.status, came.getheader("Location") or "", text), came.headers.get_all("Set-Cookie") or []

    def _take(self, site: str) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                if not self._resting[site]:
                    break
                since, line = self._resting[site].pop()
            if time.monotonic() - since < KEPT and not _hung_up(line):
                return line
            line.close()
        host = urlsplit(site)
        return http.client.HTTPConnection(host.hostname or "localhost", host.port, timeout=PATIENCE)


def _hung_up(line: http.client.HTTPConnection) -> bool:
    """Whether the other side has closed what we keep: nothing is to be read on a line that rests, but its end."""
    return line.sock is None or bool(select.select([line.sock], [], [], 0)[0])


@dataclass
class Browser:
    """Somebody's cookies, and what they remember of the shop: the currency of the cart, and who they are there."""

    lines: Lines
    orders: int = 0
    currency: str = ""
    account: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    def send(
        self, site: str, method: str, path: str, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Answer:
        """Send a form, or ask for a page. Raises NoAnswer."""
        body = None if form is None else urlencode(form)
        sent = dict(headers)
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer, cookies = self.lines.send(site, method, path, body, sent)
        for cookie in cookies:
            self._keep(cookie)
        return answer

    def _keep(self, cookie: str) -> None:
        try:
            self.cookies.update((name, morsel.value) for name, morsel in SimpleCookie(cookie).items())
        except CookieError:
            return
