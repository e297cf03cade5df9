"""bin/run with two minimal servers in place of shop and acquirer; everything else is real."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.parts.processes import ROOT, Process, Processes, free_port, http_status
from tests.parts.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

SHOP = """
import time, click
from flask import Flask
app = Flask(__name__)
app.get("/readyz")(lambda: {"database": "ok"})
@app.cli.group()
def db(): pass
@db.command()
def upgrade(): open("var/migrated", "a").write("x")
@app.cli.command()
def seed(): open("var/seeded", "a").write("x")
def forever(**_): time.sleep(600)
app.cli.command("worker")(click.option("--preload")(forever))
app.cli.command("clock")(forever)
"""
PROCFILE = """
release: flask --app wsgi db upgrade
web: python world.py $PORT
worker: python world.py
clock: python world.py
"""
PROCFILE_DEMO = """
release: flask --app mock_acquirer db upgrade
acquirer: python world.py $ACQUIRER_PORT
"""
WORLD = """
import http.server, os, signal, sys
class Ok(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
print("at work with", os.environ["REDIS_URL"], flush=True)
if sys.argv[1:]:
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ok).serve_forever()
signal.pause()
"""
"""Minimal servers that start and end at once, where their content does not matter."""
ACQUIRER = """
from flask import Flask
def create_app():
    app = Flask(__name__)
    app.get("/healthz")(lambda: "ok")
    @app.cli.group()
    def db(): pass
    db.command("upgrade")(lambda: None)
    return app
