"""bin/run: from a fresh clone to a shop that answers, and back to nothing on Ctrl-C."""

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

Data and settings of the run lie in var/, the installation in .venv/; delete either at any time while nothing runs.
Useful settings: PORT (8000), ACQUIRER_PORT (9000), BIND_ADDRESS (127.0.0.1; 0.0.0.0 lets other machines in),
DATABASE_URL (SQLite in var/), REDIS_URL (embedded), SHOP_URL and ACQUIRER_PUBLIC_URL (how a browser reaches them).
docs/settings.md has them all.
"""

WELCOME = """
  Settled is ready after {seconds:.1f} s.

    Shop      {shop}
    Acquirer  {acquirer}

  Try first: put something into the cart, place the order, and pay on the acquirer's page with card 4242 4242 4242 4242
  while the order page stays open in its own tab. Then once more, and lose the webhook on the acquirer's fate panel.
  Ctrl-C ends everything. The data stays in var/; `bin/run --fresh` starts without it.
"""


def main() -> None:
    parser = argparse.ArgumentParser("bin/run", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--fresh", action="store_true", help="start with empty data (SQLite, Redis and secrets in var/)"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    VAR.mkdir(exist_ok=True)
    with leftovers.lock(VAR):
        if ended := leftovers.end(VAR, patience=3) + EmbeddedRedis(VAR).end_orphan():
            say.line(f"  ended what an earlier run had left behind (processes: {ended})")
        settings = _settings()
        leftovers.ports_are_free(settings)
        installing.ensure("run")
        if Path(sys.prefix).resolve() == VENV_PYTHON.parent.parent.resolve():
            sys.exit(run(settings, options.fresh))
    # The first start ran on the machine's own Python; go on with the project's, which has the libraries.
    os.execv(VENV_PYTHON, [str(VENV_PYTHON), __file__, *sys.argv[1:]])


def _settings() -> dict[str, str]:
    return environment.decide(VAR, os.environ, EmbeddedRedis(VAR).socket)


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def run(settings: dict[str, str], fresh: bool) -> int:
    """Starts everything with `settings`, waits for its end, leaves no process behind. Returns the exit code."""
    if fresh:
        _empty(VAR)
        settings = _settings()  # with new secrets
    shutil.rmtree(VAR / "metrics", ignore_errors=True)  # counted by processes that are gone
    Path(settings["PROMETHEUS_MULTIPROC_DIR"]).mkdir(parents=True, exist_ok=True)
    environment.write(VAR / "env", settings)
    environ = {
        **os.environ,
        **settings,
        "PATH": f"{VENV_BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
    }
    environ.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # or every process compiles everything, and each start takes twice as long
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
            signal.signal(
                number, signal.SIG_IGN
            )  # from here on it takes a moment, and interrupting would leave something
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
    """Runs what the Procfiles call release, side by side: newest schema for both, filled shelves. Raises Trouble."""
    from demo import release  # honcho is there only now

    step = Step("migrate and seed")
    running = {}
    for name, procfile in PROCFILES.items():
        with (VAR / f"prepare-{name}.log").open("w") as log:
            running[name] = subprocess.Popen(
                ["sh", "-c", f"exec {release(procfile)}"],
                env=environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
    failed = [name for name, process in running.items() if process.wait()]
    if failed:
        path = VAR / f"prepare-{failed[0]}.log"
        tail = "\n".join(f"  {text}" for text in path.read_text().splitlines()[-12:])
        raise Trouble(f"The database of the {failed[0]} could not be prepared ({path}):\n{tail}")
    step.done()


def _serve(settings: Mapping[str, str], environ: Mapping[str, str]) -> int:
    """Runs the processes until one ends or somebody stops them. Returns the exit code."""
    from demo import Demo, commands

    processes = commands(*PROCFILES.values())
    demo = Demo(processes, environ, ROOT, when_started=lambda: _welcome(settings))
    step = Step(f"start {', '.join(processes)}")
    step.done()
    demo.loop()
    if demo.culprit:
        name, code = demo.culprit
        say.line(f"\n{name} ended by itself (code {code}), so everything was stopped. Its last lines are above.")
        return 128 - code if code < 0 else code or 1  # a server that ends, ends wrongly, whatever it says
    return demo.returncode or 0


def _welcome(settings: Mapping[str, str]) -> None:
    """Waits until shop and acquirer answer, then says where they are and what to try."""
    own = f"http://{_reachable(settings['BIND_ADDRESS'])}"
    waiting = [f"{own}:{settings['PORT']}/readyz", f"{own}:{settings['ACQUIRER_PORT']}/healthz"]
    deadline = time.monotonic() + READY_WITHIN
    while waiting := [url for url in waiting if not _answers(url)]:
        if time.monotonic() > deadline:
            say.line(f"\nStill no answer from {' and '.join(waiting)}; the lines above may say why. Ctrl-C ends all.\n")
            return
        time.sleep(0.05)
    say.line(
        WELCOME.format(seconds=say.since_start(), shop=settings["SHOP_URL"], acquirer=settings["ACQUIRER_PUBLIC_URL"])
    )


def _reachable(address: str) -> str:
    """The address to ask at when listening on `address`."""
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
