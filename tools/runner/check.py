"""bin/test: install what the tests need, check the code, then run the tests on real databases, Redis and servers."""

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
usage: bin/test [--quick | --full] [pytest arguments]

  bin/test           lint, format, then the tests of each push, types among them: a sample of each big matrix, each
                     test on SQLite or on PostgreSQL. About 13 minutes on two cores
  bin/test --quick   lint, format, the tests that need no database, and a share of those on SQLite. 2 to 3 minutes
  bin/test --full    lint, format, then every test in every combination

Other arguments go to pytest, which then runs alone and in one process:  bin/test e2e -k cancel --headed
A test that is named by its id runs, whatever it is left out of:          bin/test tests/web/test_cart.py::test_name

The databases, Redis and servers that tests use are started by the tests, on free ports and in temporary folders.
"""
CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format --check": ["ruff", "format", "--check", "."],
}
"""Types are checked by a test, because mypy uses one core."""

SHARING = ["--dist", "loadfile", "--no-loadscope-reorder", "--durations", "10", "--durations-min", "1"]
WORKERS, QUICK_WORKERS = ["-n", "3"], ["-n", "2"]
"""Three workers on two cores, because tests wait for processes and pages, which the quick ones do not; not more on
bigger machines, because each has its own PostgreSQL and tests of races compete for the CPU.
"""


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
    if not arguments or arguments in (["--quick"], ["--full"]):
        _check_code(environ)
        workers = QUICK_WORKERS if "--quick" in arguments else WORKERS
        arguments = [*workers, *SHARING, *arguments]
    pytest = [str(VENV_PYTHON), "-m", "pytest", *arguments]
    say.line(f"\n  pytest {' '.join(arguments)}  (after {say.since_start():.1f} s)")
    os.execve(pytest[0], pytest, environ)  # its summary must be the last line


def _check_code(environ: dict[str, str]) -> None:
    """Run the checks and show their complaints. Raises Trouble when one fails."""
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
