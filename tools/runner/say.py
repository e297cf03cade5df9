"""Terminal output: a line per step with its duration, and sentences for failures."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_START = float(os.environ.setdefault("SETTLED_RUN_BEGAN", str(time.time())))


class Trouble(Exception):
    """A failure that the user can fix. The message says what is wrong and what to do about it."""


def line(text: str = "") -> None:
    """Print one line and flush it, even to a file or a pipe."""
    print(text, flush=True)


def since_start() -> float:
    """Seconds since bin/run was called; the first start continues in another Python."""
    return time.time() - _START


class Step:
    """A step in progress: on a terminal its line is updated, elsewhere its beginning and end are printed."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.began = time.monotonic()
        self.live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = ""
        self._last = 0.0
        if self.live:
            self._draw("…")
        else:
            line(f"  {title} …")

    def now(self, doing: str) -> None:
        """Show the current action; off a terminal at most one line every five seconds, so that a log stays short."""
        if self.live:
            self._draw(f"… {doing}")
        elif time.monotonic() - max(self._last, self.began) > 5:
            self._last = time.monotonic()
            line(f"    {doing}")

    def done(self, result: str = "") -> None:
        """End the step with its duration and, if there is one, its result in a few words."""
        words = f"{self.title:<34} {self.seconds():5.1f} s" + (f"  {result}" if result else "")
        if self.live:
            self._draw(words)
            line()
        else:
            line(f"  {words}")

    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self.began

    def _draw(self, text: str) -> None:
        shown = f"  {text if text.startswith(self.title) else self.title + ' ' + text}"[: _columns() - 1]
        print("\r" + shown + " " * max(0, len(self._shown) - len(shown)), end="", flush=True)
        self._shown = shown


def _columns() -> int:
    try:
        return os.get_terminal_size().columns or 100  # some terminals report no width
    except OSError:
        return 100


@contextmanager
def complaining() -> Iterator[None]:
    """Print Trouble as its sentences on standard error with exit code 1; exit with 130 on Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