"""
READY = "Settled is ready after"


class Copy:
    """A copy of the runner in a folder whose name has a space, with minimal servers."""

    def __init__(self, folder: Path, start: Processes) -> None:
        self.folder = folder
        self.var = folder / "var"
        self.ports = {"PORT": str(free_port()), "ACQUIRER_PORT": str(free_port())}
        self._start = start
        for name in ("bin", "tools", "deploy"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, folder / name)
        (folder / ".venv").symlink_to(Path(sys.prefix))
        (folder / "wsgi.py").write_text(SHOP)
        (folder / "world.py").write_text(WORLD)
        (folder / "Procfile").write_text(PROCFILE)
        (folder / "deploy" / "Procfile.demo").write_text(PROCFILE_DEMO)
        (folder / "mock_acquirer").mkdir()
        (folder / "mock_acquirer" / "__init__.py").write_text(ACQUIRER)

    def with_the_real_commands(self) -> None:
        """Serve with gunicorn and flask, as the project's Procfiles say."""
        for name in ("Procfile", "deploy/Procfile.demo"):
            shutil.copy(ROOT / name, self.folder / name)
        (self.folder / "shop" / "core").mkdir(parents=True)
        shutil.copy(ROOT / "shop" / "core" / "greenlets.py", self.folder / "shop" / "core")
        (self.folder / "shop" / "settings.py").write_text("import os\nenvironment = lambda: os.environ\n")

    def run(self, *arguments: str, **environ: str) -> Process:
        """Run bin/run from another folder, without the environment of a surrounding run or test."""
        clean = {"REDIS_URL": "", "DATABASE_URL": "", "SETTLED_RUN_BEGAN": "", **self.ports, **environ}
        command = ["env", *(f"-u{name}" for name, value in clean.items() if not value)]
        wanted = {name: value for name, value in clean.items() if value}
        return self._start(
            [*command, str(self.folder / "bin" / "run"), *arguments], wanted, folder=Path("/"), log="run"
        )

    def ready(self, *arguments: str, **environ: str) -> Process:
        """As `run`, but wait until it reports that everything is ready."""
        run = self.run(*arguments, **environ)
        run.wait_for_line(READY, within=60)
        return run

    def settings(self) -> dict[str, str]:
        """The settings in var/env."""
        lines = (self.var / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))

    def processes(self) -> dict[int, str]:
        """All processes started from this folder, Redis included, by pid."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command, environ = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(self.folder) in command or b"SETTLED_RUN=" + os.fsencode(self.var) in environ.split(b"\0"):
                found[int(folder.name)] = command.replace(b"\0", b" ").decode()
        return found

    def pid_of(self, words: str) -> int:
        """The process whose command contains these words."""
        return next(pid for pid, command in self.processes().items() if words in command)


@pytest.fixture
def copy(tmp_path: Path, process: Processes) -> Iterator[Copy]:
    folder = tmp_path / "a shop"
    folder.mkdir()
    copy = Copy(folder, process)
    yield copy
    process.end()
    until(lambda: not copy.processes(), what="all processes to end")


def test_one_command_starts_shop_and_acquirer_and_interrupting_it_leaves_no_process(copy: Copy) -> None:
    copy.with_the_real_commands()
    run = copy.ready()
    for port in copy.ports.values():
        assert f"http://localhost:{port}" in run.text
    assert http_status(f"http://127.0.0.1:{copy.ports['PORT']}/readyz") == 200
    assert http_status(f"http://127.0.0.1:{copy.ports['ACQUIRER_PORT']}/healthz") == 200
    assert (copy.var / "migrated").exists()
    assert (copy.var / "seeded").exists()
    assert len(copy.processes()) >= 6
    run.signal(signal.SIGINT)
    assert run.wait(within=20) == 130
    assert copy.processes() == {}


def test_settings_are_readable_by_the_owner_only_and_secrets_stay_until_a_fresh_start(copy: Copy) -> None:
    def start(*arguments: str) -> dict[str, str]:
        run = copy.ready(*arguments)
        settings = copy.settings()
        run.signal(signal.SIGTERM)
        assert run.wait(within=20) == 143
        run.log.unlink()
        return settings

    first, second = start(), start()
    assert stat.S_IMODE((copy.var / "env").stat().st_mode) == 0o600
    assert first["PORT"] == copy.ports["PORT"]
    assert (first["SETTLED_ENV"], first["KPAY_MOCKED"]) == ("development", "on")
    assert len(first["SECRET_KEY"]) >= 32
    assert second["SECRET_KEY"] == first["SECRET_KEY"]
    assert (copy.var / "migrated").read_text() == "xx"
    assert start("--fresh")["SECRET_KEY"] != first["SECRET_KEY"]
    assert (copy.var / "migrated").read_text() == "x", "a fresh start finds no data"


def test_a_second_start_installs_nothing_and_finds_redis_as_it_was(copy: Copy) -> None:
    run = copy.ready()
    redis.Redis.from_url(copy.settings()["REDIS_URL"]).set("kept", "yes")
    run.signal(signal.SIGTERM)
    run.wait(within=20)
    run.log.unlink()
    run = copy.ready()
    assert redis.Redis.from_url(copy.settings()["REDIS_URL"]).get("kept") == b"yes"
    assert "install libraries" not in run.text
    assert "make .venv" not in run.text


def test_redis_url_is_used_instead_of_the_bundled_redis(copy: Copy, redis_url: str) -> None:
    run = copy.ready(REDIS_URL=redis_url)
    assert f"at work with {redis_url}" in run.text
    assert not (copy.var / "redis").exists()


def test_only_warnings_are_logged_unless_verbose(copy: Copy) -> None:
    def levels(*arguments: str, output: str = "", **environ: str) -> dict[str, str]:
        run = copy.ready(*arguments, **environ)
        assert output in run.text
        run.signal(signal.SIGTERM)
        run.wait(within=20)
        run.log.unlink()
        return {name: value for name, value in copy.settings().items() if "LOG_" in name}

    formats = {"LOG_FORMAT": "text", "ACQUIRER_LOG_FORMAT": "text"}
    assert levels(output="Only warnings are logged below") == formats | {
        "LOG_LEVEL": "warning",
        "ACQUIRER_LOG_LEVEL": "warning",
    }
    assert levels("--verbose", output="Every request is logged below") == formats | {
        "LOG_LEVEL": "info",
        "ACQUIRER_LOG_LEVEL": "info",
    }
    assert levels("--fresh", LOG_LEVEL="error")["LOG_LEVEL"] == "error"


@pytest.mark.parametrize("name", ["PORT", "ACQUIRER_PORT"])
def test_a_port_in_use_is_reported_before_anything_starts(copy: Copy, name: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(copy.ports[name])))
        other.listen()
        run = copy.run()
        assert run.wait() == 1
    assert f"Port {copy.ports[name]} is in use by another program. Nothing was started." in run.text
    assert re.search(rf"{name}=\d+ bin/run", run.text)
    assert not (copy.var / "env").exists()


@pytest.mark.parametrize("port", ["http", "0", "70000", "-1"])
def test_a_port_that_is_none_is_refused_with_a_sentence(copy: Copy, port: str) -> None:
    run = copy.run(PORT=port)
    assert run.wait() == 1
    assert run.text.strip() == f"PORT is {port!r}; it must be a number from 1 to 65535."


def test_a_second_run_on_the_same_data_is_refused_and_the_first_goes_on(copy: Copy) -> None:
    first = copy.ready()
    second = copy.run()
    assert second.wait() == 1
    assert f"Settled already runs on {copy.var} (process {first.pid})" in second.text
    for port in copy.ports.values():
        assert f"http://localhost:{port}" in second.text
    assert http_status(f"http://127.0.0.1:{copy.ports['PORT']}/readyz") == 200


def test_when_a_process_dies_it_is_named_and_everything_ends_with_its_code(copy: Copy) -> None:
    run = copy.ready()
    os.kill(copy.pid_of("world.py " + copy.ports["ACQUIRER_PORT"]), signal.SIGKILL)
    assert run.wait(within=20) == 128 + signal.SIGKILL
    assert "acquirer ended (code -9), so all processes were stopped." in run.text
    assert copy.processes() == {}


def test_processes_left_by_a_killed_run_are_ended_by_the_next(copy: Copy) -> None:
    run = copy.ready()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    left = set(copy.processes())
    assert left
    run.log.unlink()
    again = copy.ready()
    assert "processes of an earlier run" in again.text
    assert not left & set(copy.processes())


def test_redis_is_started_again_when_it_dies_and_the_shop_goes_on_meanwhile(copy: Copy) -> None:
    run = copy.ready()
    os.kill(copy.pid_of("redis-server"), signal.SIGKILL)
    run.wait_for_line("redis ended .* the shop continues without it")
    assert http_status(f"http://127.0.0.1:{copy.ports['PORT']}/readyz") == 200
    run.wait_for_line("redis is back")


def test_a_migration_that_fails_is_shown_and_nothing_is_started(copy: Copy) -> None:
    (copy.folder / "wsgi.py").write_text(
        SHOP.replace("def upgrade():", "def upgrade(): raise SystemExit('no such column')\ndef _():")
    )
    run = copy.run()
    assert run.wait() == 1
    assert "The database of the shop could not be prepared" in run.text
    assert "no such column" in run.text
    assert copy.processes() == {}


def test_interrupting_while_it_starts_leaves_no_process(copy: Copy) -> None:
    for line in ("migrate and seed", "start web"):
        run = copy.run()
        run.wait_for_line(line)
        run.signal(signal.SIGTERM)
        assert run.wait(within=20) == 143
        assert copy.processes() == {}
        run.log.unlink()


def test_help_lists_what_can_be_set(copy: Copy) -> None:
    run = copy.run("--help")
    assert run.wait() == 0
    for word in ("--fresh", "--verbose", "PORT", "ACQUIRER_PORT", "REDIS_URL", "Ctrl-C"):
        assert word in run.text


@pytest.mark.full
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone")
def test_a_clone_of_the_repository_starts_a_working_shop(tmp_path: Path, process: Processes) -> None:
    folder = tmp_path / "a clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    ports = {"PORT": str(free_port()), "ACQUIRER_PORT": str(free_port())}
    command = ["env", "-uREDIS_URL", "-uDATABASE_URL", "-uSETTLED_RUN_BEGAN", str(folder / "bin" / "run")]
    run = process(command, ports, folder=Path("/"))
    run.wait_for_line(READY, within=90)
    with urllib.request.urlopen(f"http://127.0.0.1:{ports['PORT']}/", timeout=5) as page:
        assert "/products/" in page.read().decode()
    with urllib.request.urlopen(f"http://127.0.0.1:{ports['PORT']}/readyz", timeout=5) as answer:
        assert json.load(answer)["redis"] == "ok"
    run.signal(signal.SIGINT)
    assert run.wait(within=20) == 130
    assert "Traceback" not in run.text
