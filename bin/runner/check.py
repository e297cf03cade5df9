"""bin/test: installs what the tests need, looks at the code, then runs all tests on real parts."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import browser
import installing
import say
from places import ROOT, VENV_BIN, VENV_PYTHON
from say import Trouble

HELP = """\
usage: bin/test [pytest arguments]

Without arguments: ruff (lint and format), mypy, then all tests, on every core. With arguments only pytest runs, in one
process, with those arguments:  bin/test e2e -k cancel --headed

The databases, Redis and servers that tests use are started by the tests, on free ports and in temporary folders.
"""
CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format --check": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "mypy bin/runner": ["mypy", "bin/runner"],
}
EVERYTHING = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "10", "--durations-min", "1"]
"""Two workers even on bigger machines: each brings its own PostgreSQL, and the races are measured against the rest."""


def main() -> None:
    arguments = sys.argv[1:]
    if arguments and arguments[0] in ("-h", "--help"):
        print(HELP)
        return
    os.chdir(ROOT)
    installing.ensure("test")
    environ = {**os.environ, "PATH": f"{VENV_BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the libraries are compiled once, not by every process
    environ["CHROMIUM"] = browser.ensure(environ)
    if not arguments:
        _check_code(environ)
    pytest = [str(VENV_PYTHON), "-m", "pytest", *(arguments or EVERYTHING)]
    say.line(f"\n  pytest {' '.join(arguments or EVERYTHING)}  (after {say.since_start():.1f} s)")
    os.execve(pytest[0], pytest, environ)  # its summary is to be the last line


def _check_code(environ: dict[str, str]) -> None:
    """Runs all checks, shows what they complain about, and raises Trouble when one does."""
    failed = []
    for title, command in CHECKS.items():
        began = time.monotonic()
        done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        say.line(f"  {title:<34} {time.monotonic() - began:5.1f} s  {'failed' if done.returncode else 'clean'}")
        if done.returncode:
            failed.append(title)
            say.line(done.stdout + done.stderr)
    if failed:
        raise Trouble(f"No test was run, because the code does not pass:  {', '.join(failed)}")


if __name__ == "__main__":
    with say.complaining():
        main()
