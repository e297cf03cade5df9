"""The image and the compose file as this machine can have them without Docker.

Each process gets what Docker would give it: the code owned by root and read-only, an empty /tmp of its own, no other
place to write, the unprivileged user of the Dockerfile, and the environment of Dockerfile and compose file. All of that
is read from the two files, not repeated here. Needs root and Linux's mount namespaces.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.parts.postgres import PostgresServer
from tests.parts.processes import ROOT, VENV_BIN, Process, Processes, free_port
from tests.parts.redis_server import RedisServer

AT = Path("/mnt")
"""Where the file system of the processes has what the image has at `/`: app, data and the sockets of the servers."""
NAMESPACE = """
set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/app /mnt/postgres /mnt/redis /mnt/data /mnt/python /mnt/libraries
mount --bind "$PYTHON" /mnt/python
mount --bind "$LIBRARIES" /mnt/libraries
for folder in $CLOSED; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
if [ ! -d "$PYTHON" ]; then mkdir -p "$PYTHON"; mount --bind /mnt/python "$PYTHON"; fi
if [ ! -d "$LIBRARIES" ]; then mkdir -p "$LIBRARIES"; mount --bind /mnt/libraries "$LIBRARIES"; fi
mount --bind "$CODE" /mnt/app
mount -o remount,bind,ro /mnt/app
touch /mnt/postgres/.s.PGSQL.5432 /mnt/redis/redis.sock
mount --bind "$POSTGRES" /mnt/postgres/.s.PGSQL.5432
mount --bind "$REDIS" /mnt/redis/redis.sock
mount -t tmpfs -o "mode=755,uid=$USER_ID" tmpfs /mnt/data
mount -o remount,ro /mnt
mount -t tmpfs -o ro tmpfs /var/tmp
mount -t tmpfs tmpfs /tmp
if [ ! -d "$LIBRARIES" ]; then mkdir -p "$LIBRARIES"; mount --bind /mnt/libraries "$LIBRARIES"; fi
cd /mnt/app
exec env -i "$@"
"""


def missing() -> str:
    """Why this machine cannot do it; empty when it can."""
    if sys.platform != "linux" or os.getuid() != 0:
        return "needs root on Linux, to give processes another user and a file system of their own"
    if not all(map(shutil.which, ("unshare", "setpriv", "mount"))):
        return "needs unshare, setpriv and mount (util-linux)"
    if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode:
        return "this machine lets nobody make a mount namespace"
    return ""


def _closed() -> list[str]:
    """Folders above this project's Python that only their owner may enter, such as /root."""
    above = {folder for path in (sys.base_prefix, sys.prefix) for folder in Path(path).resolve().parents}
    return [str(folder) for folder in sorted(above) if not folder.stat().st_mode & 0o001]


class Dockerfile:
    """The last stage of a Dockerfile: `env`, `user`, `command`, and the steps of its RUN lines."""

    def __init__(self, path: Path) -> None:
        text = re.sub(r"\\\n\s*", " ", path.read_text())
        stage = re.split(r"^FROM .*$", text, flags=re.MULTILINE)[-1]
        lines = [line.partition(" ") for line in stage.splitlines() if line and not line.startswith("#")]
        self.env = dict(pair.split("=", 1) for name, _, rest in lines if name == "ENV" for pair in shlex.split(rest))
        self.user = int(next(rest for name, _, rest in lines if name == "USER"))
        self.command: list[str] = json.loads(next(rest for name, _, rest in lines if name == "CMD"))
        self.steps = [step.strip() for name, _, rest in lines if name == "RUN" for step in rest.split("&&")]


