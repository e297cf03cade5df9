"""Browser of pytest-playwright: this machine's Chromium if there is one, without background network traffic."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserType

WITHOUT_WINDOW = "chromium-headless-shell"
NAMES = (WITHOUT_WINDOW, "chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
OFF = (
    "WebUIOmniboxPopup",  # these would open two more pages with their own processes in every window
    "WebUIOmniboxAimPopup",
    # Chromium reads the last of two such lists, so Playwright's own entries are repeated here.
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
"""Features of Chromium that no test needs. Unknown names are ignored."""
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    f"--disable-features={','.join(OFF)}",
    "--disable-quic",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def chromium_executable(pytestconfig: pytest.Config) -> str | None:
    """The Chromium chosen by bin/test (CHROMIUM), else one on the PATH, else None for Playwright's own; with `--headed`
    one that has a window.
    """
    is_headed, chosen = pytestconfig.getoption("--headed"), os.environ.get("CHROMIUM")
    if chosen is not None and not (is_headed and WITHOUT_WINDOW in chosen):
        return chosen or None
    return _first(NAMES[1:] if is_headed else NAMES)


@pytest.fixture
def chromium_with_tabs(browser_type: BrowserType, browser_type_launch_args: dict[str, Any]) -> Iterator[Browser]:
    """A Chromium in which a tab in the background is hidden, which one without a window does not do."""
    found = _first(NAMES[1:])
    browser = browser_type.launch(**browser_type_launch_args | ({"executable_path": found} if found else {}))
    yield browser
    browser.close()


def _first(names: Sequence[str]) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser_type_launch_args(
    browser_type_launch_args: dict[str, Any], chromium_executable: str | None, browser_name: str
) -> dict[str, Any]:
    """Launch arguments for Chromium. Firefox and WebKit keep their own."""
    if browser_name != "chromium":
        return browser_type_launch_args
    arguments = [
        *browser_type_launch_args.get("args", ()),
        *ARGUMENTS,
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    chosen = {"executable_path": chromium_executable} if chromium_executable else {}
    return {**browser_type_launch_args, **chosen, "args": arguments}
