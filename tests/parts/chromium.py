"""The browser of pytest-playwright: a Chromium of this machine when there is one, and quiet on the network."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
OFF = (
    "WebUIOmniboxPopup",  # two more pages with processes of their own in every window, shown to nobody
    "WebUIOmniboxAimPopup",
    # Of two such lists Chromium reads the last, so that what Playwright turns off stands here too.
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
"""Features of Chromium that no test needs. Names that a version does not know do no harm."""
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    f"--disable-features={','.join(OFF)}",
    "--disable-quic",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def chromium_executable() -> str | None:
    """The Chromium that bin/test chose (CHROMIUM), else one on the PATH, else None for Playwright's own."""
    if "CHROMIUM" in os.environ:
        return os.environ["CHROMIUM"] or None
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser_type_launch_args(
    browser_type_launch_args: dict[str, Any], chromium_executable: str | None, browser_name: str
) -> dict[str, Any]:
    """What pytest-playwright launches a browser with. Firefox and WebKit keep their own."""
    if browser_name != "chromium":
        return browser_type_launch_args
    arguments = [
        *browser_type_launch_args.get("args", ()),
        *ARGUMENTS,
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    chosen = {"executable_path": chromium_executable} if chromium_executable else {}
    return {**browser_type_launch_args, **chosen, "args": arguments}