class Compose:
    """The services of a compose file; `given` fills in its variables, and what it demands otherwise is made up."""

    def __init__(self, path: Path, **given: str) -> None:
        self._given = given
        self.services: dict[str, dict[str, Any]] = self._filled_in(yaml.safe_load(path.read_text())["services"])

    def _filled_in(self, value: Any) -> Any:
        """As Docker does it, after reading the YAML: an empty default is an empty text, not null."""
        if isinstance(value, dict):
            return {key: self._filled_in(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._filled_in(one) for one in value]
        return re.sub(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}", self._variable, value) if isinstance(value, str) else value

    def _variable(self, found: re.Match[str]) -> str:
        name, how, default = found.groups()
        if name not in self._given:
            self._given[name] = default if how == "-" else secrets.token_hex(32)
        return self._given[name]


class Image:
    """Starts the services of the compose file in the image's conditions. `shop` and `acquirer` are their addresses."""

    def __init__(self, folder: Path, start: Processes, postgres: PostgresServer, redis: RedisServer) -> None:
        self._start, self._postgres, self._redis = start, postgres, redis
        self.dockerfile, self.compose = Dockerfile(ROOT / "Dockerfile"), Compose(ROOT / "deploy" / "compose.yaml")
        self._databases = {"shop": postgres.create(), "acquirer": postgres.create()}
        self._ports = {"8000": str(free_port()), "9000": str(free_port())}
        self.shop, self.acquirer = (f"http://localhost:{port}" for port in self._ports.values())
        redis.socket.chmod(0o777)
        self.code = folder / "app"
        _copy(self.code)
        (self.code / "var").symlink_to(AT / "data")
        for step in self.dockerfile.steps:  # what the build does with the code
            if step.startswith("/venv/bin/python"):
                subprocess.run([sys.executable, *shlex.split(step)[1:]], cwd=self.code, check=True)

    def service(self, name: str, *instead: str) -> Process:
        """Start a service with its own command, or with another one."""
        service = self.compose.services[name]
        assert service["read_only"], name
        assert service["tmpfs"] == ["/tmp"], name
        command = service.get("command", self.dockerfile.command)
        command = list(instead) or (shlex.split(command) if isinstance(command, str) else command)
        user = self.dockerfile.user
        away = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
        away += ["--bounding-set=-all", "--"]
        given = {
            "CODE": str(self.code),
            "POSTGRES": str(self._postgres.folder / ".s.PGSQL.5432"),
            "REDIS": str(self._redis.socket),
            "USER_ID": str(user),
            "PYTHON": str(Path(sys.base_prefix).resolve()),
            "LIBRARIES": str(Path(sys.prefix).resolve()),
            "CLOSED": " ".join(_closed()),
        }
        environ = [f"{key}={value}" for key, value in self.environ(name).items()]
        return self._start(
            ["unshare", "-m", "sh", "-c", NAMESPACE, "sh", *environ, *away, *command],
            given,
            folder=Path("/"),
            log=f"{name}-{len(self._start.started)}",
        )

    def environ(self, name: str) -> dict[str, str]:
        """The environment of a service, with this machine's ports and servers for those of the compose file."""
        variables = {**self.dockerfile.env, **self.compose.services[name].get("environment", {})}
        variables["PATH"] = variables["PATH"].replace("/venv/bin", str(VENV_BIN)).replace("$PATH", "/usr/bin:/bin")
        return {key: self._here(str(value)) for key, value in variables.items()} | {
            "BIND_ADDRESS": "127.0.0.1",
            "HOME": "/nonexistent",
        }

    def _here(self, value: str) -> str:
        for theirs, ours in self._ports.items():
            value = value.replace(theirs, ours)
        for theirs, ours in self._databases.items():
            value = re.sub(
                rf"^postgresql://.*@postgres/{theirs}$", f"postgresql://postgres@/{ours}?host=/mnt/postgres", value
            )
        return re.sub(r"^redis://redis:6379/(\d+)$", r"unix:///mnt/redis/redis.sock?db=\1", value)


def _copy(to: Path) -> None:
    """Copy what `COPY . .` copies, owned by root, readable by all, writable by no other user."""
    patterns = [line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines() if line.strip()]

    def left_out(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(ROOT)
        return {n for n in names if any(fnmatch.fnmatch(str(inside / n), p.removeprefix("**/")) for p in patterns)} | {
            n for n in names if any(p.startswith("**/") and fnmatch.fnmatch(n, p[3:]) for p in patterns)
        }

    shutil.copytree(ROOT, to, ignore=left_out)
    for path in [to, *to.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def image(tmp_path: Path, process: Processes, own_postgres: PostgresServer, own_redis: RedisServer) -> Image:
    """The image, ready to start; skipped where this machine cannot do it."""
    if reason := missing():
        pytest.skip(reason)
    return Image(tmp_path, process, own_postgres, own_redis)
