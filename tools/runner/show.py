"""bin/demo: show in a terminal what the shop does, with programs that it starts and ends."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import browser
import installing
import say
from places import ROOT, VENV_BIN, VENV_PYTHON

HELP = """\
Starts a shop and an acquirer on free ports, with data in a temporary folder, shows something, and ends them. A shop
that bin/run has started is not touched. Ctrl-C ends everything.
"""
SAGA = """\
An order, its payment and an alert, in three steps: a customer orders and pays at the acquirer; the shop learns of the
payment from a webhook, and, when the webhook is lost, from a poll; and a wrong amount raises an alert on the stream
of alerts. Times are real. The exit code is 0 only if all three were seen.
"""


def main() -> None:
    parser = argparse.ArgumentParser("bin/demo", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    shows = parser.add_subparsers(dest="show", required=True, metavar="saga|films")
    saga = shows.add_parser(
        "saga",
        help="order, webhook or poll, alert",
        description=SAGA,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    saga.add_argument("--json", action="store_true", help="print the result as JSON, the progress on standard error")
    shows.add_parser("films", help="record the films of docs/films again; needs what bin/test installs")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    if options.show == "films":
        _films()
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        installing.ensure("run")
        if Path(sys.prefix).resolve() != VENV_PYTHON.parent.parent.resolve():
            # The first start runs on the machine's own Python; continue with the project's, which has the libraries.
            os.execv(VENV_PYTHON, [str(VENV_PYTHON), __file__, *sys.argv[1:]])
        found = _saga()
    if options.json:
        print(json.dumps(found, indent=2), flush=True)


def _films() -> None:
    """Continue as `python -m tools.films`."""
    installing.ensure("test")
    environ = {
        **os.environ,
        "SETTLED_ENV": "development",
        "PATH": f"{VENV_BIN}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    environ["CHROMIUM"] = browser.ensure(environ)
    os.chdir(ROOT)
    os.execve(VENV_PYTHON, [str(VENV_PYTHON), "-m", "tools.films"], environ)


def _saga() -> dict[str, object]:
    import saga  # these libraries are installed only now
    from own_demo import OwnDemo

    say.line("\n  Order, webhook or poll, alert\n")
    with OwnDemo() as demo:
        return saga.run(demo)


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    with say.complaining():
        main()
