"""Hidden tabs. Playwright reports every page as visible, so these are driven by DevTools directly."""

from __future__ import annotations

import itertools
import json
from typing import Any

from playwright.sync_api import Browser

from tests.parts.waiting import until


class Window:
    """A browser window in which only the front tab is visible. `close` ends it."""

    def __init__(self, browser: Browser) -> None:
        self.devtools = browser.new_browser_cdp_session()
        self.context = self.devtools.send("Target.createBrowserContext")["browserContextId"]

    def open(self, url: str) -> Tab:
        """A new tab in front."""
        created = self.devtools.send("Target.createTarget", {"url": url, "browserContextId": self.context})
        return Tab(self, created["targetId"])

    def tabs(self) -> dict[str, dict[str, Any]]:
        """Title and URL of the tabs, by target id."""
        targets = self.devtools.send("Target.getTargets")["targetInfos"]
        mine = (one for one in targets if one.get("browserContextId") == self.context)
        return {one["targetId"]: one for one in mine if one["type"] == "page"}

    def address(self, start: str) -> str:
        """The address of a tab that begins with `start`, as soon as there is one."""

        def found() -> str:
            return next((tab["url"] for tab in self.tabs().values() if tab["url"].startswith(start)), "")

        return until(found, what=f"a tab at {start}")

    def close(self) -> None:
        self.devtools.send("Target.disposeBrowserContext", {"browserContextId": self.context})
        self.devtools.detach()


class Tab:
    """A tab that may be in the background."""

    _numbers = itertools.count(1)

    def __init__(self, window: Window, target: str) -> None:
        self.window, self.target = window, target
        self._answers: dict[int, Any] = {}
        self._session = window.devtools.send("Target.attachToTarget", {"targetId": target, "flatten": False})[
            "sessionId"
        ]
        window.devtools.on("Target.receivedMessageFromTarget", self._receive)
        until(lambda: self.evaluate("document.readyState") == "complete", what="the page to load")

    @property
    def title(self) -> str:
        """The title in the tab strip."""
        return str(self.window.tabs()[self.target]["title"])

    @property
    def is_hidden(self) -> bool:
        return bool(self.evaluate("document.hidden"))

    def to_front(self) -> None:
        """Activate the tab, as a click in the tab strip does."""
        self.window.devtools.send("Target.activateTarget", {"targetId": self.target})

    def click(self, selector: str) -> None:
        """Click an element as the user."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, evaluated as a user action; None while the page changes."""
        number = next(self._numbers)
        call = {"expression": expression, "returnByValue": True, "userGesture": True}
        message = {"id": number, "method": "Runtime.evaluate", "params": call}
        devtools = self.window.devtools
        devtools.send("Target.sendMessageToTarget", {"sessionId": self._session, "message": json.dumps(message)})
        answer = until(lambda: devtools.send("Target.getTargets") and self._answers.get(number), what=expression)
        return answer.get("result", {}).get("result", {}).get("value")

    def _receive(self, event: dict[str, Any]) -> None:
        if event["sessionId"] == self._session:
            message = json.loads(event["message"])
            self._answers[message.get("id")] = message
