"""bin/run: start everything from a fresh clone, and end every process on Ctrl-C."""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import environment
import installing
import leftovers
import say
from embedded_redis import EmbeddedRedis
from places import ROOT, VAR, VENV_BIN, VENV_PYTHON
from say import Step, Trouble

PROCFILES = {"shop": ROOT / "Procfile", "acquirer": ROOT / "deploy" / "Procfile.demo"}
READY_WITHIN = 60.0

HELP = """\
Starts the shop, its worker and clock, the acquirer and, unless REDIS_URL names one, a Redis. Ctrl-C ends all of it.

Data and settings of the run are in var/, the installation is in .venv/; delete either at any time while nothing runs.
Useful settings: PORT (8000), ACQUIRER_PORT (9000), BIND_ADDRESS (127.0.0.1; 0.0.0.0 lets other machines in),
DATABASE_URL (SQLite in var/), REDIS_URL (embedded), SHOP_URL and ACQUIRER_PUBLIC_URL (how a browser reaches them),
LOG_LEVEL and ACQUIRER_LOG_LEVEL (warning). docs/settings.md lists all of them.
"""

WELCOME = """
  Settled is ready after {seconds:.1f} s.

    Shop      {shop}
    Acquirer  {acquirer}
{people}
  Try first: add a product to the cart, check out as a guest, and pay on the acquirer's page with a click on a test
  card. The order page stays open in its own tab and changes to "Payment received".

  Ctrl-C ends everything. {logs}
  A second `bin/run` in another terminal prints these addresses again.
"""
PEOPLE = """    Console   {shop}/ops

  Accounts, all with the password settled-demo: support@, finance@, finance2@, merchandiser@, admin@settled.example, and
  the customer may@settled.example.
"""
"""The accounts of `shop/accounts/demo_people.py`, which a development shop has."""
QUIET = "Only warnings are logged below; `bin/run --verbose` logs every request."
VERBOSE = "Every request is logged below."


def main() -> None:
    parser = argparse.ArgumentParser("bin/run", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--fresh", action="store_true", help="start with empty data (SQLite, Redis and secrets in var/)"
    )
    parser.add_argument("--verbose", action="store_true", help="log every request and event, not only warnings")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    VAR.mkdir(exist_ok=True)
    VAR.chmod(0o700)  # databases, logs and secrets are private
    with leftovers.lock(VAR):
        if ended := leftovers.end(VAR, patience=3) + EmbeddedRedis(VAR).end_orphan():
            say.line(f"  ended {ended} processes of an earlier run")
        settings = _settings(options.verbose)
        leftovers.ports_are_free(settings)
        installing.ensure("run")
        if Path(sys.prefix).resolve() == VENV_PYTHON.parent.parent.resolve():
            sys.exit(run(settings, fresh=options.fresh, verbose=options.verbose))
    # The first start runs on the machine's own Python; continue with the project's, which has the libraries.
    os.execv(VENV_PYTHON, [str(VENV_PYTHON), __file__, *sys.argv[1:]])


def _settings(verbose: bool) -> dict[str, str]:
    return environment.decide(VAR, os.environ, EmbeddedRedis(VAR).socket, verbose=verbose)


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def run(settings: dict[str, str], *, fresh: bool, verbose: bool) -> int:
    """Start everything with `settings`, wait for its end, and end every process. Returns the exit code."""
    if fresh:
        _empty(VAR)
        settings = _settings(verbose)  # with new secrets
    shutil.rmtree(VAR / "metrics", ignore_errors=True)  # metrics of earlier processes
    Path(settings["PROMETHEUS_MULTIPROC_DIR"]).mkdir(parents=True, exist_ok=True)
    environment.write(VAR / "env", settings)
    environ = {
        **os.environ,
        **settings,
        "PATH": f"{VENV_BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
    }
    # With it every process compiles everything, and each start takes twice as long.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    redis = None if "REDIS_URL" in os.environ else EmbeddedRedis(VAR)
    try:
        if redis:
            redis.start()
        _prepare(environ)
        return _serve(settings, environ)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # ending takes a moment, and an interrupt now would leave processes
        if redis:
            redis.stop()
        leftovers.end(VAR, patience=2)


def _empty(var: Path) -> None:
    for path in var.iterdir():
        if path.name == "run.lock":
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _prepare(environ: Mapping[str, str]) -> None:
    """Run the Procfiles' release commands and the compression of static files in parallel. Raises Trouble."""
    from demo import release  # honcho is installed only now

    step = Step("migrate and seed")
    running = {}
    commands = {f"database of the {name}": release(procfile) for name, procfile in PROCFILES.items()}
    commands["static files"] = "python -m deploy.assets"
    for name, command in commands.items():
        with (VAR / f"prepare-{name.split()[-1]}.log").open("w") as log:
            running[name] = subprocess.Popen(
                ["sh", "-c", f"exec {command}"],
                env=environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
    failed = [name for name, process in running.items() if process.wait()]
    if failed:
        path = VAR / f"prepare-{failed[0].split()[-1]}.log"
        tail = "\n".join(f"  {text}" for text in path.read_text().splitlines()[-12:])
        raise Trouble(f"The {failed[0]} could not be prepared ({path}):\n{tail}")
    step.done()


def _serve(settings: Mapping[str, str], environ: Mapping[str, str]) -> int:
    """Run the processes until one ends or the user stops them. Returns the exit code."""
    from demo import Demo, commands

    processes = commands(*PROCFILES.values())
    demo = Demo(processes, environ, ROOT, when_started=lambda: _welcome(settings))
    step = Step(f"start {', '.join(processes)}")
    step.done()
    demo.loop()
    if demo.culprit:
        name, code = demo.culprit
        say.line(f"\n{name} ended (code {code}), so all processes were stopped. Its last lines are above.")
        return 128 - code if code < 0 else code or 1  # a server must not end, whatever its exit code
    return demo.returncode or 0


def _welcome(settings: Mapping[str, str]) -> None:
    """Wait until shop and acquirer answer, then print their addresses and a first thing to try."""
    own = f"http://{_reachable(settings['BIND_ADDRESS'])}"
    waiting = [f"{own}:{settings['PORT']}/readyz", f"{own}:{settings['ACQUIRER_PORT']}/healthz"]
    deadline = time.monotonic() + READY_WITHIN
    while waiting := [url for url in waiting if not _answers(url)]:
        if time.monotonic() > deadline:
            say.line(f"\nStill no answer from {' and '.join(waiting)}; see the lines above. Ctrl-C ends everything.\n")
            return
        time.sleep(0.05)
    addresses = {"shop": settings["SHOP_URL"], "acquirer": settings["ACQUIRER_PUBLIC_URL"]}
    logs = VERBOSE if settings["LOG_LEVEL"].lower() in ("debug", "info") else QUIET
    people = PEOPLE.format(**addresses) if settings["SETTLED_ENV"] == "development" else ""
    say.line(WELCOME.format(seconds=say.since_start(), logs=logs, people=people, **addresses))


def _reachable(address: str) -> str:
    """The address to connect to for a server that listens on `address`."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, f"[{address}]" if ":" in address else address)  # noqa: S104 - asked at, not listened on


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, http.client.HTTPException):
        return False


if __name__ == "__main__":
    with say.complaining():
        main()
