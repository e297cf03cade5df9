"""A Chromium for the browser tests: an installed one, else Debian's without a window, else Playwright's own, else the
system's package.

Each is tried by opening a page; the result is stored in `.venv`, so that only the first run takes this time.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from installing import apt_install
from places import VENV, VENV_PYTHON
from say import Step, Trouble

STAMP = VENV / "chromium.json"
WITHOUT_WINDOW = "chromium-headless-shell"
"""Takes 1.5 s of CPU time for eight pages, where `chromium --headless` takes 4.0 s."""
NAMES = (WITHOUT_WINDOW, "chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PLAYWRIGHTS_OWN = ""

TRY = """
import os, sys
from playwright.sync_api import sync_playwright
arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[1] or None, args=arguments, timeout=30_000)
    page = browser.new_page()
    page.set_content("<h1>works</h1>")
    assert page.inner_text("h1") == "works"
    browser.close()
"""


def ensure(environ: dict[str, str]) -> str:
    """The path of a working Chromium, empty for Playwright's own. Raises Trouble when none can be installed."""
    if known := _remembered(environ):
        return known["path"]
    step = Step("find a Chromium")
    sources: tuple[Callable[[Step, dict[str, str]], list[str]], ...] = (_installed, _light_package, _download, _package)
    for source in sources:
        for path in source(step, environ):
            step.now(f"trying {path or 'Playwright'}")
            if _works(path, environ):
                STAMP.write_text(json.dumps({"path": path, "for": environ.get("CHROMIUM", "")}))
                step.done(path or "Playwright's own")
                return path
    raise Trouble(
        "The browser tests need a Chromium, and none could be found or installed.\n"
        "Install one (Debian/Ubuntu: sudo apt-get install chromium) or name it:  CHROMIUM=/path/to/chrome bin/test"
    )


def _remembered(environ: dict[str, str]) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    fits = known.get("for") == environ.get("CHROMIUM", "") and (not known["path"] or Path(known["path"]).exists())
    return known if fits else {}


def _installed(_step: Step, environ: dict[str, str]) -> list[str]:
    named = [environ["CHROMIUM"]] if environ.get("CHROMIUM") else []
    return [*named, *(path for name in NAMES if (path := shutil.which(name))), PLAYWRIGHTS_OWN]


def _light_package(step: Step, environ: dict[str, str]) -> list[str]:
    """Install Debian's two packages: the tests of hidden tabs need windows."""
    return _installed(step, environ) if apt_install([WITHOUT_WINDOW, "chromium"], step) else []


def _download(step: Step, environ: dict[str, str]) -> list[str]:
    """Install Playwright's own build; as root with the system libraries that it needs."""
    step.now("playwright install chromium")
    patience = {**environ, "PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "20000"}
    if not _playwright(["install", "chromium"], patience):
        return []
    if not _works(PLAYWRIGHTS_OWN, environ):
        step.now("playwright install-deps chromium")
        _playwright(["install-deps", "chromium"], environ)
    return [PLAYWRIGHTS_OWN]


def _package(step: Step, environ: dict[str, str]) -> list[str]:
    return _installed(step, environ) if apt_install(["chromium"], step) else []


def _playwright(arguments: list[str], environ: dict[str, str]) -> bool:
    return _quiet([str(VENV_PYTHON), "-m", "playwright", *arguments], environ, 300)


def _works(path: str, environ: dict[str, str]) -> bool:
    return _quiet([str(VENV_PYTHON), "-c", TRY, path], environ, 60)


def _quiet(command: list[str], environ: dict[str, str], seconds: float) -> bool:
    try:
        done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
